//! The `.env` file with the rules of the library the reference uses (config-and-cli.md 5.2), its oddities included:
//! one file must mean the same to both programs.

use std::collections::HashMap;

use super::Env;

/// Why a file cannot be understood. Values are never quoted: they are secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A name holds a character other than letters, digits, `_` and `.`, or a line has no `=`.
    #[error("line {line}: unexpected character {character:?} in a variable name; expected NAME=value")]
    Name {
        /// Line, from 1.
        line: usize,
        /// The character.
        character: char,
    },
    /// The file ends before a `=`.
    #[error("line {line}: the file ends inside a variable name; expected NAME=value")]
    NoSeparator {
        /// Line, from 1.
        line: usize,
    },
    /// A quoted value has no end.
    #[error("line {line}: the quoted value that starts here has no closing {quote}")]
    Unterminated {
        /// Line where the value starts, from 1.
        line: usize,
        /// The quote.
        quote: char,
    },
}

/// Parses the text into names and values in the order of the file; of a repeated name the last counts.
/// `$NAME` and `${NAME}` mean earlier variables of the file, then those of `env`.
pub fn parse(text: &str, env: &dyn Env) -> Result<Vec<(String, String)>, Error> {
    let text = text.replace("\r\n", "\n");
    let mut variables = Variables { found: Vec::new(), latest: HashMap::new(), env };
    let mut rest = text.as_str();
    while let Some(statement) = statement_start(rest) {
        let line = |at: &str| 1 + text.len().checked_sub(at.len()).map_or(0, |end| newlines(&text, end));
        let (name, value_start) = name(statement, line(statement))?;
        let (value, after) = value(value_start, &variables, line(value_start))?;
        variables.add(name, value);
        rest = after;
    }
    Ok(variables.found)
}

fn newlines(text: &str, end: usize) -> usize {
    text.bytes().take(end).filter(|byte| *byte == b'\n').count()
}

struct Variables<'a> {
    found: Vec<(String, String)>,
    latest: HashMap<String, String>,
    env: &'a dyn Env,
}

impl Variables<'_> {
    fn add(&mut self, name: &str, value: String) {
        self.latest.insert(name.to_owned(), value.clone());
        self.found.push((name.to_owned(), value));
    }

    fn lookup(&self, name: &str) -> String {
        self.latest.get(name).cloned().or_else(|| self.env.get(name)).unwrap_or_default()
    }
}

/// Skips blanks, comments and `---` lines.
fn statement_start(mut rest: &str) -> Option<&str> {
    loop {
        rest = rest.trim_start();
        let line = rest.split('\n').next().unwrap_or_default();
        if rest.is_empty() {
            return None;
        } else if line.starts_with('#') || line.trim_end() == "---" {
            rest = rest.get(line.len()..).unwrap_or_default();
        } else {
            return Some(rest);
        }
    }
}

/// White space inside a line.
fn is_blank(character: char) -> bool {
    matches!(character, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ' | '\u{85}' | '\u{a0}')
}

fn name(statement: &str, line: usize) -> Result<(&str, &str), Error> {
    let statement = match statement.strip_prefix("export") {
        Some(after) if after.starts_with(is_blank) => after.trim_start_matches(is_blank),
        _ => statement,
    };
    for (at, character) in statement.char_indices() {
        match character {
            '=' | ':' => {
                let (name, value) = statement.split_at(at);
                let value = value.get(1..).unwrap_or_default();
                return Ok((name.trim_end(), value.trim_start_matches(is_blank)));
            }
            'A'..='Z' | 'a'..='z' | '0'..='9' | '_' | '.' => {}
            blank if is_blank(blank) => {}
            other => return Err(Error::Name { line, character: other }),
        }
    }
    Err(Error::NoSeparator { line })
}

fn value<'a>(start: &'a str, variables: &Variables<'_>, line: usize) -> Result<(String, &'a str), Error> {
    match start.chars().next() {
        Some(quote @ ('"' | '\'')) => {
            quoted(start, quote, variables).ok_or(Error::Unterminated { line, quote })
        }
        _ => Ok(unquoted(start, variables)),
    }
}

fn unquoted<'a>(start: &'a str, variables: &Variables<'_>) -> (String, &'a str) {
    let end = start.find(['\n', '\r']).unwrap_or(start.len());
    let (line, rest) = start.split_at(end);
    let mut before = None;
    let comment = line.char_indices().find(|&(_, character)| {
        let found = character == '#' && before.is_some_and(is_blank);
        before = Some(character);
        found
    });
    let value = comment.and_then(|(at, _)| line.get(..at)).unwrap_or(line);
    (expand(value.trim_matches(is_blank), variables), rest)
}

