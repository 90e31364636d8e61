//! The notice of the site on the pages, where the reference keeps it (rest-api.md 9): read for each page, so that a file
//! that was edited by hand is shown as well.

use std::io::{self, Read as _};
use std::path::Path;

use cc_runtime::error::chain;
use cc_runtime::files;

/// Where it is kept.
const FILE: &str = "./var/notice.txt";
/// Longest notice.
pub(super) const BYTES_MAX: usize = 10_000;
/// Everybody who may enter the machine may read it.
const MODE: u32 = 0o644;

/// The notice; empty when there is none. A file that cannot be read does not take the page.
pub(super) async fn read() -> String {
    match tokio::task::spawn_blocking(|| read_from(FILE.as_ref())).await {
        Ok(Ok(text)) => text,
        Ok(Err(error)) => {
            tracing::warn!(error = %chain(&error), "the notice {FILE} cannot be read");
            String::new()
        }
        Err(_stopping) => String::new(),
    }
}

/// Replaces it; an empty one is taken away.
pub(super) fn write(text: &str) -> Result<(), files::Error> {
    write_to(FILE.as_ref(), text)
}

fn read_from(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    match std::fs::File::open(path) {
        // who edits the file by hand knows of no limit
        Ok(file) => file.take(BYTES_MAX as u64).read_to_end(&mut bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

fn write_to(path: &Path, text: &str) -> Result<(), files::Error> {
    if text.is_empty() && path.try_exists().is_ok_and(|there| !there) {
        return Ok(());
    }
    if let Some(directory) = path.parent() {
        files::create_directory(directory)?;
    }
    files::write_atomic_with_mode(path, text, MODE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_kept_where_no_directory_was_and_taken_away() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("var/notice.txt");
        assert_eq!(read_from(&path).unwrap(), "");
        write_to(&path, "").unwrap();
        assert!(!path.try_exists().unwrap());
        write_to(&path, "Down on <i>Friday</i>\n").unwrap();
        assert_eq!(read_from(&path).unwrap(), "Down on <i>Friday</i>");
        write_to(&path, "").unwrap();
        assert_eq!(read_from(&path).unwrap(), "");
    }

    #[test]
    fn what_was_written_by_hand_is_read_as_far_as_a_notice_goes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notice.txt");
        std::fs::write(&path, [vec![b'\xff'], vec![b'x'; 20_000]].concat()).unwrap();
        let text = read_from(&path).unwrap();
        assert!(text.starts_with("\u{fffd}xxx") && text.len() <= BYTES_MAX + 2, "{}", text.len());
        assert!(read_from(directory.path()).is_err());
    }
}
