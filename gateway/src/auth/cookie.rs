//! The cookie `cc_session` (architecture.md 8): its attributes when it is set are exactly those when it is deleted.

use http::HeaderValue;

/// Its name. The reference's cookie is called `session`; we never set that one, and ignore it.
pub const NAME: &str = "cc_session";

/// Longest value that can be one of ours.
const BYTES_MAX: usize = 128;

/// Whether the text can be the value of our cookie: base64url.
pub fn is_value(text: &str) -> bool {
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'=');
    (1..=BYTES_MAX).contains(&text.len()) && text.bytes().all(harmless)
}

/// The header that sets it for `max_age_s` seconds; `None` when the value is none of ours.
pub fn set(value: &str, max_age_s: i64, encrypted: bool) -> Option<HeaderValue> {
    is_value(value).then(|| header(value, max_age_s.max(1), encrypted))?
}

/// The header that deletes it.
pub fn clear(encrypted: bool) -> Option<HeaderValue> {
    header("", 0, encrypted)
}

fn header(value: &str, max_age_s: i64, encrypted: bool) -> Option<HeaderValue> {
    let secure = if encrypted { "; Secure" } else { "" };
    HeaderValue::from_str(&format!(
        "{NAME}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Lax{secure}"
    ))
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_deleted_as_it_was_set() {
        assert_eq!(
            set("abc", 60, true).unwrap(),
            "cc_session=abc; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure"
        );
        assert_eq!(clear(true).unwrap(), "cc_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure");
        assert_eq!(
            set("abc", -5, false).unwrap(),
            "cc_session=abc; Path=/; Max-Age=1; HttpOnly; SameSite=Lax"
        );
        assert_eq!(set("a;b", 60, false), None);
    }
}
