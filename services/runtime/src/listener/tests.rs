use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::routing::get;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rstest::rstest;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_rustls::TlsConnector;

use super::tls::Certificate;
use super::*;
use crate::tasks::Tasks;

const LIMITS: Limits =
    Limits { connections: 100, header: Duration::from_secs(10), write: Duration::from_secs(10) };
/// A bound for every wait.
const SOON: Duration = Duration::from_secs(10);

/// Answers with what the listener tells about the connection.
fn echo() -> Router {
    let answer = async |request: Request| {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().unwrap().0;
        let Secure(secure) = *request.extensions().get::<Secure>().unwrap();
        format!("{} {secure} {:?}", peer.ip(), request.version())
    };
    Router::new().route("/", get(answer))
}

fn start(
    router: Router,
    tls: Option<Arc<rustls::ServerConfig>>,
    limits: Limits,
    tasks: &Tasks,
) -> SocketAddr {
    let bound = bind("http", "main.addr", "127.0.0.1:0").unwrap();
    let address = bound.address();
    serve(bound, router, tls, limits, tasks).unwrap();
    address
}

async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(SOON, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

async fn ask_http2(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> String {
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let request = http::Request::get("http://x/").body(Empty::<bytes::Bytes>::new()).unwrap();
    let answer = async {
        let answer = sender.send_request(request).await.unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    };
    tokio::select! {
        answer = answer => answer,
        ended = connection => panic!("connection ended: {ended:?}"),
    }
}

#[test]
fn a_port_of_the_systems_choice_is_told() {
    let bound = bind("http", "main.addr", "localhost:0").unwrap();
    assert!(bound.address().port() > 0);
    assert!(bound.address().ip().is_loopback() && bound.address().is_ipv4(), "{bound:?}");
    assert!(bind("http", "main.addr", "").unwrap().address().ip().is_unspecified());
    let private = bind_private("metrics", "observability.metrics-addr", ":0").unwrap();
    assert!(private.address().ip().is_loopback());
}

#[test]
fn a_taken_port_is_named_with_the_way_out() {
    let first = bind("http", "main.addr", "127.0.0.1:0").unwrap();
    let error = bind("http", "main.addr", &first.address().to_string()).unwrap_err().to_string();
    let port = first.address().port();
    assert_eq!(
        error,
        format!(
            "main.addr: another program listens on 127.0.0.1:{port} already; stop it (`ss -ltnp 'sport = :{port}'` \
             names it) or choose another port for main.addr in the configuration"
        )
    );
}

#[test]
fn other_failures_name_key_and_address() {
    let error = bind("http", "main.addr", "203.0.113.7:0").unwrap_err();
    assert_eq!(error.to_string(), "main.addr: failed to listen on 203.0.113.7:0");
    let error = bind("grpc", "grpc.addr", "no-such-host.invalid:1").unwrap_err();
    assert!(matches!(error, Error::Resolve { key: "grpc.addr", .. }), "{error}");
    assert!(bind("http", "main.addr", "127.0.0.1:x").is_err());
}

#[rstest]
#[case("127.0.0.1:http", "127.0.0.1:80")]
#[case("[::1]:https", "[::1]:443")]
#[case(":8080", "[::]:8080")]
#[case("", "[::]:0")]
fn addresses_are_read_as_go_does(#[case] address: &str, #[case] first: &str) {
    assert_eq!(resolve(address).unwrap()[0].to_string(), first);
}

#[test]
fn inherited_sockets_are_claimed_by_name_then_by_port() {
    let socket = || TcpListener::bind("127.0.0.1:0").unwrap();
    let (named, ported) = (socket(), socket());
    let (named_at, ported_at) = (named.local_addr().unwrap(), ported.local_addr().unwrap());
    let mut inherited = Inherited::of(vec![("unknown".to_owned(), ported), ("http".to_owned(), named)]);
    assert_eq!(inherited.claim("grpc", "127.0.0.1:1").map(|bound| bound.address()), None);
    assert_eq!(inherited.claim("http", "127.0.0.1:1").unwrap().address(), named_at);
    assert_eq!(inherited.claim("grpc", &format!(":{}", ported_at.port())).unwrap().address(), ported_at);
    assert_eq!(inherited.left().count(), 0);
    let mut inherited = Inherited::of(vec![("cc.socket".to_owned(), socket())]);
    assert!(inherited.claim("http", "localhost:8080").is_none());
    assert_eq!(inherited.left().collect::<Vec<_>>(), ["cc.socket"]);
    assert!(inherited.claim_only("http").is_some());
}

#[tokio::test]
async fn both_versions_of_http_are_served_in_the_clear() {
    let tasks = Tasks::new();
    let address = start(echo(), None, LIMITS, &tasks);
    let answer = ask(&mut TcpStream::connect(address).await.unwrap(), "/").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n127.0.0.1 false HTTP/1.1"), "{answer}");
    assert_eq!(ask_http2(TcpStream::connect(address).await.unwrap()).await, "127.0.0.1 false HTTP/2.0");
}

/// Writes a fresh certificate for `localhost`.
fn issue(directory: &Path) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(directory.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(directory.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
}

fn load(directory: &Path) -> Result<Certificate, tls::Error> {
    Certificate::load(directory.join("cert.pem"), directory.join("key.pem"))
}

/// Connects trusting only the certificate that is in the directory now.
async fn connect(
    directory: &Path,
    address: SocketAddr,
    protocol: &[u8],
) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(directory.join("cert.pem")).unwrap()).unwrap();
    let mut config =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

#[tokio::test]
async fn tls_offers_both_versions_and_follows_renewed_files() {
    let directory = tempfile::tempdir().unwrap();
    issue(directory.path());
    let certificate = load(directory.path()).unwrap();
    let tasks = Tasks::new();
    let address = start(echo(), Some(certificate.server_config().unwrap()), LIMITS, &tasks);

    let mut stream = connect(directory.path(), address, b"http/1.1").await.unwrap();
    assert!(ask(&mut stream, "/").await.ends_with("127.0.0.1 true HTTP/1.1"));
    let stream = connect(directory.path(), address, b"h2").await.unwrap();
    assert_eq!(ask_http2(stream).await, "127.0.0.1 true HTTP/2.0");

    assert!(!certificate.reload_if_changed().unwrap());
    issue(directory.path());
    assert!(connect(directory.path(), address, b"h2").await.is_err(), "the old one is still served");
    assert!(certificate.reload_if_changed().unwrap());
    assert_eq!(
        ask_http2(connect(directory.path(), address, b"h2").await.unwrap()).await,
        "127.0.0.1 true HTTP/2.0"
    );

    std::fs::write(directory.path().join("key.pem"), "no key at all").unwrap();
    assert!(certificate.reload_if_changed().is_err());
    assert!(certificate.reload_if_changed().is_err(), "tried again");
    connect(directory.path(), address, b"h2").await.unwrap();
}

#[test]
fn unusable_certificates_say_what_to_check() {
    let directory = tempfile::tempdir().unwrap();
    let prefix = "loading X509 keypair (check 'https-cert-file' and 'https-key-file' in config.json): ";
    let text = || load(directory.path()).unwrap_err().to_string();
    assert!(text().starts_with(prefix) && text().ends_with("cert.pem"), "{}", text());
    issue(directory.path());
    let key = std::fs::read(directory.path().join("key.pem")).unwrap();
    issue(directory.path());
    std::fs::write(directory.path().join("key.pem"), key).unwrap();
    assert!(matches!(load(directory.path()).unwrap_err(), tls::Error::Pair { .. }), "{}", text());
    std::fs::write(directory.path().join("cert.pem"), "").unwrap();
    assert!(text().ends_with("cert.pem holds no certificate"), "{}", text());
}

#[tokio::test]
async fn running_requests_finish_idle_connections_end_and_the_port_closes() {
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (inside, blocked) = (Arc::clone(&entered), Arc::clone(&release));
    let slow = async move || {
        inside.notify_one();
        blocked.notified().await;
        "done"
    };
    let tasks = Tasks::new();
    let address = start(echo().route("/slow", get(slow)), None, LIMITS, &tasks);
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut head = [0; 15];
    idle.read_exact(&mut head).await.unwrap();

    let mut busy = TcpStream::connect(address).await.unwrap();
    let client = async {
        let answer = ask(&mut busy, "/slow").await;
        assert!(answer.ends_with("done"), "{answer}");
    };
    let ending = async {
        entered.notified().await;
        let shutdown = tasks.shutdown(SOON);
        let released = async {
            // The port is closed first; then the idle connection ends, and the slow request is still running.
            let mut rest = Vec::new();
            idle.read_to_end(&mut rest).await.unwrap();
            while TcpStream::connect(address).await.is_ok() {
                tokio::task::yield_now().await;
            }
            release.notify_one();
        };
        tokio::join!(shutdown, released).0
    };
    let ((), late) = tokio::time::timeout(SOON, async { tokio::join!(client, ending) }).await.unwrap();
    assert_eq!(late, []);
}

#[tokio::test]
async fn a_silent_client_is_disconnected() {
    let tasks = Tasks::new();
    let limits = Limits { header: Duration::from_millis(50), ..LIMITS };
    let address = start(echo(), None, limits, &tasks);
    for sent in ["", "GET / HTT", "GET / HTTP/1.1\r\nHost:"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        tokio::time::timeout(SOON, stream.read_to_end(&mut rest)).await.expect("disconnected").unwrap();
    }
}

#[tokio::test]
async fn more_connections_than_allowed_wait() {
    let tasks = Tasks::new();
    let address = start(echo(), None, Limits { connections: 1, ..LIMITS }, &tasks);
    let mut first = TcpStream::connect(address).await.unwrap();
    first.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut head = [0; 15];
    first.read_exact(&mut head).await.unwrap();
    let mut second = TcpStream::connect(address).await.unwrap();
    let answer = ask(&mut second, "/");
    let mut answer = std::pin::pin!(answer);
    assert!(futures::poll!(answer.as_mut()).is_pending());
    drop(first);
    assert!(answer.await.starts_with("HTTP/1.1 200"));
}
