//! `-init-tls`: makes what is missing in the directory and what has run out, and leaves the rest alone.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cc_proto::access::Peer;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use super::{
    DIRECTORY_MODE, Error, KEY_MODE, Layout, PUBLIC_MODE, keys, provider, read, read_if_there, read_key, uri,
};
use crate::clock::Clock;
use crate::files;

const CA_DAYS: i64 = 3_650;
const CERTIFICATE_DAYS: i64 = 365;
/// A certificate that ends within this time is made anew.
const RENEW_DAYS: i64 = 30;

/// What [`init_tls`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Made {
    /// Files written now.
    pub written: Vec<PathBuf>,
    /// Files that were there and good.
    pub kept: Vec<PathBuf>,
}

/// Makes the authority, one certificate and one signing key pair per service in `directory`.
///
/// Valid files stay as they are, certificates within 30 days of their end (or of another authority, or not of
/// their key) are made anew. Running processes notice the new files by themselves.
///
/// # Errors
/// When a file cannot be read or written, or holds something else: such a file is never overwritten.
pub fn init_tls(directory: &Path, peers: &[Peer], clock: &Clock) -> Result<Made, Error> {
    let layout = Layout::new(directory);
    files::create_directory_with_mode(directory, DIRECTORY_MODE)
        .map_err(|source| Error::Write { path: directory.to_owned(), source })?;
    // the directory may have been there, or the umask may have been odd
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(DIRECTORY_MODE))
        .map_err(|source| Error::Mode { path: directory.to_owned(), source })?;

    let mut made = Made::default();
    let authority = Authority::ensure(&layout, clock.now(), &mut made)?;
    for peer in peers {
        authority.ensure_certificate(&layout, *peer, clock.now(), &mut made)?;
        ensure_signing_key(&layout, *peer, &mut made)?;
    }
    Ok(made)
}

struct Authority {
    key: KeyPair,
    certificate: CertificateDer<'static>,
}

impl Authority {
    fn ensure(layout: &Layout, now: Timestamp, made: &mut Made) -> Result<Self, Error> {
        let (key_path, certificate_path) = (layout.ca_key(), layout.ca_certificate());
        let key = match read_if_there(&key_path)? {
            Some(_) => {
                let key = parse_key(&key_path)?;
                made.kept.push(key_path.clone());
                key
            }
            None if read_if_there(&certificate_path)?.is_some() => {
                // on a machine that received only the public half nothing can be signed
                return Err(Error::Read { path: key_path, source: std::io::ErrorKind::NotFound.into() });
            }
            None => {
                let key = generate_key("the key of the authority")?;
                write(&key_path, &key.serialize_pem(), KEY_MODE, made)?;
                key
            }
        };
        if read_if_there(&certificate_path)?.is_some() {
            let certificate = parse_certificate(&certificate_path)?;
            if ends_after(&certificate, &certificate_path, plus_days(now, RENEW_DAYS))? {
                made.kept.push(certificate_path);
                return Ok(Self { key, certificate });
            }
        }
        let mut parameters = authority_parameters();
        limit(&mut parameters, now, CA_DAYS);
        let certificate = parameters
            .self_signed(&key)
            .map_err(|source| Error::Generate { what: "the authority's certificate".to_owned(), source })?;
        write(&certificate_path, &certificate.pem(), PUBLIC_MODE, made)?;
        Ok(Self { key, certificate: certificate.der().clone() })
    }

    fn ensure_certificate(
        &self,
        layout: &Layout,
        peer: Peer,
        now: Timestamp,
        made: &mut Made,
    ) -> Result<(), Error> {
        let (key_path, certificate_path) = (layout.key(peer), layout.certificate(peer));
        let key = if read_if_there(&key_path)?.is_some() {
            let key = parse_key(&key_path)?;
            made.kept.push(key_path);
            key
        } else {
            let key = generate_key(&format!("the key of {}", peer.name()))?;
            write(&key_path, &key.serialize_pem(), KEY_MODE, made)?;
            key
        };
        if read_if_there(&certificate_path)?.is_some() {
            let certificate = parse_certificate(&certificate_path)?;
            if self.vouches_for(&certificate, peer, plus_days(now, RENEW_DAYS)) && belongs(&certificate, &key)
            {
                made.kept.push(certificate_path);
                return Ok(());
            }
        }
        let failed = |source| Error::Generate { what: format!("the certificate of {}", peer.name()), source };
        let mut parameters = CertificateParams::new(vec![peer.name().to_owned()]).map_err(failed)?;
        parameters.subject_alt_names.push(SanType::URI(uri(peer).try_into().map_err(failed)?));
        parameters.distinguished_name.push(DnType::CommonName, peer.name());
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        parameters.use_authority_key_identifier_extension = true;
        limit(&mut parameters, now, CERTIFICATE_DAYS);
        let issuer = Issuer::new(authority_parameters(), &self.key);
        let certificate = parameters.signed_by(&key, &issuer).map_err(failed)?;
        write(&certificate_path, &certificate.pem(), PUBLIC_MODE, made)
    }

