//! Certificates of the web server, read again when their files change (config-and-cli.md 9.2).

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// How often the files are looked at: by modification time, which works on network file systems too.
const LOOK_PERIOD: Duration = Duration::from_secs(5);

/// Why certificate and key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or holds nothing usable.
    #[error("loading X509 keypair (check 'https-cert-file' and 'https-key-file' in config.json): {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// There is no certificate in the file.
    #[error("loading X509 keypair (check 'https-cert-file' and 'https-key-file' in config.json): {} holds no certificate", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Certificate and key do not belong together, or the key is of no known kind.
    #[error("loading X509 keypair (check 'https-cert-file' and 'https-key-file' in config.json): {} and {}", certificate.display(), key.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What the library says.
        source: rustls::Error,
    },
    /// The library refuses its own settings.
    #[error("failed to set up TLS")]
    Config(#[source] rustls::Error),
}

type Stamp = [Option<(SystemTime, u64)>; 2];

struct Inner {
    certificate: PathBuf,
    key: PathBuf,
    pair: RwLock<Arc<CertifiedKey>>,
    stamp: Mutex<Stamp>,
}

/// A certificate and its key. Clones share them, so that a reload reaches every listener.
#[derive(Clone)]
pub struct Certificate(Arc<Inner>);

impl Certificate {
    /// Reads certificate chain and key from PEM files.
    pub fn load(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Result<Self, Error> {
        let (certificate, key) = (certificate.into(), key.into());
        let stamp = stamp(&certificate, &key);
        let pair = RwLock::new(Arc::new(read(&certificate, &key)?));
        Ok(Self(Arc::new(Inner { certificate, key, pair, stamp: Mutex::new(stamp) })))
    }

    /// Reads the files again if they changed. On an error the old pair stays in use and the next call tries again.
    /// Open connections keep what they have.
    pub fn reload_if_changed(&self) -> Result<bool, Error> {
        let inner = &*self.0;
        let mut known = inner.stamp.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = stamp(&inner.certificate, &inner.key);
        if *known == seen {
            return Ok(false);
        }
        let pair = Arc::new(read(&inner.certificate, &inner.key)?);
        *inner.pair.write().unwrap_or_else(PoisonError::into_inner) = pair;
        *known = seen;
        Ok(true)
    }

    /// Follows the files for ever; a background task. An error is reported once per change.
    pub async fn follow(self) {
        let mut reported = None;
        let mut ticks = tokio::time::interval(LOOK_PERIOD);
        loop {
            ticks.tick().await;
            let certificate = self.clone();
            let Ok(result) = tokio::task::spawn_blocking(move || certificate.reload_if_changed()).await
            else {
                return;
            };
            match result {
                Ok(changed) => {
                    reported = None;
                    if changed {
                        tracing::info!("certificate {} was renewed", self.0.certificate.display());
                    }
                }
                Err(error) => {
                    let text = crate::tasks::chain(&error);
                    if reported.as_ref() != Some(&text) {
                        tracing::warn!("the renewed certificate cannot be used, the old one stays: {text}");
                        reported = Some(text);
                    }
                }
            }
        }
    }

    /// TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(Error::Config)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(self.clone()));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.pair.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Certificate").field(&self.0.certificate).finish()
    }
}

fn read(certificate: &Path, key: &Path) -> Result<CertifiedKey, Error> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        |source| Error::Read { path, source }
    };
    let chain = CertificateDer::pem_file_iter(certificate).map_err(failed(certificate))?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(failed(certificate))?;
    if chain.is_empty() {
        return Err(Error::Empty { path: certificate.to_owned() });
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(failed(key))?;
    CertifiedKey::from_der(chain, private, &ring::default_provider()).map_err(|source| Error::Pair {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        source,
    })
}

fn stamp(certificate: &Path, key: &Path) -> Stamp {
    let look = |path: &Path| -> io::Result<_> {
        let metadata = std::fs::metadata(path)?;
        Ok((metadata.modified()?, metadata.len()))
    };
    [look(certificate).ok(), look(key).ok()]
}
