//! Signatures of RSA user keys.
//!
//! They are made with aws-lc-rs, whose private key operations take constant time; those of the crate `rsa`, which the SSH
//! client would use, do not (RUSTSEC-2023-0071).

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RSA_PKCS1_SHA512};
use russh::SendError;
use russh::keys::agent::AgentIdentity;
use russh::keys::pkcs8::encode_pkcs8;
use russh::keys::{HashAlg, PrivateKey};
use zeroize::Zeroizing;

/// Signs with an RSA key.
pub struct RsaSigner(KeyPair);

/// Why there is no signature.
#[derive(Debug)]
pub enum SignError {
    /// The connection ended.
    Send,
    /// The key cannot sign.
    Sign,
}

impl From<SendError> for SignError {
    fn from(_: SendError) -> Self {
        Self::Send
    }
}

impl RsaSigner {
    /// A signer for an RSA key. The error says what is wrong with it.
    pub fn new(key: &PrivateKey) -> Result<Self, &'static str> {
        let encoded = encode_pkcs8(key).map(Zeroizing::new).map_err(|_| "the RSA key is invalid")?;
        KeyPair::from_pkcs8(&encoded).map(Self).map_err(|_| "the RSA key is invalid or not of 2048 to 8192 bits")
    }

    fn sign(&self, hash: Option<HashAlg>, mut data: Vec<u8>) -> Result<Vec<u8>, SignError> {
        let (name, padding) = match hash {
            Some(HashAlg::Sha256) => ("rsa-sha2-256", &RSA_PKCS1_SHA256),
            Some(HashAlg::Sha512) => ("rsa-sha2-512", &RSA_PKCS1_SHA512),
            None | Some(_) => return Err(SignError::Sign),
        };
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0.sign(padding, &SystemRandom::new(), &data, &mut signature).map_err(|_| SignError::Sign)?;
        // RFC 8332, 3.2: a string that holds the name of the algorithm and the signature, both strings.
        let mut encoded = Vec::new();
        append_string(&mut encoded, name.as_bytes())?;
        append_string(&mut encoded, &signature)?;
        append_string(&mut data, &encoded)?;
        Ok(data)
    }
}

fn append_string(to: &mut Vec<u8>, bytes: &[u8]) -> Result<(), SignError> {
    let length = u32::try_from(bytes.len()).map_err(|_| SignError::Sign)?;
    to.extend_from_slice(&length.to_be_bytes());
    to.extend_from_slice(bytes);
    Ok(())
}

impl russh::Signer for RsaSigner {
    type Error = SignError;

    async fn auth_sign(
        &mut self,
        _: &AgentIdentity,
        hash: Option<HashAlg>,
        to_sign: Vec<u8>,
    ) -> Result<Vec<u8>, SignError> {
        self.sign(hash, to_sign)
    }
}
