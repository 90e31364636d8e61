//! Regular expressions as Go's RE2 reads them, on the `regex` crate (spec/taggers.md 4): both run in linear time and
//! know no look-around; they differ in what `\d`, `\w`, `\s`, `\b` mean (ASCII in Go), in `\Q…\E`, and in which
//! characters of a class are literal.

use regex::{Regex, RegexBuilder};

/// Memory of one compiled pattern, in bytes.
const SIZE_MAX: usize = 4 << 20;

/// Compiles a pattern of Go's syntax. The error is one line.
pub(crate) fn regex(pattern: &str) -> Result<Regex, String> {
    build(&translate(pattern), false)
}

/// A pattern of the application tagger: on a line, not behind a `#`; upper and lower case are the same.
pub(crate) fn application(line: &str) -> Result<Regex, String> {
    build(&format!("(?m)^[^#]*(?:{})", translate(line)), true)
}

fn build(pattern: &str, any_case: bool) -> Result<Regex, String> {
    RegexBuilder::new(pattern).case_insensitive(any_case).size_limit(SIZE_MAX).build().map_err(|error| {
        match error {
            regex::Error::CompiledTooBig(_) => "the pattern is too large".to_owned(),
            other => {
                // the crate shows the pattern over several lines, the reason last
                let text = other.to_string();
                let reason = text.lines().next_back().unwrap_or_default();
                format!("bad pattern: {}", reason.trim_start_matches("error: "))
            }
        }
    })
}

/// The pattern in the crate's syntax.
fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        if let Some(quoted) = rest.strip_prefix("\\Q") {
            let (literal, behind) = quoted.split_once("\\E").unwrap_or((quoted, ""));
            out.push_str(&regex::escape(literal));
            rest = behind;
            continue;
        }
        let used = match first {
            '\\' => escape(rest, &mut out, false),
            '[' => class(rest, &mut out),
            // a brace that begins no repetition is a brace
            '{' if !repetition(rest) => {
                out.push_str("\\{");
                1
            }
            other => {
                out.push(other);
                other.len_utf8()
            }
        };
        rest = rest.get(used..).unwrap_or_default();
    }
    out
}

/// Whether `{n}`, `{n,}` or `{n,m}` begins here.
fn repetition(rest: &str) -> bool {
    let Some(inner) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) else { return false };
    let (from, to) = inner.0.split_once(',').unwrap_or((inner.0, ""));
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !from.is_empty() && number(from) && number(to)
}

/// One escape; returns the bytes it took.
fn escape(rest: &str, out: &mut String, in_class: bool) -> usize {
    let Some(second) = rest.chars().nth(1) else {
        out.push('\\');
        return 1;
    };
    let set = match second {
        'd' => Some("0-9"),
        'D' => Some("^0-9"),
        'w' => Some("0-9A-Za-z_"),
        'W' => Some("^0-9A-Za-z_"),
        's' => Some("\\t\\n\\x0C\\r "),
        'S' => Some("^\\t\\n\\x0C\\r "),
        _ => None,
    };
    match (set, second) {
        (Some(set), _) => {
            // a class within a class is its union in the crate
            out.push('[');
            out.push_str(set);
            out.push(']');
        }
        (None, 'b') if !in_class => out.push_str("(?-u:\\b)"),
        (None, 'B') if !in_class => out.push_str("(?-u:\\B)"),
        (None, second) => {
            out.push('\\');
            out.push(second);
        }
    }
    1 + second.len_utf8()
}

/// One bracket expression; returns the bytes it took.
fn class(rest: &str, out: &mut String) -> usize {
    let mut at = 1;
    out.push('[');
    if rest.get(at..).is_some_and(|rest| rest.starts_with('^')) {
        out.push('^');
        at += 1;
    }
    let mut first = true;
    while let Some(next) = rest.get(at..).and_then(|rest| rest.chars().next()) {
        let here = rest.get(at..).unwrap_or_default();
        match next {
            ']' if !first => {
                out.push(']');
                return at + 1;
            }
            '\\' => {
                at += escape(here, out, true);
                first = false;
                continue;
            }
            '[' if here.starts_with("[:") => {
                if let Some(end) = here.find(":]") {
                    out.push_str(here.get(..end + 2).unwrap_or_default());
                    at += end + 2;
                    first = false;
                    continue;
                }
                out.push_str("\\[");
            }
            // these have a meaning in classes of the crate alone
            '[' | '&' | '~' | ']' => {
                out.push('\\');
                out.push(next);
            }
            other => out.push(other),
        }
        at += next.len_utf8();
        first = false;
    }
    // without an end: the crate will say so
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_in_go() {
        for (pattern, text, found) in [
            (r"\bvasp_(std|gam)\b", "srun vasp_std > out", true),
            (r"\d", "٣", false),
            (r"\w", "ä", false),
            (r"^.$", "ä", true),
            (r"\s", "\u{a0}", false),
            (r"[\w-]+x", "a-x", true),
            (r"[^\s]x", " x", false),
            (r"[[]", "[", true),
            (r"[]a]", "]", true),
            (r"[a&&b]", "&", true),
            (r"[[:alpha:]_]", "_", true),
            (r"[^\W]", "é", false),
            (r"\Qa.b\E+", "a.bbb", true),
            (r"\Qa.b\E", "axb", false),
            (r"x{,3}", "x{,3}", true),
            (r"x{2,3}y", "xxxy", true),
            (r"(?i)ABC", "abc", true),
            (r"a|b", "b", true),
        ] {
            assert_eq!(regex(pattern).unwrap().is_match(text), found, "{pattern} on {text:?}");
        }
        for bad in ["(", "[a", "a**b\\", "(?=x)", "\\1"] {
            let problem = regex(bad).unwrap_err();
            assert!(!problem.contains('\n'), "{problem}");
        }
        assert!(regex(&"(a{1000}){1000}".repeat(3)).is_err());
    }

    #[test]
    fn an_application_is_not_found_in_a_comment() {
        for (line, script, found) in [
            ("gromacs", "#!/bin/bash\n#SBATCH --job-name=gromacs\n", false),
            ("gromacs", "module load GROMACS/2023 # x", true),
            (r"gmx(_mpi)?\s", "#!/bin/bash\n# gmx in a comment\nsrun VASP_STD > out\n", false),
            (r"\bvasp_(std|gam)\b", "#!/bin/bash\n# gmx in a comment\nsrun VASP_STD > out\n", true),
            ("a|b", "# b", false),
            ("^srun", "x\nsrun y", true),
        ] {
            assert_eq!(application(line).unwrap().is_match(script), found, "{line} on {script:?}");
        }
    }
}
