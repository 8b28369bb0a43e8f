//! Access tokens of the shape that providers document, and changes of them.

use outflow::grpc::proto as pb;
use pb::Role::{Admin, Contributor, Viewer};
use serde_json::{Value, json};

use super::{Expected, Provider};

fn caller(principal: &str, roles: &[pb::Role], groups: &[&str]) -> Expected {
    Expected {
        principal: principal.to_owned(),
        organization: "organizations/acme",
        roles: roles.to_vec(),
        groups: groups.iter().map(ToString::to_string).collect(),
    }
}

/// Keycloak Server Administration Guide: "Managing organizations", "Audience support", "Protocol mappers".
pub fn keycloak() -> Provider {
    let sub = "8cd79aa4-78fe-46ce-97a9-e9bfdc0e49be";
    let ann = || Some(caller(sub, &[Contributor], &["marketing", "sales"]));
    let roles = |roles: Value| json!({"resource_access": {"outflow.example.com": {"roles": roles}}});
    Provider {
        name: "Keycloak",
        token_type: Some("JWT"),
        claims: json!({
            "iss": "https://keycloak.example.com/realms/acme", "aud": ["outflow", "account"], "sub": sub,
            "typ": "Bearer", "azp": "portal", "auth_time": 0, "jti": "1385596d", "sid": "9a2b", "acr": "1",
            "allowed-origins": ["https://portal.example.com"],
            "realm_access": {"roles": ["offline_access", "admin"]},
            "resource_access": {
                "outflow.example.com": {"roles": ["contributor", "uma_protection"]}, "account": {"roles": ["admin"]},
            },
            "scope": "openid email profile organization", "email_verified": true,
            "organization": ["acme"], "preferred_username": "ann", "groups": ["sales", "marketing"],
        }),
        cases: vec![
            ("organizations as a list", json!({}), ann()),
            (
                "organizations with attributes",
                json!({"organization": {"acme": {"id": "42c3", "tier": ["gold"]}}}),
                ann(),
            ),
            ("organizations without attributes", json!({"organization": {"acme": {}}}), ann()),
            ("one organization, single-valued", json!({"organization": "acme"}), ann()),
            ("one audience", json!({"aud": "outflow"}), ann()),
            ("before version 17", json!({"nbf": 0, "session_state": "9a2b"}), ann()),
            (
                "another role of the client",
                roles(json!(["admin"])),
                Some(caller(sub, &[Admin], &["marketing", "sales"])),
            ),
            (
                "no role of the client",
                json!({"resource_access": null}),
                Some(caller(sub, &[], &["marketing", "sales"])),
            ),
            ("no groups", json!({"groups": null}), Some(caller(sub, &[Contributor], &[]))),
            ("two organizations", json!({"organization": ["acme", "globex"]}), None),
            ("two organizations with attributes", json!({"organization": {"acme": {}, "globex": {}}}), None),
            ("no organization: more than one, and scope `organization`", json!({"organization": null}), None),
            ("the proposed object of one organization", json!({"organization": {"id": "42c3", "name": "acme"}}), None),
            ("an ID token", json!({"typ": "ID", "aud": "outflow"}), None),
            ("a refresh token", json!({"typ": "Refresh"}), None),
            ("no audience mapper", json!({"aud": "account"}), None),
            ("the frontend URL", json!({"iss": "http://keycloak:8080/realms/acme"}), None),
        ],
    }
}

