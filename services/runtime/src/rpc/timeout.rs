//! The `grpc-timeout` header: at most eight digits and a unit.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

/// Name of the header.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("grpc-timeout");

/// What tonic's server says when the time is over, with code `Cancelled`.
pub(crate) const EXPIRED: &str = "Timeout expired";

/// The time granted by the caller; `None` without a header and for a malformed one (as tonic reads it).
pub(crate) fn read(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(HEADER)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(value * 3600)),
        "M" => Some(Duration::from_secs(value * 60)),
        "S" => Some(Duration::from_secs(value)),
        "m" => Some(Duration::from_millis(value)),
        "u" => Some(Duration::from_micros(value)),
        "n" => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

/// The header value of a duration, in the finest unit that fits eight digits.
pub(crate) fn write(limit: Duration) -> HeaderValue {
    const LARGEST: u128 = 99_999_999;
    let text = if limit.as_micros() <= LARGEST {
        format!("{}u", limit.as_micros())
    } else if limit.as_millis() <= LARGEST {
        format!("{}m", limit.as_millis())
    } else {
        format!("{}S", limit.as_secs().min(99_999_999))
    };
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("99999999S"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_str(text).unwrap());
        read(&headers)
    }

    #[test]
    fn every_unit_is_read() {
        assert_eq!(parse("2H"), Some(Duration::from_hours(2)));
        assert_eq!(parse("3M"), Some(Duration::from_mins(3)));
        assert_eq!(parse("4S"), Some(Duration::from_secs(4)));
        assert_eq!(parse("100m"), Some(Duration::from_millis(100)));
        assert_eq!(parse("5u"), Some(Duration::from_micros(5)));
        assert_eq!(parse("6n"), Some(Duration::from_nanos(6)));
    }

    #[test]
    fn malformed_headers_are_no_limit() {
        for text in ["", "S", "1", "1x", "123456789S", "+1S", "-1S", "1.5S", " 1S"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
        assert_eq!(read(&HeaderMap::new()), None);
    }

    #[test]
    fn written_durations_read_back() {
        for limit in [Duration::from_millis(100), Duration::from_mins(1), Duration::from_hours(24)] {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, write(limit));
            assert_eq!(read(&headers), Some(limit));
        }
    }

    proptest::proptest! {
        #[test]
        fn any_header_is_read_or_ignored(bytes in proptest::collection::vec(0x20_u8..0x7f, 0..12)) {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, HeaderValue::from_bytes(&bytes).unwrap());
            let _no_panic = read(&headers);
        }

        #[test]
        fn a_written_duration_loses_at_most_its_unit(limit in 0_u64..100_000_000_000_000) {
            let limit = Duration::from_micros(limit);
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, write(limit));
            let back = read(&headers).unwrap();
            proptest::prop_assert!(back <= limit);
            proptest::prop_assert!(limit.saturating_sub(back) <= limit / 10_000 + Duration::from_micros(1));
        }
    }
}
