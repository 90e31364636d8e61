use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn list(text: &str) -> NodeList {
    NodeList::parse(text).unwrap()
}

fn reason(text: &str) -> Reason {
    NodeList::parse(text).unwrap_err().reason
}

#[test]
fn the_vectors_of_the_specification_hold() {
    let a = list("hallo,wel123t,emmy[01-99],fritz[005-500],woody[100-200]");
    for host in ["hallo", "wel123t", "emmy01", "emmy99", "woody100"] {
        assert!(a.contains(host), "{host}");
    }
    for host in ["woody", "fritz1", "fritz004", "woody201", "Hallo", "hallo1", ""] {
        assert!(!a.contains(host), "{host}");
    }
    let b = list("a[1000-2000,2010-2090,3000-5000]");
    for (host, inside) in
        [("a2042", true), ("a3000", true), ("a0", false), ("a2005", false), ("a5001", false)]
    {
        assert_eq!(b.contains(host), inside, "{host}");
    }
    let c = list("cn-0010,cn0011,cn-00[13-18,22-24]");
    for host in ["cn-0010", "cn0011", "cn-0018", "cn-0022"] {
        assert!(c.contains(host), "{host}");
    }
}

#[test]
fn hostlist_vectors_expand() {
    let mut hosts = list(" n09, n[01-04,06-07,09] , , n10,n04").expand(100).unwrap();
    hosts.sort();
    hosts.dedup();
    assert_eq!(hosts, ["n01", "n02", "n03", "n04", "n06", "n07", "n09", "n10"]);
    assert_eq!(list("n[1,002]").expand(9).unwrap(), ["n1", "n002"]);
    assert_eq!(list("n[1-2],m[1,2]").expand(9).unwrap(), ["n1", "n2", "m1", "m2"]);
    assert_eq!(list("n[1-2]-ib").expand(9).unwrap(), ["n1-ib", "n2-ib"]);
}

#[test]
fn several_brackets_are_a_product() {
    let r = list("r[01-02]n[1,3]");
    assert_eq!(r.expand(4).unwrap(), ["r01n1", "r01n3", "r02n1", "r02n3"]);
    assert_eq!(r.count(), 4);
    assert!(r.contains("r02n3") && !r.contains("r02n2"));
}

#[test]
fn matching_follows_every_way() {
    // the reference takes the two-digit range first and then fails
    assert!(list("n[01-99,100-200]").contains("n150"));
    assert!(list("n[1-99][1-9]").contains("n123"));
    assert!(list("tf0[60-95]").contains("tf077"));
}

#[test]
fn unpadded_ranges_of_different_width() {
    let n = list("n[8-12]");
    assert_eq!(n.expand(9).unwrap(), ["n8", "n9", "n10", "n11", "n12"]);
    assert!(n.contains("n10") && !n.contains("n08") && !n.contains("n010") && !n.contains("n13"));
    assert!(list("n[0-10]").contains("n0"));
}

#[test]
fn equal_widths_are_padded_as_in_the_reference() {
    assert_eq!(list("a[08-12]").expand(9).unwrap().first().unwrap(), "a08");
    assert!(list("a[1-9]").contains("a5"));
    assert!(list("a[05-05]").contains("a05"));
    assert!(list("a[05]").contains("a05") && !list("a[05]").contains("a5"));
}

#[test]
fn a_start_above_the_end_matches_nothing() {
    let n = list("n[9-1]");
    assert!(!n.contains("n5"));
    assert_eq!((n.count(), n.is_empty()), (0, true));
    assert_eq!(n.expand(0).unwrap(), Vec::<String>::new());
}

#[test]
fn empty_terms_and_blanks_are_ignored() {
    assert_eq!(list("").count(), 0);
    assert_eq!(list(",a, ,b,").expand(9).unwrap(), ["a", "b"]);
    assert!(list("a").contains("a"));
    assert!(!list("").contains(""));
}

