//! Every method of every service is called in every way: by each process, for itself and on behalf of each role, and without anybody's
//! word. Who is answered is what the one table says (`cc_proto::access`), between real processes.
//!
//! Nothing of the product signs or connects here: the tokens are made from their description (architecture.md 8 "Keys").

use std::{fs, path::Path, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cc_integration_tests::{recording::now, site::Site};
use cc_proto::access::{Needs, Peer, Rpc, TABLE};
use ed25519_dalek::{Signer as _, SigningKey, pkcs8::DecodePrivateKey as _};
use serde_json::{Value, json};
use tonic::{
    Code,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

use crate::{
    calls::{self, Call},
    life::{SERVICES, cluster, site, split},
    program::Program,
};

/// Everybody on whose behalf a process may speak: itself, each role, somebody without any.
const ROLES: [&str; 7] = ["service", "api", "user", "manager", "support", "admin", ""];
/// No call may take longer.
const SOON: Duration = Duration::from_secs(30);

/// The way from one process to another, as the configuration says.
fn channel(config: &Value, tls: &Path, from: Peer, to: Peer) -> Channel {
    let address = config["services"][to.name()]["address"].as_str().expect("an address");
    if let Some(path) = address.strip_prefix("unix:") {
        let path = tls.ancestors().nth(2).expect("the site").join(path);
        return Endpoint::from_shared(format!("unix://{}", path.display())).expect("a path").connect_lazy();
    }
    let read = |name: String| fs::read(tls.join(name)).expect("a file of -init-tls");
    let own = Identity::from_pem(read(format!("{}.pem", from.name())), read(format!("{}.key", from.name())));
    let config = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(read("ca.pem".to_owned())))
        .identity(own)
        .domain_name(to.name());
    Endpoint::from_shared(address.to_owned())
        .expect("an address")
        .tls_config(config)
        .expect("TLS")
        .connect_lazy()
}

/// A caller's token as `from` signs it.
fn token(tls: &Path, from: Peer, service: &str, role: &str) -> String {
    let key = fs::read_to_string(tls.join(format!("{}.sign.key", from.name()))).expect("a key");
    let key = SigningKey::from_pkcs8_pem(&key).expect("an Ed25519 key");
    let own = role == "service";
    let (name, how) =
        if own { (format!("service:{}", from.name()), "service") } else { ("eve".to_owned(), "jwt") };
    let roles: Vec<&str> = [role].into_iter().filter(|role| !role.is_empty()).collect();
    let claims = json!({
        "iss": from.name(), "aud": service, "sub": name, "roles": roles, "projects": [], "how": how, "iat": now(), "exp": now() + 60
    });
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let signed =
        format!("{}.{}", encode(br#"{"alg":"EdDSA","typ":"JWT"}"#), encode(claims.to_string().as_bytes()));
    let signature = encode(&key.sign(signed.as_bytes()).to_bytes());
    format!("{signed}.{signature}")
}

/// Whether the table lets a role through.
fn suffices(needs: Needs, role: &str) -> bool {
    match needs {
        Needs::Service => role == "service",
        Needs::AnyOf(roles) => role == "service" || roles.contains(&role),
        Needs::Authenticated => true,
    }
}

/// The process that answers a method; none for the public ones.
fn owner(rpc: &Rpc) -> Option<Peer> {
    let package = rpc.path.split('.').nth(1).expect("a package").replace('_', "-");
    Peer::from_name(&package)
}

/// Sends a request with a token or without one.
async fn outcome(call: &Call, path: &'static str, channel: Channel, token: Option<&str>) -> (Code, String) {
    let mut request = call.request();
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("a header"));
    }
    let answer = tokio::time::timeout(SOON, calls::send(path, channel, request)).await;
    answer.unwrap_or_else(|_| panic!("{path}: no answer within {SOON:?}"))
}

/// Calls every internal method in every way; the number of calls that were let through and that were refused.
async fn every_method(site: &Site) -> (usize, usize) {
    let mut wrong = Vec::new();
    let (config, tls) = (site.config(), site.file("var/tls"));
    let operator = site.token("operator");
    let (mut allowed, mut refused) = (0, 0);
    for rpc in TABLE {
        let Some(owner) = owner(rpc) else { continue };
        let service = rpc.path.trim_start_matches('/').split('/').next().expect("a service");
        let call = calls::of(rpc.path, &operator, &cluster());
        for from in Peer::ALL {
            let channel = channel(&config, &tls, from, owner);
            let (code, reason) = outcome(&call, rpc.path, channel.clone(), None).await;
            assert_eq!(
                (code, reason.as_str()),
                (Code::Unauthenticated, "NO_CALLER"),
                "{} by {from:?}",
                rpc.path
            );
            for role in ROLES {
                let token = token(&tls, from, service, role);
                let (code, reason) = outcome(&call, rpc.path, channel.clone(), Some(&token)).await;
                let what = format!("{} by {from:?} for {role:?}: {code:?} {reason}", rpc.path);
                // A service may always ask itself.
                let by_peer = from == owner || rpc.callers.contains(&from);
                let by_table = ["PEER_NOT_ALLOWED", "ROLE_REQUIRED"].contains(&reason.as_str());
                if by_peer && suffices(rpc.needs, role) {
                    let reached = !by_table && ![Code::Unavailable, Code::Unauthenticated].contains(&code);
                    if !reached || role == "service" && !call.fits(code) {
                        wrong.push(what);
                    }
                    allowed += 1;
                } else {
                    let expected = if by_peer { "ROLE_REQUIRED" } else { "PEER_NOT_ALLOWED" };
                    if (code, reason.as_str()) != (Code::PermissionDenied, expected) {
                        wrong.push(what);
                    }
                    refused += 1;
                }
            }
        }
    }
    assert!(wrong.is_empty(), "not as the table says:\n{}", wrong.join("\n"));
    (allowed, refused)
}

/// The public methods, with tokens of people and programs.
async fn every_public_method(site: &Site, address: &str) -> usize {
    let channel = Endpoint::from_shared(format!("http://{address}")).expect("an address").connect_lazy();
    let mut methods = 0;
    for rpc in TABLE.iter().filter(|rpc| owner(rpc).is_none()) {
        let call = calls::of(rpc.path, "", "");
        let (code, _) = outcome(&call, rpc.path, channel.clone(), None).await;
        assert_eq!(code, Code::Unauthenticated, "{} by nobody", rpc.path);
        for role in ["api", "user", "manager", "support", "admin"] {
            let token = site.token(&format!("only-{role}"));
            let (code, reason) = outcome(&call, rpc.path, channel.clone(), Some(&token)).await;
            let what = format!("{} for {role}: {code:?} {reason}", rpc.path);
            if suffices(rpc.needs, role) {
                assert!(call.fits(code), "{what}");
            } else {
                assert_eq!(code, Code::PermissionDenied, "{what}");
            }
        }
        methods += 1;
    }
    methods
}

async fn the_whole_table(tls: bool) {
    let site = site();
    for role in ["api", "user", "manager", "support", "admin"] {
        site.add_user(&format!("only-{role}"), role, "x");
    }
    split(&site, tls);
    let grpc = format!("127.0.0.1:{}", cc_integration_tests::server::free_port());
    site.configure(|config| config["grpc"] = json!({"addr": grpc}));
    let programs = SERVICES.map(|(_, binary)| Program::start(binary, &[], site.path()));
    for program in &programs {
        program.ready("metrics").await;
    }
    let (allowed, refused) = every_method(&site).await;
    let internal = TABLE.iter().filter(|rpc| owner(rpc).is_some()).count();
    assert!(allowed > internal && refused > 10 * internal, "{allowed} allowed, {refused} refused");
    let public = every_public_method(&site, &grpc).await;
    assert_eq!(internal + public, TABLE.len(), "a method was left out");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_table_holds_over_unix_sockets() {
    the_whole_table(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_table_holds_over_tls() {
    the_whole_table(true).await;
}
