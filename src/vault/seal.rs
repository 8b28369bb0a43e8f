//! Seals and opens values, each bound to what it belongs to.

use serde_json::{Map, Value};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::credential::{CredentialSecret, MAX_CREDENTIAL_BYTES};
use super::error::VaultError;
use super::key_ring::KeyRing;
use super::{binding, encoding, envelope};
use crate::model::SealedSecret;

/// The kinds of context, told apart in what is bound.
const CREDENTIAL: &[u8] = b"credential";
const PURPOSE: &[u8] = b"purpose";

/// What a canary says; public, for its worth is that it opens.
const CANARY: &[u8] = b"outflow canary";

/// What a credential belongs to; it opens for nothing else.
#[derive(Clone, Copy, Debug)]
pub struct SealContext<'a> {
    /// The organization's id.
    pub organization: &'a str,
    /// The connection's uid.
    pub connection_uid: Uuid,
    /// The credential's revision.
    pub revision: u64,
}

/// Seals and opens with the keys of one ring. It has no `Debug`.
pub struct Vault {
    ring: KeyRing,
}

impl Vault {
    /// A vault over the ring.
    pub fn new(ring: KeyRing) -> Self {
        Self { ring }
    }

    /// The ring's key ids, and which is primary.
    pub fn ring(&self) -> &KeyRing {
        &self.ring
    }

    /// Seals a credential for its connection, bound to the properties that `binding_paths` (`properties.host`) name.
    ///
    /// Fails with [`VaultError::BindingPath`], with [`VaultError::TooLarge`] past [`MAX_CREDENTIAL_BYTES`], and with
    /// [`VaultError::Random`].
    pub fn seal(
        &self,
        context: &SealContext<'_>,
        binding_paths: &[String],
        properties: &Map<String, Value>,
        credential: &CredentialSecret,
    ) -> Result<SealedSecret, VaultError> {
        let paths = binding::canonical_paths(binding_paths)?;
        let context = credential_context(context, &paths, properties)?;
        envelope::seal(&self.ring, self.ring.primary(), &context, &paths, credential.encode()?)
    }

    /// Opens a credential for the connection that it was sealed for.
    ///
    /// The paths digested are those that the envelope lists, so that a catalog which binds one more field since does
    /// not shut old credentials. Fails with [`VaultError::UnknownKey`], [`VaultError::Malformed`], and
    /// [`VaultError::Refused`] if anything that is bound differs.
    pub fn open(
        &self,
        context: &SealContext<'_>,
        properties: &Map<String, Value>,
        envelope: &[u8],
    ) -> Result<CredentialSecret, VaultError> {
        let header = envelope::Header::parse(envelope)?;
        let context = credential_context(context, &header.paths, properties)?;
        CredentialSecret::decode(&envelope::open(&self.ring, &header, &context)?)
    }

    /// Seals other bytes of ours, bound to their purpose.
    ///
    /// Fails with [`VaultError::TooLarge`] past [`MAX_CREDENTIAL_BYTES`], and with [`VaultError::Random`].
    pub fn seal_purpose(&self, purpose: &str, content: &[u8]) -> Result<SealedSecret, VaultError> {
        self.seal_purpose_with(self.ring.primary(), purpose, content)
    }

    /// Opens what [`Self::seal_purpose`] sealed for the same purpose; fails as [`Self::open`] does.
    pub fn open_purpose(&self, purpose: &str, envelope: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let header = envelope::Header::parse(envelope)?;
        envelope::open(&self.ring, &header, &purpose_context(purpose)?)
    }

    /// The canary of one key, to be stored when the key is first seen. [`VaultError::UnknownKey`] if the ring lacks it.
    pub fn make_canary(&self, key_id: &str) -> Result<SealedSecret, VaultError> {
        self.seal_purpose_with(key_id, &canary_purpose(key_id), CANARY)
    }

    /// Opens a stored canary at start, before anything else is opened.
    ///
    /// Fails with [`VaultError::UnknownKey`] if the ring lacks the key, [`VaultError::WrongKey`] if the key of that id
    /// is another than the one that made the canary.
    pub fn verify_canary(&self, key_id: &str, envelope: &[u8]) -> Result<(), VaultError> {
        if self.ring.get(key_id).is_none() {
            return Err(VaultError::UnknownKey(key_id.to_owned()));
        }
        let same_key = envelope::Header::parse(envelope).is_ok_and(|header| header.key_id == key_id);
        let opened = self.open_purpose(&canary_purpose(key_id), envelope);
        if same_key && opened.is_ok_and(|content| content.as_slice() == CANARY) {
            return Ok(());
        }
        Err(VaultError::WrongKey { key_id: key_id.to_owned() })
    }

    fn seal_purpose_with(&self, key_id: &str, purpose: &str, content: &[u8]) -> Result<SealedSecret, VaultError> {
        if content.len() > MAX_CREDENTIAL_BYTES {
            return Err(VaultError::TooLarge);
        }
        let mut plaintext = encoding::plaintext_buffer(content.len());
        plaintext.extend_from_slice(content);
        envelope::seal(&self.ring, key_id, &purpose_context(purpose)?, &[], plaintext)
    }
}

fn canary_purpose(key_id: &str) -> String {
    format!("canary:{key_id}")
}

fn purpose_context(purpose: &str) -> Result<Vec<u8>, VaultError> {
    let mut context = Vec::new();
    encoding::put_bytes(&mut context, PURPOSE)?;
    encoding::put_bytes(&mut context, purpose.as_bytes())?;
    Ok(context)
}

fn credential_context(
    context: &SealContext<'_>,
    paths: &[&str],
    properties: &Map<String, Value>,
) -> Result<Vec<u8>, VaultError> {
    let mut bound = Vec::new();
    encoding::put_bytes(&mut bound, CREDENTIAL)?;
    encoding::put_bytes(&mut bound, context.organization.as_bytes())?;
    encoding::put_bytes(&mut bound, context.connection_uid.as_bytes())?;
    encoding::put_bytes(&mut bound, &context.revision.to_be_bytes())?;
    encoding::put_bytes(&mut bound, &binding::digest(paths, properties)?)?;
    Ok(bound)
}
