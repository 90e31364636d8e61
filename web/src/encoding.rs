//! Which packed form of a file a request accepts (RFC 9110 section 12.5.3).

/// A packed form that may lie beside a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Brotli,
    Gzip,
}

/// The encodings an `Accept-Encoding` header allows, the smallest result first.
///
/// A quality of zero forbids; apart from that qualities are not compared: what a browser accepts
/// at all it unpacks about equally fast, and the smaller file arrives earlier.
pub(crate) fn accepted(header: &str) -> impl Iterator<Item = Encoding> {
    let (mut brotli, mut gzip, mut any) = (None, None, None);
    for entry in header.split(',') {
        let mut parts = entry.split(';').map(str::trim);
        let allowed = Some(!parts.clone().skip(1).any(is_zero_quality));
        match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
            "br" => brotli = allowed,
            "gzip" | "x-gzip" => gzip = allowed,
            "*" => any = allowed,
            _ => {}
        }
    }
    let fallback = any.unwrap_or(false);
    let wanted = [(Encoding::Brotli, brotli), (Encoding::Gzip, gzip)];
    wanted.into_iter().filter(move |(_, allowed)| allowed.unwrap_or(fallback)).map(|(encoding, _)| encoding)
}

/// Whether a parameter is `q=0`, `q=0.0`, ….
fn is_zero_quality(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return false };
    name.trim().eq_ignore_ascii_case("q") && value.trim().parse::<f32>().is_ok_and(|quality| quality <= 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(header: &str) -> Vec<Encoding> {
        accepted(header).collect()
    }

    #[test]
    fn what_a_browser_sends_gives_brotli_first() {
        assert_eq!(list("gzip, deflate, br, zstd"), [Encoding::Brotli, Encoding::Gzip]);
        assert_eq!(list("gzip;q=1.0, br;q=0.5"), [Encoding::Brotli, Encoding::Gzip]);
    }

    #[test]
    fn what_is_not_named_or_forbidden_is_not_sent() {
        assert_eq!(list(""), []);
        assert_eq!(list("identity"), []);
        assert_eq!(list("GZIP"), [Encoding::Gzip]);
        assert_eq!(list("br;q=0, gzip"), [Encoding::Gzip]);
        assert_eq!(list("gzip; Q=0.000"), []);
    }

    #[test]
    fn a_star_stands_for_what_is_not_named() {
        assert_eq!(list("*"), [Encoding::Brotli, Encoding::Gzip]);
        assert_eq!(list("*, br;q=0"), [Encoding::Gzip]);
        assert_eq!(list("gzip, *;q=0"), [Encoding::Gzip]);
    }
}
