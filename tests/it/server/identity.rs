//! Who is let in: an issuer's tokens over TLS.

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

struct Issuer(EncodingKey);

impl Issuer {
    fn new(key_set: &Path) -> Self {
        let pair = Ed25519KeyPair::generate().expect("a key pair");
        assert_eq!(pair.public_key().as_ref().len(), 32);
        let pkcs8 = pair.to_pkcs8v1().expect("it is written out");
        let key = EncodingKey::from_ed_der(pkcs8.as_ref());
        let public = Jwk::from_encoding_key(&key, Algorithm::EdDSA).expect("its public part");
        std::fs::write(key_set, json!(JwkSet { keys: vec![public] }).to_string()).expect("a key set");
        Self(key)
    }

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

/// What reflection answers to somebody who asks for the services.
async fn reflected(channel: Channel, token: Option<&str>) -> Result<Vec<String>, Code> {
    let asked = ServerReflectionRequest {
        message_request: Some(MessageRequest::ListServices(String::new())),
        ..Default::default()
    };
    let mut request = Request::new(tokio_stream::once(asked));
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("ASCII"));
    }
    let refused = |status: tonic::Status| status.code();
    let answers = ServerReflectionClient::new(channel).server_reflection_info(request).await.map_err(refused)?;
    match answers.into_inner().message().await.map_err(refused)?.expect("an answer").message_response {
        Some(MessageResponse::ListServicesResponse(list)) => {
            Ok(list.service.into_iter().map(|service| service.name).collect())
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuers_tokens_are_believed_over_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let issuer = Issuer::new(&path("jwks.json"));
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).expect("a certificate");
    std::fs::write(path("tls.crt"), made.cert.pem()).expect("written");
    std::fs::write(path("tls.key"), made.signing_key.serialize_pem()).expect("written");
    let mut settings = issuer_settings(&path("jwks.json"));
    for (key, file) in [("tls_cert_file", "tls.crt"), ("tls_key_file", "tls.key")] {
        settings.push((key, path(file).to_str().expect("a path").to_owned()));
    }
    let server = TestServer::start_with(Backend::Sqlite, settings).await;
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(made.cert.pem()));
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
        let answer = client.list_connection_types(request).await;
        let code = answer.as_ref().map_or_else(tonic::Status::code, |_| Code::Ok);
        assert_eq!(code, expected, "{:?}", answer.err().map(|status| status.reason()));
    }
    // Beyond development, reflection is off unless somebody switches it on.
    assert_eq!(reflected(channel.clone(), Some(&issuer.token(&[], now))).await, Err(Code::Unimplemented));
    assert_eq!(reflected(channel, None).await, Err(Code::Unauthenticated));
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_somebody_elses_tls_it_listens_beyond_loopback_and_reflects_to_those_it_knows() {
    let folder = tempfile::tempdir().expect("a folder");
    let key_set = folder.path().join("jwks.json");
    let issuer = Issuer::new(&key_set);
    let mut settings = issuer_settings(&key_set);
    for (key, value) in [("listen", "0.0.0.0:0"), ("plaintext", "behind-tls"), ("reflection", "true")] {
        settings.push((key, value.to_owned()));
    }
    let server = TestServer::start_with(Backend::Sqlite, settings).await;
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{}", server.address.port())).expect("an address");
    let channel = endpoint.connect().await.expect("the server listens");
    let token = issuer.token(&[], server.clock.now().timestamp());
    assert_eq!(reflected(channel.clone(), None).await, Err(Code::Unauthenticated));
    let services = reflected(channel, Some(&token)).await.expect("it is known");
    assert!(services.contains(&"outflow.v1.ExportService".to_owned()), "{services:?}");
}
