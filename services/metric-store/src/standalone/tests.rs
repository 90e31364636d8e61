//! The stand-alone routes without a socket.

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::*;
use crate::testing::{NOW, clock, open, options};

/// `{"alg":"EdDSA","typ":"JWT"}` signed with the key below; made for these tests only.
const SEED: [u8; 32] = [7; 32];

struct Server {
    _directory: tempfile::TempDir,
    router: Router,
}

impl Server {
    fn new(with_keys: bool, any_role: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = open(options(directory.path()));
        let keys = with_keys.then(|| {
            use base64::Engine as _;
            let public = ed25519_dalek::SigningKey::from_bytes(&SEED).verifying_key();
            let text = base64::engine::general_purpose::STANDARD.encode(public.as_bytes());
            Arc::new(Keys::new(&text, any_role, clock()).unwrap())
        });
        Self { _directory: directory, router: router(Shared { store, keys, body_bytes_max: 4096 }) }
    }

    async fn send(&self, request: Request<Body>) -> (u16, HeaderMap, String) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head.status.as_u16(), head.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn call(&self, method: &str, path: &str, body: impl Into<Body>) -> (u16, String) {
        let request = Request::builder().method(method).uri(path).body(body.into()).unwrap();
        let (status, _, body) = self.send(request).await;
        (status, body)
    }

    async fn with_token(&self, header: &str, value: String) -> (u16, String) {
        let request = Request::get("/api/query").header(header, value).body(Body::from("{}")).unwrap();
        let (status, _, body) = self.send(request).await;
        (status, body)
    }
}