#[test]
fn errors_name_the_place() {
    assert_eq!(reason("*"), Reason::Character('*'));
    assert_eq!(reason("a b"), Reason::Character(' '));
    assert_eq!(reason("-a"), Reason::Character('-'));
    assert_eq!(reason("a]"), Reason::Character(']'));
    assert_eq!(reason("n[1-"), Reason::Unclosed);
    assert_eq!(reason("n[]"), Reason::Item(String::new()));
    assert_eq!(reason("n[1-2-3]"), Reason::Item("1-2-3".into()));
    assert_eq!(reason("n[[1-2]]"), Reason::Item("[1-2".into()));
    assert_eq!(reason("n[01-010]"), Reason::Width("01-010".into()));
    assert_eq!(reason("n[12-8]"), Reason::Width("12-8".into()));
    assert!(matches!(reason("n[1234567890123456789]"), Reason::TooLarge(_)));
    let error = NodeList::parse("ab,c[1,x]").unwrap_err();
    assert_eq!(error.at, 7);
    assert_eq!(
        error.to_string(),
        "node list \"ab,c[1,x]\", position 7: \"x\" is neither a number nor a range of numbers"
    );
}

#[test]
fn expansion_is_bounded() {
    let huge = list("n[0-999999999999999999][0-999999999999999999]");
    assert_eq!(huge.expand(1_000_000), Err(TooManyHosts { count: u64::MAX, limit: 1_000_000 }));
    assert!(huge.contains("n99"));
}

#[test]
fn compressing_makes_ranges() {
    assert_eq!(compress(["f0102", "f0101", "f0104", "f0103", "f0201"]), "f[0101-0104,0201]");
    assert_eq!(compress(["n9", "n10", "n8"]), "n[8-9],n10");
    assert_eq!(compress(["vm", "vm"]), "vm");
    assert_eq!(compress(["n1-ib", "n2-ib", "n4"]), "n4,n[1-2]-ib");
    assert_eq!(compress(Vec::<String>::new()), "");
}

/// Every host of a list by brute force over its own expansion.
fn all(list: &NodeList) -> BTreeSet<String> {
    list.expand(100_000).unwrap().into_iter().collect()
}

prop_compose! {
    fn expression()(
        terms in prop::collection::vec(("[a-z]{1,3}", 0u64..120, 0u64..40, 1usize..4, prop::option::of("[a-z-]{0,2}")), 1..5)
    ) -> String {
        terms
            .into_iter()
            .map(|(name, low, span, width, suffix)| {
                let suffix = suffix.unwrap_or_default();
                let high = low + span;
                let width = width.max(high.to_string().len());
                format!("{name}[{low:0width$}-{high:0width$},{high}]{suffix}")
            })
            .collect::<Vec<_>>()
            .join(",")
    }
}

proptest! {
    #[test]
    fn any_text_is_total(text in "\\PC{0,40}", host in "\\PC{0,20}") {
        if let Ok(list) = NodeList::parse(&text) {
            let _ = list.contains(&host);
            let _ = list.expand(1000);
        }
    }

    #[test]
    fn brackets_are_total(text in "[a0-9\\[\\],-]{0,30}", host in "[a0-9-]{0,12}") {
        if let Ok(list) = NodeList::parse(&text) {
            let inside = list.contains(&host);
            if let Ok(hosts) = list.expand(2000) {
                prop_assert_eq!(inside, hosts.contains(&host));
            }
        }
    }

    #[test]
    fn a_list_contains_exactly_what_it_expands_to(text in expression(), probe in "[a-z]{1,3}[0-9]{1,3}") {
        let list = list(&text);
        let hosts = all(&list);
        for host in &hosts {
            prop_assert!(list.contains(host), "{} in {}", host, text);
        }
        prop_assert_eq!(list.contains(&probe), hosts.contains(&probe));
        prop_assert_eq!(u64::try_from(list.expand(100_000).unwrap().len()).unwrap(), list.count());
    }

    #[test]
    fn compressing_keeps_the_set(hosts in prop::collection::btree_set("[a-c]{1,2}[0-9]{0,3}(-ib|\\.x)?", 0..60)) {
        let text = compress(&hosts);
        prop_assert_eq!(all(&list(&text)), hosts);
    }
}
