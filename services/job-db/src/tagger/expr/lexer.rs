//! Words of the language with their places.

use super::SyntaxError;

/// A word.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Int(i64),
    Float(f64),
    Text(String),
    Name(String),
    /// An operator or a bracket.
    Op(&'static str),
    End,
}

/// Operators, longer ones first.
const OPERATORS: [&str; 35] = [
    "||", "&&", "==", "!=", "<=", ">=", "..", "**", "??", "?.", "::", "(", ")", "[", "]", "{", "}", "+", "-",
    "*", "/", "%", "^", "<", ">", "!", "?", ":", ",", ".", "|", "#", ";", "=", "$",
];

/// All words, [`Token::End`] last, each with the byte it begins at.
pub(super) fn words(source: &str) -> Result<Vec<(Token, usize)>, SyntaxError> {
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(rest) = source.get(at..).filter(|rest| !rest.is_empty()) {
        let first = rest.chars().next().unwrap_or(' ');
        if first.is_whitespace() {
            at += first.len_utf8();
        } else if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
        } else if rest.starts_with("/*") {
            let Some(end) = rest.find("*/") else {
                return Err(SyntaxError::at(source, at, "comment without an end"));
            };
            at += end + 2;
        } else if first.is_ascii_digit()
            || (first == '.'
                && rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit)
                && !after_value(&words))
        {
            let (token, length) = number(rest).map_err(|problem| SyntaxError::at(source, at, problem))?;
            words.push((token, at));
            at += length;
        } else if first == '"' || first == '\'' || first == '`' {
            let (text, length) = text(rest, first).map_err(|problem| SyntaxError::at(source, at, problem))?;
            words.push((Token::Text(text), at));
            at += length;
        } else if first.is_alphabetic() || first == '_' {
            let length = rest
                .find(|character: char| !character.is_alphanumeric() && character != '_')
                .unwrap_or(rest.len());
            words.push((Token::Name(rest.get(..length).unwrap_or_default().to_owned()), at));
            at += length;
        } else if let Some(operator) = OPERATORS.iter().find(|operator| rest.starts_with(**operator)) {
            words.push((Token::Op(operator), at));
            at += operator.len();
        } else {
            return Err(SyntaxError::at(source, at, format!("unexpected character {first:?}")));
        }
    }
    words.push((Token::End, source.len()));
    Ok(words)
}

/// Whether a dot here asks for a member instead of beginning a number.
fn after_value(words: &[(Token, usize)]) -> bool {
    matches!(words.last(), Some((Token::Name(_) | Token::Text(_) | Token::Op(")" | "]" | "}" | "#"), _)))
}

fn number(rest: &str) -> Result<(Token, usize), String> {
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        let lower = rest.get(..2).map(str::to_ascii_lowercase);
        if lower.as_deref() == Some(prefix) {
            let digits = rest.get(2..).unwrap_or_default();
            let length = digits
                .find(|character: char| !character.is_ascii_alphanumeric() && character != '_')
                .unwrap_or(digits.len());
            let text = digits.get(..length).unwrap_or_default().replace('_', "");
            let value = i64::from_str_radix(&text, radix);
            return value
                .map(|value| (Token::Int(value), length + 2))
                .map_err(|_| format!("bad number {prefix}{text}"));
        }
    }
    let bytes = rest.as_bytes();
    let mut length = 0;
    let mut float = false;
    while let Some(byte) = bytes.get(length) {
        let next = bytes.get(length + 1).copied().unwrap_or(b' ');
        match byte {
            b'0'..=b'9' | b'_' => length += 1,
            // `1..3` is a range
            b'.' if !float && next != b'.' && !next.is_ascii_alphabetic() => {
                float = true;
                length += 1;
            }
            b'e' | b'E' if next.is_ascii_digit() || next == b'-' || next == b'+' => {
                float = true;
                length += 2;
            }
            _ => break,
        }
    }
    let text = rest.get(..length).unwrap_or_default().replace('_', "");
    let token = if float { text.parse().ok().map(Token::Float) } else { text.parse().ok().map(Token::Int) };
    token.map(|token| (token, length)).ok_or_else(|| format!("bad number {text}"))
}

fn text(rest: &str, quote: char) -> Result<(String, usize), String> {
    let mut text = String::new();
    let mut characters = rest.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        if character == quote {
            return Ok((text, at + 1));
        }
        if character != '\\' || quote == '`' {
            text.push(character);
            continue;
        }
        let Some((_, escape)) = characters.next() else { break };
        let mut code = |digits: usize, radix: u32| -> Option<char> {
            let mut value = 0_u32;
            for _ in 0..digits {
                value = value * radix + characters.next()?.1.to_digit(radix)?;
            }
            char::from_u32(value)
        };
        let found = match escape {
            'n' => Some('\n'),
            't' => Some('\t'),
            'r' => Some('\r'),
            'a' => Some('\u{7}'),
            'b' => Some('\u{8}'),
            'f' => Some('\u{c}'),
            'v' => Some('\u{b}'),
            '\\' | '"' | '\'' | '`' => Some(escape),
            'x' => code(2, 16),
            'u' => code(4, 16),
            'U' => code(8, 16),
            _ => None,
        };
        text.push(found.ok_or_else(|| format!("unknown escape \\{escape} in a text"))?);
    }
    Err("text without an end".to_owned())
}
