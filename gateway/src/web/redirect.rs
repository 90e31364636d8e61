//! Where a login may lead: addresses of this server only (auth.md 5.4).

/// Longest address that is carried through a login.
const BYTES_MAX: usize = 4096;

/// The address if it is harmless, else `/`.
///
/// It begins with `/`, goes on with neither `/` nor `\` (browsers take both for another host), and holds no control
/// characters (which browsers remove before they look). Login pages themselves are no destination.
pub fn safe(address: &str) -> &str {
    let mut rest = address.chars();
    let is_path = rest.next() == Some('/') && !matches!(rest.next(), Some('/' | '\\'));
    let harmless = is_path && address.len() <= BYTES_MAX && !address.chars().any(char::is_control);
    let path = address.split(['?', '#']).next().unwrap_or_default();
    let is_login = ["/login", "/logout", "/jwt-login", "/oidc-login", "/oidc-callback"].contains(&path);
    if harmless && !is_login { address } else { "/" }
}

/// The address as it may stand in the header `Location`: what is not ASCII is percent-encoded.
pub fn location(address: &str) -> String {
    let mut out = String::with_capacity(address.len());
    for byte in address.bytes() {
        if byte.is_ascii_graphic() {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                out.push(char::from_digit(digit.into(), 16).unwrap_or('0').to_ascii_uppercase());
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_this_server_are_kept() {
        for address in
            ["/", "/monitoring/jobs/?state=failed", "/a//b", "/monitoring/user/jürgen", "/?x=https://y"]
        {
            assert_eq!(safe(address), address);
        }
    }

    #[test]
    fn other_hosts_are_never_a_destination() {
        for address in [
            "",
            "https://evil.example/x",
            "//evil.example/x",
            "/\\evil.example",
            "\\/evil.example",
            "/\t/evil.example",
            "/a\nb",
            " /a",
            "evil.example",
            "javascript:alert(1)",
            "/login?redirect=/x",
            "/logout",
        ] {
            assert_eq!(safe(address), "/", "{address:?}");
        }
        assert_eq!(safe(&format!("/{}", "x".repeat(BYTES_MAX))), "/");
    }

    #[test]
    fn locations_are_ascii() {
        assert_eq!(location("/monitoring/user/jü rg?a=b&c=%20"), "/monitoring/user/j%C3%BC%20rg?a=b&c=%20");
    }
}
