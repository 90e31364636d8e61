//! Text → pieces.

use super::{NodeList, NodeListError, Piece, Range, Reason, Term};

/// With 18 digits a bound fits 64 bits whatever the digits are.
const DIGITS_MAX: usize = 18;

pub(super) fn parse(text: &str) -> Result<NodeList, NodeListError> {
    let mut terms = Vec::new();
    for (start, part) in split(text) {
        let trimmed = part.trim();
        if trimmed.is_empty() {
            continue;
        }
        let at = start + (part.len() - part.trim_start().len());
        let pieces =
            term(trimmed, at).map_err(|(at, reason)| NodeListError { text: text.to_owned(), at, reason })?;
        terms.push(Term { pieces });
    }
    Ok(NodeList { text: text.to_owned(), terms })
}

/// Splits at commas outside of brackets, with the byte offset of each part.
fn split(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut inside = false;
    let mut start = 0;
    text.split(move |c| {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            _ => {}
        }
        c == ',' && !inside
    })
    .map(move |part| {
        let at = start;
        start += part.len() + 1;
        (at, part)
    })
}

type Fault = (usize, Reason);

fn term(text: &str, offset: usize) -> Result<Vec<Piece>, Fault> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let at = offset + (text.len() - rest.len());
        if let Some(inner) = rest.strip_prefix('[') {
            let Some((items, tail)) = inner.split_once(']') else { return Err((at, Reason::Unclosed)) };
            pieces.push(Piece::Ranges(ranges(items, at + 1)?));
            rest = tail;
        } else {
            let end = rest.find('[').unwrap_or(rest.len());
            let (name, tail) = rest.split_at(end);
            let first_of_term = pieces.is_empty();
            if let Some((i, c)) = name.char_indices().find(|(i, c)| !name_char(*c, first_of_term && *i == 0))
            {
                return Err((at + i, Reason::Character(c)));
            }
            pieces.push(Piece::Text(name.to_owned()));
            rest = tail;
        }
    }
    Ok(pieces)
}

fn name_char(c: char, first: bool) -> bool {
    c.is_ascii_alphanumeric() || (!first && matches!(c, '-' | '_' | '.'))
}

fn ranges(items: &str, offset: usize) -> Result<Vec<Range>, Fault> {
    let mut at = offset;
    let mut out = Vec::new();
    for item in items.split(',') {
        out.push(range(item.trim()).map_err(|reason| (at, reason))?);
        at += item.len() + 1;
    }
    Ok(out)
}

fn range(item: &str) -> Result<Range, Reason> {
    let (low_text, high_text) =
        item.split_once('-').map_or((item, item), |(low, high)| (low.trim(), high.trim()));
    let (low, high) = (bound(low_text, item)?, bound(high_text, item)?);
    if low_text.len() == high_text.len() {
        return Ok(Range { low, high, width: Some(low_text.len()) });
    }
    let padded = |digits: &str| digits.len() > 1 && digits.starts_with('0');
    if padded(low_text) || padded(high_text) || low_text.len() > high_text.len() {
        return Err(Reason::Width(item.to_owned()));
    }
    Ok(Range { low, high, width: None })
}

fn bound(digits: &str, item: &str) -> Result<u64, Reason> {
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Reason::Item(item.to_owned()));
    }
    if digits.len() > DIGITS_MAX {
        return Err(Reason::TooLarge(digits.to_owned()));
    }
    digits.parse().map_err(|_| Reason::TooLarge(digits.to_owned()))
}
