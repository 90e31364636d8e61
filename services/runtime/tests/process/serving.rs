//! A server from start to end.

use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::post;
use cc_runtime::tasks::Tasks;
use nix::sys::signal::Signal;
use tokio::sync::mpsc;

use crate::host::{SOON, Server, Site, until};

fn plain(_: &mut Command) {}

/// Waits until pages are answered.
fn ready(server: &Server) {
    until("readiness", || server.get("http", "/readyz").starts_with("HTTP/1.1 200"));
}

#[test]
fn a_server_tells_its_ports_serves_and_ends_in_order() {
    let site = Site::new();
    site.configure(r#"{"observability": {"metrics-addr": ":0"}, "grpc": {"addr": "127.0.0.1:0"}}"#);
    let server = site.serve(&["--config=./config.json", "--server", "--loglevel", "info"], plain);
    ready(&server);
    assert!(server.get("http", "/").ends_with("hello"));
    assert!(server.get("grpc", "/").ends_with("grpc"));
    assert!(server.get("http", "/healthz").ends_with("ok"));
    assert!(server.get("http", "/readyz").ends_with(r#"{"ready":true,"parts":{"store":{"ready":true}}}"#));
    assert!(server.get("http", "/metrics").starts_with("HTTP/1.1 404"), "never on the public port");
    let metrics = server.get("metrics", "/metrics");
    assert!(metrics.contains("build_info{program=\"cc-backend\""), "{metrics}");
    assert!(metrics.contains("runtime_late_seconds_count"), "{metrics}");
    let ended = server.terminate();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stdout.ends_with("checkpoint written\nGraceful shutdown completed!\n"), "{ended:?}");
    assert!(ended.stderr.contains("<6>[INFO]     life.rs:"), "{ended:?}");
}

#[test]
fn the_service_manager_hears_of_start_reload_and_end() {
    let site = Site::new();
    let manager = UnixDatagram::bind(site.path().join("notify")).unwrap();
    manager.set_read_timeout(Some(SOON)).unwrap();
    let socket = site.path().join("notify");
    let server = site.serve(&["-server"], |command| {
        command.env("NOTIFY_SOCKET", socket).env("WATCHDOG_USEC", "30000");
    });
    // What is heard until a message contains `last`.
    let hear = |last: &str| {
        let mut heard = String::new();
        while !heard.contains(last) {
            let mut buffer = [0; 1000];
            let length =
                manager.recv(&mut buffer).unwrap_or_else(|error| panic!("{error}: only heard {heard}"));
            heard.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
        }
        heard
    };
    hear("READY=1\nSTATUS=running\n");
    server.signal(Signal::SIGHUP);
    let reload = hear("READY=1\n");
    assert!(reload.contains("RELOADING=1\n"), "{reload}");
    assert!(server.get("http", "/reloads").ends_with("\r\n\r\n1"));
    assert!(hear("WATCHDOG=1").contains("WATCHDOG=1\n"));
    let ended = server.terminate();
    assert_eq!(ended.code, 0);
    hear("STOPPING=1\nSTATUS=Shutting down ...\n");
}

#[test]
fn sigusr1_asks_for_a_checkpoint() {
    let site = Site::new();
    let mut server = site.serve(&["-server"], plain);
    ready(&server);
    server.signal(Signal::SIGUSR1);
    server.wait_for_line("checkpoint asked for");
    assert_eq!(server.terminate().code, 0);
}

#[test]
fn a_signal_while_starting_ends_in_order() {
    let site = Site::new();
    let mut server = site.serve(&["-server"], |command| {
        command.env("CC_TEST_BEHAVE", "hang");
    });
    server.wait_for_line("starting");
    let ended = server.terminate();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stdout.contains("Graceful shutdown completed!"), "{ended:?}");
}

#[test]
fn a_second_signal_does_not_wait_and_names_what_is_unfinished() {
    let site = Site::new();
    let server = site.serve(&["-server"], |command| {
        command.env("CC_TEST_BEHAVE", "stuck");
    });
    ready(&server);
    server.signal(Signal::SIGTERM);
    let address = server.address("http");
    until("the end of listening", || std::net::TcpStream::connect(&address).is_err());
    server.signal(Signal::SIGINT);
    let ended = server.wait();
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr.contains("SIGINT again: ending at once, unfinished: "), "{ended:?}");
    assert!(ended.stderr.contains("stuck writer"), "{ended:?}");
}

