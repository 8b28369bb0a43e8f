//! Invalid tokens are refused, each for its own reason.

use super::*;

/// Claims that are missing, of the wrong type or out of range, with the expected reason. `null` removes the claim.
fn invalid_claims() -> Vec<(&'static str, Value, AuthnError)> {
    let groups = "https://issuer.example/groups";
    let many: Vec<String> = (0..=MAX_GROUPS).map(|number| number.to_string()).collect();
    let mut cases = vec![
        ("iss", Value::Null, AuthnError::Issuer),
        ("iss", json!("https://issuer.example/"), AuthnError::Issuer),
        ("iss", json!(""), AuthnError::Issuer),
        ("iss", json!([ISSUER]), AuthnError::Issuer),
        ("iss", json!(1), AuthnError::Issuer),
        ("aud", Value::Null, AuthnError::Audience),
        ("aud", json!("outflow2"), AuthnError::Audience),
        ("aud", json!(""), AuthnError::Audience),
        ("aud", json!([]), AuthnError::Audience),
        ("aud", json!(["other"]), AuthnError::Audience),
        ("aud", json!(["outflow", 1]), AuthnError::Audience),
        ("aud", json!({"outflow": true}), AuthnError::Audience),
        ("exp", Value::Null, AuthnError::Expired),
        ("exp", json!(NOW - LEEWAY_SECONDS), AuthnError::Expired),
        ("exp", json!(0), AuthnError::Expired),
        ("exp", json!(-1), AuthnError::Malformed),
        ("exp", json!("1800003600"), AuthnError::Malformed),
        ("exp", json!(true), AuthnError::Malformed),
        ("exp", json!(1e300), AuthnError::Malformed),
        ("exp", json!(u64::MAX), AuthnError::Malformed),
        ("exp", json!(NOW - 10 + MAX_LIFETIME_SECONDS + 1), AuthnError::Lifetime),
        ("exp", json!(4_000_000_000_u64), AuthnError::Lifetime),
        ("nbf", json!(NOW + LEEWAY_SECONDS + 1), AuthnError::NotYetValid),
        ("nbf", json!("1800000000"), AuthnError::Malformed),
        ("nbf", json!([NOW]), AuthnError::Malformed),
        ("iat", json!(NOW + LEEWAY_SECONDS + 1), AuthnError::NotYetValid),
        ("iat", json!("1800000000"), AuthnError::Malformed),
        ("iat", json!(NOW - MAX_LIFETIME_SECONDS), AuthnError::Lifetime),
        ("sub", Value::Null, AuthnError::Subject),
        ("sub", json!(""), AuthnError::Subject),
        ("sub", json!("  "), AuthnError::Subject),
        ("sub", json!(7), AuthnError::Subject),
        ("sub", json!(["ann"]), AuthnError::Subject),
        ("sub", json!("an\nn"), AuthnError::Subject),
        ("sub", json!("ann\u{0}"), AuthnError::Subject),
        ("sub", json!("x".repeat(MAX_PRINCIPAL_BYTES - "corp:".len() + 1)), AuthnError::Subject),
        ("realm_access", json!({"roles": 1}), AuthnError::Roles),
        ("realm_access", json!({"roles": {"admin": true}}), AuthnError::Roles),
        ("realm_access", json!({"roles": {"admin": "acme"}}), AuthnError::Roles),
        ("realm_access", json!({"roles": {"admin": {"acme": "acme.example"}, "viewer": true}}), AuthnError::Roles),
        ("realm_access", json!({"roles": ["viewer", 1]}), AuthnError::Roles),
        (groups, json!(1), AuthnError::Groups),
        (groups, json!([null]), AuthnError::Groups),
        (groups, json!([""]), AuthnError::Groups),
        (groups, json!(["a\u{7}"]), AuthnError::Groups),
        (groups, json!(["g".repeat(MAX_GROUP_BYTES + 1)]), AuthnError::Groups),
        (groups, json!(many), AuthnError::Groups),
    ];
    cases.extend(invalid_organizations());
    cases
}

