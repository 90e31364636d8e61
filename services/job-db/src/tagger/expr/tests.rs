use proptest::prelude::*;

use super::*;

fn env() -> Env {
    let map = |entries: &[(&str, Value)]| {
        Value::Map(Arc::new(
            entries.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        ))
    };
    let limits = map(&[("peak", Value::Float(72.0))]);
    Env::from([
        ("cpu_load".to_owned(), map(&[("avg", Value::Float(36.0)), ("limits", limits)])),
        ("job".to_owned(), map(&[("duration", Value::Int(600)), ("shared", Value::text("none"))])),
        ("list".to_owned(), Value::List(Arc::new(vec![Value::Int(3), Value::Int(1), Value::Int(2)]))),
        ("factor".to_owned(), Value::Float(0.85)),
    ])
}

fn shown(source: &str) -> String {
    match Expr::parse(source) {
        Err(error) => format!("syntax: {error}"),
        Ok(expr) => match expr.value(&env()) {
            Ok(value) => crate::tagger::template::shown(&value),
            Err(error) => format!("error: {error}"),
        },
    }
}

#[test]
fn values() {
    for (source, value) in [
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("7 / 2", "3.5"),
        ("6 / 3", "2"),
        ("7 % 4", "3"),
        ("2 ** 3 ** 2", "512"),
        ("-2 ^ 2", "-4"),
        ("1 / 0", "+Inf"),
        ("0x2A + 0b10 + 0o7 + 1_000", "1051"),
        ("1e3 + .5", "1000.5"),
        ("'a' + \"b\\n\" + `c\\`", "ab\nc\\"),
        ("cpu_load.avg < cpu_load.limits.peak * factor", "true"),
        ("job.shared == \"none\" && job.duration > 599.5", "true"),
        ("job.duration == 600.0", "true"),
        ("\"600\" == job.duration", "false"),
        ("nosuch == nil", "true"),
        ("nosuch?.a.b.c", "<nil>"),
        ("nosuch ?? 5", "5"),
        ("job.nosuch", "<nil>"),
        ("true or nosuch.a", "true"),
        ("not true", "false"),
        ("!false and true", "true"),
        ("2 in list and 5 not in list", "true"),
        ("\"shared\" in job", "true"),
        (
            "\"hello\" contains \"ell\" and \"hello\" startsWith \"he\" and not (\"hello\" endsWith \"x\")",
            "true",
        ),
        ("\"vasp_std\" matches \"^vasp_(std|gam)$\"", "true"),
        ("list[0] + list[-1]", "5"),
        ("list[1:]", "[1 2]"),
        ("1..4", "[1 2 3 4]"),
        ("job.duration > 100 ? \"long\" : \"short\"", "long"),
        ("let x = 2; x * x", "4"),
        ("if 1 > 2 { 1 } else { 3 }", "3"),
        ("{a: 1, \"b\": [2]}", "map[a:1 b:[2]]"),
        ("max(1, 2.5) + min(list) + abs(-3)", "6.5"),
        ("round(2.5) + floor(1.9) + ceil(0.1)", "5"),
        ("mean(list) + median([4, 1, 2, 3]) + sum(list)", "10.5"),
        ("len(list) + len(\"ä\")", "4"),
        ("int(3.9) + int(\"4\")", "7"),
        ("string(1.5) + string(2)", "1.52"),
        ("all(list, # > 0) and any(list, {# == 3}) and none(list, # > 3) and one(list, # == 1)", "true"),
        ("filter(list, # > 1)", "[3 2]"),
        ("map(list, # * #index)", "[0 1 4]"),
        ("reduce(list, #acc + #, 10)", "16"),
        ("count(list, # > 1)", "2"),
        ("list | sort() | first()", "1"),
        ("sort(list, \"desc\")", "[3 2 1]"),
        ("upper(trim(\" a \")) + join(split(\"a,b\", \",\"), \"-\")", "Aa-b"),
        ("$env.job.duration", "600"),
        ("/* a */ 1 // b", "1"),
    ] {
        assert_eq!(shown(source), value, "{source}");
    }
}