fn token(header: &str, claims: &str) -> String {
    use base64::Engine as _;
    use ed25519_dalek::Signer as _;
    let encode = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    let signed = format!("{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()));
    let signature = ed25519_dalek::SigningKey::from_bytes(&SEED).sign(signed.as_bytes());
    format!("{signed}.{}", encode(&signature.to_bytes()))
}

const EDDSA: &str = r#"{"alg":"EdDSA","typ":"JWT"}"#;

#[tokio::test]
async fn what_is_written_is_read_in_the_references_bytes() {
    let server = Server::new(false, false);
    let lines = format!("load,host=h value=1 {NOW}\nload,host=h value=2.0625 {}\n", NOW + 60);
    assert_eq!(server.call("POST", "/api/write?precision=s&cluster=%63", lines).await, (200, String::new()));
    let query = format!(
        r#"{{"cluster":"c","from":{},"to":{},"queries":[{{"metric":"load","host":"h"}}]}}"#,
        NOW - 60,
        NOW + 600
    );
    let wanted = format!(
        "{{\"results\":[[{{\"data\":[null,1.000,2.062],\"from\":{NOW},\"to\":{},\"resolution\":60,\"avg\":1.53,\"min\":1.00,\"max\":2.06}}]]}}\n",
        NOW + 120
    );
    for (method, path) in
        [("GET", "/api/query"), ("POST", "/api/query/"), ("GET", "/api/query/v2?version=v2")]
    {
        assert_eq!(server.call(method, path, query.clone()).await, (200, wanted.clone()), "{method} {path}");
    }
}

#[tokio::test]
async fn refused_lines_are_told_and_the_others_stored() {
    let server = Server::new(false, false);
    let lines = format!("load,host=h value=1 {NOW}\nload,host=h broken\nnope value=1\n");
    let request = Request::post("/api/write?cluster=c").body(Body::from(lines)).unwrap();
    let (status, headers, body) = server.send(request).await;
    assert_eq!((status, headers[REJECTED_LINES].to_str().unwrap()), (400, "2"));
    assert_eq!(
        body,
        "{\"status\":\"Bad Request\",\"error\":\"at line 2:19: want '=' after field key \\\"broken\\\", found '\\\\n'\"}\n"
    );
    assert!(server.call("GET", "/api/debug?selector=c:h", "").await.1.contains("load"));
}

#[tokio::test]
async fn compressed_bodies_are_understood_up_to_the_limit() {
    use std::io::Write as _;
    let server = Server::new(false, false);
    let gzip = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let send = async |body: Vec<u8>, encoding: &str| {
        let request =
            Request::post("/api/write?cluster=c").header("content-encoding", encoding).body(Body::from(body));
        server.send(request.unwrap()).await.0
    };
    let whole = gzip(&format!("load,host=h value=1 {NOW}\n"));
    assert_eq!(send(whole.clone(), "gzip").await, 200);
    assert_eq!(send(whole[..whole.len() - 4].to_vec(), "gzip").await, 400, "cut");
    assert_eq!(send(b"load".to_vec(), "gzip").await, 400);
    assert_eq!(send(whole, "br").await, 415);
    assert_eq!(send(gzip(&"# comment\n".repeat(10_000)), "gzip").await, 413, "unpacked it is too large");
    assert_eq!(send(vec![b' '; 5000], "identity").await, 413);
}

#[tokio::test]
async fn an_upload_that_breaks_off_keeps_its_whole_lines() {
    let server = Server::new(false, false);
    let pieces =
        [Ok(format!("load,host=h value=1 {NOW}\nload,host=i val")), Err(std::io::Error::other("reset"))];
    let body = Body::from_stream(futures::stream::iter(pieces));
    assert_eq!(server.call("POST", "/api/write?cluster=c", body).await.0, 400);
    assert_eq!(server.call("GET", "/api/debug?selector=c:h", "").await.0, 200);
    assert_eq!(server.call("GET", "/api/debug?selector=c:i", "").await.0, 400);
}

#[tokio::test]
async fn health_is_told_in_the_references_keys() {
    let server = Server::new(false, false);
    server.call("POST", "/api/write?cluster=c", format!("load,host=h value=1 {NOW}\n")).await;
    let ask = r#"{"cluster":"c","nodes":["h","x"],"metric-names":["load","flops"]}"#;
    let wanted = "{\"h\":{\"State\":\"partial\",\"HealthMetrics\":\"{\\\"degraded\\\":[],\\\"missing\\\":[\\\"flops\\\"]}\"},\
                  \"x\":{\"State\":\"failed\",\"HealthMetrics\":\"\"}}\n";
    assert_eq!(server.call("GET", "/api/healthcheck", ask).await, (200, wanted.to_owned()));
    for body in ["", "[]", r#"{"nodes":"h"}"#, r#"{"foo":1}"#] {
        let (status, answer) = server.call("POST", "/api/healthcheck/", body).await;
        assert_eq!(status, 400, "{body}");
        assert!(answer.contains("parsing request body failed: "), "{answer}");
    }
}

#[tokio::test]
async fn samples_are_freed_below_selectors() {
    let server = Server::new(false, false);
    let lines = format!(
        "load,host=h value=1 {NOW}\nflops,host=h,type=core,type-id=1 value=1 {NOW}\nload,host=i value=1 {NOW}\n"
    );
    server.call("POST", "/api/write?cluster=c", lines).await;
    for (query, body) in
        [("", "[]"), ("?to=", "[]"), ("?to=x", "[]"), ("?to=1", ""), ("?to=1", "[\"a\"]"), ("?to=1", "[[1]]")]
    {
        assert_eq!(server.call("POST", &format!("/api/free/{query}"), body).await.0, 400, "{query} {body}");
    }
    let free = async |to: i64, body: &str| {
        server.call("POST", &format!("/api/free?to={to}"), body.to_owned()).await.1
    };
    assert_eq!(free(NOW, r#"[["c"]]"#).await, "buffers freed: 0\n", "nothing ends before its own time");
    assert_eq!(free(NOW + 1, r#"[["c","h","core1"],["c","nobody"]]"#).await, "buffers freed: 1\n");
    assert!(!server.call("GET", "/api/debug?selector=c:h", "").await.1.contains("flops"));
    assert_eq!(free(NOW + 1, "null").await, "buffers freed: 0\n");
    assert_eq!(free(NOW + 1, "[[]]").await, "buffers freed: 2\n");
    assert_eq!(server.call("GET", "/api/debug?selector=c", "").await.0, 400, "nothing is left");
}

#[tokio::test]
async fn unknown_paths_and_methods_answer_as_recorded() {
    let server = Server::new(false, false);
    assert_eq!(server.call("GET", "/api/nope", "").await, (404, "404 page not found\n".to_owned()));
    let request = Request::put("/api/write").body(Body::empty()).unwrap();
    let (status, headers, body) = server.send(request).await;
    assert_eq!(
        (status, headers["allow"].to_str().unwrap(), body.as_str()),
        (405, "POST", "Method Not Allowed\n")
    );
    let (status, body) = server.call("GET", "/api/query", "{\"from\":\"1\"}").await;
    assert_eq!(
        (status, body.as_str()),
        (
            400,
            "{\"status\":\"Bad Request\",\"error\":\"from: expected an integer of 64 bits, found a text\"}\n"
        )
    );
}

#[tokio::test]
async fn only_good_tokens_pass() {
    let server = Server::new(true, false);
    let good = token(EDDSA, r#"{"sub":"x","roles":["api"],"iat":1600000000}"#);
    for _ in 0..2 {
        assert_eq!(server.with_token("authorization", format!("Bearer {good}")).await.0, 200);
    }
    assert_eq!(server.with_token("x-auth-token", good.clone()).await.0, 200);
    let bearer = |header: &str, claims: &str| format!("Bearer {}", token(header, claims));
    let tampered = format!("Bearer {}A.{}", good.split('.').next().unwrap(), good.split_once('.').unwrap().1);
    let (_, rest) = good.split_once('.').unwrap();
    let other_payload = format!("Bearer {}.{}", good.split('.').next().unwrap(), rest.replacen('e', "f", 1));
    for (value, status, text) in [
        (good.clone(), 401, "Use JWT Authentication"),
        (format!("bearer {good}"), 401, "Use JWT Authentication"),
        ("Bearer ".to_owned(), 401, "Use JWT Authentication"),
        ("Basic dXNlcjpwYXNz".to_owned(), 401, "Use JWT Authentication"),
        ("Bearer one".to_owned(), 401, "token contains an invalid number of segments"),
        (format!("Bearer  {good}"), 401, "token is malformed"),
        (tampered, 401, ""),
        (other_payload, 401, "ed25519: verification error"),
        (bearer(r#"{"alg":"none"}"#, r#"{"roles":["api"]}"#), 401, "only Ed25519/EdDSA supported"),
        (bearer(r#"{"alg":"HS256"}"#, r#"{"roles":["api"]}"#), 401, "only Ed25519/EdDSA supported"),
        (bearer(EDDSA, r#"{"roles":["api"],"exp":1600000000}"#), 401, "Token is expired"),
        (bearer(EDDSA, r#"{"roles":["api"],"nbf":4000000000}"#), 401, "Token is not valid yet"),
        (bearer(EDDSA, r#"{"roles":["api"],"iat":4000000000}"#), 401, "Token used before issued"),
        (bearer(EDDSA, r#"{"roles":["user"]}"#), 403, "the token needs the role api"),
        (bearer(EDDSA, r#"{"roles":["api","support"]}"#), 403, "the token needs the role api"),
        (bearer(EDDSA, r#"{"roles":[]}"#), 403, "the token needs the role api"),
        (bearer(EDDSA, "{}"), 403, "the token needs the role api"),
        (bearer(EDDSA, r#"{"roles":["user","api"],"exp":4000000000}"#), 200, "{\"results\":[]}"),
    ] {
        let (found, body) = server.with_token("authorization", value.clone()).await;
        assert!(found == status && body.starts_with(text), "{value}: {found} {body}");
    }
    let request = Request::post("/api/write").body(Body::from("load,host=h value=1\n")).unwrap();
    assert_eq!(server.send(request).await.0, 401, "every route is behind the check");
}

#[tokio::test]
async fn strict_reference_takes_every_valid_token() {
    let server = Server::new(true, true);
    assert_eq!(server.with_token("authorization", format!("Bearer {}", token(EDDSA, "{}"))).await.0, 200);
    assert_eq!(
        server.with_token("authorization", format!("Bearer {}", token(EDDSA, r#"{"exp":1}"#))).await.0,
        401
    );
}

#[test]
fn keys_that_are_none_are_refused_at_the_start() {
    for key in ["not base64!", "c2hvcnQ="] {
        let error = Keys::new(key, false, clock()).unwrap_err();
        assert!(error.to_string().contains("main.jwt-public-key"), "{error}");
    }
}
