//! `-init-tls` and what the processes make of its files.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use cc_proto::access::Peer;
use cc_proto::metric_store::v1::metric_store_client::MetricStoreClient;
use cc_runtime::clock::Clock;
use cc_runtime::error::reason;
use cc_runtime::rpc::{ClientStack, ServerStack};
use cc_runtime::tls::{Error, Material, init_tls, uri};
use cc_runtime::transport::remote;
use jiff::SignedDuration;
use tonic::Code;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::probe::Probe;
use crate::site::{Ground, LONG, Via, ask};

fn mode(path: impl AsRef<Path>) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn names(paths: &[std::path::PathBuf]) -> Vec<&str> {
    paths.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect()
}

#[test]
fn the_directory_and_private_keys_are_private() {
    let ground = Ground::new();
    assert_eq!(mode(ground.tls()), 0o700);
    let mut files = 0;
    for entry in std::fs::read_dir(ground.tls()).unwrap() {
        let path = entry.unwrap().path();
        let private = path.extension().unwrap() == "key";
        assert_eq!(mode(&path), if private { 0o600 } else { 0o644 }, "{}", path.display());
        files += 1;
    }
    assert_eq!(files, 2 + 4 * Peer::ALL.len());
}

#[test]
fn a_certificate_names_its_service_twice_and_lasts_a_year() {
    let ground = Ground::new();
    let text = std::fs::read(ground.tls().join("job-db.pem")).unwrap();
    let (_, pem) = x509_parser::pem::parse_x509_pem(&text).unwrap();
    let (_, certificate) = X509Certificate::from_der(&pem.contents).unwrap();
    let alternative = certificate.subject_alternative_name().unwrap().unwrap();
    let expected = uri(Peer::JobDb);
    assert_eq!(
        alternative.value.general_names,
        [GeneralName::DNSName("job-db"), GeneralName::URI(&expected)]
    );
    assert_eq!(expected, "spiffe://clustercockpit/job-db");
    let days = (certificate.validity().not_after.timestamp() - Clock::system().unix()) / 86_400;
    assert!((363..=365).contains(&days), "{days}");
    assert!(!certificate.is_ca());
}

#[test]
fn valid_files_stay_and_missing_ones_are_made() {
    let ground = Ground::new();
    let before = std::fs::read(ground.tls().join("archive.pem")).unwrap();
    let made = init_tls(&ground.tls(), &Peer::ALL, &Clock::system()).unwrap();
    assert!(made.written.is_empty(), "{made:?}");
    assert_eq!(made.kept.len(), 2 + 4 * Peer::ALL.len());
    std::fs::remove_file(ground.tls().join("auth.pem")).unwrap();
    std::fs::remove_file(ground.tls().join("auth.sign.pub")).unwrap();
    let made = init_tls(&ground.tls(), &Peer::ALL, &Clock::system()).unwrap();
    assert_eq!(names(&made.written), ["auth.pem", "auth.sign.pub"]);
    assert_eq!(std::fs::read(ground.tls().join("archive.pem")).unwrap(), before);
    Material::load(&ground.tls(), Peer::Auth).unwrap();
}

#[test]
fn certificates_near_their_end_are_renewed_with_their_keys_kept() {
    let ground = Ground::new();
    let clock = Clock::fixed(Clock::system().now());
    clock.advance(SignedDuration::from_hours(24 * 330));
    assert!(init_tls(&ground.tls(), &Peer::ALL, &clock).unwrap().written.is_empty());
    clock.advance(SignedDuration::from_hours(24 * 10));
    let made = init_tls(&ground.tls(), &Peer::ALL, &clock).unwrap();
    assert_eq!(
        names(&made.written),
        ["auth.pem", "metric-store.pem", "archive.pem", "job-db.pem", "gateway.pem"]
    );
    Material::load(&ground.tls(), Peer::Archive).unwrap();
}

#[test]
fn a_certificate_of_another_authority_or_key_is_renewed() {
    let (ground, other) = (Ground::new(), Ground::new());
    std::fs::copy(other.tls().join("auth.pem"), ground.tls().join("auth.pem")).unwrap();
    std::fs::copy(ground.tls().join("archive.pem"), ground.tls().join("job-db.pem")).unwrap();
    let made = init_tls(&ground.tls(), &Peer::ALL, &Clock::system()).unwrap();
    assert_eq!(names(&made.written), ["auth.pem", "job-db.pem"]);
}

