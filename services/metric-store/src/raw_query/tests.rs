//! Answers by one thread and by all.

#![expect(clippy::format_push_string, reason = "short texts of tests")]

use std::sync::Arc;

use super::*;
use crate::testing::{NOW, open, options, write};

fn store() -> (tempfile::TempDir, Arc<Store>) {
    let directory = tempfile::tempdir().unwrap();
    let store = open(options(directory.path()));
    let mut text = String::new();
    for host in 0..40 {
        for minute in 0..200 {
            let time = NOW - 12_000 + minute * 60;
            for thread in 0..3 {
                let value = (host * 7 + minute * (thread + 1)) % 97;
                let tags = format!("cluster=c,host=h{host:02},type=hwthread,type-id={thread}");
                text.push_str(&format!("flops,{tags} value={value}.25 {time}\n"));
            }
            text.push_str(&format!("load,cluster=c,host=h{host:02} value={minute} {time}\n"));
        }
    }
    write(&store, text).unwrap();
    (directory, store)
}

#[tokio::test]
async fn all_threads_give_the_answer_of_one() {
    let (_directory, store) = store();
    let (from, to) = (NOW - 9_000, NOW);
    for rest in [
        r#""for-all-nodes":["load","flops","nope"]"#,
        r#""queries":[]"#,
        r#""queries":[{"metric":"flops","host":"h01","aggreg":true,"type":"hwthread","type-ids":["2","0","9"]}]"#,
        r#""with-data":false,"for-all-nodes":["flops"]"#,
    ] {
        let request = format!(r#"{{"cluster":"c","from":{from},"to":{to},{rest}}}"#);
        let parse = || RawQuery::parse(request.as_bytes()).unwrap();
        let one = String::from_utf8(parse().answer(&store)).unwrap();
        let all = String::from_utf8(parse().answer_on_all(Arc::clone(&store)).await.unwrap()).unwrap();
        assert_eq!(one, all);
        let value: serde_json::Value = serde_json::from_str(&one).unwrap();
        let rows = value["results"].as_array().unwrap();
        let expected = if rest.contains("load") { 120 } else { usize::from(rest.contains("metric")) };
        assert!(
            rows.len() == expected || (rest.contains("false") && rows.len() == 40),
            "{rest}: {}",
            rows.len()
        );
    }
}

#[tokio::test]
async fn nobody_answers_for_a_caller_who_is_gone() {
    let (_directory, store) = store();
    let request = format!(r#"{{"cluster":"c","from":0,"to":{NOW},"for-all-nodes":["load"]}}"#);
    let work = Arc::new(Work::new(RawQuery::parse(request.as_bytes()).unwrap(), &store));
    drop(Caller(Arc::clone(&work)));
    work.run(&store);
    assert!(!work.is_done());
}
