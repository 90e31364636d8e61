//! Files of `dist` inside the binary.

use std::borrow::Cow;
use std::fmt::Write as _;

use rust_embed::{EmbeddedFile, RustEmbed};

use crate::encoding::{self, Encoding};

#[derive(RustEmbed)]
#[folder = "dist"]
#[allow_missing = true]
struct Dist;

/// A file as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// The body, in `encoding`.
    pub content: Cow<'static, [u8]>,
    /// Value of `Content-Type`.
    pub content_type: &'static str,
    /// Value of `Content-Encoding`; `None`: as it is. The answer depends on `Accept-Encoding`, also then.
    pub encoding: Option<&'static str>,
    /// Value of `ETag`, quotes included; differs by content and encoding.
    pub etag: String,
    /// The name holds a hash of the content: it may be cached for good.
    pub immutable: bool,
}

/// The file at a path of the site (`assets/index-1a2b.js`, with or without `/` before), in the smallest encoding that
/// `accept_encoding` (the request's header) allows.
///
/// `None`: there is no such file. The HTML documents are none: they are filled in by
/// [`page`](crate::page()).
pub fn asset(path: &str, accept_encoding: &str) -> Option<Asset> {
    let name = path.strip_prefix('/').unwrap_or(path);
    let content_type = content_type(name)?;
    let plain = Dist::get(name)?;
    let hash = short_hash(&plain);
    let immutable = name.starts_with("assets/");
    for encoding in encoding::accepted(accept_encoding) {
        let Some(packed) = Dist::get(&format!("{name}.{}", encoding.suffix())) else { continue };
        return Some(Asset {
            content: packed.data,
            content_type,
            encoding: Some(encoding.name()),
            etag: format!("\"{hash}-{}\"", encoding.suffix()),
            immutable,
        });
    }
    Some(Asset { content: plain.data, content_type, encoding: None, etag: format!("\"{hash}\""), immutable })
}

/// Whether the UI was built before this crate was.
pub fn is_built() -> bool {
    Dist::get("index.html").is_some()
}

/// Text of an HTML document of the build; `None`: the UI was not built.
pub(crate) fn document(name: &str) -> Option<Cow<'static, str>> {
    match Dist::get(name)?.data {
        Cow::Borrowed(bytes) => Some(String::from_utf8_lossy(bytes)),
        Cow::Owned(bytes) => Some(Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())),
    }
}

/// Only what is listed here is served; in particular no HTML and no `.br` or `.gz` by its own name.
fn content_type(name: &str) -> Option<&'static str> {
    let (_, extension) = name.rsplit_once('.')?;
    match extension {
        "js" => Some("text/javascript; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        "png" => Some("image/png"),
        "txt" => Some("text/plain; charset=utf-8"),
        "woff2" => Some("font/woff2"),
        _ => None,
    }
}

fn short_hash(file: &EmbeddedFile) -> String {
    let mut text = String::with_capacity(16);
    for byte in file.metadata.sha256_hash().iter().take(8) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

impl Encoding {
    /// Ending of a file that is packed so.
    fn suffix(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gz",
        }
    }

    /// Value of `Content-Encoding`.
    fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says so aloud where the UI was not built: these tests look at its files.
    fn script() -> Option<String> {
        if !is_built() {
            eprintln!("skipped: the UI is not built (make web)");
            return None;
        }
        Dist::iter()
            .map(Cow::into_owned)
            .find(|name| name.starts_with("assets/index-") && content_type(name) == content_type("x.js"))
    }

    #[test]
    fn a_script_comes_packed_typed_and_cached_for_good() {
        let Some(name) = script() else { return };
        let path = format!("/{name}");
        let brotli = asset(&path, "gzip, deflate, br").unwrap();
        assert_eq!(brotli.encoding, Some("br"));
        assert_eq!(brotli.content_type, "text/javascript; charset=utf-8");
        assert!(brotli.immutable);
        let gzip = asset(&path, "gzip").unwrap();
        assert_eq!(gzip.encoding, Some("gzip"));
        let plain = asset(&path, "").unwrap();
        assert_eq!(plain.encoding, None);
        assert!(brotli.content.len() < gzip.content.len() && gzip.content.len() < plain.content.len());
        let tags = [&brotli.etag, &gzip.etag, &plain.etag];
        assert!(tags.iter().all(|tag| tag.starts_with('"') && tag.ends_with('"')));
        assert!(tags[0] != tags[1] && tags[1] != tags[2] && tags[0] != tags[2]);
    }

    #[test]
    fn pictures_that_site_templates_name_are_there_and_checked_again() {
        if script().is_none() {
            return;
        }
        for path in ["/favicon.png", "/favicon.svg", "/img/logo.png"] {
            let found = asset(path, "br").unwrap();
            assert!(!found.immutable, "{path}");
            assert!(found.content_type.starts_with("image/"), "{path}");
        }
    }

    #[test]
    fn documents_packed_names_and_paths_outside_are_no_assets() {
        for path in [
            "/index.html",
            "/login.html",
            "/assets/../index.html",
            "/../Cargo.toml",
            "/.env",
            "/",
            "",
            "/build/nosuch.js",
        ] {
            assert_eq!(asset(path, "br"), None, "{path}");
        }
        if let Some(name) = script() {
            assert_eq!(asset(&format!("/{name}.br"), ""), None);
            assert_eq!(asset(&format!("/{name}.gz"), ""), None);
        }
    }
}
