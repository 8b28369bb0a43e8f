//! Identity providers: the examples of the README accept access tokens of the shape that each provider documents.

mod tokens;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use outflow::config::{Values, all};
use outflow::grpc::proto as pb;
use serde_json::Value;
use tonic::Code;

use crate::support::{Backend, Clients as _, Issuer, TestServer};

/// A provider: its name in the README, a token of its shape, and changes of that token.
struct Provider {
    name: &'static str,
    /// The header `typ` of its tokens.
    token_type: Option<&'static str>,
    claims: Value,
    /// What was changed, the changed claims (`null` removes one), and the caller; `None`: the token is refused.
    cases: Vec<(&'static str, Value, Option<Expected>)>,
}

/// A caller as `GetCaller` returns it.
#[derive(Debug, PartialEq)]
struct Expected {
    principal: String,
    organization: &'static str,
    roles: Vec<pb::Role>,
    groups: Vec<String>,
}

/// Reads an example of the README as the server reads its configuration file.
pub fn readme_example(name: &str) -> Values {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(readme).expect("the README");
    let (_, rest) =
        readme.split_once(&format!("```toml\n# {name}\n")).unwrap_or_else(|| panic!("no example for {name}"));
    let (example, _) = rest.split_once("```").expect("the end of the example");
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("outflow.toml");
    std::fs::write(&path, example).expect("written");
    let environment: [(OsString, OsString); 0] = [];
    Values::read(all().collect(), &BTreeMap::new(), environment, Some(&path)).expect("the example is a configuration")
}

/// The settings of an example.
pub fn settings_of(example: &Values) -> Vec<(&'static str, String)> {
    let set = all().filter(|setting| example.is_set(setting.key));
    set.map(|setting| (setting.key, example.get::<String>(setting.key).expect("text").expect("set"))).collect()
}

/// Calls GetCaller with a token.
pub async fn get_caller(server: &TestServer, token: &str) -> Result<pb::Caller, tonic::Status> {
    let mut client = server.bearer(Some(token)).await;
    let response = client.identity.get_caller(pb::GetCallerRequest {}).await?;
    Ok(response.into_inner().caller.expect("a caller"))
}

async fn accepts_documented_tokens(provider: Provider) {
    let directory = tempfile::tempdir().expect("a directory");
    let key_set = directory.path().join("jwks.json");
    let issuer = Issuer::generate_rsa();
    std::fs::write(&key_set, issuer.key_set()).expect("written");
    let mut settings = settings_of(&readme_example(provider.name));
    // The example leaves the key set to discovery.
    assert!(settings.iter().all(|(key, _)| !key.starts_with("jwt_jwks")), "{settings:?}");
    settings.push(("jwt_jwks_file", key_set.to_str().expect("a path").to_owned()));
    let server = TestServer::start_with(Backend::Sqlite, settings).await;
    let now = server.clock.now().timestamp();
    for (case, changes, expected) in provider.cases {
        let mut claims = provider.claims.clone();
        for (name, time) in [("iat", now), ("exp", now + 300)] {
            claims[name] = time.into();
        }
        for (name, value) in changes.as_object().expect("claims") {
            let claims = claims.as_object_mut().expect("claims");
            if value.is_null() {
                claims.remove(name)
            } else {
                claims.insert(name.clone(), value.clone())
            };
        }
        let found = get_caller(&server, &issuer.sign(provider.token_type, &claims)).await;
        let case = format!("{}: {case}", provider.name);
        match (found, expected) {
            (Err(status), None) => {
                let refusal = (status.code(), status.message());
                assert_eq!(refusal, (Code::Unauthenticated, "a valid bearer token is required"), "{case}");
            }
            (Ok(caller), Some(expected)) => {
                let roles: Vec<pb::Role> = caller.roles().collect();
                let organization = caller.organization.as_str();
                assert_eq!(
                    (caller.principal.as_str(), organization),
                    (expected.principal.as_str(), expected.organization),
                    "{case}"
                );
                assert_eq!((roles, &caller.groups), (expected.roles, &expected.groups), "{case}");
                assert_eq!(caller.expire_time.map(|time| time.seconds), claims["exp"].as_i64(), "{case}");
            }
            (found, expected) => panic!("{case}: {found:?}, not {expected:?}"),
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_for_keycloak_accepts_its_tokens() {
    accepts_documented_tokens(tokens::keycloak()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_for_microsoft_entra_accepts_its_tokens() {
    accepts_documented_tokens(tokens::entra()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_for_auth0_accepts_its_tokens() {
    accepts_documented_tokens(tokens::auth0()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_for_okta_accepts_its_tokens() {
    accepts_documented_tokens(tokens::okta()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_for_amazon_cognito_accepts_its_tokens() {
    accepts_documented_tokens(tokens::cognito()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_for_zitadel_accepts_its_tokens() {
    accepts_documented_tokens(tokens::zitadel()).await;
}