/// Organizations that are missing, of the wrong type, no ids or several.
fn invalid_organizations() -> Vec<(&'static str, Value, AuthnError)> {
    let mut organizations = Vec::new();
    let long = "a".repeat(64);
    for organization in
        ["", "-", "a-", "-a", "Acme", "a_b", "a.b", "a/b", "a b", "acme\n", "äcme", "*", "../acme", long.as_str()]
    {
        organizations.push(json!(organization));
    }
    for organization in [
        Value::Null,
        json!(1),
        json!([]),
        json!({}),
        json!([["acme"]]),
        json!([{"id": "acme"}]),
        json!(["acme", 1]),
        json!(["acme", "globex"]),
        json!({"id": "acme"}),
        json!({"acme": {}, "globex": {}}),
        json!({"acme": {"id": "1"}, "name": "acme"}),
        json!({"Acme Corp": {}}),
    ] {
        organizations.push(organization);
    }
    organizations.into_iter().map(|organization| ("org", organization, AuthnError::Organization)).collect()
}

/// Tokens with an invalid format, header or signature, with the expected reason.
fn invalid_tokens() -> Vec<(&'static str, String, AuthnError)> {
    let (keys, valid, payload) = (keys(), token(&claims()), claims().to_string());
    let ed = |header: Value| signed(&header, &payload, Algorithm::EdDSA, &keys.ed25519);
    let raw = |payload: &str| signed(&json!({"alg": "EdDSA", "kid": "ed"}), payload, Algorithm::EdDSA, &keys.ed25519);
    let unsigned = |header: Value, end: &str| format!("{}.{}.{end}", encode(&header.to_string()), encode(&payload));
    let hmac = |kid: &str, secret: &[u8]| {
        signed(&json!({"alg": "HS256", "kid": kid}), &payload, Algorithm::HS256, &EncodingKey::from_secret(secret))
    };
    let parts: Vec<&str> = valid.split('.').collect();
    let (head, body, signature) = (parts[0], parts[1], parts[2]);
    let public_ed = public("ed", &keys.ed25519, Algorithm::EdDSA);
    let public_x = URL_SAFE_NO_PAD.decode(public_ed["x"].as_str().unwrap()).unwrap();
    let public_n = public("rsa", &keys.rsa, Algorithm::RS256)["n"].as_str().unwrap().to_owned();
    let mut flipped = URL_SAFE_NO_PAD.decode(signature).unwrap();
    flipped[10] ^= 1;
    let other_body = encode(&with("sub", json!("root")).to_string());
    let own_key = json!({"alg": "EdDSA", "kid": "ed", "jwk": public("ed", &keys.foreign, Algorithm::EdDSA)});
    let duplicate = format!(r#"{{"sub":"root",{}"#, &payload[1..]);
    let crit = json!({"alg": "EdDSA", "kid": "ed", "crit": ["b64"], "b64": false});
    vec![
        ("empty", String::new(), AuthnError::Missing),
        ("64 KB", "a".repeat(64 * 1024), AuthnError::TooLong),
        ("64 KB signed", token(&with("pad", json!("x".repeat(64 * 1024)))), AuthnError::TooLong),
        ("no dots", "abc".to_owned(), AuthnError::Malformed),
        ("one dot", "abc.def".to_owned(), AuthnError::Malformed),
        ("only dots", "..".to_owned(), AuthnError::Malformed),
        ("four parts", format!("{valid}.{signature}"), AuthnError::Malformed),
        ("five parts, as of a JWE", format!("{valid}.a.b"), AuthnError::Malformed),
        ("not base64", "?.?.?".to_owned(), AuthnError::Malformed),
        ("padded base64", format!("{head}=.{body}.{signature}"), AuthnError::Malformed),
        ("header is not JSON", format!("{}.{body}.{signature}", encode("alg")), AuthnError::Malformed),
        ("header without alg", ed(json!({"kid": "ed"})), AuthnError::Malformed),
        ("unknown alg", ed(json!({"alg": "ES999", "kid": "ed"})), AuthnError::Algorithm),
        ("alg none", unsigned(json!({"alg": "none", "kid": "ed"}), ""), AuthnError::Algorithm),
        ("alg None", unsigned(json!({"alg": "None"}), ""), AuthnError::Algorithm),
        ("alg none, signed", unsigned(json!({"alg": "none"}), signature), AuthnError::Algorithm),
        ("HS256 by the public key", hmac("ed", &public_x), AuthnError::Algorithm),
        ("HS256 by the public key's text", hmac("ed", public_ed.to_string().as_bytes()), AuthnError::Algorithm),
        ("HS256 by the RSA modulus", hmac("rsa", public_n.as_bytes()), AuthnError::Algorithm),
        ("HS256 by nothing", hmac("ed", b""), AuthnError::Algorithm),
        ("RS256 for the Ed25519 key", ed(json!({"alg": "RS256", "kid": "ed"})), AuthnError::Algorithm),
        ("ES256 for the P-384 key", ed(json!({"alg": "ES256", "kid": "p384"})), AuthnError::Algorithm),
        ("EdDSA for the RSA key", ed(json!({"alg": "EdDSA", "kid": "rsa"})), AuthnError::Algorithm),
        ("no kid among several", ed(json!({"alg": "EdDSA"})), AuthnError::NoKeyId),
        ("unknown kid", ed(json!({"alg": "EdDSA", "kid": "eve"})), AuthnError::UnknownKey),
        ("kid is a path", ed(json!({"alg": "EdDSA", "kid": "../../dev/null"})), AuthnError::UnknownKey),
        ("kid is not a string", ed(json!({"alg": "EdDSA", "kid": 1})), AuthnError::Malformed),
        ("a critical extension", ed(crit), AuthnError::Malformed),
        ("signature stripped", format!("{head}.{body}."), AuthnError::Signature),
        ("signature cut", valid[..valid.len() - 4].to_owned(), AuthnError::Signature),
        ("signature altered", format!("{head}.{body}.{}", URL_SAFE_NO_PAD.encode(flipped)), AuthnError::Signature),
        ("signature of zeros", format!("{head}.{body}.{}", URL_SAFE_NO_PAD.encode([0; 64])), AuthnError::Signature),
        ("claims replaced", format!("{head}.{other_body}.{signature}"), AuthnError::Signature),
        ("a foreign key", signed(&own_key, &payload, Algorithm::EdDSA, &keys.foreign), AuthnError::Signature),
        ("claims are not JSON", raw("claims"), AuthnError::Malformed),
        ("claims are an array", raw("[]"), AuthnError::Malformed),
        ("claims are a string", raw("\"sub\""), AuthnError::Malformed),
        ("claims are empty", raw("{}"), AuthnError::Issuer),
        ("a duplicate claim", raw(&duplicate), AuthnError::Malformed),
        ("nested too deep", raw(&format!("{{\"a\":{}", "[".repeat(5000))), AuthnError::Malformed),
        ("an issuer's error page", "<html>.<body>.</html>".to_owned(), AuthnError::Malformed),
    ]
}

#[tokio::test]
async fn every_invalid_token_is_refused_with_its_reason() {
    let verifier = verifier().await;
    assert!(verifier.check(&token(&claims()), at(0)).await.is_ok(), "the valid token");
    let mut count = 0;
    for (name, value, reason) in invalid_claims() {
        let result = verifier.check(&token(&with(name, value.clone())), at(0)).await;
        assert_eq!(result, Err(reason), "{name} = {value}");
        count += 1;
    }
    for (case, token, reason) in invalid_tokens() {
        assert_eq!(verifier.check(&token, at(0)).await, Err(reason), "{case}");
        count += 1;
    }
    assert_eq!(verifier.cached_tokens(), 1, "refused tokens are not cached");
    assert!(count >= 40, "{count}");
}

#[tokio::test]
async fn a_token_with_any_altered_character_is_refused() {
    let (verifier, valid) = (verifier().await, token(&claims()));
    for position in 0..valid.len() {
        let mut altered = valid.clone().into_bytes();
        altered[position] = if altered[position] == b'A' { b'B' } else { b'A' };
        let altered = String::from_utf8(altered).unwrap();
        assert!(verifier.check(&altered, at(0)).await.is_err(), "character {position}");
    }
}

#[tokio::test]
async fn without_an_issue_time_the_lifetime_is_counted_from_now() {
    let verifier = verifier().await;
    let claims = |exp: i64| {
        let mut claims = with("iat", Value::Null);
        claims["exp"] = json!(exp);
        claims
    };
    assert!(verifier.check(&token(&claims(NOW + MAX_LIFETIME_SECONDS)), at(0)).await.is_ok());
    let longer = verifier.check(&token(&claims(NOW + MAX_LIFETIME_SECONDS + 1)), at(0)).await;
    assert_eq!(longer, Err(AuthnError::Lifetime));
}

#[tokio::test]
async fn every_refused_token_gets_the_same_response() {
    for (_, token, reason) in invalid_tokens() {
        assert!(matches!(crate::model::Error::from(reason), crate::model::Error::Unauthenticated), "{token}");
    }
    let unavailable = crate::model::Error::from(AuthnError::KeysUnavailable);
    assert!(matches!(unavailable, crate::model::Error::Unavailable(Unavailable::IdentityKeys)));
}

#[tokio::test]
async fn incomplete_and_indistinguishable_issuers_are_refused() {
    let issuer = async |issuer: &str, prefix: &str| {
        let keys = KeySet::load(KeySource::Fixed(key_set().to_string()), Duration::ZERO).await.unwrap();
        let (issuer, principal_prefix) = (issuer.to_owned(), prefix.to_owned());
        Issuer { settings: IssuerSettings { issuer, principal_prefix, ..settings() }, keys }
    };
    assert_eq!(Verifier::new(Vec::new()).err(), Some(IssuersError::None));
    for (one, other, expected) in [
        (issuer("a", "x:").await, issuer("a", "y:").await, IssuersError::DuplicateIssuer("a".to_owned())),
        (issuer("a", "x:").await, issuer("b", "x:").await, IssuersError::DuplicatePrefix("x:".to_owned())),
        (issuer("a", "").await, issuer("b", "").await, IssuersError::DuplicatePrefix(String::new())),
        (issuer("", "x:").await, issuer("b", "y:").await, IssuersError::Incomplete(String::new())),
    ] {
        assert_eq!(Verifier::new(vec![one, other]).err(), Some(expected));
    }
    let mut open = issuer("a", "x:").await;
    open.settings.audiences.clear();
    assert_eq!(Verifier::new(vec![open]).err(), Some(IssuersError::Incomplete("a".to_owned())));
}

#[tokio::test]
async fn a_subject_cannot_imitate_a_longer_prefix() {
    let mut issuers = Vec::new();
    for (issuer, prefix) in [("plain", ""), ("other", "corp:"), ("third", "corp:eu:")] {
        let keys = KeySet::load(KeySource::Fixed(key_set().to_string()), Duration::ZERO).await.unwrap();
        let (issuer, principal_prefix) = (issuer.to_owned(), prefix.to_owned());
        issuers.push(Issuer { settings: IssuerSettings { issuer, principal_prefix, ..settings() }, keys });
    }
    let verifier = Verifier::new(issuers).ok().unwrap();
    for (issuer, subject, expected) in [
        ("plain", "ann", Ok("ann")),
        ("plain", "corp:ann", Err(AuthnError::Subject)),
        ("plain", "system:retention", Err(AuthnError::Subject)),
        ("other", "ann", Ok("corp:ann")),
        ("other", "eu:ann", Err(AuthnError::Subject)),
        ("third", "ann", Ok("corp:eu:ann")),
    ] {
        let mut claims = with("iss", json!(issuer));
        claims["sub"] = json!(subject);
        let result = verifier.check(&token(&claims), at(0)).await.map(|caller| caller.principal.clone());
        assert_eq!(result.as_deref().map_err(|reason| *reason), expected, "{issuer} {subject}");
    }
}
