//! Samples in, queries out.

use std::io::Write as _;

use axum::body::Body;
use bytes::Bytes;
use http::Method;

use crate::house::{House, request};

#[tokio::test]
async fn lines_reach_the_store_with_their_default_cluster() {
    let house = House::new();
    for target in ["/api/write?cluster=fr%69tz", "/api/write/"] {
        let answer = house.post(target, "user+api", "a value=1 5\nb value=2 6").await;
        assert_eq!(
            (answer.status.as_u16(), answer.text(), answer.header("content-type")),
            (200, "", "application/json")
        );
    }
    let store = house.fakes.store.get();
    assert_eq!(store.clusters, ["fritz", ""]);
    assert_eq!(String::from_utf8_lossy(&store.lines), "a value=1 5\nb value=2 6a value=1 5\nb value=2 6");
}

#[tokio::test]
async fn compressed_uploads_are_unpacked() {
    let house = House::new();
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(b"a value=1 5\n").unwrap();
    let upload = request(Method::POST, "/api/write", "api").header("content-encoding", "gzip");
    let answer = house.send(upload.body(packer.finish().unwrap().into()).unwrap()).await;
    assert_eq!(
        (answer.status.as_u16(), house.fakes.store.get().lines.as_slice()),
        (200, b"a value=1 5\n".as_slice())
    );
    let broken = request(Method::POST, "/api/write", "api").header("content-encoding", "gzip");
    assert_eq!(house.send(broken.body("no gzip".into()).unwrap()).await.status, 400);
}

#[tokio::test]
async fn a_bad_line_is_told_and_the_others_are_kept() {
    let house = House::new();
    let answer = house.post("/api/write", "api", "a value=1 5\nbad\n").await;
    assert_eq!(answer.error(), (400, "at line 1:1: bad".to_owned()));
    assert_eq!(answer.header("x-cc-rejected-lines"), "1");
}

#[tokio::test]
async fn more_than_the_limit_is_refused_packed_or_not() {
    let house = House::with(|config| config.limits.max_body_mb = 1);
    let long = "a value=1 5\n".repeat(100_000);
    assert_eq!(house.post("/api/write", "api", long.clone()).await.status, 413);
    let pieces: Vec<_> = long
        .as_bytes()
        .chunks(10_000)
        .map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece)))
        .collect();
    let unannounced = Body::from_stream(futures::stream::iter(pieces));
    assert_eq!(house.post("/api/write", "api", unannounced).await.status, 413);
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(long.as_bytes()).unwrap();
    let bomb = packer.finish().unwrap();
    assert!(bomb.len() < 10_000);
    let upload = request(Method::POST, "/api/write", "api").header("content-encoding", "gzip");
    assert_eq!(house.send(upload.body(bomb.into()).unwrap()).await.error().0, 413);
    let store = house.fakes.store.get();
    assert_eq!(store.ended, 3, "every call ends in order, none is left open in the store");
    assert!(store.lines.len() <= 3 << 20, "no upload passes on more than the limit");
    assert!(store.lines.chunks(12).all(|line| line == b"a value=1 5\n"), "whole lines only");
}

#[tokio::test]
async fn a_broken_upload_leaves_no_half_line() {
    let house = House::new();
    let pieces = vec![
        Ok(Bytes::from_static(b"a value=1 5\nb value=12")),
        Err(std::io::Error::other("connection reset")),
    ];
    let answer = house.post("/api/write", "api", Body::from_stream(futures::stream::iter(pieces))).await;
    assert_eq!(answer.status, 400);
    let store = house.fakes.store.get();
    assert_eq!(store.lines, b"a value=1 5\n", "the whole line arrives, the half one does not");
    assert_eq!(store.ended, 1, "the call ends in order, so that nothing on its way is dropped");
}

