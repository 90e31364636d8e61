//! Taking a token apart. Total: any text gives parts or an error, in the order in which the reference looks.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};

use super::{BYTES_MAX, TokenError};

/// URL-safe, no padding; surplus bits of the last letter are ignored, as the reference does.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// The three segments and the text that is signed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts<'a> {
    pub(super) header: &'a str,
    pub(super) payload: &'a str,
    pub(super) signature: &'a str,
    pub(super) signed: &'a str,
}

/// What the header asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// Ed25519: the only one in use.
    EdDsa,
    /// One that exists and is not used here, `none` among them.
    Other,
}

/// Names that the reference knows and refuses by another text than unknown ones.
const OTHER_ALGORITHMS: [&str; 13] = [
    "none", "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256",
    "ES384", "ES512",
];

pub(super) fn split(token: &str) -> Result<Parts<'_>, TokenError> {
    if token.len() > BYTES_MAX {
        return Err(malformed("token is longer than 16 KiB"));
    }
    let wrong_number = || malformed("token contains an invalid number of segments");
    let (signed, signature) = token.rsplit_once('.').ok_or_else(wrong_number)?;
    let (header, payload) = signed.split_once('.').ok_or_else(wrong_number)?;
    if payload.contains('.') {
        return Err(wrong_number());
    }
    Ok(Parts { header, payload, signature, signed })
}

pub(super) fn header(segment: &str) -> Result<Map<String, Value>, TokenError> {
    object(&decode(segment, "could not base64 decode header")?, "could not JSON decode header")
}

pub(super) fn payload(segment: &str) -> Result<Map<String, Value>, TokenError> {
    object(&decode(segment, "could not base64 decode claim")?, "could not JSON decode claim")
}

pub(super) fn signature(segment: &str) -> Result<Vec<u8>, TokenError> {
    decode(segment, "could not base64 decode signature")
}

pub(super) fn algorithm(header: &Map<String, Value>) -> Result<Algorithm, TokenError> {
    match header.get("alg").and_then(Value::as_str) {
        Some("EdDSA") => Ok(Algorithm::EdDsa),
        Some(name) if OTHER_ALGORITHMS.contains(&name) => Ok(Algorithm::Other),
        Some(_) => Err(TokenError::Unverifiable("signing method (alg) is unavailable")),
        None => Err(TokenError::Unverifiable("signing method (alg) is unspecified")),
    }
}

pub(super) fn encode(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

fn malformed(text: impl Into<String>) -> TokenError {
    TokenError::Malformed(text.into())
}

fn decode(segment: &str, failure: &str) -> Result<Vec<u8>, TokenError> {
    let illegal = |at: usize| malformed(format!("{failure}: illegal base64 data at input byte {at}"));
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if let Some(at) = segment.bytes().position(|byte| !letter(byte)) {
        return Err(illegal(at));
    }
    // a single letter in the last group of four carries no byte
    if segment.len() % 4 == 1 {
        return Err(illegal(segment.len() - 1));
    }
    BASE64.decode(segment).map_err(|_| illegal(segment.len()))
}

fn object(json: &[u8], failure: &str) -> Result<Map<String, Value>, TokenError> {
    match serde_json::from_slice(json) {
        Ok(Value::Object(object)) => Ok(object),
        // the reference decodes into a map, which `null` leaves empty
        Ok(Value::Null) => Ok(Map::new()),
        Ok(_) => Err(malformed(format!("{failure}: not a JSON object"))),
        Err(error) => Err(malformed(format!("{failure}: {error}"))),
    }
}
