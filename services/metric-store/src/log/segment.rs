//! Segment files and checkpoint files of a shard: names, headers, lists.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::wire;

/// First bytes of a segment; the last but one is the version of the format.
const MAGIC: [u8; 8] = *b"ccxlog\x01\n";

/// Bytes of a segment's header.
pub(crate) const HEADER_BYTES: usize = 24;

/// Path of a segment.
pub(crate) fn path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("log-{number:010}.ccl"))
}

/// Path of the checkpoint that holds all segments up to `number`.
pub(crate) fn checkpoint_path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("checkpoint-{number:010}.ccs"))
}

/// The first bytes of a segment.
pub(crate) fn header(shard: u32, number: u64) -> [u8; HEADER_BYTES] {
    header_of(MAGIC, shard, number)
}

/// The first bytes of a file of ours: magic, shard, number, checksum.
pub(crate) fn header_of(magic: [u8; 8], shard: u32, number: u64) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    let fields = magic.into_iter().chain(shard.to_le_bytes()).chain(number.to_le_bytes());
    for (to, from) in header.iter_mut().zip(fields) {
        *to = from;
    }
    let checksum = wire::crc([header.get(..HEADER_BYTES - 4).unwrap_or_default(), &[]]);
    for (to, from) in header.iter_mut().skip(HEADER_BYTES - 4).zip(checksum.to_le_bytes()) {
        *to = from;
    }
    header
}

/// Reads and checks the first bytes of a segment. False: it is none, or was cut before its first record.
pub(crate) fn check_header(input: &mut impl Read, shard: u32, number: u64) -> io::Result<bool> {
    check_header_of(&[MAGIC], input, shard, number)
}

/// As [`check_header`], for a file with one of these magics.
pub(crate) fn check_header_of(
    magics: &[[u8; 8]],
    input: &mut impl Read,
    shard: u32,
    number: u64,
) -> io::Result<bool> {
    let mut found = [0; HEADER_BYTES];
    let whole = wire::read_up_to(input, &mut found)? == HEADER_BYTES;
    Ok(whole && magics.iter().any(|magic| found == header_of(*magic, shard, number)))
}

/// What lies in the directory of a shard.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    /// Numbers of the segments, ascending.
    pub(crate) segments: Vec<u64>,
    /// Numbers of the checkpoints, ascending.
    pub(crate) checkpoints: Vec<u64>,
}

/// Lists a shard's directory; other files are left alone.
pub(crate) fn list(directory: &Path) -> io::Result<Listing> {
    let mut listing = Listing::default();
    for entry in std::fs::read_dir(directory)? {
        let name = entry?.file_name();
        let Some(name) = name.to_str() else { continue };
        if let Some(number) = number_in(name, "log-", ".ccl") {
            listing.segments.push(number);
        } else if let Some(number) = number_in(name, "checkpoint-", ".ccs") {
            listing.checkpoints.push(number);
        }
    }
    listing.segments.sort_unstable();
    listing.checkpoints.sort_unstable();
    Ok(listing)
}

fn number_in(name: &str, prefix: &str, suffix: &str) -> Option<u64> {
    name.strip_prefix(prefix)?.strip_suffix(suffix)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_names_are_listed() {
        let directory = tempfile::tempdir().unwrap();
        for name in [
            "log-0000000002.ccl",
            "log-0000000001.ccl",
            "checkpoint-0000000007.ccs",
            ".x.cc-tmp",
            "log-x.ccl",
        ] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        let listing = list(directory.path()).unwrap();
        assert_eq!(listing, Listing { segments: vec![1, 2], checkpoints: vec![7] });
        assert_eq!(path(directory.path(), 1).file_name().unwrap(), "log-0000000001.ccl");
    }

    #[test]
    fn a_header_belongs_to_one_segment() {
        let header = header(3, 9);
        assert!(check_header(&mut header.as_slice(), 3, 9).unwrap());
        assert!(!check_header(&mut header.as_slice(), 3, 8).unwrap());
        assert!(!check_header(&mut &header[..23], 3, 9).unwrap());
    }
}
