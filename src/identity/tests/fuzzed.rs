//! Arbitrary and mutated tokens, headers, key sets, certificates and tables of clients.

use rcgen::{CertificateParams, KeyPair, SanType};

use super::*;
use crate::fuzzing;
use crate::identity::jwk;

const LOADER: &str = "spiffe://example.org/ns/data/sa/loader";

/// A runtime for futures that are complete after one poll: a fixed key set is not fetched again.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

#[test]
fn a_mutated_token_is_refused() {
    let runtime = runtime();
    let (verifier, keys) = (runtime.block_on(verifier()), keys());
    let sign = |kid: &str, algorithm: Algorithm, claims: &Value, key| {
        signed(&json!({"alg": algorithm, "kid": kid}), &claims.to_string(), algorithm, key)
    };
    let valid = [
        token(&claims()),
        sign("rsa", Algorithm::RS256, &claims(), &keys.rsa),
        sign("p256", Algorithm::ES256, &with("sub", json!("bob")), &keys.p256),
    ];
    // Valid but for one thing, so that parts of them end up in valid ones.
    let invalid = [
        sign("ed", Algorithm::EdDSA, &claims(), &keys.foreign),
        sign("ed", Algorithm::EdDSA, &with("exp", json!(0)), &keys.ed25519),
        format!("{}.{}.", encode(&json!({"alg": "none"}).to_string()), encode(&claims().to_string())),
    ];
    let tokens = [&valid[..], &invalid[..]].concat();
    fuzzing::check("tokens", 1_000, &fuzzing::text(&tokens), |text| {
        assert_eq!(runtime.block_on(verifier.check(&text, at(0))).is_ok(), valid.contains(&text));
    });
}

#[test]
fn any_signed_claims_are_a_caller_or_refused() {
    let runtime = runtime();
    let verifier = runtime.block_on(verifier());
    let header = json!({"alg": "EdDSA", "kid": "ed"});
    let payload = claims().to_string();
    let shorter = json!({"iss": ISSUER, "aud": ["outflow"], "exp": NOW + 60, "sub": "ann", "org": "acme"}).to_string();
    fuzzing::check("claims", 1_500, &fuzzing::text(&[payload, shorter]), |payload| {
        let token = signed(&header, &payload, Algorithm::EdDSA, &keys().ed25519);
        if let Ok(caller) = runtime.block_on(verifier.check(&token, at(0))) {
            assert!(caller.principal.starts_with("corp:") && !caller.principal.contains(char::is_control));
            assert!(caller.principal.len() <= MAX_PRINCIPAL_BYTES && caller.groups.len() <= MAX_GROUPS);
            assert!(OrganizationId::parse(caller.organization.as_str()).is_some());
        }
    });
}

#[test]
fn any_authorization_header_has_a_token_or_is_refused() {
    let headers = ["Bearer abc.def.ghi", "bearer  x", "Basic YTpi"];
    fuzzing::check("authorization headers", 2_000, &fuzzing::text(&headers), |header| {
        if let Ok(token) = bearer_token(Some(&header)) {
            assert!(!token.is_empty() && header.contains(token));
        }
    });
}

#[test]
fn any_key_set_has_only_asymmetric_keys_or_is_refused() {
    let own = key_set().to_string();
    let other = json!({"keys": [
        {"kty": "oct", "k": "aHVudGVyMg", "kid": "hmac", "alg": "HS256"},
        {"kty": "RSA", "n": "AQ", "e": "AQAB", "use": "enc"},
        {"kty": "OKP", "crv": "Ed448", "x": "AA"},
    ]});
    fuzzing::check("key sets", 1_000, &fuzzing::text(&[own, other.to_string()]), |set| {
        for key in jwk::parse_set(set.as_bytes()).into_iter().flatten() {
            let is_symmetric = |algorithm: &Algorithm| algorithm.family() == jsonwebtoken::AlgorithmFamily::Hmac;
            assert!(!key.algorithms.is_empty() && !key.algorithms.iter().any(is_symmetric));
        }
    });
}

#[test]
fn any_certificate_has_a_spiffe_id_or_is_refused() {
    let certificate = |names: Vec<SanType>| {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    };
    let uri = |text: &str| SanType::URI(text.try_into().unwrap());
    let dns = SanType::DnsName("loader.example.org".try_into().unwrap());
    let certificates = vec![
        certificate(vec![uri(LOADER)]),
        certificate(vec![dns, uri(LOADER)]),
        certificate(vec![uri("https://a.example")]),
    ];
    let table = table(&format!("[{LOADER:?}]\norganization = \"acme\"\nsubject = \"loader\"\n"));
    let table = table.unwrap();
    fuzzing::check("client certificates", 2_000, &fuzzing::bytes(certificates.clone()), |der| {
        // TLS has verified the signature before: a certificate that differs elsewhere identifies the same client.
        if let Ok(found) = ClientCertificate::parse(&der)
            && table.caller(&found, at(0)).is_ok()
        {
            assert!(der.windows(LOADER.len()).any(|part| part == LOADER.as_bytes()));
        }
    });
}

fn table(content: &str) -> Result<ClientTable, ClientTableError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), content).unwrap();
    ClientTable::open(file.path(), "workload:", &["workload:people:".to_owned()])
}

#[test]
fn any_table_of_clients_is_read_or_refused() {
    let tables = [
        format!(
            "[{LOADER:?}]\norganization = \"acme\"\nsubject = \"loader\"\nroles = [\"viewer\"]\ngroups = [\"a\"]\n"
        ),
        format!("[{:?}]\norganization = \"acme\"\nsubject = \"other\"\n", format!("{LOADER}2")),
    ];
    fuzzing::check("tables of clients", 250, &fuzzing::text(&tables), |content| {
        if let Err(error) = table(&content) {
            assert!(!error.to_string().is_empty());
        }
    });
}