    /// Whether a client would accept the certificate for this service at that moment.
    fn vouches_for(&self, certificate: &CertificateDer<'_>, peer: Peer, at: Timestamp) -> bool {
        let mut roots = rustls::RootCertStore::empty();
        if roots.add(self.certificate.clone()).is_err() {
            return false;
        }
        let Ok(verifier) =
            rustls::client::WebPkiServerVerifier::builder_with_provider(roots.into(), provider()).build()
        else {
            return false;
        };
        let Ok(name) = ServerName::try_from(peer.name()) else { return false };
        let at =
            UnixTime::since_unix_epoch(Duration::from_secs(at.as_second().try_into().unwrap_or_default()));
        super::peer_of(certificate) == Some(peer)
            && verifier.verify_server_cert(certificate, &[], &name, &[], at).is_ok()
    }
}

fn authority_parameters() -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, "ClusterCockpit internal authority");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters
}

fn ensure_signing_key(layout: &Layout, peer: Peer, made: &mut Made) -> Result<(), Error> {
    let (private_path, public_path) = (layout.signing_key(peer), layout.verifying_key(peer));
    if read_if_there(&private_path)?.is_none() {
        let (private, public) = keys::generate().map_err(|detail| Error::Content {
            path: private_path.clone(),
            expected: "an Ed25519 private key",
            detail,
        })?;
        write(&private_path, &private, KEY_MODE, made)?;
        return write(&public_path, &public, PUBLIC_MODE, made);
    }
    let key = keys::signing_key(layout, peer)?;
    made.kept.push(private_path);
    // the public half follows from the private one, so a missing or foreign one is simply written again
    let public = keys::public_pem(&key).map_err(|detail| Error::Content {
        path: public_path.clone(),
        expected: "an Ed25519 public key",
        detail,
    })?;
    if read_if_there(&public_path)?.as_deref() == Some(public.as_str()) {
        made.kept.push(public_path);
        return Ok(());
    }
    write(&public_path, &public, PUBLIC_MODE, made)
}

fn generate_key(what: &str) -> Result<KeyPair, Error> {
    KeyPair::generate().map_err(|source| Error::Generate { what: what.to_owned(), source })
}

fn parse_key(path: &Path) -> Result<KeyPair, Error> {
    KeyPair::from_pem(&read_key(path)?).map_err(|error| Error::Content {
        path: path.to_owned(),
        expected: "a private key",
        detail: error.to_string(),
    })
}

fn parse_certificate(path: &Path) -> Result<CertificateDer<'static>, Error> {
    CertificateDer::from_pem_slice(read(path)?.as_bytes()).map_err(|error| Error::Content {
        path: path.to_owned(),
        expected: "a certificate",
        detail: error.to_string(),
    })
}

fn ends_after(certificate: &CertificateDer<'_>, path: &Path, at: Timestamp) -> Result<bool, Error> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|error| Error::Content {
        path: path.to_owned(),
        expected: "a certificate",
        detail: error.to_string(),
    })?;
    Ok(parsed.validity().not_after.timestamp() > at.as_second())
}

fn belongs(certificate: &CertificateDer<'static>, key: &KeyPair) -> bool {
    let Ok(key) = PrivateKeyDer::try_from(key.serialize_der()) else { return false };
    rustls::sign::CertifiedKey::from_der(vec![certificate.clone()], key, &provider())
        .is_ok_and(|pair| pair.keys_match().is_ok())
}

fn plus_days(at: Timestamp, days: i64) -> Timestamp {
    at.saturating_add(SignedDuration::from_hours(days * 24)).unwrap_or(at)
}

/// Validity from the day before (clocks of two machines may differ) for that many days, in whole days.
fn limit(parameters: &mut CertificateParams, now: Timestamp, days: i64) {
    let midnight = |at: Timestamp| {
        let date = at.to_zoned(TimeZone::UTC).date();
        rcgen::date_time_ymd(
            i32::from(date.year()),
            u8::try_from(date.month()).unwrap_or(1),
            u8::try_from(date.day()).unwrap_or(1),
        )
    };
    parameters.not_before = midnight(plus_days(now, -1));
    parameters.not_after = midnight(plus_days(now, days));
}

fn write(path: &Path, text: &str, permissions: u32, made: &mut Made) -> Result<(), Error> {
    files::write_atomic_with_mode(path, text, permissions)
        .map_err(|source| Error::Write { path: path.to_owned(), source })?;
    made.written.push(path.to_owned());
    Ok(())
}