#[test]
fn files_that_hold_something_else_are_never_overwritten() {
    let clock = Clock::system();
    for (name, expected) in [
        ("ca.key", "a private key"),
        ("ca.pem", "a certificate"),
        ("auth.key", "a private key"),
        ("auth.pem", "a certificate"),
        ("auth.sign.key", "an Ed25519 private key"),
    ] {
        let ground = Ground::new();
        let path = ground.tls().join(name);
        let mode = mode(&path);
        std::fs::write(&path, "something else").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let error = init_tls(&ground.tls(), &Peer::ALL, &clock).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(name) && text.contains(expected), "{text}");
        assert_eq!(std::fs::read(&path).unwrap(), b"something else");
    }
    // a machine that received only the public half of the authority cannot sign
    let ground = Ground::new();
    std::fs::remove_file(ground.tls().join("ca.key")).unwrap();
    std::fs::remove_file(ground.tls().join("auth.pem")).unwrap();
    assert!(matches!(init_tls(&ground.tls(), &Peer::ALL, &clock), Err(Error::Read { .. })));
}

#[test]
fn a_private_key_that_others_may_read_is_refused() {
    let ground = Ground::new();
    for name in ["gateway.key", "gateway.sign.key"] {
        let path = ground.tls().join(name);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let error = Material::load(&ground.tls(), Peer::Gateway).unwrap_err();
        assert!(matches!(&error, Error::Exposed { mode: 0o640, .. }), "{error}");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    std::fs::copy(ground.tls().join("archive.pem"), ground.tls().join("gateway.pem")).unwrap();
    let error = Material::load(&ground.tls(), Peer::Gateway).unwrap_err();
    assert!(error.to_string().contains("gateway.pem"), "{error}");
    let missing = Material::load(&ground.tls().join("nowhere"), Peer::Gateway).unwrap_err();
    assert!(missing.to_string().contains("-init-tls"), "{missing}");
}

#[tokio::test]
async fn a_peer_of_another_authority_is_refused_by_both_sides() {
    let (ground, other, probe) = (Ground::new(), Ground::new(), Probe::new());
    let reached = ground.reach(Via::Tcp, probe.routes(), LONG).await;
    let stranger = remote(&reached.address, Peer::MetricStore, Some(&other.material(Peer::Gateway))).unwrap();
    let status = MetricStoreClient::new(stranger).check_health(ask("echo")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    // right authority, wrong service: the archive expected where the store answers
    let wrong = remote(&reached.address, Peer::Archive, Some(&ground.material(Peer::Gateway))).unwrap();
    let status = MetricStoreClient::new(wrong).check_health(ask("echo")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert_eq!(probe.begun.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[tokio::test]
async fn changed_files_are_taken_over_by_running_processes() {
    let (ground, probe) = (Ground::new(), Probe::new());
    let server = ground.material(Peer::MetricStore);
    let gateway = ground.material(Peer::Gateway);
    assert!(!gateway.reload_if_changed().unwrap());

    // a new authority, new certificates, new signing keys
    std::fs::remove_dir_all(ground.tls()).unwrap();
    init_tls(&ground.tls(), &Peer::ALL, &Clock::system()).unwrap();
    let stack = ServerStack::new(server.identity(), Clock::system());
    let reached = ground.reach(Via::Tcp, stack.wrap(probe.routes()), LONG).await;
    let transport = remote(&reached.address, Peer::MetricStore, Some(&gateway)).unwrap();
    let client = ClientStack::new(gateway.identity(), Clock::system());
    let mut client = MetricStoreClient::new(client.wrap(transport));
    let status = client.check_health(ask("echo")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "the old authority: {status:?}");
    assert!(gateway.reload_if_changed().unwrap());
    let status = client.check_health(ask("echo")).await.unwrap_err();
    assert_eq!(reason(&status).as_deref(), Some("TOKEN_SIGNATURE"), "{status:?}");
    assert!(server.reload_if_changed().unwrap());
    client.check_health(ask("echo")).await.unwrap();
    assert!(!server.reload_if_changed().unwrap());

    // a broken change leaves the former state in use and is tried again
    let path = ground.tls().join("gateway.pem");
    let good = std::fs::read(&path).unwrap();
    std::fs::write(&path, "half a file").unwrap();
    gateway.reload_if_changed().unwrap_err();
    client.check_health(ask("echo")).await.unwrap();
    gateway.reload_if_changed().unwrap_err();
    std::fs::write(&path, good).unwrap();
    assert!(gateway.reload_if_changed().unwrap());
    client.check_health(ask("echo")).await.unwrap();
}