/// Microsoft identity platform: "Access token claims reference", version 2.0.
pub fn entra() -> Provider {
    let (tenant, oid) = ("aaaabbbb-0000-cccc-1111-dddd2222eeee", "aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb");
    let group = "cccccccc-8888-9999-0000-dddddddddddd";
    let ann = || Some(caller(oid, &[Admin], &[group]));
    Provider {
        name: "Microsoft Entra",
        token_type: Some("JWT"),
        claims: json!({
            "aud": "00001111-aaaa-2222-bbbb-3333cccc4444",
            "iss": format!("https://login.microsoftonline.com/{tenant}/v2.0"),
            "nbf": 1_600_000_000, "aio": "AXQAi/8IAAAAFm+E/QTG", "azp": "11112222-bbbb-3333-cccc-4444dddd5555",
            "azpacr": "0", "groups": [group], "name": "Ann Example", "oid": oid, "preferred_username": "ann@example.com",
            "rh": "I", "roles": ["Outflow.Admin"], "scp": "access_as_user", "sub": "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ",
            "tid": tenant, "uti": "fqiBqXLPj0eQa82S-IYFAA", "ver": "2.0",
        }),
        cases: vec![
            ("a person", json!({}), ann()),
            ("the URI of the API as audience", json!({"aud": "api://outflow.example.com"}), ann()),
            (
                "an application",
                json!({"scp": null, "name": null, "azpacr": "1", "idtyp": "app", "groups": null, "roles": ["Outflow.Viewer"]}),
                Some(caller(oid, &[Viewer], &[])),
            ),
            ("no app role", json!({"roles": null}), Some(caller(oid, &[], &[group]))),
            (
                "roles of another application",
                json!({"roles": ["Files.Admin", "admin"]}),
                Some(caller(oid, &[], &[group])),
            ),
            (
                "more than 200 groups",
                json!({"groups": null, "_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "https://graph"}}}),
                None,
            ),
            ("the implicit flow with many groups", json!({"groups": null, "hasgroups": true}), None),
            ("another tenant", json!({"tid": "ffffeeee-0000-cccc-1111-dddd2222eeee"}), None),
            ("no oid", json!({"oid": null}), None),
            ("version 1", json!({"iss": format!("https://sts.windows.net/{tenant}/"), "ver": "1.0"}), None),
            ("a token for Microsoft Graph", json!({"aud": "00000003-0000-0000-c000-000000000000"}), None),
        ],
    }
}

/// Auth0: "Access Token Profiles", "Work with Tokens and Organizations", "Create Custom Claims".
pub fn auth0() -> Provider {
    let ann = || Some(caller("auth0|5f7c8ec7c33c6c004bbafe82", &[Admin], &["sales"]));
    Provider {
        name: "Auth0",
        token_type: Some("JWT"),
        claims: json!({
            "https://example.com/roles": ["Outflow Admin", "Editor"], "https://example.com/groups": ["sales"],
            "iss": "https://acme.eu.auth0.com/", "sub": "auth0|5f7c8ec7c33c6c004bbafe82",
            "aud": ["https://outflow.example.com/api", "https://acme.eu.auth0.com/userinfo"],
            "scope": "openid profile", "org_id": "org_9ybsU1dN2dKfDkBi", "org_name": "acme", "azp": "my_client_id",
            "permissions": ["outflow:admin"],
        }),
        cases: vec![
            ("a person", json!({}), ann()),
            ("the profile of RFC 9068", json!({"client_id": "my_client_id", "jti": "1", "azp": null}), ann()),
            (
                "an application",
                json!({
                    "sub": "my_client_id@clients", "gty": "client-credentials", "https://example.com/groups": null,
                    "https://example.com/roles": null, "aud": "https://outflow.example.com/api",
                }),
                Some(caller("my_client_id@clients", &[], &[])),
            ),
            (
                "a role within a text",
                json!({"https://example.com/roles": "not Outflow Admin"}),
                Some(caller("auth0|5f7c8ec7c33c6c004bbafe82", &[], &["sales"])),
            ),
            ("a login without an organization", json!({"org_id": null, "org_name": null}), None),
            ("another organization", json!({"org_id": "org_other"}), None),
            ("the issuer without its slash", json!({"iss": "https://acme.eu.auth0.com"}), None),
            ("an ID token", json!({"aud": "my_client_id"}), None),
        ],
    }
}

/// Okta: "Access token payload" and "Customize tokens returned from Okta with custom claims".
pub fn okta() -> Provider {
    let ann = || Some(caller("ann@example.com", &[Contributor], &["Everyone", "Outflow Contributors"]));
    Provider {
        name: "Okta",
        token_type: None,
        claims: json!({
            "ver": 1, "jti": "AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE",
            "iss": "https://acme.okta.com/oauth2/default", "aud": "api://outflow", "cid": "nmdP1fcyvdVO11AL7ECm",
            "uid": "00ujmkLgagxeRrAg20g3", "scp": ["openid", "profile"], "auth_time": 1_600_000_000,
            "sub": "ann@example.com", "organization": "acme", "groups": ["Everyone", "Outflow Contributors"],
        }),
        cases: vec![
            ("a person", json!({}), ann()),
            ("the type of RFC 9068 is in the header, not in the claims", json!({"typ": "at+jwt"}), ann()),
            (
                "a service",
                json!({"uid": null, "sub": "0oabucvyc38HLL1ef0h7", "cid": "0oabucvyc38HLL1ef0h7", "groups": null, "auth_time": null}),
                Some(caller("0oabucvyc38HLL1ef0h7", &[], &[])),
            ),
            (
                "the org authorization server",
                json!({"iss": "https://acme.okta.com", "aud": "https://acme.okta.com"}),
                None,
            ),
            ("an organization of an array attribute", json!({"organization": ["acme"]}), ann()),
            ("no claim for the organization", json!({"organization": null}), None),
        ],
    }
}

/// Amazon Cognito: "Understanding the access token".
pub fn cognito() -> Provider {
    let sub = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee";
    let ann = || Some(caller(sub, &[Admin], &["outflow-admins", "readers"]));
    Provider {
        name: "Amazon Cognito",
        token_type: None,
        claims: json!({
            "sub": sub, "device_key": "eu-central-1_1", "cognito:groups": ["outflow-admins", "readers"],
            "iss": "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_aBcDeFgHi", "version": 2,
            "client_id": "1h57kf5cpq17m0eml12EXAMPLE", "origin_jti": "1", "event_id": "2", "token_use": "access",
            "scope": "openid aws.cognito.signin.user.admin", "auth_time": 1_600_000_000, "jti": "3", "username": "ann",
        }),
        cases: vec![
            ("a person", json!({}), ann()),
            ("resource binding adds an audience", json!({"aud": "https://outflow.example.com"}), ann()),
            (
                "a machine",
                json!({
                    "sub": "1h57kf5cpq17m0eml12EXAMPLE", "cognito:groups": null, "username": null, "scope": "outflow/admin",
                    "origin_jti": null, "event_id": null, "device_key": null,
                }),
                Some(caller("1h57kf5cpq17m0eml12EXAMPLE", &[], &[])),
            ),
            ("no group", json!({"cognito:groups": null}), Some(caller(sub, &[], &[]))),
            ("an ID token", json!({"token_use": "id", "aud": "1h57kf5cpq17m0eml12EXAMPLE", "client_id": null}), None),
            ("an ID token with the claim of an access token", json!({"token_use": "id"}), None),
            ("another app client", json!({"client_id": "other"}), None),
            ("another pool", json!({"iss": "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_other"}), None),
        ],
    }
}

/// Zitadel: "Claims in ZITADEL", "Retrieve User Roles".
pub fn zitadel() -> Provider {
    let (roles, sub) = ("urn:zitadel:iam:org:project:roles", "275000000000000001");
    let owner = "urn:zitadel:iam:user:resourceowner:id";
    Provider {
        name: "Zitadel",
        token_type: Some("at+jwt"),
        claims: json!({
            "iss": "https://acme-prod-ab12cd.zitadel.cloud", "sub": sub, "aud": ["281111111111111111", "281234567890123456"],
            "nbf": 1_600_000_000, "jti": "1", "client_id": "281111111111111111",
            roles: {"admin": {"270000000000000001": "acme.acme-prod-ab12cd.zitadel.cloud"}},
            "urn:zitadel:iam:org:project:281234567890123456:roles": {"admin": {"270000000000000001": "acme.zitadel.cloud"}},
            owner: "270000000000000001",
            "urn:zitadel:iam:user:resourceowner:name": "ACME", "urn:zitadel:iam:user:resourceowner:primary_domain": "acme.zitadel.cloud",
        }),
        cases: vec![
            ("a person", json!({}), Some(caller(sub, &[Admin], &[]))),
            (
                "roles of two organizations",
                json!({roles: {
                    "admin": {"270000000000000002": "globex.zitadel.cloud"},
                    "viewer": {"270000000000000001": "acme.zitadel.cloud", "270000000000000002": "globex.zitadel.cloud"},
                }}),
                Some(caller(sub, &[Viewer], &[])),
            ),
            ("no role", json!({roles: null}), Some(caller(sub, &[], &[]))),
            ("roles as Actions can add them", json!({roles: ["contributor"]}), Some(caller(sub, &[Contributor], &[]))),
            ("roles of another shape", json!({roles: {"admin": true}}), None),
            ("an organization that is not configured", json!({owner: "270000000000000009"}), None),
            ("without the scope for the organization", json!({owner: null}), None),
            ("another project", json!({"aud": ["281111111111111111"]}), None),
        ],
    }
}
