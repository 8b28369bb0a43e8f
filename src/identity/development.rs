//! The development identity: a server accepts tokens that are signed with its own key pair.
//!
//! With it, `outflow serve` and `outflow token mint` work without configuration. With the key anyone can mint tokens of an
//! administrator for the server that trusts it; such a server listens on the loopback interface only.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::model::{ClaimPath, IssuerSettings, Role};
use crate::private_file;

use super::claims;
use super::error::AuthnError;
use super::jwt::{Issuer, IssuersError, Verifier};
use super::key_set_error::KeySetError;
use super::key_source::KeySource;
use super::keyset::KeySet;
use super::times::MAX_LIFETIME_SECONDS;

/// The issuer of development tokens.
pub const DEVELOPMENT_ISSUER: &str = "outflow-development";

/// The audience of development tokens.
pub const DEVELOPMENT_AUDIENCE: &str = "outflow";

/// The name of the key file in the data directory.
const FILE_NAME: &str = "development-identity.key";

/// Why a development identity or a token cannot be created. It never contains a byte of the key.
#[derive(Debug, thiserror::Error)]
pub enum DevelopmentError {
    /// The key file cannot be read or written.
    #[error("cannot read or write development key {}: {cause}", path.display())]
    Io {
        /// Its path.
        path: PathBuf,
        /// The error of the operating system.
        cause: io::Error,
    },
    /// The key file is not an Ed25519 key.
    #[error("development key {} is not an Ed25519 key in PKCS#8 PEM; remove it and restart to generate a new one", .0.display())]
    Malformed(PathBuf),
    /// The key cannot be generated.
    #[error("cannot generate the development key")]
    Generation,
    /// The server would refuse the token.
    #[error("cannot mint the token: the server would refuse it: {}", .0.reason())]
    Refused(AuthnError),
    /// The token cannot be signed.
    #[error("cannot sign the token")]
    Signing,
    /// The public key is not a valid key set.
    #[error(transparent)]
    KeySet(#[from] KeySetError),
    /// The verifier cannot be created.
    #[error(transparent)]
    Issuers(#[from] IssuersError),
}

/// The claims of a development token.
#[derive(Clone, Debug)]
pub struct TokenClaims {
    /// The id of the organization.
    pub organization: String,
    /// The subject. It is the whole principal, because the prefix of the development issuer is empty.
    pub subject: String,
    /// The roles.
    pub roles: Vec<Role>,
    /// The groups.
    pub groups: Vec<String>,
    /// The lifetime, from 1 s to 24 h.
    pub ttl: TimeDelta,
}

/// The key pair of a development server. It has no `Debug`, and the key is wiped when it is dropped.
pub struct DevelopmentIdentity {
    key: EncodingKey,
    public: Jwk,
}

impl DevelopmentIdentity {
    /// Reads the key pair in the data directory. Generates it (mode 0600) if it is missing.
    ///
    /// Of several concurrent processes one generates it, and all read the same.
    pub fn open(data_directory: &Path) -> Result<Self, DevelopmentError> {
        let path = data_directory.join(FILE_NAME);
        let failed = |cause| DevelopmentError::Io { path: path.clone(), cause };
        if !path.exists() {
            private_file::make_directory(data_directory).map_err(failed)?;
            private_file::write_new(&path, generate_pem()?.as_bytes()).map_err(failed)?;
        }
        let pem = Zeroizing::new(fs::read(&path).map_err(failed)?);
        let key = EncodingKey::from_ed_pem(&pem).map_err(|_| DevelopmentError::Malformed(path.clone()))?;
        let public = Jwk::from_encoding_key(&key, Algorithm::EdDSA);
        let public = public.map_err(|_| DevelopmentError::Malformed(path.clone()))?;
        Ok(Self { key, public })
    }

    /// Signs a token that is valid from `now` for its `ttl`.
    ///
    /// Fails with [`DevelopmentError::Refused`] if [`Self::verifier`] would refuse it: too long a `ttl`, an invalid
    /// organization, an empty subject.
    pub fn mint(&self, token: &TokenClaims, now: DateTime<Utc>) -> Result<String, DevelopmentError> {
        let issued = now.timestamp();
        let ttl = token.ttl.num_seconds();
        if !(1..=MAX_LIFETIME_SECONDS).contains(&ttl) {
            return Err(DevelopmentError::Refused(AuthnError::Lifetime));
        }
        let roles: Vec<&str> = token.roles.iter().map(|role| role.as_str()).collect();
        let claims = Map::from_iter([
            ("iss".to_owned(), json!(DEVELOPMENT_ISSUER)),
            ("aud".to_owned(), json!(DEVELOPMENT_AUDIENCE)),
            ("sub".to_owned(), json!(token.subject)),
            ("iat".to_owned(), json!(issued)),
            ("exp".to_owned(), json!(issued + ttl)),
            ("organization".to_owned(), json!(token.organization)),
            ("roles".to_owned(), json!(roles)),
            ("groups".to_owned(), json!(token.groups)),
        ]);
        claims::caller(&settings(), &claims, now).map_err(|fault| DevelopmentError::Refused(fault.reason))?;
        let header = Header::new(Algorithm::EdDSA);
        encode(&header, &Value::Object(claims), &self.key).map_err(|_| DevelopmentError::Signing)
    }

    /// Creates a verifier that accepts only the tokens of this key pair.
    pub async fn verifier(&self) -> Result<Verifier, DevelopmentError> {
        let set = json!(JwkSet { keys: vec![self.public.clone()] }).to_string();
        let keys = KeySet::load(KeySource::Fixed(set), Duration::MAX).await?;
        Ok(Verifier::new(vec![Issuer { settings: settings(), keys }])?)
    }
}

fn settings() -> IssuerSettings {
    IssuerSettings {
        issuer: DEVELOPMENT_ISSUER.to_owned(),
        audience_claim: ClaimPath::named("aud"),
        audiences: vec![DEVELOPMENT_AUDIENCE.to_owned()],
        required_claims: Vec::new(),
        principal_prefix: String::new(),
        principal_claim: ClaimPath::named("sub"),
        organization_claim: ClaimPath::named("organization"),
        organization_values: None,
        roles_claim: ClaimPath::named("roles"),
        role_values: None,
        groups_claim: Some(ClaimPath::named("groups")),
    }
}

/// Generates an Ed25519 key. Returns it as PEM of PKCS#8 version 1 (RFC 8410, section 7).
fn generate_pem() -> Result<Zeroizing<String>, DevelopmentError> {
    let key = Ed25519KeyPair::generate().and_then(|key| key.to_pkcs8v1());
    let body = Zeroizing::new(STANDARD.encode(key.map_err(|_| DevelopmentError::Generation)?));
    Ok(Zeroizing::new(format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", body.as_str())))
}
