//! Seals and opens values. Each is bound to its context.

use serde_json::{Map, Value};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::credential::{self, MAX_ENCODED_CREDENTIAL_BYTES};
use super::error::VaultError;
use super::key_ring::KeyRing;
use super::{binding, encoding, envelope};
use crate::model::{CredentialSecret, SealedSecret};

/// The types of context. The bound data starts with the type, so that contexts of different types differ.
const CREDENTIAL: &[u8] = b"credential";
const PURPOSE: &[u8] = b"purpose";

/// The content of a canary. It is public: a canary only proves that its key opens it.
const CANARY: &[u8] = b"outflow canary";

/// The context of a credential. It opens in no other context.
#[derive(Clone, Copy, Debug)]
pub struct SealContext<'a> {
    /// The id of the organization.
    pub organization: &'a str,
    /// The uid of the connection.
    pub connection_uid: Uuid,
    /// The revision of the credential.
    pub revision: u64,
}

/// Seals and opens values with the keys of a ring. It has no `Debug`.
pub struct Vault {
    ring: KeyRing,
}

impl Vault {
    /// Creates a vault with the keys of a ring.
    pub fn new(ring: KeyRing) -> Self {
        Self { ring }
    }

    /// Returns the key ring.
    pub fn ring(&self) -> &KeyRing {
        &self.ring
    }

    /// Seals a credential and binds it to its connection and to the properties that `binding_paths` (`properties.host`)
    /// name.
    ///
    /// Fails with [`VaultError::BindingPath`], [`VaultError::TooLarge`] above [`MAX_ENCODED_CREDENTIAL_BYTES`], and
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
        envelope::seal(&self.ring, self.ring.primary(), &context, &paths, credential::encode(credential)?)
    }

    /// Opens a credential for the connection that it was sealed for.
    ///
    /// The bound properties are those that the envelope lists, so that old credentials still open after the catalog adds a
    /// binding field. Fails with [`VaultError::UnknownKey`], [`VaultError::Malformed`], and [`VaultError::Refused`] if
    /// anything that is bound differs.
    pub fn open(
        &self,
        context: &SealContext<'_>,
        properties: &Map<String, Value>,
        envelope: &[u8],
    ) -> Result<CredentialSecret, VaultError> {
        let header = envelope::Header::parse(envelope)?;
        let context = credential_context(context, &header.paths, properties)?;
        credential::decode(&envelope::open(&self.ring, &header, &context)?)
    }

    /// Seals a credential with the primary key in place of the key that sealed it. Fails as [`Self::open`] does, except that
    /// a changed content is not noticed.
    pub fn rewrap(
        &self,
        context: &SealContext<'_>,
        properties: &Map<String, Value>,
        envelope: &[u8],
    ) -> Result<SealedSecret, VaultError> {
        let header = envelope::Header::parse(envelope)?;
        let context = credential_context(context, &header.paths, properties)?;
        envelope::rewrap(&self.ring, self.ring.primary(), &header, &context)
    }

    /// Seals internal data with the primary key in place of the key that sealed it. Fails as [`Self::rewrap`] does.
    pub fn rewrap_purpose(&self, purpose: &str, envelope: &[u8]) -> Result<SealedSecret, VaultError> {
        let header = envelope::Header::parse(envelope)?;
        envelope::rewrap(&self.ring, self.ring.primary(), &header, &purpose_context(purpose)?)
    }

    /// Seals internal data and binds it to its purpose.
    ///
    /// Fails with [`VaultError::TooLarge`] above [`MAX_ENCODED_CREDENTIAL_BYTES`], and with [`VaultError::Random`].
    pub fn seal_purpose(&self, purpose: &str, content: &[u8]) -> Result<SealedSecret, VaultError> {
        self.seal_purpose_with(self.ring.primary(), purpose, content)
    }

    /// Opens data that [`Self::seal_purpose`] sealed for the same purpose. Fails as [`Self::open`] does.
    pub fn open_purpose(&self, purpose: &str, envelope: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let header = envelope::Header::parse(envelope)?;
        envelope::open(&self.ring, &header, &purpose_context(purpose)?)
    }

    /// Seals a canary with a key, to be stored at the first start with that key. Fails with [`VaultError::UnknownKey`] if the
    /// ring does not have the key.
    pub fn make_canary(&self, key_id: &str) -> Result<SealedSecret, VaultError> {
        self.seal_purpose_with(key_id, &canary_purpose(key_id), CANARY)
    }

    /// Verifies at start, before anything else is opened, that a stored canary opens with its key.
    ///
    /// Fails with [`VaultError::UnknownKey`] if the ring does not have the key, and with [`VaultError::WrongKey`] if the key
    /// with that id did not seal the canary.
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
        if content.len() > MAX_ENCODED_CREDENTIAL_BYTES {
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