#[test]
fn errors_have_a_place_or_a_reason() {
    for (source, text) in [
        ("", "syntax: line 1, column 1: unexpected end of the expression"),
        ("1 +\n  )", "syntax: line 2, column 3: unexpected \")\""),
        ("nosuch(1)", "syntax: line 1, column 1: there is no function \"nosuch\""),
        ("len()", "syntax: line 1, column 1: len takes 1 argument, found 0"),
        ("a matches \"(\"", "syntax: line 1, column 11: bad pattern: unclosed group"),
        ("\"abc", "syntax: line 1, column 1: text without an end"),
        ("1 @ 2", "syntax: line 1, column 3: unexpected character '@'"),
        ("nosuch.a", "error: cannot take a from nil"),
        ("nosuch + 1", "error: no + of nil and int"),
        ("1 < \"a\"", "error: cannot compare int and string"),
        ("5 % 0", "error: integer divide by zero"),
        ("1 and true", "error: expected bool, got int"),
        ("list[7]", "error: index 7 is out of range"),
        ("1..100000000", "error: memory budget exceeded"),
        ("map(1..1000, map(1..1000, map(1..10, 1)))", "error: memory budget exceeded"),
        ("repeat(\"abc\", 100000000)", "error: memory budget exceeded"),
    ] {
        assert_eq!(shown(source), text, "{source}");
    }
    assert!(shown("all(1..1000, all(1..900, # != 0.5))").starts_with("error: "));
}

#[test]
fn values_that_share_their_parts_or_nest_without_end_are_refused() {
    let doubled: String = (1..55).fold("let v0 = [\"x\", \"x\"]; ".to_owned(), |text, n| {
        text + &format!("let v{n} = [v{0}, v{0}]; ", n - 1)
    });
    for source in [
        doubled.clone() + "string(v54)",
        doubled.clone() + "v54 == v53",
        doubled.clone() + "v53 in v54",
        doubled.clone() + "uniq(v54)",
        doubled.clone() + "len(groupBy(v54, #))",
        doubled + "v54",
        "reduce(1..100000, [#acc])".to_owned(),
        "string(reduce(1..100000, [#acc], 0))".to_owned(),
        "none(1..100000, \"a\" matches (\"z\" + string(#)))".to_owned(),
    ] {
        assert!(shown(&source).starts_with("error: "), "{source}");
    }
    assert_eq!(shown("len(reduce(1..500, concat(#acc, [#]), []))"), "500");
}

#[test]
fn results_are_cast() {
    let condition = |source: &str| Expr::parse(source).unwrap().condition(&env());
    assert_eq!(condition("nosuch"), Ok(false));
    assert!(condition("1").is_err());
    assert_eq!(Expr::parse("3").unwrap().number(&env()), Ok(3.0));
    assert!(Expr::parse("\"3\"").unwrap().number(&env()).is_err());
}

#[test]
fn depth_is_bounded() {
    for source in [
        "(".repeat(100_000),
        "!".repeat(100_000) + "a",
        "-".repeat(100_000) + "1",
        "1".to_owned() + &"+1".repeat(100_000),
        "a".to_owned() + &".b".repeat(100_000),
        "a".to_owned() + &"[0]".repeat(100_000),
        "[".repeat(100_000),
        "true ? ".repeat(100_000),
        "let x = 1; ".repeat(100_000) + "1",
        "if a { ".repeat(100_000),
        "1 | len() ".repeat(100_000),
        "a ?? ".repeat(100_000) + "1",
    ] {
        assert!(Expr::parse(&source).is_err(), "{source:.20}");
    }
    let long = "1".to_owned() + &"+1".repeat(250);
    assert_eq!(shown(&long), "251");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_text_is_an_expression_or_an_error(source in "[a-z0-9 .+*/%()\\[\\]{}?:|&!<>='\"#,;_~-]{0,60}") {
        if let Ok(expr) = Expr::parse(&source) {
            let _ = expr.value(&env());
        }
    }

    #[test]
    fn words_in_any_order(words in prop::collection::vec(prop::sample::select(vec![
        "1", "2.5", "\"a\"", "job", ".", "?.", "duration", "[", "]", "(", ")", "+", "-", "*", "/", "%", "**", "..",
        "==", "<", "and", "or", "not", "in", "matches", "contains", "?", ":", "??", "list", "#", "map(", "filter(",
        "len(", ",", "|", "sort()", "max(", "true", "nil", "let", "x", "=", ";", "if", "{", "}", "else",
    ]), 0..25)) {
        if let Ok(expr) = Expr::parse(&words.join(" ")) {
            let _ = expr.value(&env());
        }
    }
}
