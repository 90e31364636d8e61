//! Reading and making the Ed25519 keys that sign caller tokens.

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{
    DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _,
};
use ed25519_dalek::{SigningKey, VerifyingKey};

use cc_proto::access::Peer;

use super::{Error, Layout, read, read_key};

/// The two PEM texts of a new key pair: private, public.
pub(super) fn generate() -> Result<(String, String), String> {
    let key = SigningKey::from_bytes(&rand::random());
    let private = key.to_pkcs8_pem(LineEnding::LF).map_err(|error| error.to_string())?;
    let public = key.verifying_key().to_public_key_pem(LineEnding::LF).map_err(|error| error.to_string())?;
    Ok((private.as_str().to_owned(), public))
}

/// The signing key of a service.
pub(super) fn signing_key(layout: &Layout, peer: Peer) -> Result<SigningKey, Error> {
    let path = layout.signing_key(peer);
    SigningKey::from_pkcs8_pem(&read_key(&path)?).map_err(|error| Error::Content {
        path,
        expected: "an Ed25519 private key",
        detail: error.to_string(),
    })
}

/// The public key of a service.
pub(super) fn verifying_key(layout: &Layout, peer: Peer) -> Result<VerifyingKey, Error> {
    let path = layout.verifying_key(peer);
    VerifyingKey::from_public_key_pem(&read(&path)?).map_err(|error| Error::Content {
        path,
        expected: "an Ed25519 public key",
        detail: error.to_string(),
    })
}

/// The public half of a private key, as PEM.
pub(super) fn public_pem(key: &SigningKey) -> Result<String, String> {
    key.verifying_key().to_public_key_pem(LineEnding::LF).map_err(|error| error.to_string())
}
