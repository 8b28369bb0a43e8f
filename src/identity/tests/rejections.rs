//! What the log of the operator shows about a refused token: the failed check, issuer and audience, and nothing else of it.

use super::*;

/// Text in claims of a token that must not be shown.
const CANARY: &str = "canary-7f3a";

async fn rejection(settings: IssuerSettings, token: &str) -> Rejection {
    verifier_of(settings, &key_set()).await.verify(token, at(0)).await.unwrap_err()
}

#[tokio::test]
async fn every_failed_check_is_explained() {
    let groups = "https://issuer.example/groups";
    for (name, value, detail) in [
        ("iss", json!("https://other.example"), "the issuer is not configured"),
        ("iss", json!(format!("{ISSUER}/")), "the issuer differs from a configured one in a trailing slash"),
        ("aud", json!("other"), "the token is meant for another audience"),
        ("aud", Value::Null, "claim `aud` is missing, not a string or an array of strings"),
        ("exp", json!(NOW - 100), "the token expired 100 s ago"),
        ("exp", Value::Null, "the token has no `exp`, the expiry"),
        ("nbf", json!(NOW + 90), "`nbf` is 90 s in the future: compare the clocks"),
        ("exp", json!(NOW + 100_000), "the token is valid for 100010 s, more than 86400 s"),
        ("sub", Value::Null, "claim `sub` is missing, not a string"),
        (
            "org",
            Value::Null,
            "claim `org` is missing, not a string, an array of strings, or an object with objects as its \
             values, or an array of such objects",
        ),
        (
            "org",
            json!({"id": CANARY}),
            "claim `org` is an object of 1 (string), not a string, an array of strings, or an object with objects as its \
             values, or an array of such objects",
        ),
        (
            "org",
            json!([CANARY, "acme"]),
            "claim `org` is an array of 2 (string) and names several organizations; a token must be of one of them",
        ),
        (
            "org",
            json!(format!("{CANARY}_")),
            "claim `org` is a string that is not the id of an organization; `jwt_organization_values` can map it",
        ),
        (
            groups,
            json!([1, CANARY]),
            "claim `https://issuer.example/groups` is an array of 2 (number and string), not a string or an array of strings",
        ),
        (
            groups,
            json!(vec![CANARY; 201]),
            "claim `https://issuer.example/groups` is an array of 201 (string), not at most 200 names of 1 to 256 bytes",
        ),
    ] {
        let mut claims = with(name, value.clone());
        claims["secret"] = json!(CANARY);
        let rejection = rejection(settings(), &token(&claims)).await;
        assert_eq!(rejection.detail, detail, "{name} = {value}");
        assert!(!format!("{rejection:?}").contains(CANARY), "{rejection:?}");
    }
}

#[tokio::test]
async fn issuer_and_audience_are_shown_as_expected_and_seen() {
    let known = rejection(settings(), &token(&with("aud", json!(["a", "b"])))).await;
    let compared = known.compared.unwrap();
    assert_eq!(
        (compared.expected_issuer.as_str(), compared.seen_issuer.as_str()),
        (ISSUER, "\"https://issuer.example\"")
    );
    assert_eq!(compared.expected_audience.as_deref(), Some("outflow, https://outflow.example"));
    assert_eq!(compared.seen_audience, "[\"a\",\"b\"]");

    let unknown = rejection(settings(), &token(&with("iss", Value::Null))).await;
    let compared = unknown.compared.unwrap();
    assert_eq!((compared.expected_issuer.as_str(), compared.seen_issuer.as_str()), (ISSUER, "absent"));
    assert_eq!(compared.expected_audience, None);

    let header = json!({"alg": "ES512", "kid": "ed", "typ": "JWT"});
    let other = signed(&header, &claims().to_string(), Algorithm::EdDSA, &keys().ed25519);
    let other = rejection(settings(), &other).await;
    assert_eq!(other.detail, "the algorithm `ES512` is not one of RS, PS, ES256, ES384, EdDSA");
    assert_eq!(other.compared.unwrap().seen_issuer, "\"https://issuer.example\"");

    // The claim that is compared, and no other.
    let cognito = IssuerSettings { audience_claim: path("client_id"), ..settings() };
    let compared = rejection(cognito, &token(&with("client_id", json!("other")))).await.compared.unwrap();
    assert_eq!(compared.seen_audience, "\"other\"");
    let mut claims = with("aud", Value::Null);
    claims["client_id"] = json!(CANARY);
    let hint = rejection(settings(), &token(&claims)).await;
    assert!(hint.detail.contains("`jwt_audience_claim`") && !format!("{hint:?}").contains(CANARY), "{hint:?}");
}

#[tokio::test]
async fn what_is_shown_is_escaped_and_bounded() {
    let long = format!("\u{202e}\n\u{1b}[31m{}", "x".repeat(5_000));
    let mut claims = with("iss", json!(long));
    claims["aud"] = json!([long]);
    let rejected = rejection(settings(), &token(&claims)).await;
    let compared = rejected.compared.unwrap();
    let header = json!({"alg": "EdDSA", "kid": long, "typ": "JWT"});
    let unknown = signed(&header, &super::claims().to_string(), Algorithm::EdDSA, &keys().ed25519);
    let unknown = rejection(settings(), &unknown).await;
    assert_eq!(unknown.reason, AuthnError::UnknownKey);
    for shown in [&*compared.seen_issuer, &*compared.seen_audience, &*unknown.detail] {
        assert!(shown.chars().count() <= 250 && !shown.contains(crate::model::is_unsafe), "{shown}");
        assert!(shown.contains("xxx") && shown.contains('…'), "{shown}");
    }
}

#[tokio::test]
async fn no_part_of_a_token_is_shown() {
    let valid = token(&claims());
    let forged = format!("{}.{}", &valid[..valid.rfind('.').unwrap()], "AAAA");
    let opaque = "opaque-access-token";
    let encrypted = format!("{valid}.a.b");
    for (token, reason, detail) in [
        (forged.as_str(), AuthnError::Signature, "the signature does not verify, so the claims may be forged"),
        (
            opaque,
            AuthnError::Malformed,
            "the token does not have the three parts of a JWT; the issuer may send opaque tokens",
        ),
        (&encrypted, AuthnError::Malformed, "the token is encrypted (JWE); only signed tokens are accepted"),
    ] {
        let rejection = rejection(settings(), token).await;
        assert_eq!((rejection.reason, &*rejection.detail), (reason, detail));
        let shown = format!("{rejection:?}");
        assert!(token.split('.').all(|part| part.len() < 5 || !shown.contains(part)), "{shown}");
    }
}
