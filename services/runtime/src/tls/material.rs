//! One service's view of the directory: TLS configurations and identity, renewed when the files change.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use cc_proto::access::Peer;
use ed25519_dalek::VerifyingKey;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::{Error, Layout, keys, provider, read, read_key};
use crate::rpc::{Identity, Keyring};
use crate::tasks::{OnError, OnShutdown, Tasks};

/// The only protocol between services.
const ALPN: &[u8] = b"h2";

/// Certificates and keys of one service. Clones share one state, so that a reload reaches everybody.
#[derive(Clone)]
pub struct Material(Arc<Inner>);

struct Inner {
    layout: Layout,
    peer: Peer,
    identity: Identity,
    configs: RwLock<Configs>,
    /// What the files looked like when they were last read.
    stamp: Mutex<Stamp>,
}

#[derive(Clone)]
struct Configs {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

/// Modification time and length of each file that matters; `None` for a missing one.
type Stamp = Vec<(PathBuf, Option<(SystemTime, u64)>)>;

impl Material {
    /// Reads the files of `peer` in `directory`.
    ///
    /// # Errors
    /// When a file is missing, holds something else, or a private key may be read by others.
    pub fn load(directory: &Path, peer: Peer) -> Result<Self, Error> {
        let layout = Layout::new(directory);
        let stamp = stamp(&layout, peer);
        let configs = configs(&layout, peer)?;
        let keyring = Keyring::new(verifying_keys(&layout)?);
        let identity = Identity::new(peer, keys::signing_key(&layout, peer)?, keyring);
        Ok(Self(Arc::new(Inner {
            layout,
            peer,
            identity,
            configs: RwLock::new(configs),
            stamp: Mutex::new(stamp),
        })))
    }

    /// The service.
    pub fn peer(&self) -> Peer {
        self.0.peer
    }

    /// The identity made of the signing keys; it follows reloads.
    pub fn identity(&self) -> Identity {
        self.0.identity.clone()
    }

    /// Reads the files again when one of them changed. On an error the former state stays in use and the next call
    /// tries again. New connections use the new certificates; open ones stay.
    ///
    /// # Errors
    /// As [`Material::load`].
    pub fn reload_if_changed(&self) -> Result<bool, Error> {
        let inner = &*self.0;
        let mut known = inner.stamp.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = stamp(&inner.layout, inner.peer);
        if *known == seen {
            return Ok(false);
        }
        let configs = configs(&inner.layout, inner.peer)?;
        let signing = keys::signing_key(&inner.layout, inner.peer)?;
        let public = verifying_keys(&inner.layout)?;
        *inner.configs.write().unwrap_or_else(PoisonError::into_inner) = configs;
        inner.identity.replace(signing, public);
        *known = seen;
        Ok(true)
    }

    /// Looks at the files every `every` and takes over changes, until the process ends.
    pub fn watch(&self, tasks: &Tasks, every: Duration) {
        let material = self.clone();
        let stop = tasks.token();
        tasks.spawn("tls.reload", OnError::Log, OnShutdown::Abort, async move {
            let mut ticks = tokio::time::interval(every);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            let mut failing = false;
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    _ = ticks.tick() => {}
                }
                match material.reload_if_changed() {
                    Ok(changed) => {
                        if changed {
                            tracing::info!("took over changed certificates and keys");
                        }
                        failing = false;
                    }
                    Err(error) if !failing => {
                        // once, not at every look
                        failing = true;
                        let error = crate::error::chain(&error);
                        tracing::error!(error, "changed certificates are not usable, the former stay in use");
                    }
                    Err(_known) => {}
                }
            }
        });
    }

    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.configs.read().unwrap_or_else(PoisonError::into_inner).server)
    }

    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.0.configs.read().unwrap_or_else(PoisonError::into_inner).client)
    }
}

impl fmt::Debug for Material {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Material")
            .field("peer", &self.0.peer)
            .field("directory", &self.0.layout.directory())
            .finish_non_exhaustive()
    }
}

fn configs(layout: &Layout, peer: Peer) -> Result<Configs, Error> {
    let failed =
        |source| Error::Configure { peer: peer.name(), directory: layout.directory().to_owned(), source };
    let mut roots = RootCertStore::empty();
    for authority in certificates(&layout.ca_certificate())? {
        roots.add(authority).map_err(failed)?;
    }
    let roots = Arc::new(roots);
    let chain = certificates(&layout.certificate(peer))?;
    if chain.first().and_then(|certificate| super::peer_of(certificate)) != Some(peer) {
        return Err(Error::Content {
            path: layout.certificate(peer),
            expected: "the certificate of this service",
            detail: format!("the URI {} is not in it", super::uri(peer)),
        });
    }
    let key_path = layout.key(peer);
    let key = PrivateKeyDer::from_pem_slice(read_key(&key_path)?.as_bytes()).map_err(|error| {
        Error::Content { path: key_path, expected: "a private key", detail: error.to_string() }
    })?;

    let verifier =
        rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), provider())
            .build()
            .map_err(|error| failed(rustls::Error::General(error.to_string())))?;
    let mut server = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(failed)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain.clone(), key.clone_key())
        .map_err(failed)?;
    server.alpn_protocols = vec![ALPN.to_vec()];
    let mut client = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(failed)?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(failed)?;
    client.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Configs { server: Arc::new(server), client: Arc::new(client) })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let content =
        |detail| Error::Content { path: path.to_owned(), expected: "a certificate in PEM form", detail };
    let text = read(path)?;
    let found = CertificateDer::pem_slice_iter(text.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| content(error.to_string()))?;
    if found.is_empty() {
        return Err(content("there is none in it".to_owned()));
    }
    Ok(found)
}

/// The public keys of all services whose file is there.
fn verifying_keys(layout: &Layout) -> Result<Vec<(Peer, VerifyingKey)>, Error> {
    let mut found = Vec::with_capacity(Peer::ALL.len());
    for peer in Peer::ALL {
        match keys::verifying_key(layout, peer) {
            Ok(key) => found.push((peer, key)),
            Err(Error::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn stamp(layout: &Layout, peer: Peer) -> Stamp {
    let mut paths =
        vec![layout.ca_certificate(), layout.certificate(peer), layout.key(peer), layout.signing_key(peer)];
    paths.extend(Peer::ALL.into_iter().map(|other| layout.verifying_key(other)));
    paths
        .into_iter()
        .map(|path| {
            let seen = std::fs::metadata(&path)
                .ok()
                .and_then(|metadata| Some((metadata.modified().ok()?, metadata.len())));
            (path, seen)
        })
        .collect()
}