/// A quote after a backslash does not end the value; quotes at both its ends are cut off, escaped or not.
fn quoted<'a>(start: &'a str, quote: char, variables: &Variables<'_>) -> Option<(String, &'a str)> {
    let mut before = quote;
    for (at, character) in start.char_indices().skip(1) {
        if character == quote && before != '\\' {
            let inner = start.get(..at)?.trim_end_matches(quote).trim_start_matches(quote);
            let value = if quote == '"' { expand(&unescape(inner), variables) } else { inner.to_owned() };
            return Some((value, start.get(at + 1..)?));
        }
        before = character;
    }
    None
}

/// `\n` and `\r` become line ends, `\$` stays for [`expand`], any other `\x` becomes `x`.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            out.push(character);
            continue;
        }
        match characters.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('$') => out.push_str("\\$"),
            Some(other) => out.push(other),
            None => out.push('\\'),
        }
    }
    out
}

/// Replaces `$NAME`, `${NAME}` and, as the reference does, `$(NAME`; names are upper case letters, digits, `_`.
fn expand(text: &str, variables: &Variables<'_>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, dollar) = rest.split_at(at);
        let after = dollar.get(1..).unwrap_or_default();
        let inner = after.strip_prefix('(').unwrap_or(after);
        let inner = inner.strip_prefix('{').unwrap_or(inner);
        let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        let name_end = inner.find(|c| !is_name(c)).unwrap_or(inner.len());
        let (name, tail) = inner.split_at(name_end);
        let tail = tail.strip_prefix('}').unwrap_or(tail);
        let whole = dollar.get(..dollar.len() - tail.len()).unwrap_or_default();
        if let Some(before) = before.strip_suffix('\\') {
            out.push_str(before);
            out.push_str(whole);
        } else {
            out.push_str(before);
            if name.is_empty() {
                out.push_str(whole);
            } else {
                out.push_str(&variables.lookup(name));
            }
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::super::MapEnv;
    use super::*;

    fn one(text: &str) -> String {
        let env = MapEnv::new().with("HOME_DIR", "/home/x");
        let found = parse(text, &env).unwrap();
        assert_eq!(found.last().unwrap().0, "A", "{found:?}");
        found.last().unwrap().1.clone()
    }

    #[rstest]
    #[case("A=b", "b")]
    #[case("A: b", "b")]
    #[case("export A=b", "b")]
    #[case("  export\t A = b  \n", "b")]
    #[case("exportA=1\nA=b", "b")]
    #[case("A=", "")]
    #[case("A=\nB=c\nA=d\r\n", "d")]
    #[case("# A=x\n\n---\nA=b", "b")]
    #[case("A=b # comment", "b")]
    #[case("A=b#c # d # e", "b#c")]
    #[case("A=#b", "#b")]
    #[case("A='b # c' # d", "b # c")]
    #[case(r"A='\n $HOME_DIR'", r"\n $HOME_DIR")]
    #[case("A='two\nlines'", "two\nlines")]
    #[case(r#"A="two\nlines\r\t\"x""#, "two\nlines\rt\"x")]
    #[case(r#"A="b" # c"#, "b")]
    #[case(r#"A="cut off\"""#, "cut off\\")]
    #[case(r#"A="a\\nb""#, "a\\nb")]
    #[case("B=1\nA=$B-${B}x$HOME_DIR", "1-1x/home/x")]
    #[case("A=${NONE}x$none", "x$none")]
    #[case("A=cost\\$B$", "cost$B$")]
    #[case("B=1\nA=\"\\$B $B\"", "$B 1")]
    #[case("A=a=b:c", "a=b:c")]
    #[case("A=67d829bf61dc5f87a73fd814e2c9f629", "67d829bf61dc5f87a73fd814e2c9f629")]
    #[case(
        "A=\"kzfYrYy+TzpanWZHJ5qSdMj5uKUWgq74BWhQG6copP0=\"",
        "kzfYrYy+TzpanWZHJ5qSdMj5uKUWgq74BWhQG6copP0="
    )]
    fn reads_as_the_reference_does(#[case] text: &str, #[case] value: &str) {
        assert_eq!(one(text), value);
    }

    #[rstest]
    #[case("A=1\nwhat?=2", Error::Name { line: 2, character: '?' })]
    #[case("A=1\nnothing\nB=2", Error::Name { line: 2, character: '\n' })]
    #[case("\u{feff}A=1", Error::Name { line: 1, character: '\u{feff}' })]
    #[case("A=1\n\nB", Error::NoSeparator { line: 3 })]
    #[case("A=1\nB=\"x\ny", Error::Unterminated { line: 2, quote: '"' })]
    fn errors_name_the_line(#[case] text: &str, #[case] error: Error) {
        assert_eq!(parse(text, &MapEnv::new()).unwrap_err(), error);
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC*|[A-Z=:'\"$\\\\{}( #\\n\\r\\t-]{0,40}") {
            let _result = parse(&text, &MapEnv::new());
        }

        #[test]
        fn single_quotes_keep_any_text(value in "[^'\\r\\\\]*") {
            prop_assert_eq!(one(&format!("A='{value}'\n")), value);
        }
    }
}
