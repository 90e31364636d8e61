//! Certificates and signing keys between services (architecture.md 8 "Certificates between services", "Keys").
//!
//! One directory, by default `var/tls`, mode 0700, made by [`init_tls`] (`cc-backend -init-tls`):
//!
//! | File | What | Who needs it |
//! |---|---|---|
//! | `ca.pem`, `ca.key` | own authority, ten years | everybody the certificate; the key only `-init-tls` |
//! | `NAME.pem`, `NAME.key` | certificate and key of one service, one year | that service |
//! | `NAME.sign.key` | Ed25519 key that signs caller tokens | that service |
//! | `NAME.sign.pub` | its public half | everybody |
//!
//! A certificate names its service twice: as DNS name `NAME`, which a client checks whatever host it connects to,
//! and as URI [`uri`], which a server reads to know its peer. [`Material`] is one service's view of the directory
//! and follows changes of the files.

mod init;
mod keys;
mod material;

use std::path::{Path, PathBuf};

use cc_proto::access::Peer;

use crate::files;

pub use self::init::{Made, init_tls};
pub use self::material::Material;

/// Mode of the directory: it holds private keys.
pub const DIRECTORY_MODE: u32 = 0o700;
/// Mode of private keys.
pub const KEY_MODE: u32 = 0o600;
/// Mode of certificates and public keys.
pub const PUBLIC_MODE: u32 = 0o644;

/// Chooses the cryptography of TLS for libraries that ask the process for it. Whoever is second changes nothing.
pub fn install_provider() {
    let _second = rustls::crypto::ring::default_provider().install_default().is_err();
}

/// What went wrong with certificates and keys.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {path}; `cc-backend -init-tls` makes missing files", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file or the directory cannot be written.
    #[error("cannot write {path}", path = .path.display())]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: files::Error,
    },
    /// The directory's mode cannot be set to [`DIRECTORY_MODE`].
    #[error("cannot set the mode of {path}", path = .path.display())]
    Mode {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is there and does not hold what it should; it is never overwritten, so somebody has to decide.
    #[error("{path} is not {expected}: {detail}; remove the file to have it made anew", path = .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        expected: &'static str,
        /// What is wrong.
        detail: String,
    },
    /// A private key may be read by others than its owner.
    #[error("{path} has mode {mode:o}; private keys must have {KEY_MODE:o}", path = .path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A certificate or key cannot be generated.
    #[error("cannot generate {what}")]
    Generate {
        /// What.
        what: String,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// The files do not make a TLS configuration.
    #[error("cannot use the certificates of {peer} in {directory}", directory = .directory.display())]
    Configure {
        /// The service.
        peer: &'static str,
        /// The directory.
        directory: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
}

/// The URI that names a service in its certificate.
pub fn uri(peer: Peer) -> String {
    format!("spiffe://clustercockpit/{}", peer.name())
}

/// The service that a certificate names by its URI; `None` when it names none of ours.
pub(crate) fn peer_of(certificate: &[u8]) -> Option<Peer> {
    use x509_parser::extensions::GeneralName;

    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let names = parsed.subject_alternative_name().ok()??;
    names.value.general_names.iter().find_map(|name| match name {
        GeneralName::URI(text) => Peer::ALL.into_iter().find(|peer| uri(*peer) == *text),
        _ => None,
    })
}

/// The names of the files.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    directory: PathBuf,
}

impl Layout {
    pub(crate) fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn ca_certificate(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    pub(crate) fn ca_key(&self) -> PathBuf {
        self.directory.join("ca.key")
    }

    pub(crate) fn certificate(&self, peer: Peer) -> PathBuf {
        self.directory.join(format!("{}.pem", peer.name()))
    }

    pub(crate) fn key(&self, peer: Peer) -> PathBuf {
        self.directory.join(format!("{}.key", peer.name()))
    }

    pub(crate) fn signing_key(&self, peer: Peer) -> PathBuf {
        self.directory.join(format!("{}.sign.key", peer.name()))
    }

    pub(crate) fn verifying_key(&self, peer: Peer) -> PathBuf {
        self.directory.join(format!("{}.sign.pub", peer.name()))
    }
}

/// The content of a file; `None` when it does not exist.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<String>, Error> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Read { path: path.to_owned(), source }),
    }
}

/// The content of a file that must exist.
pub(crate) fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })
}

/// The content of a private key file, refused when others may read it.
pub(crate) fn read_key(path: &Path) -> Result<String, Error> {
    use std::os::unix::fs::PermissionsExt as _;

    let metadata = std::fs::metadata(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(Error::Exposed { path: path.to_owned(), mode });
    }
    read(path)
}

/// The crypto of all our TLS.
pub(crate) fn provider() -> std::sync::Arc<rustls::crypto::CryptoProvider> {
    std::sync::Arc::new(rustls::crypto::ring::default_provider())
}
