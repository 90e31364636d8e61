//! Which ports a process has, by what it is; binding them, and telling where they are.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::PoisonError;

use cc_proto::access::Peer;

use super::{Ports, Role, Shared};
use crate::config::Config;
use crate::env::Env;
use crate::files;
use crate::flags::Flags;
use crate::listener::tls::{self, Certificate};
use crate::listener::{self, Bound, Inherited, bind, bind_private};

/// Whether the process is there to serve.
pub(super) fn serves(role: Role, flags: &Flags) -> bool {
    match role {
        Role::Backend => flags.on("server"),
        Role::Service(_) => true,
        Role::Store => !flags.on("cleanup-checkpoints") && !flags.on("export-checkpoints"),
    }
}

/// Whether the process has the web port.
pub(super) fn has_web(role: Role, config: &Config) -> bool {
    match role {
        Role::Backend | Role::Service(Peer::Gateway) => true,
        Role::Service(_) => false,
        Role::Store => config.standalone.is_some(),
    }
}

/// Binds everything. Before the runtime exists and while the process is still root.
pub(super) fn bind_all(role: Role, config: &Config, env: &dyn Env) -> Result<Ports, listener::Error> {
    let mut inherited = Inherited::take(env)?;
    let mut ports = Ports::default();
    if has_web(role, config) {
        let main = &config.main;
        ports.grpc = match &config.grpc.addr {
            Some(addr) if role != Role::Store => Some(match inherited.claim("grpc", addr) {
                Some(bound) => bound,
                None => bind("grpc", "grpc.addr", addr)?,
            }),
            _ => None,
        };
        if main.redirect_http_to.is_some() && !main.addr.ends_with(":80") {
            ports.redirect = redirect(&mut inherited);
        }
        let web = inherited.claim("http", &main.addr).or_else(|| inherited.claim_only("http"));
        ports.web = Some(match web {
            Some(bound) => bound,
            None => bind("http", "main.addr", &main.addr)?,
        });
    }
    for name in inherited.left() {
        tracing::warn!(
            "socket {name:?} of the service manager is not used: its name is none of http, redirect, grpc"
        );
    }
    if let Some((key, addr)) = private(role, config) {
        ports.private = Some(bind_private("metrics", key, addr)?);
    }
    Ok(ports)
}

/// As in the reference the server starts without it.
fn redirect(inherited: &mut Inherited) -> Option<Bound> {
    let bound = inherited
        .claim("redirect", ":80")
        .map_or_else(|| bind("redirect", "main.redirect-http-to", ":80"), Ok);
    bound.inspect_err(|error| tracing::error!("{error}; there will be no redirect")).ok()
}

/// The port for operators: of a split service its own, of everything else that of `observability`.
fn private(role: Role, config: &Config) -> Option<(&'static str, &str)> {
    let services = &config.services;
    let (key, addr) = match role {
        Role::Service(Peer::Auth) => ("services.auth.metrics-addr", &services.auth.metrics_addr),
        Role::Service(Peer::JobDb) => ("services.job-db.metrics-addr", &services.job_db.metrics_addr),
        Role::Service(Peer::Archive) => ("services.archive.metrics-addr", &services.archive.metrics_addr),
        Role::Store | Role::Service(Peer::MetricStore) if config.standalone.is_none() => {
            ("services.metric-store.metrics-addr", &services.metric_store.metrics_addr)
        }
        _ => ("observability.metrics-addr", &config.observability.metrics_addr),
    };
    addr.as_deref().map(|addr| (key, addr))
}

/// The certificates of the web port and of the gRPC port, which has that of the web port unless it has its own.
pub(super) fn certificates(
    role: Role,
    config: &Config,
) -> Result<(Option<Certificate>, Option<Certificate>), tls::Error> {
    if !has_web(role, config) {
        return Ok((None, None));
    }
    let load = |certificate: &Option<_>, key: &Option<_>| match (certificate, key) {
        (Some(certificate), Some(key)) => Certificate::load(certificate, key).map(Some),
        _ => Ok(None),
    };
    let web = load(&config.main.https_cert_file, &config.main.https_key_file)?;
    let grpc = load(&config.grpc.tls_cert_file, &config.grpc.tls_key_file)?.or_else(|| web.clone());
    Ok((web, grpc))
}

/// The files and directories a process of this role writes.
pub(super) fn written(role: Role, config: &Config) -> Vec<&Path> {
    use crate::config::archive::Place;
    let mut paths: Vec<&Path> = Vec::new();
    let has = |peer: Peer| matches!(role, Role::Backend) || role == Role::Service(peer);
    if has(Peer::Auth) || has(Peer::JobDb) {
        let database = config.main.db.as_path();
        paths.extend(database.parent());
        paths.push(database);
    }
    if has(Peer::Archive)
        && let Place::File { path } | Place::Sqlite { path } = &config.archive.place
    {
        paths.push(path);
    }
    if let Some(store) = &config.metric_store
        && (role == Role::Store || has(Peer::MetricStore))
    {
        paths.push(&store.checkpoints.directory);
    }
    paths
}

/// Adds an address to the file of addresses.
pub(super) fn announce(shared: &Shared, purpose: &str, address: &str) -> Result<(), files::Error> {
    let mut announced = shared.announced.lock().unwrap_or_else(PoisonError::into_inner);
    announced.insert(purpose.to_owned(), address.to_owned());
    write(shared, &announced)
}

/// Writes the file of addresses, unless there are none yet.
pub(super) fn write_announced(shared: &Shared) -> Result<(), files::Error> {
    let announced = shared.announced.lock().unwrap_or_else(PoisonError::into_inner);
    if announced.is_empty() { Ok(()) } else { write(shared, &announced) }
}

fn write(shared: &Shared, announced: &BTreeMap<String, String>) -> Result<(), files::Error> {
    let Some(path) = &shared.listen_file else { return Ok(()) };
    files::write_atomic(path, format!("{}\n", serde_json::json!(announced)))
}
