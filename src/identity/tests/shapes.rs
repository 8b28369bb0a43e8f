//! The shapes of claims: what is accepted because it can mean one thing only, and what is refused.

use std::collections::BTreeMap;

use super::*;

async fn caller(settings: IssuerSettings, claims: &Value) -> Result<Arc<Caller>, AuthnError> {
    verifier_of(settings, &key_set()).await.check(&token(claims), at(0)).await
}

fn organizations(values: &[(&str, &str)]) -> BTreeMap<String, OrganizationId> {
    values.iter().map(|(value, id)| ((*value).to_owned(), OrganizationId::parse(id).unwrap())).collect()
}

#[tokio::test]
async fn one_organization_may_be_a_string_an_array_or_an_object() {
    for organization in [
        json!("acme"),
        json!(["acme"]),
        json!(["acme", "acme"]),
        json!({"acme": {}}),
        json!([{"acme": {}}]),
        json!({"acme": {"id": "8a1b", "region": ["eu", "us"]}}),
    ] {
        let caller = caller(settings(), &with("org", organization.clone())).await.unwrap();
        assert_eq!(caller.organization.as_str(), "acme", "{organization}");
    }
}

#[tokio::test]
async fn configured_values_select_and_rename_the_organization() {
    let mapped = IssuerSettings {
        organization_values: Some(organizations(&[("Acme Corp", "acme"), ("org_1", "acme"), ("globex", "globex")])),
        ..settings()
    };
    for (organization, expected) in [
        (json!("Acme Corp"), Some("acme")),
        (json!(["org_1"]), Some("acme")),
        (json!(["other", "globex", "people"]), Some("globex")),
        (json!(["Acme Corp", "org_1"]), Some("acme")),
        (json!({"Acme Corp": {"id": "1"}, "unknown": {}}), Some("acme")),
        (json!("acme"), None),
        (json!(["Acme Corp", "globex"]), None),
        (json!({"org_1": {}, "globex": {}}), None),
        (json!([]), None),
        (Value::Null, None),
    ] {
        let found = caller(mapped.clone(), &with("org", organization.clone())).await;
        match expected {
            Some(id) => assert_eq!(found.unwrap().organization.as_str(), id, "{organization}"),
            None => assert_eq!(found, Err(AuthnError::Organization), "{organization}"),
        }
    }
}

#[tokio::test]
async fn roles_that_an_organization_grants_count_in_this_organization() {
    let mut issuer = IssuerSettings { roles_claim: path("roles"), ..settings() };
    let grants = json!({
        "admin": {"222": "globex.example"},
        "contributor": {"111": "acme.example", "222": "globex.example"},
        "viewer": {},
        "something": {"111": "acme.example"},
    });
    issuer.organization_values = Some(organizations(&[("111", "acme"), ("222", "globex")]));
    let mut claims = with("org", json!("111"));
    claims["roles"] = grants.clone();
    assert_eq!(caller(issuer.clone(), &claims).await.unwrap().roles, [Role::Contributor]);
    claims["org"] = json!("222");
    assert_eq!(caller(issuer.clone(), &claims).await.unwrap().roles, [Role::Contributor, Role::Admin]);
    // The domain of the organization, instead of its id.
    issuer.organization_values = Some(organizations(&[("acme.example", "acme")]));
    claims["org"] = json!("acme.example");
    assert_eq!(caller(issuer.clone(), &claims).await.unwrap().roles, [Role::Contributor]);
    // An array of such objects, as the documentation of Zitadel shows it.
    claims["roles"] = json!([{"contributor": {"111": "acme.example"}}, {"viewer": {"222": "globex.example"}}]);
    assert_eq!(caller(issuer.clone(), &claims).await.unwrap().roles, [Role::Contributor]);
    claims["roles"] = json!([{"contributor": {"111": "acme.example"}}, "viewer"]);
    assert_eq!(caller(issuer.clone(), &claims).await, Err(AuthnError::Roles));
    // `resource_access` of Keycloak is an object of objects too: its clients are not roles.
    claims["roles"] = json!({"admin": {"roles": ["viewer"]}});
    assert_eq!(caller(issuer, &claims).await.unwrap().roles, []);
}

#[tokio::test]
async fn only_scopes_are_split_at_spaces() {
    for (claim, value, roles) in [
        ("scope", json!("openid  viewer admin"), &[Role::Viewer, Role::Admin][..]),
        ("scp", json!("viewer"), &[Role::Viewer]),
        ("scp", json!(["openid", "admin"]), &[Role::Admin]),
        ("scope", json!(["not admin"]), &[]),
        ("scope", json!(""), &[]),
        ("permissions", json!("viewer admin"), &[]),
        ("roles", json!("not admin"), &[]),
    ] {
        let issuer = IssuerSettings { roles_claim: path(claim), ..settings() };
        assert_eq!(caller(issuer, &with(claim, value.clone())).await.unwrap().roles, roles, "{claim} = {value}");
    }
}

