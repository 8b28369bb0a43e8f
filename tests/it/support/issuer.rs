//! An issuer of tokens, for servers that verify tokens against a key set.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{Ed25519KeyPair, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

/// An issuer of tokens with one signing key.
pub struct Issuer {
    key: EncodingKey,
    algorithm: Algorithm,
    public: Jwk,
}

impl Issuer {
    /// Generates the signing key.
    pub fn generate() -> Self {
        let pair = Ed25519KeyPair::generate().expect("a key pair");
        let pkcs8 = pair.to_pkcs8v1().expect("a PKCS #8 document");
        let key = EncodingKey::from_ed_der(pkcs8.as_ref());
        Self::with_key(key, Algorithm::EdDSA)
    }

    /// Generates an RSA key for RS256, as most providers have.
    pub fn generate_rsa() -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key pair");
        let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).expect("a PKCS #8 document");
        let body = STANDARD.encode(pkcs8.as_ref());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
        Self::with_key(EncodingKey::from_rsa_pem(pem.as_bytes()).expect("a key"), Algorithm::RS256)
    }

    fn with_key(key: EncodingKey, algorithm: Algorithm) -> Self {
        let public = Jwk::from_encoding_key(&key, algorithm).expect("a public key");
        Self { key, algorithm, public }
    }

    /// Signs claims. The header has this type, or none.
    pub fn sign(&self, token_type: Option<&str>, claims: &Value) -> String {
        let header = Header { typ: token_type.map(ToOwned::to_owned), ..Header::new(self.algorithm) };
        jsonwebtoken::encode(&header, claims, &self.key).expect("a token")
    }

    /// The key set with the public key, as JSON.
    pub fn key_set(&self) -> String {
        json!(JwkSet { keys: vec![self.public.clone()] }).to_string()
    }

    /// Issues a valid token for `now`, in seconds since 1970, with some claims changed.
    pub fn token(&self, changes: &[(&str, Value)], now: i64) -> String {
        self.token_with(&Header::new(Algorithm::EdDSA), changes, now)
    }

    /// Issues a token whose header names a key that no key set contains.
    pub fn token_with_unknown_key(&self, now: i64) -> String {
        self.token_with(&Header { kid: Some("unknown".to_owned()), ..Header::new(Algorithm::EdDSA) }, &[], now)
    }

    fn token_with(&self, header: &Header, changes: &[(&str, Value)], now: i64) -> String {
        let mut claims = json!({
            "iss": "https://issuer.example", "aud": "outflow", "sub": "ann", "iat": now, "exp": now + 600,
            "org": {"id": "acme"}, "groups": ["marketing"], "outflow_roles": ["reader"],
        });
        for (claim, value) in changes {
            claims[*claim] = value.clone();
        }
        jsonwebtoken::encode(header, &claims, &self.key).expect("a token")
    }
}

/// Settings of a server that accepts the tokens of an issuer. `location` is `jwt_jwks_file` or `jwt_jwks_url`.
pub fn issuer_settings(location: &'static str, key_set: &str) -> Vec<(&'static str, String)> {
    let settings = [
        ("identity_mode", "jwt"),
        ("jwt_issuer", "https://issuer.example"),
        ("jwt_audience", "outflow"),
        (location, key_set),
        ("jwt_principal_prefix", "corp:"),
        ("jwt_organization_claim", "org.id"),
        ("jwt_roles_claim", "outflow_roles"),
        ("jwt_role_values", "reader=viewer, owner=admin"),
        ("jwt_groups_claim", "groups"),
    ];
    settings.map(|(key, value)| (key, value.to_owned())).to_vec()
}
