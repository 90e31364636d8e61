//! The browser UI, built by Vite, pre-compressed and embedded.
//!
//! `npm run build` leaves `dist/` with hashed file names and a `.br` and `.gz` beside each compressible file. A binary that was compiled
//! without it serves a page that says so.

use std::borrow::Cow;

use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "dist/"]
#[allow_missing = true]
struct Dist;

/// One of the two documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// The frame of all pages behind the login.
    Index,
    /// The login form; works without scripts.
    Login,
}

/// A file of the UI in one encoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asset {
    /// The bytes as they go over the wire.
    pub content: Cow<'static, [u8]>,
    /// Value of `Content-Type`.
    pub content_type: &'static str,
    /// Value of `Content-Encoding`; `None` for the plain file.
    pub encoding: Option<&'static str>,
    /// The name holds a hash of the content, so it may be kept for good.
    pub immutable: bool,
}

/// The file at `path` (without a leading slash), in the best encoding that `accept_encoding` allows. The documents are not among them:
/// they are made by [`page`].
pub fn asset(path: &str, accept_encoding: &str) -> Option<Asset> {
    if matches!(ending(path), "br" | "gz" | "html") {
        return None;
    }
    let immutable = path.starts_with("assets/");
    let content_type = content_type(path);
    for (encoding, ending) in [("br", ".br"), ("gzip", ".gz")] {
        if accepts(accept_encoding, encoding)
            && let Some(file) = Dist::get(&format!("{path}{ending}"))
        {
            return Some(Asset { content: file.data, content_type, encoding: Some(encoding), immutable });
        }
    }
    let file = Dist::get(path)?;
    Some(Asset { content: file.data, content_type, encoding: None, immutable })
}

/// A document with `{{name}}` replaced by the values, escaped for HTML text and attributes. Names without a value become empty.
pub fn page(page: Page, values: &[(&str, &str)]) -> String {
    let name = match page {
        Page::Index => "index.html",
        Page::Login => "login.html",
    };
    match Dist::get(name) {
        Some(file) => fill(&String::from_utf8_lossy(&file.data), values),
        None => fill(NOT_BUILT, values),
    }
}

/// Whether the UI was there when this was compiled.
pub fn is_built() -> bool {
    Dist::get("index.html").is_some()
}

const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{{title}}</title></head><body><h1>{{title}}</h1>\
    <p>{{message}}</p><p>This program was built without its pages: run <code>make web</code> and build again.</p></body></html>";

fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut text = String::with_capacity(template.len() + 256);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        text.push_str(before);
        let Some((name, after)) = after.split_once("}}") else {
            // No end: nothing that was meant to be filled.
            text.push_str("{{");
            rest = after;
            break;
        };
        if let Some((_, value)) = values.iter().find(|(known, _)| *known == name) {
            escape(value, &mut text);
        }
        rest = after;
    }
    text.push_str(rest);
    text
}

fn escape(value: &str, text: &mut String) {
    for character in value.chars() {
        match character {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '"' => text.push_str("&quot;"),
            '\'' => text.push_str("&#39;"),
            // A value must not be able to open another place.
            '{' => text.push_str("&#123;"),
            other => text.push(other),
        }
    }
}

/// Whether `Accept-Encoding` allows an encoding: named, or `*`, and not with `q=0`.
fn accepts(header: &str, encoding: &str) -> bool {
    let mut any = None;
    for item in header.split(',') {
        let mut parts = item.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let refused = parts
            .any(|part| part.strip_prefix("q=").is_some_and(|q| q.parse::<f32>().is_ok_and(|q| q <= 0.0)));
        if name.eq_ignore_ascii_case(encoding) {
            return !refused;
        }
        if name == "*" {
            any = Some(!refused);
        }
    }
    any.unwrap_or(false)
}

fn ending(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(_, ending)| ending)
}

fn content_type(path: &str) -> &'static str {
    match ending(path) {
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "json" | "webmanifest" => "application/json",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped_and_unknown_places_are_emptied() {
        let html = fill("<a title=\"{{t}}\">{{t}}</a>{{nothing}} {{ open", &[("t", "<b>\"'&{{x}}")]);
        assert_eq!(
            html,
            "<a title=\"&lt;b&gt;&quot;&#39;&amp;&#123;&#123;x}}\">&lt;b&gt;&quot;&#39;&amp;&#123;&#123;x}}</a> {{ open"
        );
    }

    #[test]
    fn an_encoding_counts_only_where_it_is_wanted() {
        assert!(accepts("gzip, deflate, br", "br"));
        assert!(accepts("*", "gzip"));
        assert!(!accepts("br;q=0, *", "br"));
        assert!(!accepts("", "gzip"));
        assert!(!accepts("gzip", "br"));
    }

    #[test]
    fn documents_and_compressed_twins_are_no_assets() {
        for path in ["index.html", "assets/x.js.br", "../Cargo.toml", ""] {
            assert_eq!(asset(path, "br, gzip"), None, "{path}");
        }
    }
}
