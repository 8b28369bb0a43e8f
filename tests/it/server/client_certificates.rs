//! Callers with client certificates, over TLS.

use std::path::PathBuf;

use outflow::grpc::proto as pb;
use outflow::grpc::proto::connection_service_client::ConnectionServiceClient;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status};

use crate::destinations::certificates::{self, Authority};
use crate::support::{Backend, ErrorExt as _, Issuer, TestServer, issuer_settings, parent};

const CLIENTS: &str = r#"
["spiffe://example.org/loader"]
organization = "acme"
subject = "loader"
roles = ["admin"]

["spiffe://example.org/reader"]
organization = "zeta"
subject = "reader"
roles = ["viewer"]
"#;

struct Fixture {
    directory: tempfile::TempDir,
    server_ca: Authority,
    client_ca: Authority,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let fixture = Self { directory, server_ca: Authority::new("servers"), client_ca: Authority::new("clients") };
        let identity = fixture.server_ca.issue("localhost");
        for (name, content) in [
            ("tls.crt", identity.certificate),
            ("tls.key", identity.key),
            ("ca.crt", fixture.client_ca.pem()),
            ("clients.toml", CLIENTS.to_owned()),
        ] {
            std::fs::write(fixture.path(name), content).expect("written");
        }
        fixture
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let files = [
            ("tls_cert_file", "tls.crt"),
            ("tls_key_file", "tls.key"),
            ("mtls_client_ca_file", "ca.crt"),
            ("mtls_clients_file", "clients.toml"),
        ];
        let files = files.map(|(key, name)| (key, self.path(name).display().to_string()));
        let others = [("identity_mode", "mtls"), ("mtls_principal_prefix", "workload:")];
        files.into_iter().chain(others.map(|(key, value)| (key, value.to_owned()))).collect()
    }

    async fn connect(
        &self,
        server: &TestServer,
        client: Option<certificates::Identity>,
    ) -> Result<ConnectionServiceClient<Channel>, tonic::transport::Error> {
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(self.server_ca.pem()));
        if let Some(client) = client {
            tls = tls.identity(Identity::from_pem(client.certificate, client.key));
        }
        let address = format!("https://localhost:{}", server.address.port());
        let endpoint = Endpoint::from_shared(address).expect("an address").tls_config(tls).expect("TLS");
        Ok(ConnectionServiceClient::new(endpoint.connect().await?))
    }
}

async fn list(client: &mut ConnectionServiceClient<Channel>, token: Option<&str>) -> Result<(), Status> {
    let mut request = Request::new(pb::ListConnectionsRequest { parent: parent(), ..Default::default() });
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("ASCII"));
    }
    client.list_connections(request).await.map(drop)
}

fn code(result: Result<(), Status>) -> Code {
    result.map_or_else(|status| status.code(), |()| Code::Ok)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_identifies_a_caller() {
    let fixture = Fixture::new();
    let server = TestServer::start_with(Backend::Sqlite, fixture.settings()).await;
    let mut loader = fixture
        .connect(&server, Some(fixture.client_ca.issue_client("spiffe://example.org/loader")))
        .await
        .expect("TLS");
    list(&mut loader, None).await.expect("an administrator of acme");
    let refusal = list(&mut loader, Some("a.b.c")).await.expect_err("no tokens are accepted");
    assert_eq!(refusal.code(), Code::Unauthenticated);

    // Another organization, an id that is not in the table, no SPIFFE id, and no certificate.
    for (client, expected) in [
        (Some(fixture.client_ca.issue_client("spiffe://example.org/reader")), Code::PermissionDenied),
        (Some(fixture.client_ca.issue_client("spiffe://example.org/other")), Code::Unauthenticated),
        (Some(fixture.client_ca.issue("loader.example.org")), Code::Unauthenticated),
        (None, Code::Unauthenticated),
    ] {
        let mut client = fixture.connect(&server, client).await.expect("TLS");
        let refusal = list(&mut client, None).await.expect_err("refused");
        assert_eq!(refusal.code(), expected, "{}", refusal.reason());
    }
    // What no certificate of a client may be does not pass TLS, although the id is in the table.
    let (id, year) = ("spiffe://example.org/loader", |year| rcgen::date_time_ymd(year, 1, 1));
    let authority = &fixture.client_ca;
    for (what, certificate) in [
        ("of another authority", Authority::new("others").issue_client(id)),
        ("of an authority of the same name", Authority::new("clients").issue_client(id)),
        ("of the authority of servers", fixture.server_ca.issue_client(id)),
        ("expired", authority.issue_client_with(id, |params| params.not_after = year(2020))),
        ("not valid yet", authority.issue_client_with(id, |params| params.not_before = year(2100))),
        (
            "of a server",
            authority.issue_client_with(id, |params| {
                params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
            }),
        ),
    ] {
        let refused = match fixture.connect(&server, Some(certificate)).await {
            Ok(mut client) => list(&mut client, None).await.is_err_and(|status| status.code() != Code::Unauthenticated),
            Err(_) => true,
        };
        assert!(refused, "the handshake fails: {what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_and_client_certificates_are_accepted_together() {
    let fixture = Fixture::new();
    let issuer = Issuer::generate();
    std::fs::write(fixture.path("jwks.json"), issuer.key_set()).expect("written");
    let mut settings = issuer_settings("jwt_jwks_file", fixture.path("jwks.json").to_str().expect("a path"));
    settings.retain(|(key, _)| *key != "identity_mode");
    settings.extend(fixture.settings().into_iter().filter(|(key, _)| *key != "identity_mode"));
    settings.retain(|(key, _)| *key != "mtls_principal_prefix");
    for (key, value) in [("identity_mode", "jwt,mtls"), ("mtls_principal_prefix", "corp:workload:")] {
        settings.push((key, value.to_owned()));
    }
    let server = TestServer::start_with(Backend::Sqlite, settings).await;
    let now = server.clock.now().timestamp();
    let owner = [("outflow_roles", serde_json::json!(["owner"]))];
    let reader = fixture.client_ca.issue_client("spiffe://example.org/reader");
    let mut reader = fixture.connect(&server, Some(reader)).await.expect("TLS");
    assert_eq!(code(list(&mut reader, None).await), Code::PermissionDenied, "a caller of another organization");
    assert_eq!(code(list(&mut reader, Some(&issuer.token(&owner, now))).await), Code::Ok, "the token decides");
    let foreign = issuer.token(&[("sub", serde_json::json!("workload:loader"))], now);
    assert_eq!(code(list(&mut reader, Some(&foreign)).await), Code::Unauthenticated, "a principal of certificates");
    let mut anonymous = fixture.connect(&server, None).await.expect("TLS");
    assert_eq!(code(list(&mut anonymous, Some(&issuer.token(&owner, now))).await), Code::Ok);
    assert_eq!(code(list(&mut anonymous, None).await), Code::Unauthenticated);
}
