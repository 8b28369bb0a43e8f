//! Authentication: tokens of an issuer, TLS, and access to server reflection.

use std::path::Path;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use outflow::grpc::proto as pb;
use outflow::grpc::proto::connection_service_client::ConnectionServiceClient;
use serde_json::{Value, json};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request};
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::support::{Backend, Clients as _, ErrorExt as _, TestServer};

/// An issuer of tokens with one signing key.
struct Issuer(EncodingKey);

impl Issuer {
    /// Generates a key, and writes the key set with its public part.
    fn new(key_set: &Path) -> Self {
        let pair = Ed25519KeyPair::generate().expect("a key pair");
        assert_eq!(pair.public_key().as_ref().len(), 32);
        let pkcs8 = pair.to_pkcs8v1().expect("a PKCS #8 document");
        let key = EncodingKey::from_ed_der(pkcs8.as_ref());
        let public = Jwk::from_encoding_key(&key, Algorithm::EdDSA).expect("a public key");
        std::fs::write(key_set, json!(JwkSet { keys: vec![public] }).to_string()).expect("a key set");
        Self(key)
    }

    /// Issues a valid token for `now`, with some claims changed.
    fn token(&self, changes: &[(&str, Value)], now: i64) -> String {
        let mut claims = json!({
            "iss": "https://issuer.example", "aud": "outflow", "sub": "ann", "iat": now, "exp": now + 600,
            "org": {"id": "acme"}, "groups": ["marketing"], "outflow_roles": ["reader"],
        });
        for (claim, value) in changes {
            claims[*claim] = value.clone();
        }
        jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), &claims, &self.0).expect("a token")
    }
}

/// Settings that accept the tokens of an issuer with this key set.
fn issuer_settings(key_set: &Path) -> Vec<(&'static str, String)> {
    let settings = [
        ("identity_mode", "jwt"),
        ("jwt_issuer", "https://issuer.example"),
        ("jwt_audience", "outflow"),
        ("jwt_jwks_file", key_set.to_str().expect("a path")),
        ("jwt_principal_prefix", "corp:"),
        ("jwt_organization_claim", "org.id"),
        ("jwt_roles_claim", "outflow_roles"),
        ("jwt_role_values", "reader=viewer, owner=admin"),
        ("jwt_groups_claim", "groups"),
    ];
    settings.map(|(key, value)| (key, value.to_owned())).to_vec()
}

/// Lists the services by server reflection.
async fn reflected_services(channel: Channel, token: Option<&str>) -> Result<Vec<String>, Code> {
    let list_services = ServerReflectionRequest {
        message_request: Some(MessageRequest::ListServices(String::new())),
        ..Default::default()
    };
    let mut request = Request::new(tokio_stream::once(list_services));
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("ASCII"));
    }
    let code = |status: tonic::Status| status.code();
    let responses = ServerReflectionClient::new(channel).server_reflection_info(request).await.map_err(code)?;
    match responses.into_inner().message().await.map_err(code)?.expect("a response").message_response {
        Some(MessageResponse::ListServicesResponse(list)) => {
            Ok(list.service.into_iter().map(|service| service.name).collect())
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_the_issuer_are_accepted_over_tls() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let issuer = Issuer::new(&path("jwks.json"));
    let certificate = rcgen::generate_simple_self_signed(vec!["localhost".into()]).expect("a certificate");
    std::fs::write(path("tls.crt"), certificate.cert.pem()).expect("written");
    std::fs::write(path("tls.key"), certificate.signing_key.serialize_pem()).expect("written");
    let mut settings = issuer_settings(&path("jwks.json"));
    for (key, file) in [("tls_cert_file", "tls.crt"), ("tls_key_file", "tls.key")] {
        settings.push((key, path(file).to_str().expect("a path").to_owned()));
    }
    let server = TestServer::start_with(Backend::Sqlite, settings).await;
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(certificate.cert.pem()));
    let endpoint = Endpoint::from_shared(format!("https://localhost:{}", server.address.port())).expect("an address");
    let channel = endpoint.tls_config(tls).expect("TLS").connect().await.expect("the server listens");
    let mut client = ConnectionServiceClient::new(channel.clone());
    let now = server.clock.now().timestamp();
    let development = server.token("acme", "ann", &[outflow::model::Role::Admin], &[]);
    for (token, expected) in [
        (issuer.token(&[], now), Code::Ok),
        (issuer.token(&[("iss", json!("https://other.example"))], now), Code::Unauthenticated),
        (issuer.token(&[("aud", json!("another"))], now), Code::Unauthenticated),
        (issuer.token(&[("exp", json!(now - 60))], now), Code::Unauthenticated),
        (issuer.token(&[("nbf", json!(now + 60))], now), Code::Unauthenticated),
        (issuer.token(&[("org", json!({"id": "NOT/ONE"}))], now), Code::Unauthenticated),
        (issuer.token(&[("sub", json!(""))], now), Code::Unauthenticated),
        (issuer.token(&[("outflow_roles", json!(["emperor"]))], now), Code::PermissionDenied),
        (issuer.token(&[("outflow_roles", json!(["viewer"]))], now), Code::PermissionDenied),
        (development, Code::Unauthenticated),
    ] {
        let mut request = Request::new(pb::ListConnectionTypesRequest::default());
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("ASCII"));
        let response = client.list_connection_types(request).await;
        let code = response.as_ref().map_or_else(tonic::Status::code, |_| Code::Ok);
        assert_eq!(code, expected, "{:?}", response.err().map(|status| status.reason()));
    }
    // Outside of development mode, reflection is disabled by default.
    assert_eq!(reflected_services(channel.clone(), Some(&issuer.token(&[], now))).await, Err(Code::Unimplemented));
    assert_eq!(reflected_services(channel, None).await, Err(Code::Unauthenticated));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_behind_tls_listens_beyond_loopback_and_reflection_requires_a_token() {
    let directory = tempfile::tempdir().expect("a directory");
    let key_set = directory.path().join("jwks.json");
    let issuer = Issuer::new(&key_set);
    let mut settings = issuer_settings(&key_set);
    for (key, value) in [("listen", "0.0.0.0:0"), ("plaintext", "behind-tls"), ("reflection", "true")] {
        settings.push((key, value.to_owned()));
    }
    let server = TestServer::start_with(Backend::Sqlite, settings).await;
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{}", server.address.port())).expect("an address");
    let channel = endpoint.connect().await.expect("the server listens");
    let token = issuer.token(&[], server.clock.now().timestamp());
    assert_eq!(reflected_services(channel.clone(), None).await, Err(Code::Unauthenticated));
    let services = reflected_services(channel, Some(&token)).await.expect("authenticated");
    assert!(services.contains(&"outflow.v1.ExportService".to_owned()), "{services:?}");
}
