//! Numbers in paths, with the errors that clients know.

use std::num::IntErrorKind;

use crate::problem::Problem;

/// The number of a path's part; 400 with `what` before the reason.
pub(super) fn integer(what: &str, text: &str) -> Result<i64, Problem> {
    parse(text).map_err(|reason| Problem::bad(format!("{what}{reason}")))
}

/// The number, or why it is none, in the words of the reference.
pub(super) fn parse(text: &str) -> Result<i64, String> {
    text.parse().map_err(|error: std::num::ParseIntError| {
        let reason = match error.kind() {
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        format!("strconv.ParseInt: parsing {text:?}: {reason}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_those_recorded() {
        assert_eq!(parse("-1"), Ok(-1));
        assert_eq!(parse("abc").unwrap_err(), "strconv.ParseInt: parsing \"abc\": invalid syntax");
        assert_eq!(
            parse("99999999999999999999").unwrap_err(),
            "strconv.ParseInt: parsing \"99999999999999999999\": value out of range"
        );
    }
}
