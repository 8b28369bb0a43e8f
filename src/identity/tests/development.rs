//! The development identity: concurrent first starts share one key, and only its own server accepts its tokens.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Barrier;

use chrono::TimeDelta;
use tempfile::TempDir;

use super::*;

/// A data directory that does not exist yet, in a temporary one.
struct Directory(TempDir);

impl Directory {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("data")
    }

    fn key_file(&self) -> PathBuf {
        self.path().join("development-identity.key")
    }
}

fn ann() -> TokenClaims {
    TokenClaims {
        organization: "acme".to_owned(),
        subject: "ann".to_owned(),
        roles: vec![Role::Admin, Role::Runner],
        groups: vec!["marketing".to_owned()],
        ttl: TimeDelta::hours(1),
    }
}

#[tokio::test]
async fn a_minted_token_is_accepted() {
    let directory = Directory::new();
    let identity = DevelopmentIdentity::open(&directory.path()).ok().unwrap();
    let token = identity.mint(&ann(), at(0)).unwrap();
    let again = DevelopmentIdentity::open(&directory.path()).ok().unwrap();
    let verified = again.verifier().await.ok().unwrap().check(&token, at(0)).await.unwrap();
    assert_eq!(verified.principal, "ann");
    assert_eq!(verified.organization.as_str(), "acme");
    assert_eq!(verified.roles, [Role::Admin, Role::Runner]);
    assert_eq!(verified.groups, ["marketing"]);
    assert_eq!(verified.expire_time, at(3600));
    assert_eq!(fs::metadata(directory.key_file()).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "no temporary file is left");
}

#[test]
fn a_generated_key_file_is_pem_of_pkcs8_version_1() {
    let directory = Directory::new();
    DevelopmentIdentity::open(&directory.path()).ok().unwrap();
    let pem = fs::read_to_string(directory.key_file()).unwrap();
    let body = pem.strip_prefix("-----BEGIN PRIVATE KEY-----\n").unwrap();
    let der = STANDARD.decode(body.strip_suffix("\n-----END PRIVATE KEY-----\n").unwrap()).unwrap();
    // RFC 8410, section 7: everything before the 32 secret bytes is fixed.
    assert_eq!(der[..16], *b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20");
    assert_eq!(der.len(), 48);
}

#[tokio::test]
async fn an_existing_key_file_is_loaded_and_left_as_it_is() {
    let directory = Directory::new();
    fs::create_dir_all(directory.path()).unwrap();
    // The key pair of RFC 8410, sections 10.1 and 10.3.
    let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
               -----END PRIVATE KEY-----\n";
    fs::write(directory.key_file(), pem).unwrap();
    let token = DevelopmentIdentity::open(&directory.path()).ok().unwrap().mint(&ann(), at(0)).unwrap();
    assert_eq!(fs::read_to_string(directory.key_file()).unwrap(), pem);
    let public = json!({"kty": "OKP", "crv": "Ed25519", "x": "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE"});
    let set = json!({"keys": [public]}).to_string();
    let keys = KeySet::load(KeySource::Fixed(set), Duration::MAX).await.unwrap();
    let settings = IssuerSettings {
        issuer: DEVELOPMENT_ISSUER.to_owned(),
        audiences: vec![DEVELOPMENT_AUDIENCE.to_owned()],
        principal_prefix: String::new(),
        organization_claim: path("organization"),
        roles_claim: path("roles"),
        ..settings()
    };
    let verifier = Verifier::new(vec![Issuer { settings, keys }]).ok().unwrap();
    assert_eq!(verifier.check(&token, at(0)).await.unwrap().principal, "ann");
}

#[tokio::test]
async fn the_token_of_another_server_is_refused() {
    let (here, there) = (Directory::new(), Directory::new());
    let verifier = DevelopmentIdentity::open(&here.path()).ok().unwrap().verifier().await.ok().unwrap();
    let token = DevelopmentIdentity::open(&there.path()).ok().unwrap().mint(&ann(), at(0)).unwrap();
    assert_eq!(verifier.check(&token, at(0)).await, Err(AuthnError::Signature));
    assert_eq!(verifier.check(&super::token(&claims()), at(0)).await, Err(AuthnError::Issuer));
}

#[test]
fn a_token_that_the_server_would_refuse_is_not_minted() {
    let directory = Directory::new();
    let identity = DevelopmentIdentity::open(&directory.path()).ok().unwrap();
    for (claims, reason) in [
        (TokenClaims { ttl: TimeDelta::hours(24) + TimeDelta::seconds(1), ..ann() }, AuthnError::Lifetime),
        (TokenClaims { ttl: TimeDelta::zero(), ..ann() }, AuthnError::Lifetime),
        (TokenClaims { ttl: TimeDelta::seconds(-1), ..ann() }, AuthnError::Lifetime),
        (TokenClaims { ttl: TimeDelta::MAX, ..ann() }, AuthnError::Lifetime),
        (TokenClaims { organization: "Acme".to_owned(), ..ann() }, AuthnError::Organization),
        (TokenClaims { subject: String::new(), ..ann() }, AuthnError::Subject),
        (TokenClaims { subject: "system:retention".to_owned(), ..ann() }, AuthnError::Subject),
        (TokenClaims { groups: vec![String::new()], ..ann() }, AuthnError::Groups),
    ] {
        let result = identity.mint(&claims, at(0));
        assert!(matches!(&result, Err(DevelopmentError::Refused(found)) if *found == reason), "{claims:?}");
    }
    assert!(identity.mint(&TokenClaims { ttl: TimeDelta::hours(24), ..ann() }, at(0)).is_ok());
}

#[test]
fn concurrent_first_starts_share_one_key() {
    for _ in 0..30 {
        let directory = Directory::new();
        let barrier = Barrier::new(8);
        let tokens: BTreeSet<String> = std::thread::scope(|scope| {
            let start = || {
                barrier.wait();
                DevelopmentIdentity::open(&directory.path()).ok().unwrap().mint(&ann(), at(0)).unwrap()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(tokens.len(), 1, "Ed25519 signatures are deterministic: one key, one token");
    }
}

#[test]
fn an_invalid_key_file_is_named_and_never_replaced() {
    let directory = Directory::new();
    fs::create_dir_all(directory.path()).unwrap();
    let ec = STANDARD.encode(keys().p256.as_bytes());
    for content in ["", "key", &format!("-----BEGIN PRIVATE KEY-----\n{ec}\n-----END PRIVATE KEY-----\n")] {
        fs::write(directory.key_file(), content).unwrap();
        let error = DevelopmentIdentity::open(&directory.path()).err().unwrap();
        assert!(error.to_string().contains("development-identity.key"), "{error}");
        assert_eq!(fs::read_to_string(directory.key_file()).unwrap(), content);
    }
}
