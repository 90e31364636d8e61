//! How large a document is once its fragments are put in place. The library's own checks walk it in that form, without a
//! limit and before they compare it with one: thirty fragments that each name the next one twice are a thousand million
//! selections. This counts each fragment once.

use std::collections::HashMap;

use async_graphql::Name;
use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};

/// Most selections of a document, fragments in place.
const SELECTIONS_MAX: usize = 10_000;
/// Selections within each other, twice as deep as the library allows; deeper ones, and fragments that contain themselves,
/// count as too many.
const NESTED_MAX: usize = 64;

/// Whether the library may look at a document.
pub(super) fn is_bounded(document: &ExecutableDocument) -> bool {
    let mut counting = Counting { document, known: HashMap::new() };
    let mut total = 0_usize;
    for (_, operation) in document.operations.iter() {
        total = total.saturating_add(counting.set(&operation.node.selection_set.node, 0));
    }
    // those that nothing names are walked as well
    for name in document.fragments.keys() {
        total = total.saturating_add(counting.fragment(name, 0));
    }
    total <= SELECTIONS_MAX
}

struct Counting<'doc> {
    document: &'doc ExecutableDocument,
    /// Selections of a fragment; of one that is being counted: too many, as it contains itself.
    known: HashMap<&'doc Name, usize>,
}

impl<'doc> Counting<'doc> {
    fn set(&mut self, set: &'doc SelectionSet, nested: usize) -> usize {
        if nested > NESTED_MAX {
            return usize::MAX;
        }
        let mut total = set.items.len();
        for item in &set.items {
            let within = match &item.node {
                Selection::Field(field) => self.set(&field.node.selection_set.node, nested + 1),
                Selection::InlineFragment(inline) => self.set(&inline.node.selection_set.node, nested + 1),
                Selection::FragmentSpread(spread) => {
                    self.fragment(&spread.node.fragment_name.node, nested + 1)
                }
            };
            total = total.saturating_add(within);
        }
        total
    }

    fn fragment(&mut self, name: &'doc Name, nested: usize) -> usize {
        if let Some(known) = self.known.get(name) {
            return *known;
        }
        // one that is not there is the library's to refuse
        let Some(fragment) = self.document.fragments.get(name) else { return 0 };
        self.known.insert(name, usize::MAX);
        let total = self.set(&fragment.node.selection_set.node, nested);
        self.known.insert(name, total);
        total
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::time::{Duration, Instant};

    use async_graphql::parser::parse_query;

    use super::*;

    fn bounded(query: &str) -> bool {
        is_bounded(&parse_query(query).unwrap())
    }

    /// Fragments that each name the next one `times` times.
    fn bomb(levels: usize, times: usize) -> String {
        let mut query = "{...f0}".to_owned();
        for level in 0..levels {
            let next = format!("...f{} ", level + 1).repeat(times);
            write!(query, " fragment f{level} on Query{{{next}}}").unwrap();
        }
        write!(query, " fragment f{levels} on Query{{__typename}}").unwrap();
        query
    }

    #[test]
    fn fragments_that_multiply_are_found_without_being_multiplied() {
        let began = Instant::now();
        assert!(bounded(&bomb(6, 2)));
        assert!(!bounded(&bomb(20, 2)));
        assert!(!bounded(&bomb(60, 50)));
        // far deeper than any stack
        assert!(!bounded(&bomb(50_000, 1)));
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    }

    #[test]
    fn cycles_are_too_many_whether_named_or_not() {
        for query in [
            "{...a} fragment a on Query{...a}",
            "{...a} fragment a on Query{...b} fragment b on Query{clusters{name} ...a}",
            "{__typename} fragment a on Query{...b} fragment b on Query{...a}",
        ] {
            assert!(!bounded(query), "{query}");
        }
    }

    #[test]
    fn what_pages_ask_is_allowed() {
        assert!(bounded("{...missing}"));
        assert!(bounded(&format!("{{{}}}", "a:clusters{name} ".repeat(4_000))));
        assert!(!bounded(&format!("{{{}}}", "a:clusters{name} ".repeat(6_000))));
    }
}
