//! Key sets that the discovery document of an issuer names, and the key sets that providers publish.

use super::*;
use crate::identity::discovery::{key_set_url, url};
use crate::identity::jwk::parse_set;

fn document(issuer: &str, key_set: &str) -> Vec<u8> {
    json!({"issuer": issuer, "jwks_uri": key_set, "token_endpoint": "https://other.example"}).to_string().into_bytes()
}

#[test]
fn the_document_is_below_the_issuer() {
    for (issuer, expected) in [
        ("https://id.example/realms/acme", "https://id.example/realms/acme/.well-known/openid-configuration"),
        ("https://acme.eu.auth0.com/", "https://acme.eu.auth0.com/.well-known/openid-configuration"),
        ("https://id.example:8443", "https://id.example:8443/.well-known/openid-configuration"),
    ] {
        assert_eq!(url(issuer), expected);
    }
}

#[test]
fn the_document_must_be_that_of_the_issuer() {
    let issuer = "https://id.example/realms/acme";
    let found = key_set_url(issuer, &document(issuer, "https://keys.example/certs")).unwrap();
    assert_eq!(found.as_str(), "https://keys.example/certs");
    for (document, expected) in [
        (
            document("https://id.example/realms/acme/", "https://keys.example/certs"),
            "the discovery document names the issuer `https://id.example/realms/acme/`, not \
             `https://id.example/realms/acme`; they must be equal, a slash at the end included",
        ),
        // Microsoft Entra answers this for the tenant `common`.
        (
            document("https://login.microsoftonline.com/{tenantid}/v2.0", "https://keys.example/certs"),
            "the discovery document names the issuer `https://login.microsoftonline.com/{tenantid}/v2.0`, not \
             `https://id.example/realms/acme`; they must be equal, a slash at the end included",
        ),
        (
            document(issuer, "http://keys.example/certs"),
            "the discovery document names a key set whose URL does not start with https://",
        ),
        (
            document(issuer, "/certs"),
            "the discovery document of the issuer is not a JSON object with `issuer` and the URL `jwks_uri`",
        ),
        (
            b"<html>".to_vec(),
            "the discovery document of the issuer is not a JSON object with `issuer` and the URL `jwks_uri`",
        ),
    ] {
        assert_eq!(key_set_url(issuer, &document).unwrap_err().to_string(), expected);
    }
}

#[test]
fn the_key_sets_of_providers_are_loaded() {
    let rsa = public("signing", &keys().rsa, Algorithm::RS256);
    let certificate = "MIIDBTCCAe2gAwIBAgIQ";
    let with = |changes: Value| {
        let mut key = rsa.clone();
        for (name, value) in changes.as_object().unwrap() {
            key[name] = value.clone();
        }
        key
    };
    let encryption = json!({"kid": "enc", "kty": "RSA", "alg": "RSA-OAEP", "use": "enc", "n": rsa["n"], "e": "AQAB"});
    for (provider, key, others) in [
        (
            "Keycloak",
            with(json!({"alg": "RS256", "x5c": [certificate], "x5t": "dGh1bWI", "x5t#S256": "dGh1bWI"})),
            vec![
                encryption,
                json!({"kid": "x", "kty": "OKP", "crv": "X25519", "use": "enc", "alg": "ECDH-ES", "x": "AA"}),
            ],
        ),
        (
            "Microsoft Entra",
            with(json!({
                "x5c": [certificate], "x5t": "signing", "cloud_instance_name": "microsoftonline.com",
                "issuer": "https://login.microsoftonline.com/tenant/v2.0",
            })),
            Vec::new(),
        ),
        ("Auth0", with(json!({"alg": "RS256", "x5c": [certificate], "x5t": "dGh1bWI"})), Vec::new()),
        ("Okta", with(json!({"alg": "RS256"})), Vec::new()),
        ("Amazon Cognito", with(json!({"alg": "RS256"})), vec![with(json!({"alg": "RS256", "kid": "previous"}))]),
        ("Zitadel", with(json!({"alg": "RS256"})), Vec::new()),
        (
            "key operations",
            with(json!({"key_ops": ["verify"]})),
            vec![with(json!({"key_ops": ["encrypt"], "kid": "e"}))],
        ),
        (
            "odd members",
            with(json!({"x5c": certificate, "x5u": 1, "exp": 1_561_073_429_125_u64, "key_ops": "verify"})),
            vec![
                json!({"kty": "oct", "kid": "hmac", "k": "c2VjcmV0", "alg": "HS256"}),
                json!({"kty": "AKP", "kid": "pq", "alg": "ML-DSA-44", "pub": "AA"}),
                json!({"kty": "EC", "crv": "P-521", "kid": "p521", "x": "AA", "y": "AA"}),
                json!({"kty": "EC", "crv": "secp256k1", "kid": "k1", "x": "AA", "y": "AA"}),
                with(json!({"kid": 7})),
                json!("key"),
            ],
        ),
    ] {
        let mut set = others;
        set.push(key);
        let loaded = parse_set(json!({"keys": set}).to_string().as_bytes()).unwrap();
        assert!(loaded.iter().any(|key| key.kid.as_deref() == Some("signing")), "{provider}");
        assert!(loaded.iter().all(|key| matches!(key.kid.as_deref(), Some("signing" | "previous"))), "{provider}");
    }
    let ed = public("ed", &keys().ed25519, Algorithm::EdDSA);
    let mut fully_specified = ed.clone();
    fully_specified["alg"] = json!("Ed25519");
    let loaded = parse_set(json!({"keys": [fully_specified]}).to_string().as_bytes()).unwrap();
    assert_eq!(loaded[0].algorithms, [Algorithm::EdDSA]);
}
