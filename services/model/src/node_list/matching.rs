//! Does a host match a term? All ways to consume the name are followed at once, so the order of ranges does not
//! matter and the work is bounded by pieces × length of the name.

use super::{Piece, Range, Term};

pub(super) fn matches(term: &Term, host: &[u8]) -> bool {
    // offsets of the host name that the pieces so far can have consumed
    let mut reached = vec![0];
    for piece in &term.pieces {
        let mut next = Vec::new();
        for &from in &reached {
            let rest = host.get(from..).unwrap_or_default();
            advance(piece, rest, |length| {
                if !next.contains(&(from + length)) {
                    next.push(from + length);
                }
            });
        }
        if next.is_empty() {
            return false;
        }
        reached = next;
    }
    reached.contains(&host.len())
}

/// Calls `reach` with every length of `rest` that the piece can consume.
fn advance(piece: &Piece, rest: &[u8], mut reach: impl FnMut(usize)) {
    match piece {
        Piece::Text(text) => {
            if rest.starts_with(text.as_bytes()) {
                reach(text.len());
            }
        }
        Piece::Ranges(ranges) => {
            let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
            for range in ranges {
                for width in widths(range) {
                    if width <= digits && holds(range, rest.get(..width).unwrap_or_default()) {
                        reach(width);
                    }
                }
            }
        }
    }
}

fn widths(range: &Range) -> std::ops::RangeInclusive<usize> {
    match range.width {
        Some(width) => width..=width,
        None => decimal_digits(range.low)..=decimal_digits(range.high),
    }
}

fn decimal_digits(n: u64) -> usize {
    n.checked_ilog10().map_or(1, |log| log as usize + 1)
}

fn holds(range: &Range, digits: &[u8]) -> bool {
    if range.width.is_none() && digits.len() > 1 && digits.first() == Some(&b'0') {
        return false;
    }
    let value = digits.iter().fold(0u64, |n, digit| n * 10 + u64::from(digit - b'0'));
    (range.low..=range.high).contains(&value)
}