#[test]
fn who_is_late_at_the_end_is_named() {
    let site = Site::new();
    site.configure(r#"{"limits": {"shutdown-timeout": "100ms"}}"#);
    let server = site.serve(&["-server"], |command| {
        command.env("CC_TEST_BEHAVE", "stuck");
    });
    ready(&server);
    let ended = server.terminate();
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr.contains("not finished at shutdown: stuck writer"), "{ended:?}");
    assert!(!ended.stdout.contains("Graceful shutdown completed!"), "{ended:?}");
}

#[test]
fn failures_end_the_process_with_code_1() {
    let site = Site::new();
    for (behave, text) in
        [("fail", "cannot open ./var/job.db"), ("break", "task writer failed: shutting down")]
    {
        let server = site.serve(&["-server"], |command| {
            command.env("CC_TEST_BEHAVE", behave);
        });
        let ended = server.wait();
        assert_eq!(ended.code, 1, "{ended:?}");
        assert!(ended.stderr.contains(text), "{ended:?}");
    }
}

#[test]
fn a_taken_port_is_an_error_that_names_key_and_fix() {
    let site = Site::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    site.configure(&format!(r#"{{"main": {{"addr": "{address}"}}}}"#));
    let ended = site.run(&["-server"]);
    assert_eq!(ended.code, 1);
    assert!(
        ended.stderr.contains(&format!("main.addr: another program listens on {address} already; stop it")),
        "{ended:?}"
    );
}

#[test]
fn a_server_without_a_metric_store_says_what_is_missing() {
    let site = Site::new();
    site.write("config.json", r#"{"main": {"addr": "127.0.0.1:0"}}"#);
    let ended = site.run(&["-server"]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("missing metricstore configuration"), "{ended:?}");
}

#[test]
fn split_services_have_no_web_port_and_their_own_metrics() {
    let site = Site::new();
    site.configure(r#"{"services": {"auth": {"address": "unix:auth.sock", "metrics-addr": ":0"}}}"#);
    let server = site.serve(&[], |command| {
        command.env("CC_TEST_PROGRAM", "auth");
    });
    until("readiness", || server.get("metrics", "/readyz").starts_with("HTTP/1.1 200"));
    assert!(server.get("metrics", "/metrics").contains("build_info{program=\"cc-auth\""));
    assert_eq!(server.terminate().code, 0);
}

#[test]
fn root_binds_and_then_is_nobody() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: needs root");
        return;
    }
    let site = Site::new();
    site.configure(r#"{"main": {"user": "nobody"}}"#);
    let refused = site.run(&["-server"]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("user nobody may not write "), "{refused:?}");
    std::os::unix::fs::chown(site.path(), Some(65534), None).unwrap();
    let server = site.serve(&["-server"], plain);
    let status = server.get("http", "/uid");
    assert!(status.contains("Uid:\t65534\t65534\t65534\t65534\n"), "{status}");
    assert_eq!(server.terminate().code, 0);
}

#[test]
fn a_socket_of_the_service_manager_is_taken_over() {
    let site = Site::new();
    let script = "import os, socket, sys\n\
                  s = socket.create_server(('127.0.0.1', 0))\n\
                  os.dup2(s.fileno(), 3)\n\
                  os.set_inheritable(3, True)\n\
                  os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1', LISTEN_FDNAMES='http')\n\
                  open('port', 'w').write(str(s.getsockname()[1]))\n\
                  os.execv(sys.argv[1], sys.argv[1:])\n";
    if Command::new("python3").arg("-c").arg("").output().is_err() {
        println!("skipped: no python3");
        return;
    }
    // The port in the configuration is not used.
    site.configure(r#"{"main": {"addr": "127.0.0.1:1"}}"#);
    let server = site.serve(&["-server"], |command| {
        let mut python = Command::new("/usr/bin/env");
        python.args(["python3", "-c", script]).arg(command.get_program()).args(command.get_args());
        python.current_dir(command.get_current_dir().unwrap()).env("PATH", "/usr/bin:/bin:/usr/local/bin");
        python.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        python.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        *command = python;
    });
    let port = std::fs::read_to_string(site.path().join("port")).unwrap();
    assert_eq!(server.address("http"), format!("127.0.0.1:{port}"));
    assert!(server.get("http", "/").ends_with("hello"));
    assert_eq!(server.terminate().code, 0);
}

#[test]
fn the_web_port_speaks_tls_when_both_files_are_there() {
    let site = Site::new();
    site.configure(r#"{"main": {"https-cert-file": "cert.pem", "https-key-file": "key.pem"}, "observability": {"metrics-addr": ":0"}}"#);
    let ended = site.run(&["-server"]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("loading X509 keypair (check 'https-cert-file'"), "{ended:?}");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    site.write("cert.pem", &made.cert.pem());
    site.write("key.pem", &made.signing_key.serialize_pem());
    let server = site.serve(&["-server"], plain);
    until("readiness", || server.get("metrics", "/readyz").starts_with("HTTP/1.1 200"));
    // A client without TLS is not answered in the clear.
    let mut stream = std::net::TcpStream::connect(server.address("http")).unwrap();
    std::io::Write::write_all(&mut stream, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // The server may reset the connection; nothing readable came in any case.
    let _ended = std::io::Read::read_to_end(&mut stream, &mut answer).is_ok();
    assert!(!answer.starts_with(b"HTTP/"), "{answer:?}");
    assert_eq!(server.terminate().code, 0);
}

/// A receiver of traces that keeps the bodies.
fn receiver(tasks: &Tasks) -> (String, mpsc::UnboundedReceiver<Bytes>) {
    let (sender, bodies) = mpsc::unbounded_channel();
    let sender = Arc::new(sender);
    let export = move |body: Bytes| async move {
        sender.send(body).unwrap();
        let trailers = http::HeaderMap::from_iter([(
            http::HeaderName::from_static("grpc-status"),
            http::HeaderValue::from_static("0"),
        )]);
        let frames = [
            Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::from_static(&[0; 5]))),
            Ok(http_body::Frame::trailers(trailers)),
        ];
        let body = Body::new(http_body_util::StreamBody::new(futures::stream::iter(frames)));
        http::Response::builder().header("content-type", "application/grpc").body(body).unwrap()
    };
    let router =
        Router::new().route("/opentelemetry.proto.collector.trace.v1.TraceService/Export", post(export));
    let bound = cc_runtime::listener::bind("otlp", "test", "127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", bound.address());
    let limits = cc_runtime::listener::Limits { connections: 10, header: SOON, write: SOON };
    cc_runtime::listener::serve(bound, router, None, limits, tasks).unwrap();
    (endpoint, bodies)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traces_reach_a_receiver_and_lines_name_them() {
    let tasks = Tasks::new();
    let (endpoint, mut bodies) = receiver(&tasks);
    let site = Site::new();
    site.configure(&format!(r#"{{"observability": {{"otlp-endpoint": "{endpoint}"}}}}"#));
    let ended = tokio::task::spawn_blocking(move || {
        let server = site.serve(&["-server"], plain);
        assert!(server.get("http", "/traced").ends_with("traced"));
        server.terminate()
    })
    .await
    .unwrap();
    assert_eq!(ended.code, 0, "{ended:?}");
    let line = ended.stderr.lines().find(|line| line.contains("inside")).unwrap();
    let trace = line.rsplit_once(" trace_id=").map_or_else(|| panic!("{line}"), |(_, id)| id.to_owned());
    let mut sent = Vec::new();
    while let Ok(Some(body)) = tokio::time::timeout(SOON, bodies.recv()).await {
        sent.extend_from_slice(&body);
        let has = |part: &[u8]| sent.windows(part.len()).any(|window| window == part);
        if has(b"a page was opened") && has(b"cc-backend") {
            let id: Vec<u8> =
                (0..16).map(|i| u8::from_str_radix(&trace[2 * i..2 * i + 2], 16).unwrap()).collect();
            assert!(has(&id), "the span has the trace of the line");
            return;
        }
    }
    panic!("no span arrived");
}
