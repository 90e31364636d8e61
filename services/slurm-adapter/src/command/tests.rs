use std::path::Path;

use cc_runtime::env::MapEnv;
use cc_runtime::tasks::{OnError, OnShutdown, Tasks};
use tokio::net::{TcpListener, UnixListener};
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tonic::transport::server::Connected;
use tonic::transport::{Identity, ServerTlsConfig};

use super::*;
use crate::testing::Server;

async fn call(words: &[&str]) -> (Exit, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let words = words.iter().map(|&word| word.to_owned()).collect();
    let exit = run(words, Arc::new(MapEnv::new()), &Clock::system(), &mut out, &mut err).await;
    (exit, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

#[tokio::test]
async fn version_is_told() {
    let (exit, out, _) = call(&["-version"]).await;
    assert_eq!(exit.code(), 0);
    assert!(out.starts_with("Version:\t1.5.4\nGit hash:\t"), "{out}");
    assert!(out.contains(&format!("Product version:\t{}\n", env!("CARGO_PKG_VERSION"))), "{out}");
}

#[tokio::test]
async fn mistakes_are_named_and_exit_2() {
    for (words, text) in [
        (&[] as &[&str], "no command"),
        (&["play"], "'play' is no command"),
        (&["replay"], "replay needs a recording"),
        (&["replay", "-json"], "replay needs a recording"),
        (&["replay", "x", "-what"], "flag provided but not defined: -what"),
        (&["replay", "x", "-shift", "soon"], "invalid value \"soon\" for -shift"),
        (&["replay", "x", "-patience", "-1"], "invalid value \"-1\" for -patience"),
    ] {
        let (exit, out, err) = call(words).await;
        assert_eq!((exit.code(), out.as_str()), (2, ""), "{words:?}");
        assert!(err.contains(text) && err.contains("-token-file"), "{words:?}: {err}");
    }
    let (exit, _, err) = call(&["replay", "-help"]).await;
    assert_eq!(exit.code(), 0);
    assert!(err.contains("-spool string"), "{err}");
}

#[tokio::test]
async fn what_does_not_work_is_told_and_exits_1() {
    let (exit, _, err) = call(&["replay", "/nonexistent.jsonl", "-server", "http://127.0.0.1:1"]).await;
    assert_eq!(exit.code(), 1);
    assert!(err.starts_with("the recording /nonexistent.jsonl cannot be opened: No such file"), "{err}");
    let (exit, _, err) = call(&["replay", "x", "-server", "http://example.org"]).await;
    assert_eq!(exit.code(), 1);
    assert!(err.contains("without TLS"), "{err}");
}

#[test]
fn flags_reach_the_replay() {
    let words =
        ["replay", "f.jsonl", "-shift=-5", "--cluster", "fritz", "-spool", "d", "-json", "-adapter-id", "x"];
    let asked = parse(words.map(str::to_owned).to_vec()).unwrap();
    let Asked::Replay(replay, _) = asked else { panic!("{asked:?}") };
    assert_eq!((replay.shift_s, replay.cluster.as_deref(), replay.json), (-5, Some("fritz"), true));
    assert_eq!((replay.spool, replay.adapter_id.as_str()), (Some("d".into()), "x"));
    assert_eq!(replay.patience, Duration::from_mins(5));
}

/// A served socket, over which real clients come.
struct Served {
    tasks: Tasks,
    server: Server,
}

impl Served {
    async fn tls(directory: &Path) -> (Self, u16) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(directory.join("ca.pem"), made.cert.pem()).unwrap();
        let identity = Identity::from_pem(made.cert.pem(), made.signing_key.serialize_pem());
        let listener = TcpListener::bind("localhost:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let builder = tonic::transport::Server::builder()
            .tls_config(ServerTlsConfig::new().identity(identity))
            .unwrap();
        (Self::serve(builder, TcpListenerStream::new(listener)), port)
    }

    async fn plain() -> (Self, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        (Self::serve(tonic::transport::Server::builder(), TcpListenerStream::new(listener)), port)
    }

    fn unix(path: &Path) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        Self::serve(tonic::transport::Server::builder(), UnixListenerStream::new(listener))
    }

    fn serve<S, C>(mut builder: tonic::transport::Server, incoming: S) -> Self
    where
        S: tokio_stream::Stream<Item = std::io::Result<C>> + Send + 'static,
        C: tokio::io::AsyncRead + tokio::io::AsyncWrite + Connected + Unpin + Send + 'static,
    {
        let (tasks, server) = (Tasks::new(), Server::new([]));
        let serving = builder.add_routes(server.routes()).serve_with_incoming(incoming);
        tasks.spawn("test server", OnError::Log, OnShutdown::Abort, serving);
        Self { tasks, server }
    }

    async fn end(self) {
        assert!(self.server.ledger().violations.is_empty(), "{:?}", self.server.ledger().violations);
        self.tasks.shutdown(Duration::from_secs(10)).await;
    }
}

fn recording(directory: &Path) -> String {
    let path = directory.join("recording.jsonl");
    let line = |path: &str, request: &str| {
        format!("{{\"method\":\"POST\",\"path\":\"/api/jobs/{path}/\",\"request\":{request}}}\n")
    };
    let text = line("start_job", r#"{"jobId":1,"cluster":"c","startTime":100,"user":"u","numNodes":1}"#)
        + &line("stop_job", r#"{"jobId":1,"cluster":"c","stopTime":200,"jobState":"completed"}"#);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn over_tls_the_server_must_be_one_that_is_trusted() {
    let directory = tempfile::tempdir().unwrap();
    let (served, port) = Served::tls(directory.path()).await;
    let file = recording(directory.path());
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(at("token"), "the-token\n").unwrap();
    let url = format!("https://localhost:{port}");
    let words = [
        "replay",
        &file,
        "-server",
        &url,
        "-token-file",
        &at("token"),
        "-ca-file",
        &at("ca.pem"),
        "-json",
        "-spool",
        &at("spool"),
    ];
    let (exit, out, err) = call(&words).await;
    assert_eq!((exit, err.as_str()), (Exit::Done, ""));
    assert_eq!(out.lines().count(), 2, "{out}");
    assert!(out.starts_with(r#"{"seq":1,"kind":"started","key":{"cluster":"c","job_id":1,"start_time":100},"outcome":"APPLIED""#), "{out}");
    assert_eq!(served.server.ledger().tokens.iter().collect::<Vec<_>>(), ["Bearer the-token"]);

    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(at("other.pem"), other.cert.pem()).unwrap();
    let words = ["replay", &file, "-server", &url, "-ca-file", &at("other.pem"), "-patience", "1"];
    let (exit, _, err) = call(&words).await;
    assert_eq!(exit, Exit::Failed);
    assert!(err.contains("2 wait: nothing was acknowledged for 1 s"), "{err}");
    assert_eq!(served.server.ledger().hellos.len(), 1, "no token was shown to an untrusted server");
    served.end().await;
}

#[tokio::test]
async fn on_the_machine_itself_plain_connections_and_sockets_will_do() {
    let directory = tempfile::tempdir().unwrap();
    let file = recording(directory.path());
    let (served, port) = Served::plain().await;
    let (exit, out, err) = call(&["replay", &file, "-server", &format!("http://127.0.0.1:{port}")]).await;
    assert_eq!((exit, out.as_str(), err.as_str()), (Exit::Done, "2 events: 2 applied\n", ""));
    served.end().await;
    let socket = directory.path().join("grpc.sock");
    let served = Served::unix(&socket);
    let (exit, out, _) = call(&["replay", &file, "-server", &format!("unix:{}", socket.display())]).await;
    assert_eq!((exit, out.as_str()), (Exit::Done, "2 events: 2 applied\n"));
    served.end().await;
}

#[tokio::test]
async fn nobody_listening_is_told_after_patience() {
    let directory = tempfile::tempdir().unwrap();
    let file = recording(directory.path());
    let socket = directory.path().join("nobody.sock");
    let server = format!("unix:{}", socket.display());
    let (exit, _, err) = call(&["replay", &file, "-server", &server, "-patience", "1"]).await;
    assert_eq!(exit, Exit::Failed);
    assert!(err.starts_with("0 events have a result, 2 wait: nothing was acknowledged for 1 s"), "{err}");
}
