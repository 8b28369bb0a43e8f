//! Valid tokens, and the callers that they become.

use super::*;
use crate::identity::jwt::MAX_CACHED_TOKENS;

#[tokio::test]
async fn every_supported_algorithm_is_verified() {
    let (verifier, keys) = (verifier().await, keys());
    let mut count = 0;
    for (kid, key, algorithms) in [
        ("rsa", &keys.rsa, &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"][..]),
        ("p256", &keys.p256, &["ES256"]),
        ("p384", &keys.p384, &["ES384"]),
        ("ed", &keys.ed25519, &["EdDSA"]),
    ] {
        for name in algorithms {
            let token = signed(&json!({"alg": name, "kid": kid}), &claims().to_string(), name.parse().unwrap(), key);
            let identity = verifier.check(&token, at(0)).await.unwrap();
            assert_eq!(identity.principal, "corp:ann", "{name}");
            count += 1;
        }
    }
    assert_eq!(count, 9);
}

#[tokio::test]
async fn the_claims_of_a_token_become_its_caller() {
    let identity = verifier().await.check(&token(&claims()), at(0)).await.unwrap();
    assert_eq!(
        *identity,
        Caller {
            principal: "corp:ann".to_owned(),
            organization: OrganizationId::parse("acme").unwrap(),
            roles: vec![Role::Viewer, Role::Admin],
            groups: vec!["marketing".to_owned(), "sales".to_owned()],
            expire_time: at(3600),
        }
    );
}

#[tokio::test]
async fn optional_claims_and_limit_values_are_accepted() {
    let verifier = verifier().await;
    let longest = format!("a{}z", "-".repeat(61));
    let valid = [
        ("aud", json!(["other", "https://outflow.example"])),
        ("nbf", Value::Null),
        ("iat", Value::Null),
        ("nbf", json!(NOW + LEEWAY_SECONDS)),
        ("iat", json!(NOW + LEEWAY_SECONDS)),
        ("exp", json!(NOW - LEEWAY_SECONDS + 1)),
        ("exp", json!(3600.5 + 1_800_000_000.0)),
        ("exp", json!(NOW - 10 + MAX_LIFETIME_SECONDS)),
        ("org", json!("a")),
        ("org", json!("0-0")),
        ("org", json!(longest)),
        ("sub", json!("x".repeat(MAX_PRINCIPAL_BYTES - "corp:".len()))),
        ("sub", json!("Ännchen von Tharau")),
        ("https://issuer.example/groups", json!("one")),
        ("https://issuer.example/groups", json!(vec!["g".repeat(MAX_GROUP_BYTES); MAX_GROUPS / 10])),
        (
            "https://issuer.example/groups",
            json!((0..MAX_GROUPS).collect::<Vec<_>>().iter().map(ToString::to_string).collect::<Vec<_>>()),
        ),
    ];
    for (name, value) in valid {
        let result = verifier.check(&token(&with(name, value.clone())), at(0)).await;
        assert!(result.is_ok(), "{name} = {value}: {result:?}");
    }
}

#[tokio::test]
async fn unknown_roles_are_ignored() {
    let verifier = verifier().await;
    for (value, roles) in [
        (json!({"roles": "contributor"}), vec![Role::Contributor]),
        (json!({"roles": ["RUNNER"]}), vec![Role::Runner]),
        (json!({"roles": ["Admin", "admins", "root", "", " admin", "admin viewer"]}), vec![]),
        (json!({"roles": []}), vec![]),
        (json!({}), vec![]),
        (Value::Null, vec![]),
    ] {
        let identity = verifier.check(&token(&with("realm_access", value.clone())), at(0)).await.unwrap();
        assert_eq!(identity.roles, roles, "{value}");
    }
    let role_values = Some([("data-owner".to_owned(), Role::Admin)].into());
    let mapped = verifier_of(IssuerSettings { role_values, ..settings() }, &key_set()).await;
    let claims = with("realm_access", json!({"roles": ["data-owner", "viewer", "admin"]}));
    assert_eq!(mapped.check(&token(&claims), at(0)).await.unwrap().roles, [Role::Admin]);
    assert_eq!(mapped.check(&token(&super::claims()), at(0)).await.unwrap().roles, []);
}

#[tokio::test]
async fn without_a_groups_claim_a_caller_has_no_groups() {
    let verifier = verifier_of(IssuerSettings { groups_claim: None, ..settings() }, &key_set()).await;
    assert!(verifier.check(&token(&claims()), at(0)).await.unwrap().groups.is_empty());
}

#[tokio::test]
async fn with_a_key_set_of_one_key_a_token_needs_no_key_id() {
    let set = json!({"keys": [public("ed", &keys().ed25519, Algorithm::EdDSA)]});
    let verifier = verifier_of(settings(), &set).await;
    for header in [json!({"alg": "EdDSA"}), json!({"alg": "EdDSA", "typ": "at+jwt"})] {
        let token = signed(&header, &claims().to_string(), Algorithm::EdDSA, &keys().ed25519);
        assert!(verifier.check(&token, at(0)).await.is_ok(), "{header}");
    }
}

#[tokio::test]
async fn a_cached_token_is_refused_after_it_expires() {
    let (verifier, token) = (verifier().await, token(&claims()));
    for offset in [0, 1, 3600, 3600 + LEEWAY_SECONDS - 1] {
        assert!(verifier.check(&token, at(offset)).await.is_ok(), "{offset}");
        assert_eq!(verifier.cached_tokens(), 1);
    }
    for offset in [3600 + LEEWAY_SECONDS, 100_000] {
        assert_eq!(verifier.check(&token, at(offset)).await, Err(AuthnError::Expired));
    }
}

#[tokio::test]
async fn the_cache_of_tokens_is_bounded() {
    let verifier = verifier().await;
    for number in 0..MAX_CACHED_TOKENS + 10 {
        let token = token(&with("sub", json!(number.to_string())));
        assert!(verifier.check(&token, at(0)).await.is_ok());
        assert!(verifier.cached_tokens() <= MAX_CACHED_TOKENS);
    }
}

#[tokio::test]
async fn refused_tokens_are_not_cached() {
    let verifier = verifier().await;
    let early = token(&with("nbf", json!(NOW + 60)));
    assert_eq!(verifier.check(&early, at(0)).await, Err(AuthnError::NotYetValid));
    assert_eq!(verifier.cached_tokens(), 0);
    assert!(verifier.check(&early, at(60)).await.is_ok());
}

#[test]
fn the_bearer_token_is_read_from_the_authorization_header() {
    assert_eq!(bearer_token(Some("Bearer abc")), Ok("abc"));
    assert_eq!(bearer_token(Some("bearer  abc ")), Ok("abc"));
    for missing in [None, Some(""), Some("  "), Some("Bearer"), Some("Bearer ")] {
        assert_eq!(bearer_token(missing), Err(AuthnError::Missing), "{missing:?}");
    }
    for other in ["Basic abc", "abc", "Bearerabc"] {
        assert_eq!(bearer_token(Some(other)), Err(AuthnError::Malformed), "{other}");
    }
}
