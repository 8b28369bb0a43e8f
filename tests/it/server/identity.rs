//! Authentication: tokens of an issuer, TLS, and access to server reflection.

use outflow::grpc::proto as pb;
use outflow::grpc::proto::connection_service_client::ConnectionServiceClient;
use serde_json::json;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request};
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::support::{Backend, Clients as _, ErrorExt as _, Issuer, TestServer, issuer_settings};

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
    let issuer = Issuer::generate();
    std::fs::write(path("jwks.json"), issuer.key_set()).expect("written");
    let certificate = rcgen::generate_simple_self_signed(vec!["localhost".into()]).expect("a certificate");
    std::fs::write(path("tls.crt"), certificate.cert.pem()).expect("written");
    std::fs::write(path("tls.key"), certificate.signing_key.serialize_pem()).expect("written");
    let mut settings = issuer_settings("jwt_jwks_file", path("jwks.json").to_str().expect("a path"));
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
    let issuer = Issuer::generate();
    std::fs::write(&key_set, issuer.key_set()).expect("written");
    let mut settings = issuer_settings("jwt_jwks_file", key_set.to_str().expect("a path"));
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