#[tokio::test]
async fn the_audience_and_the_principal_may_be_other_claims() {
    let cognito = IssuerSettings { audience_claim: path("client_id"), ..settings() };
    let mut claims = with("aud", Value::Null);
    assert_eq!(caller(cognito.clone(), &claims).await, Err(AuthnError::Audience));
    claims["client_id"] = json!("outflow");
    assert!(caller(cognito.clone(), &claims).await.is_ok());
    claims["client_id"] = json!("other");
    claims["aud"] = json!("outflow");
    assert_eq!(caller(cognito, &claims).await, Err(AuthnError::Audience), "another claim does not replace it");

    let entra = IssuerSettings { principal_claim: path("oid"), ..settings() };
    let longest = "x".repeat(MAX_PRINCIPAL_BYTES - "corp:".len());
    for (oid, expected) in [(json!("6e5f"), Some("6e5f")), (json!(longest), Some(longest.as_str()))] {
        assert_eq!(
            caller(entra.clone(), &with("oid", oid)).await.unwrap().principal,
            format!("corp:{}", expected.unwrap())
        );
    }
    for oid in [Value::Null, json!(""), json!(" "), json!(7), json!(["6e5f"]), json!(format!("{longest}x"))] {
        assert_eq!(caller(entra.clone(), &with("oid", oid.clone())).await, Err(AuthnError::Subject), "{oid}");
    }
}

#[tokio::test]
async fn required_claims_must_have_their_value() {
    for (claim, required, value, accepted) in [
        ("token_use", "access", json!("access"), true),
        ("token_use", "access", json!("id"), false),
        ("token_use", "access", Value::Null, false),
        ("token_use", "access", json!({"access": true}), false),
        ("typ", "Bearer", json!("ID"), false),
        ("email_verified", "true", json!(true), true),
        ("email_verified", "true", json!("true"), true),
        ("email_verified", "true", json!(false), false),
        ("ver", "2.0", json!("2.0"), true),
        ("ver", "1", json!(1), true),
        ("amr", "mfa", json!(["pwd", "mfa"]), true),
        ("amr", "mfa", json!(["pwd"]), false),
        ("scope", "outflow", json!("openid outflow"), true),
        ("scope", "outflow", json!("openid outflow2"), false),
    ] {
        let issuer = IssuerSettings { required_claims: vec![(path(claim), required.to_owned())], ..settings() };
        let expected = if accepted { None } else { Some(AuthnError::RequiredClaim) };
        let found = caller(issuer, &with(claim, value.clone())).await.err();
        assert_eq!(found, expected, "{claim}={required}: {value}");
    }
}

#[tokio::test]
async fn a_token_whose_groups_are_elsewhere_is_refused() {
    let entra = IssuerSettings { groups_claim: Some(path("groups")), ..settings() };
    for (name, value) in
        [("_claim_names", json!({"groups": "src1"})), ("hasgroups", json!(true)), ("hasgroups", json!("true"))]
    {
        assert_eq!(caller(entra.clone(), &with(name, value)).await, Err(AuthnError::Groups), "{name}");
    }
    assert!(caller(entra, &with("_claim_names", json!({"photo": "src1"}))).await.is_ok());
    assert!(caller(settings(), &with("hasgroups", json!(true))).await.is_ok(), "the groups are in another claim");
}

#[tokio::test]
async fn headers_of_issuers_are_accepted() {
    let verifier = verifier().await;
    for header in [
        json!({"alg": "EdDSA", "kid": "ed", "typ": "JWT"}),
        json!({"alg": "EdDSA", "kid": "ed", "typ": "jwt"}),
        json!({"alg": "EdDSA", "kid": "ed", "typ": "at+jwt"}),
        json!({"alg": "EdDSA", "kid": "ed", "typ": "application/at+JWT"}),
        json!({"alg": "Ed25519", "kid": "ed"}),
        json!({"alg": "EdDSA", "kid": "ed", "typ": "JWT", "x5t": "ed", "cty": 1, "jku": "https://evil.example", "x5c": "?"}),
    ] {
        let token = signed(&header, &claims().to_string(), Algorithm::EdDSA, &keys().ed25519);
        assert_eq!(
            verifier.check(&token, at(0)).await.map(|caller| caller.principal.clone()),
            Ok("corp:ann".to_owned()),
            "{header}"
        );
    }
}

#[tokio::test]
async fn tokens_of_another_type_are_refused() {
    let verifier = verifier().await;
    for (token_type, reason) in [
        (json!("logout+jwt"), AuthnError::TokenType),
        (json!("secevent+jwt"), AuthnError::TokenType),
        (json!("dpop+jwt"), AuthnError::TokenType),
        // Only Okta may read the access tokens of its org authorization server.
        (json!("application/okta-internal-at+jwt"), AuthnError::TokenType),
        (json!(""), AuthnError::TokenType),
        (json!(1), AuthnError::Malformed),
    ] {
        let header = json!({"alg": "EdDSA", "kid": "ed", "typ": token_type});
        let token = signed(&header, &claims().to_string(), Algorithm::EdDSA, &keys().ed25519);
        assert_eq!(verifier.check(&token, at(0)).await, Err(reason), "{token_type}");
    }
}
