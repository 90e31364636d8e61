//! Fresh keys for a new site (`-init`, config-and-cli.md 6.5).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::SigningKey;

/// Text of a `.env` with a key pair for tokens and a session key, made now and known to nobody else.
pub fn fresh_keys() -> String {
    let signing = SigningKey::from_bytes(&rand::random());
    let session: [u8; 32] = rand::random();
    format!(
        "# Keys of this site. Whoever reads them can sign tokens as anybody: keep this file to the service's user.\n\
         # Ed25519 pair of the API tokens (base64 of raw keys)\n\
         JWT_PUBLIC_KEY=\"{}\"\n\
         JWT_PRIVATE_KEY=\"{}\"\n\
         # Kept for going back to the reference, which signs its cookies with it\n\
         SESSION_KEY=\"{}\"\n",
        STANDARD.encode(signing.verifying_key().to_bytes()),
        STANDARD.encode(signing.to_keypair_bytes()),
        STANDARD.encode(session),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_sites_never_share_a_key_and_the_pair_belongs_together() {
        let (one, two) = (fresh_keys(), fresh_keys());
        let value = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            STANDARD.decode(line.split('"').nth(1).unwrap()).unwrap()
        };
        for name in ["JWT_PUBLIC_KEY", "JWT_PRIVATE_KEY", "SESSION_KEY"] {
            assert_ne!(value(&one, name), value(&two, name));
        }
        assert_eq!(value(&one, "JWT_PRIVATE_KEY")[32..], value(&one, "JWT_PUBLIC_KEY"));
    }
}
