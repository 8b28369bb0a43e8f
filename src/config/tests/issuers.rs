//! Issuers of tokens: one by the settings `jwt_…`, or several by `jwt_issuers`.

use super::*;
use crate::model::IssuerSettings;

/// Parses a file as the server does.
fn parse_file(content: &str) -> Result<Vec<JwtConfig>, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let config = file(folder.path(), "a.toml", content);
    let config = Config::parse(&read(&["--config", &config], &[])?)?;
    let Exposure::Loopback { identity: Identity::Issued(identity), .. } = config.api.exposure else {
        panic!("no issuer");
    };
    Ok(identity.jwt)
}

const TWO: &str = "identity_mode = 'jwt'
[jwt.issuers.people]
issuer = 'https://login.example/'
audience = ['outflow', 'https://outflow.example']
principal_prefix = ''
required_claims = { token_use = 'access', ver = '2.0' }
organization_claim = 'tid'
organization_values = { '8f3c' = 'acme' }
role_values = { 'Outflow.Admin' = 'admin' }
[jwt.issuers.robots]
issuer = 'robots'
audience = 'outflow'
audience_claim = 'client_id'
jwks_file = 'robots.json'
principal_prefix = 'robot:'
principal_claim = 'oid'
roles_claim = '/resource_access/app.example.com/roles'
";

#[test]
fn several_issuers_have_settings_of_their_own() {
    let issuers = parse_file(TWO).unwrap();
    let [people, robots] = issuers.as_slice() else { panic!("{}", issuers.len()) };
    assert!(matches!(people.key_set, KeySetLocation::Discovery));
    assert!(matches!(&robots.key_set, KeySetLocation::File(path) if path == Path::new("robots.json")));
    let (people, robots) = (&people.settings, &robots.settings);
    assert_eq!((people.issuer.as_str(), robots.issuer.as_str()), ("https://login.example/", "robots"));
    assert_eq!(people.audiences, ["outflow", "https://outflow.example"]);
    let required: Vec<_> = people.required_claims.iter().map(|(path, value)| (path.as_str(), value.as_str())).collect();
    assert_eq!(required, [("token_use", "access"), ("ver", "2.0")]);
    assert_eq!(people.organization_values.as_ref().unwrap()["8f3c"].as_str(), "acme");
    assert_eq!(people.role_values.as_ref().unwrap()["Outflow.Admin"], Role::Admin);
    let claims = |issuer: &IssuerSettings| {
        [&issuer.audience_claim, &issuer.principal_claim, &issuer.organization_claim, &issuer.roles_claim]
            .map(|path| path.as_str().to_owned())
    };
    assert_eq!(claims(people), ["aud", "sub", "tid", "roles"]);
    assert_eq!(claims(robots), ["client_id", "oid", "organization", "/resource_access/app.example.com/roles"]);
}

#[test]
fn several_issuers_can_be_an_environment_variable() {
    let toml = "a = { issuer = 'https://a', audience = 'x', principal_prefix = 'a:' }\n\
                b = { issuer = 'https://b', audience = 'x', principal_prefix = '' }";
    let environment = [("OUTFLOW_IDENTITY_MODE", "jwt"), ("OUTFLOW_JWT_ISSUERS", toml)];
    let values = read(&[], &environment).unwrap();
    assert_eq!(Config::parse(&values).unwrap().api.exposure.issued().unwrap().jwt.len(), 2);
    let folder = tempfile::tempdir().unwrap();
    let printed = file(folder.path(), "printed.toml", &effective(&values));
    let config = Config::parse(&read(&["--config", &printed], &[]).unwrap()).unwrap();
    assert_eq!(config.api.exposure.issued().unwrap().jwt.len(), 2, "printed settings are the same");
}

#[test]
fn issuers_that_cannot_be_told_apart_or_are_incomplete_are_refused() {
    let mtls = "identity_mode = 'jwt,mtls'\ntls_cert_file = 'c'\ntls_key_file = 'k'\nmtls_client_ca_file = 'ca'\n\
                mtls_clients_file = 't'\nmtls_principal_prefix = 'robot:'\n";
    for (content, problem) in [
        (
            TWO.replace("'robot:'", "''"),
            "the entry `people` of `jwt_issuers` and the entry `robots` have the principal prefix ``; each must have its \
             own, and one may be empty",
        ),
        (
            TWO.replace("identity_mode = 'jwt'\n", mtls),
            "the issuer `robots` and `mtls_principal_prefix` have the principal prefix `robot:`; each must have its own, and \
             one may be empty",
        ),
        (TWO.replace("'robots'\n", "'https://login.example/'\n"), "the issuer `https://login.example/` is set twice"),
        (
            TWO.replace("audience = 'outflow'\n", ""),
            "identity mode `jwt` needs `jwt_issuer` and `jwt_audience` of each issuer",
        ),
        (
            TWO.replace("principal_prefix = 'robot:'\n", ""),
            "identity mode `jwt` needs `jwt_principal_prefix` of each issuer; it may be empty",
        ),
        (
            TWO.replace("jwks_file = 'robots.json'\n", ""),
            "an issuer that is not a URL needs `jwt_jwks_url` or `jwt_jwks_file`, since it has no discovery document",
        ),
        (
            TWO.replace("[jwt.issuers.people]", "jwt_issuer = 'x'\n[jwt.issuers.people]"),
            "set `jwt_issuers`, or the other settings of one issuer, not both",
        ),
    ] {
        assert_eq!(parse_file(&content).err().unwrap().to_string(), format!("configuration: {problem}"));
    }
    for (content, start) in [
        (
            TWO.replace("audience_claim", "audiense_claim"),
            "unknown setting `jwt_audiense_claim` in entry \"robots\" of file ",
        ),
        (TWO.replace("'oid'", "''"), "`jwt_principal_claim` must be the name of a claim, "),
        (TWO.replace("/resource_access", "/~resource_access"), "`jwt_roles_claim` must be the name of a claim, "),
        (TWO.replace("= 'acme'", "= 'Acme Corp'"), "`jwt_organization_values` must be `value=organization` pairs "),
        (TWO.replace("'outflow', ", "'', "), "`jwt_audience` must be strings between commas, "),
        ("identity_mode = 'jwt'\njwt_issuers = 'a'".to_owned(), "`jwt_issuers` must be a TOML table of tables "),
        (
            "identity_mode = 'jwt'\n[jwt]\nissuers = { a = 1 }".to_owned(),
            "`jwt_issuers` must be a TOML table of tables ",
        ),
    ] {
        let error = parse_file(&content).err().unwrap().to_string();
        assert!(error.starts_with(&format!("configuration: {start}")), "{error}");
    }
}