/// A connection that is dropped at the end of the process looks to its reader as if the body were over.
#[tokio::test]
async fn an_upload_whose_connection_is_dropped_leaves_no_half_line() {
    const LINES: &str = "a value=1 5\nb value=12";
    for (announced, lines) in [(None, "a value=1 5\n"), (Some("100"), "a value=1 5\n"), (Some("22"), LINES)] {
        let house = House::new();
        let (mut sender, pieces) = futures::channel::mpsc::channel::<Result<Bytes, std::io::Error>>(4);
        let mut upload = request(Method::POST, "/api/write", "api");
        if let Some(length) = announced {
            upload = upload.header("content-length", length);
        }
        let mut answer = Box::pin(house.open(upload.body(Body::from_stream(pieces)).unwrap()));
        sender.try_send(Ok(Bytes::from_static(LINES.as_bytes()))).unwrap();
        while house.fakes.store.get().lines.is_empty() {
            assert!(futures::poll!(answer.as_mut()).is_pending());
            tokio::task::yield_now().await;
        }
        drop(answer);
        drop(sender);
        let began = std::time::Instant::now();
        while house.fakes.store.get().ended == 0 {
            assert!(began.elapsed() < std::time::Duration::from_secs(10), "the call ends");
            tokio::task::yield_now().await;
        }
        let stored = String::from_utf8(house.fakes.store.get().lines.clone()).unwrap();
        assert_eq!(stored, lines, "announced: {announced:?}");
    }
}

#[tokio::test]
async fn a_store_that_takes_nothing_is_told_to_the_sender() {
    let house = House::new();
    house.fakes.store.get().full = true;
    let answer = house.post("/api/write", "api", "a value=1 5\n").await;
    assert_eq!(answer.status, 503);
    assert_ne!(answer.header("retry-after"), "");
    assert!(!answer.text().contains("/var/log"));
}

#[tokio::test]
async fn queries_are_passed_through_by_both_methods() {
    let house = House::new();
    for (method, target) in [(Method::GET, "/api/query"), (Method::POST, "/api/query/?version=v2")] {
        let answer = house.ask(method, target, "api", "{}").await;
        assert_eq!(answer.json(), serde_json::json!({"results": []}));
    }
    assert_eq!(house.get("/api/query/", "api").await.status, 400);
    assert_eq!(house.get("/api/query/", "user+api").await.status, 401);
}

#[tokio::test]
async fn a_cut_answer_does_not_look_whole() {
    use http_body_util::BodyExt as _;

    let house = House::new();
    let asked = request(Method::POST, "/api/query", "api").body("{\"broken\":1}".into()).unwrap();
    let answer = house.open(asked).await;
    assert_eq!(answer.status(), 200);
    assert!(answer.into_body().collect().await.is_err());
}

#[tokio::test]
async fn the_dump_of_the_store_is_reached_by_name() {
    let house = House::new();
    let dump = house.get("/api/debug/?selector=fritz:f0101", "user+api").await;
    assert_eq!(dump.json(), serde_json::json!(["fritz", "f0101"]));
    let parts = house.get("/api/debug?selector=fritz&selector=00000000:0E:00.0", "api").await;
    assert_eq!(parts.json(), serde_json::json!(["fritz", "00000000:0E:00.0"]));
    let nothing = house.get("/api/debug/?selector=nothing", "api").await;
    assert_eq!(nothing.error(), (400, "[METRICSTORE]> not found: []string{\"nothing\"}".to_owned()));
}

#[tokio::test]
async fn memory_is_given_back_by_name_and_time() {
    let house = House::new();
    let freed = house.post("/api/free?to=7", "api", r#"[["fritz","f0101"],["alex"]]"#).await;
    let kind = freed.headers.get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
    assert_eq!((freed.status.as_u16(), kind.as_deref()), (200, Some("text/plain; charset=utf-8")));
    assert_eq!(freed.body, "buffers freed: 3007\n");
    assert_eq!(house.post("/api/free/?to=-7", "user+api", "null").await.body, "buffers freed: 7\n");
    let refused = house.post("/api/free/", "api", "[]").await;
    assert_eq!(refused.error(), (400, "'to' is a required query parameter".to_owned()));
    let refused = house.post("/api/free/?to=soon", "api", "[]").await;
    assert_eq!(refused.error(), (400, "to: \"soon\" is no time in Unix seconds".to_owned()));
    let refused = house.post("/api/free/?to=7", "api", "{").await;
    let kind = refused.headers.get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
    assert_eq!((refused.status.as_u16(), kind.as_deref()), (400, Some("text/plain; charset=utf-8")));
    assert_eq!(house.post("/api/free/?to=7", "user", "[]").await.status, 401);
}
