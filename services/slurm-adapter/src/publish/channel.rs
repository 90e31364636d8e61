//! The way to the server: TLS, a Unix socket, or plain HTTP/2 on the machine itself.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tonic::body::Body;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;

/// Certificates of the public authorities, where distributions put them.
const SYSTEM_CERTIFICATES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];

const CONNECT_WITHIN: Duration = Duration::from_secs(10);
const PING_EVERY: Duration = Duration::from_secs(30);

/// The way to a server. Connects when it is first used, and again after a failure.
pub type Transport = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, NoAnswer>;

/// The server cannot be reached, or the connection broke.
#[derive(Debug, thiserror::Error)]
#[error("no answer from the server")]
pub struct NoAnswer(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Where the server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Server {
    /// `https://host:port`.
    Tls(http::Uri),
    /// `http://host:port`, on the machine itself only: tokens would be readable on the way.
    Plain(http::Uri),
    /// `unix:PATH`.
    Unix(PathBuf),
}

/// Why there is no way to the server.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The address is none of the three forms.
    #[error(
        "-server '{0}' is no address: give https://HOST:PORT, or http://127.0.0.1:PORT or unix:PATH on the same machine"
    )]
    Address(String),
    /// Plain HTTP to another machine.
    #[error(
        "-server '{0}': without TLS only a server on this machine is spoken to, a token would be readable on the way"
    )]
    PlainText(String),
    /// The certificates cannot be read.
    #[error("the certificates {} cannot be read", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file holds no certificate of an authority.
    #[error("{} holds no readable certificate (PEM)", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// No certificates of public authorities on this machine.
    #[error(
        "no certificates of public authorities found on this machine: name the server's authority by -ca-file"
    )]
    NoCertificates,
    /// The TLS settings do not work.
    #[error("TLS cannot be set up with these certificates")]
    Tls(#[source] tonic::transport::Error),
    /// The address is not usable after all.
    #[error("the server's address is not usable")]
    Endpoint(#[source] tonic::transport::Error),
}

impl FromStr for Server {
    type Err = ChannelError;

    fn from_str(text: &str) -> Result<Self, ChannelError> {
        let bad = || ChannelError::Address(text.to_owned());
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() { Err(bad()) } else { Ok(Self::Unix(path.into())) };
        }
        let uri: http::Uri = text.parse().map_err(|_| bad())?;
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(bad)?;
        match uri.scheme_str() {
            Some("https") => Ok(Self::Tls(uri)),
            Some("http") if is_here(host) => Ok(Self::Plain(uri)),
            Some("http") => Err(ChannelError::PlainText(text.to_owned())),
            _ => Err(bad()),
        }
    }
}

/// The way to that server.
///
/// # Errors
/// [`ChannelError`].
pub fn channel(server: &Server, ca_file: Option<&Path>) -> Result<Transport, ChannelError> {
    let endpoint = match server {
        Server::Tls(uri) => {
            let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authorities(ca_file)?));
            Endpoint::from(uri.clone()).tls_config(tls).map_err(ChannelError::Tls)?
        }
        Server::Plain(uri) => Endpoint::from(uri.clone()),
        Server::Unix(path) => {
            Endpoint::from_shared(format!("unix:{}", path.display())).map_err(ChannelError::Endpoint)?
        }
    };
    let endpoint = endpoint
        .connect_timeout(CONNECT_WITHIN)
        .http2_keep_alive_interval(PING_EVERY)
        .keep_alive_while_idle(true)
        .tcp_keepalive(Some(PING_EVERY));
    Ok(BoxCloneSyncService::new(endpoint.connect_lazy().map_err(|error| NoAnswer(error.into()))))
}

fn authorities(ca_file: Option<&Path>) -> Result<Vec<u8>, ChannelError> {
    if let Some(path) = ca_file {
        let pem = std::fs::read(path)
            .map_err(|source| ChannelError::Certificates { path: path.to_owned(), source })?;
        // tonic passes over what it cannot read, and every connection would fail later
        let certificates = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok);
        let (readable, _) = RootCertStore::empty().add_parsable_certificates(certificates);
        return if readable > 0 {
            Ok(pem)
        } else {
            Err(ChannelError::NoCertificate { path: path.to_owned() })
        };
    }
    for path in SYSTEM_CERTIFICATES {
        match std::fs::read(path) {
            Ok(pem) => return Ok(pem),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(ChannelError::Certificates { path: path.into(), source }),
        }
    }
    Err(ChannelError::NoCertificates)
}

fn is_here(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_forms_are_addresses() {
        let parse = |text: &str| text.parse::<Server>();
        assert!(matches!(parse("https://monitoring.example.org:9443"), Ok(Server::Tls(_))));
        for plain in ["http://127.0.0.1:8080", "http://localhost:1", "http://[::1]:8080"] {
            assert!(matches!(parse(plain), Ok(Server::Plain(_))), "{plain}");
        }
        for unix in ["unix:/run/x.sock", "unix:///run/x.sock"] {
            assert_eq!(parse(unix).unwrap(), Server::Unix("/run/x.sock".into()));
        }
        for bad in ["", "monitoring:9443", "ftp://x", "unix:", "https://", "/run/x.sock"] {
            assert!(matches!(parse(bad), Err(ChannelError::Address(_))), "{bad}");
        }
    }

    #[test]
    fn a_token_is_never_sent_in_clear_to_another_machine() {
        for text in
            ["http://monitoring.example.org:8080", "http://10.0.0.1:80", "http://127.0.0.1.example.org"]
        {
            assert!(matches!(text.parse::<Server>(), Err(ChannelError::PlainText(_))), "{text}");
        }
    }

    #[tokio::test]
    async fn certificates_that_are_none_are_refused_at_once() {
        let server: Server = "https://localhost:1".parse().unwrap();
        let missing = channel(&server, Some(Path::new("/nonexistent/ca.pem"))).unwrap_err();
        assert!(matches!(missing, ChannelError::Certificates { .. }));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
            .unwrap();
        assert!(matches!(channel(&server, Some(file.path())), Err(ChannelError::NoCertificate { .. })));
    }
}
