//! Hosts → a short expression.

use std::collections::{BTreeMap, BTreeSet};

/// Digits beyond this count stay part of the text before the number.
const DIGITS_MAX: usize = 18;

/// What a host's name is apart from its last number: text before and after it, and how many digits it has.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Shape<'a> {
    prefix: &'a str,
    suffix: &'a str,
    width: usize,
}

/// Writes hosts as a short list: sorted, without duplicates, consecutive numbers as ranges.
///
/// Parsing the result names the same hosts, provided that the names consist of letters, digits, `-`, `_` and `.`.
pub fn compress<S: AsRef<str>>(hosts: impl IntoIterator<Item = S>) -> String {
    let hosts: BTreeSet<String> = hosts.into_iter().map(|host| host.as_ref().to_owned()).collect();
    let mut plain = Vec::new();
    let mut groups: BTreeMap<Shape<'_>, BTreeSet<u64>> = BTreeMap::new();
    for host in &hosts {
        match split(host) {
            Some((shape, number)) => {
                groups.entry(shape).or_default().insert(number);
            }
            None => plain.push(host.clone()),
        }
    }
    let numbered = groups.iter().map(|(shape, numbers)| term(shape, numbers));
    plain.into_iter().chain(numbered).collect::<Vec<_>>().join(",")
}

fn split(host: &str) -> Option<(Shape<'_>, u64)> {
    let end = host.rfind(|c: char| c.is_ascii_digit())? + 1;
    let (head, suffix) = host.split_at(end);
    let digits = head.bytes().rev().take(DIGITS_MAX).take_while(u8::is_ascii_digit).count();
    let (prefix, number) = head.split_at(end - digits);
    Some((Shape { prefix, suffix, width: digits }, number.parse().ok()?))
}

fn term(shape: &Shape<'_>, numbers: &BTreeSet<u64>) -> String {
    let Shape { prefix, suffix, width } = shape;
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for &n in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == n => *last = n,
            _ => runs.push((n, n)),
        }
    }
    if let [(low, high)] = runs.as_slice()
        && low == high
    {
        return format!("{prefix}{low:0width$}{suffix}");
    }
    let items: Vec<String> = runs
        .iter()
        .map(
            |(low, high)| {
                if low == high { format!("{low:0width$}") } else { format!("{low:0width$}-{high:0width$}") }
            },
        )
        .collect();
    format!("{prefix}[{}]{suffix}", items.join(","))
}
