use proptest::prelude::*;
use rstest::rstest;

use super::*;

fn parse(words: &[&str]) -> Result<Flags, Stop> {
    Flags::parse(BACKEND, words.iter().map(|word| (*word).to_owned()))
}

fn wrong(text: &str) -> Stop {
    Stop::Wrong(text.to_owned())
}

#[test]
fn defaults_hold_without_flags() {
    let flags = parse(&[]).unwrap();
    assert_eq!(flags.text("config"), "./config.json");
    assert_eq!(flags.text("loglevel"), "warn");
    assert!(!flags.on("server"));
    assert_eq!(flags.given("add-user"), None);
    assert_eq!(flags.given("config"), None);
    assert_eq!(flags.given("init-tls"), None);
}

#[rstest]
#[case(&["--config=./c.json", "--server", "--loglevel", "info"])]
#[case(&["-config", "./c.json", "-server", "-loglevel=info"])]
#[case(&["-config", "x", "-config", "./c.json", "-server=1", "-loglevel", "info", "stray", "-loglevel", "debug"])]
#[case(&["-server=false", "-server=T", "-config", "./c.json", "-loglevel", "info", "--", "-nosuch"])]
#[case(&["-server", "-config", "./c.json", "-loglevel", "info", "-", "-nosuch"])]
#[case(&["-server", "-config", "./c.json", "-loglevel", "info", "", "-nosuch"])]
fn spellings_of_the_same(#[case] words: &[&str]) {
    let flags = parse(words).unwrap();
    assert_eq!(
        (flags.text("config"), flags.text("loglevel"), flags.on("server")),
        ("./c.json", "info", true)
    );
}

#[test]
fn values_may_hold_anything() {
    let flags = parse(&["-add-user", "demo:admin,api:a:b=c", "-jwt=", "-del-user", "-server"]).unwrap();
    assert_eq!(flags.given("add-user"), Some("demo:admin,api:a:b=c"));
    assert_eq!(flags.given("jwt"), None, "an empty value is no value");
    assert_eq!(flags.given("del-user"), Some("-server"), "Go takes the next word, whatever it is");
    assert!(!flags.on("server"));
}

#[rstest]
#[case(&["-init-tls"], "./var/tls", false)]
#[case(&["-init-tls", "-server"], "./var/tls", true)]
#[case(&["-init-tls", "dir", "-server"], "dir", true)]
#[case(&["-init-tls=dir"], "dir", false)]
fn an_optional_value_may_be_left_out(#[case] words: &[&str], #[case] directory: &str, #[case] server: bool) {
    let flags = parse(words).unwrap();
    assert_eq!((flags.given("init-tls"), flags.on("server")), (Some(directory), server));
}

#[rstest]
#[case(&["-nosuch"], wrong("flag provided but not defined: -nosuch"))]
#[case(&["--nosuch=1"], wrong("flag provided but not defined: -nosuch"))]
#[case(&["-server=maybe"], wrong("invalid boolean value \"maybe\" for -server: parse error"))]
#[case(&["-server="], wrong("invalid boolean value \"\" for -server: parse error"))]
#[case(&["-config"], wrong("flag needs an argument: -config"))]
#[case(&["---config"], wrong("bad flag syntax: ---config"))]
#[case(&["-=x"], wrong("bad flag syntax: -=x"))]
#[case(&["-h"], Stop::Help)]
#[case(&["-server", "--help"], Stop::Help)]
fn mistakes_are_named_as_go_names_them(#[case] words: &[&str], #[case] stop: Stop) {
    assert_eq!(parse(words).unwrap_err(), stop);
}

#[test]
fn usage_lists_every_flag_in_order() {
    let text = usage("cc-backend", BACKEND);
    assert!(text.starts_with("Usage of cc-backend:\n  -add-user string\n    \tAdd a user"), "{text}");
    assert!(text.contains("\n  -server\n    \tStart the server.\n"), "{text}");
    assert!(text.contains(" (default \"./config.json\")\n"), "{text}");
    for flag in BACKEND {
        assert!(text.contains(&format!("\n  -{}", flag.name)), "{}", flag.name);
    }
    let positions: Vec<_> = text.lines().filter(|line| line.starts_with("  -")).collect();
    assert!(positions.is_sorted(), "{positions:?}");
}

#[test]
fn no_table_has_a_name_twice() {
    for table in [BACKEND, SERVICE, STORE] {
        let names: std::collections::HashSet<_> = table.iter().map(|flag| flag.name).collect();
        assert_eq!(names.len(), table.len());
    }
}

proptest! {
    #[test]
    fn never_panics(words in proptest::collection::vec("-{0,3}(server|config|jwt|x)?=?.{0,4}", 0..6)) {
        let _result = Flags::parse(BACKEND, words);
    }

    #[test]
    fn text_values_survive_both_spellings(value in "\\PC{1,20}") {
        let apart = Flags::parse(BACKEND, ["-jwt".to_owned(), value.clone()]).unwrap();
        let joined = Flags::parse(BACKEND, [format!("--jwt={value}")]).unwrap();
        prop_assert_eq!(apart.given("jwt"), Some(value.as_str()));
        prop_assert_eq!(joined.given("jwt"), Some(value.as_str()));
    }
}
