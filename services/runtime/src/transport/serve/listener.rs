//! A bound socket.

use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, UnixListener};

use crate::files;
use crate::tls::Material;
use crate::transport::{Address, peer};

/// Why a service cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// `in-process` needs no listener.
    #[error("in-process is nothing to listen on")]
    InProcess,
    /// TLS needs certificates of our own authority.
    #[error("listening on {0} needs certificates; `cc-backend -init-tls` makes them")]
    NoCertificates(Address),
    /// The socket cannot be bound.
    #[error("cannot listen on {address}")]
    Bind {
        /// Where.
        address: Address,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another process answers there.
    #[error("cannot listen on {0}: another process does")]
    Taken(Address),
    /// Something else has the socket's name; it is never removed.
    #[error("cannot listen on {0}: the file is no socket")]
    NotASocket(Address),
    /// The socket's directory cannot be made.
    #[error("cannot make the directory of {address}")]
    Directory {
        /// Where.
        address: Address,
        /// Why.
        #[source]
        source: files::Error,
    },
}

/// A socket that is bound and not yet served. Others may connect already; they wait.
#[derive(Debug)]
pub struct Listener {
    pub(super) address: Address,
    pub(super) socket: Socket,
}

#[derive(Debug)]
pub(super) enum Socket {
    Unix {
        listener: UnixListener,
        /// Users besides our own and root.
        uids: Vec<u32>,
        /// Removes the file in the end.
        _file: SocketFile,
    },
    Tls {
        listener: TcpListener,
        material: Material,
    },
}

impl Listener {
    /// Binds `address`. On a Unix socket only processes of our own user, root and `uids` are heard (the file has
    /// mode 0600, or 0660 when there are other users); over TLS only services with a certificate of our authority.
    ///
    /// # Errors
    /// When the address is taken, not permitted, or `material` is missing for TLS.
    pub async fn bind(
        address: &Address,
        material: Option<&Material>,
        uids: &[u32],
    ) -> Result<Self, ListenError> {
        match address {
            Address::InProcess => Err(ListenError::InProcess),
            Address::Unix(path) => bind_unix(address, path, uids),
            Address::Https { host, port } => {
                let material = material.ok_or_else(|| ListenError::NoCertificates(address.clone()))?.clone();
                let failed = |source| ListenError::Bind { address: address.clone(), source };
                let listener = TcpListener::bind((host.as_str(), *port)).await.map_err(failed)?;
                let port = listener.local_addr().map_err(failed)?.port();
                Ok(Self {
                    address: Address::Https { host: host.clone(), port },
                    socket: Socket::Tls { listener, material },
                })
            }
        }
    }

    /// Where it listens; a port asked for as 0 is the real one here.
    pub fn address(&self) -> &Address {
        &self.address
    }
}

fn bind_unix(address: &Address, path: &Path, uids: &[u32]) -> Result<Listener, ListenError> {
    let failed = |source| ListenError::Bind { address: address.clone(), source };
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        files::create_directory(parent)
            .map_err(|source| ListenError::Directory { address: address.clone(), source })?;
    }
    remove_stale(address, path)?;
    let listener = UnixListener::bind(path).map_err(failed)?;
    let mode = if uids.is_empty() { 0o600 } else { 0o660 };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(failed)?;
    let metadata = std::fs::symlink_metadata(path).map_err(failed)?;
    let file = SocketFile { path: path.to_owned(), inode: (metadata.dev(), metadata.ino()) };
    Ok(Listener {
        address: address.clone(),
        socket: Socket::Unix { listener, uids: uids.to_vec(), _file: file },
    })
}

/// Removes the socket of a process that ended without doing so.
fn remove_stale(address: &Address, path: &Path) -> Result<(), ListenError> {
    let failed = |source| ListenError::Bind { address: address.clone(), source };
    let metadata = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    if !metadata.file_type().is_socket() {
        return Err(ListenError::NotASocket(address.clone()));
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_answered) => Err(ListenError::Taken(address.clone())),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(failed)
        }
        Err(error) => Err(failed(error)),
    }
}

/// Removes the file when dropped, unless another process has put its own there meanwhile.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    inode: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = std::fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.inode);
        if ours && let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(%error, "cannot remove the socket {}", self.path.display());
        }
    }
}

/// Whether a process of that user may connect.
pub(super) fn may_connect(uid: u32, uids: &[u32]) -> bool {
    peer::is_own(uid) || uids.contains(&uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unix(directory: &tempfile::TempDir, name: &str) -> Address {
        Address::Unix(directory.path().join(name))
    }

    #[test]
    fn only_known_users_may_connect() {
        let own = nix::unistd::geteuid().as_raw();
        assert!(may_connect(own, &[]));
        assert!(may_connect(0, &[]));
        assert!(!may_connect(own + 77, &[]));
        assert!(may_connect(own + 77, &[own + 77]));
        assert!(!may_connect(own + 78, &[own + 77]));
    }

    #[tokio::test]
    async fn the_socket_file_is_private_and_goes_with_the_listener() {
        let directory = tempfile::tempdir().unwrap();
        let address = unix(&directory, "sub/a.sock");
        let Address::Unix(path) = &address else { unreachable!() };
        for (uids, mode) in [(&[][..], 0o600), (&[12345][..], 0o660)] {
            let listener = Listener::bind(&address, None, uids).await.unwrap();
            assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, mode);
            drop(listener);
            assert!(!path.try_exists().unwrap());
        }
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_a_live_one_and_other_files_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let address = unix(&directory, "a.sock");
        let Address::Unix(path) = &address else { unreachable!() };
        drop(std::os::unix::net::UnixListener::bind(path).unwrap());
        assert!(path.try_exists().unwrap(), "left behind as by a killed process");
        let first = Listener::bind(&address, None, &[]).await.unwrap();
        assert!(matches!(Listener::bind(&address, None, &[]).await, Err(ListenError::Taken(_))));
        // somebody else took the name: the file is not ours to remove
        std::fs::remove_file(path).unwrap();
        std::fs::write(path, "x").unwrap();
        drop(first);
        assert!(path.try_exists().unwrap());
        assert!(matches!(Listener::bind(&address, None, &[]).await, Err(ListenError::NotASocket(_))));
    }

    #[tokio::test]
    async fn what_cannot_be_listened_on_is_said() {
        assert!(matches!(Listener::bind(&Address::InProcess, None, &[]).await, Err(ListenError::InProcess)));
        let https = Address::Https { host: "127.0.0.1".to_owned(), port: 0 };
        let error = Listener::bind(&https, None, &[]).await.unwrap_err();
        assert!(error.to_string().contains("-init-tls"), "{error}");
    }
}
