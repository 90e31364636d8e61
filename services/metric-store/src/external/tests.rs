//! Routing, and what comes back.

use super::*;
use crate::testing::cluster_file;

fn entry(scope: &str) -> Entry {
    Entry { scope: scope.to_owned(), url: format!("http://{scope}.example:8082/"), token: "t".to_owned() }
}

fn external(scopes: &[&str]) -> External {
    let entries: Vec<Entry> = scopes.iter().map(|scope| entry(scope)).collect();
    External::new(&entries, None, &Readiness::new(), 7).unwrap()
}

fn routed(external: &External, cluster: &str, sub: &str) -> String {
    match external.place(cluster, sub) {
        Ok(Place::There(client)) => format!("{client:?}"),
        Ok(Place::Here(_)) => "here".to_owned(),
        Err(status) => status.message().to_owned(),
    }
}

#[test]
fn the_most_exact_scope_has_the_samples() {
    let external = external(&["fritz", "fritz-spr", "alex"]);
    assert!(routed(&external, "fritz", "spr").contains("fritz-spr.example"));
    assert!(routed(&external, "fritz", "main").contains("//fritz.example"));
    let nobody = routed(&external, "woody", "main");
    assert!(
        nobody.starts_with("[METRICDISPATCH]> no metric data repository configured 'woody-main'"),
        "{nobody}"
    );
    assert!(routed(&self::external(&["*"]), "woody", "main").contains("\"*\""));
}

#[test]
fn an_entry_that_is_none_is_named() {
    for url in ["", "example:8082/x", "ftp://h", "http://"] {
        let entry = Entry { url: url.to_owned(), ..entry("fritz") };
        let error = External::new(&[entry], None, &Readiness::new(), 1).unwrap_err().to_string();
        assert!(error.contains("metric-store-external") && error.contains("fritz"), "{error}");
    }
}

#[tokio::test]
async fn without_an_own_store_it_is_ready_with_the_clusters_and_takes_no_samples() {
    let readiness = Readiness::new();
    let external = External::new(&[entry("*")], None, &readiness, 7).unwrap();
    assert!(!readiness.is_ready());
    let ask = || Request::new(PinRunningRequest::default());
    assert!(!external.pin_running(ask()).await.unwrap().into_inner().configured);
    let file = |name: &str, json: &str| cc_proto::metric_store::v1::ClusterFile {
        name: name.to_owned(),
        json: json.as_bytes().to_vec().into(),
    };
    let clusters = vec![file("fritz", &cluster_file("fritz")), file("broken", "{")];
    let configured =
        external.configure(Request::new(ConfigureRequest { clusters })).await.unwrap().into_inner();
    assert_eq!((configured.instance, configured.problems.len()), (7, 1), "{:?}", configured.problems);
    assert!(readiness.is_ready());
    assert!(external.pin_running(ask()).await.unwrap().into_inner().configured);
    let refused = external.debug(Request::new(DebugRequest::default())).await.err().unwrap();
    assert!(refused.message().contains("metric-store-external"), "{refused}");
}

#[tokio::test]
async fn several_answers_become_one() {
    use common::series_chunk::Part;

    let chunk = |part| Ok(common::SeriesChunk { part: Some(part) });
    let answer = |metric: &str, count: u32| {
        let chunks: Vec<_> = (0..count)
            .flat_map(|series| {
                let header = common::SeriesHeader { series, metric: metric.to_owned(), ..Default::default() };
                let data = common::SeriesData { series, ..Default::default() };
                [chunk(Part::Header(header)), chunk(Part::Data(data.clone())), chunk(Part::Data(data))]
            })
            .collect();
        stream::iter(chunks).boxed()
    };
    let all: Vec<_> = joined(vec![answer("a", 2), answer("b", 0), answer("c", 1)]).collect().await;
    let numbers: Vec<u32> = all
        .into_iter()
        .map(|chunk| match chunk.unwrap().part {
            Some(Part::Header(header)) => header.series,
            Some(Part::Data(data)) => data.series,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(numbers, [0, 0, 0, 1, 1, 1, 2, 2, 2]);
}
