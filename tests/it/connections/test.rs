//! TestConnection: saved connections and drafts, the result that a connection keeps, and the limit per organization.

use std::time::Duration;

use outflow::grpc::proto as pb;
use pb::connection_check::{Outcome, Step};
use pb::export_run::error::Code as FailureCode;
use pb::test_connection_request::Target;
use tonic::Code;

use crate::destinations::objects::bucket::Bucket as _;
use crate::destinations::objects::versitygw::Versitygw;
use crate::far_side::to_struct;
use crate::runs::whole::far_side::{Interruption as _, Point};
use crate::runs::whole::proxy::HoldingProxy;
use crate::support::{
    Backend, Client, Clients as _, ErrorExt as _, Process, TestServer, object, outflow, parent, password, sftp, text,
    with_host,
};

/// Tests of an organization in a minute.
const MAX_TESTS: usize = 20;

impl Client {
    async fn test(
        &mut self,
        target: Target,
        credential: Option<pb::CredentialInput>,
    ) -> Result<pb::TestConnectionResponse, tonic::Status> {
        let request = pb::TestConnectionRequest { parent: parent(), target: Some(target), credential };
        Ok(self.connections.test_connection(request).await?.into_inner())
    }
}

/// Servers whose organizations may use directories below `outbox`.
async fn on_both(body: impl AsyncFn(TestServer, std::path::PathBuf)) {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        eprintln!("on {backend:?}");
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path().join("outbox");
        std::fs::create_dir(&root).expect("created");
        let settings = vec![("local_directory_root", root.to_str().expect("a path").to_owned())];
        Box::pin(body(TestServer::start_with(backend, settings).await, root)).await;
    }
}

fn failures(checks: &[pb::ConnectionCheck]) -> Vec<(Step, FailureCode)> {
    let failed = checks.iter().filter(|check| check.outcome() == Outcome::Failed);
    failed.map(|check| (check.step(), check.error.as_ref().expect("a cause").code())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_keeps_its_last_test_until_its_properties_or_credential_change() {
    on_both(async |server, root| {
        let mut admin = server.admin().await;
        let connection = admin.local_directory("partner").await;
        assert_eq!(connection.last_test, None);
        let tested = admin.test(Target::Name(connection.name.clone()), None).await.expect("tested");
        assert!(tested.passed && failures(&tested.checks).is_empty(), "{tested:?}");
        let stored = admin.read_connection(&connection.name).await;
        let last_test = stored.last_test.clone().expect("a result");
        assert_eq!((last_test.passed, &last_test.checks), (true, &tested.checks));
        assert!(last_test.time.is_some());
        assert_eq!((&stored.etag, stored.update_time), (&connection.etag, connection.update_time), "not a change");

        // There is a file where the directory of the organization should be.
        let _ = std::fs::remove_dir_all(root.join("acme"));
        std::fs::write(root.join("acme"), "").expect("written");
        let tested =
            admin.test(Target::Name(connection.name.clone()), None).await.expect("a failed check is an answer");
        assert!(!tested.passed);
        let stored = admin.read_connection(&connection.name).await;
        assert_eq!(stored.last_test.as_ref().map(|test| (test.passed, &test.checks)), Some((false, &tested.checks)));

        let update = |properties: Option<_>, display_name: &str| pb::UpdateConnectionRequest {
            connection: Some(pb::Connection {
                display_name: display_name.to_owned(),
                properties: properties.or_else(|| connection.properties.clone()),
                ..connection.clone()
            }),
            ..pb::UpdateConnectionRequest::default()
        };
        let mut saved = async |request: pb::UpdateConnectionRequest| {
            let mut request = request;
            request.connection.as_mut().expect("a connection").etag.clear();
            admin.connections.update_connection(request).await.expect("updated").into_inner().connection.expect("one")
        };
        let renamed = saved(update(None, "Renamed")).await;
        assert_eq!(renamed.last_test, stored.last_test, "what was tested is the same");
        let moved = saved(update(Some(object([("directory", text("other"))])), "Renamed")).await;
        assert_eq!(moved.last_test, None);
        server.check_rows().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_fails_its_test_is_not_stored() {
    on_both(async |server, _root| {
        let mut admin = server.admin().await;
        let created = admin.connection("Partner").await;
        let update = pb::UpdateConnectionRequest {
            connection: Some(pb::Connection { etag: String::new(), ..with_host(&created, "127.0.0.1") }),
            credential: Some(password("old")),
            ..pb::UpdateConnectionRequest::default()
        };
        let local = admin.connections.update_connection(update).await.expect("updated").into_inner();
        let local = local.connection.expect("a connection");
        let rotate = pb::RotateConnectionCredentialRequest {
            name: local.name.clone(),
            credential: Some(password("new")),
            test: true,
            ..Default::default()
        };
        let refused = admin.connections.rotate_connection_credential(rotate).await.expect_err("it cannot connect");
        assert_eq!((refused.code(), refused.reason().as_str()), (Code::FailedPrecondition, "CREDENTIAL_TEST_FAILED"));
        assert_eq!(refused.info("failed_checks"), "RESOLVE: ADDRESS_FORBIDDEN");
        assert_eq!(admin.read_connection(&local.name).await, local);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_is_tested_with_its_own_credential() {
    let server = TestServer::start(Backend::Sqlite).await;
    let mut admin = server.admin().await;
    let draft = || Target::Connection(with_host(&sftp("Draft"), "127.0.0.1"));
    let tested = admin.test(draft(), Some(password("x"))).await.expect("tested");
    assert_eq!(failures(&tested.checks), [(Step::Resolve, FailureCode::AddressForbidden)]);
    let skipped = tested.checks.iter().filter(|check| check.outcome() == Outcome::Skipped).count();
    assert_eq!((tested.checks.len(), skipped), (5, 4), "{tested:?}");
    let missing = admin.test(draft(), None).await.expect_err("it needs a credential");
    assert_eq!(missing.fields(), ["credential"]);
    let kafka = pb::Connection { connection_type: "connectionTypes/kafka".into(), ..sftp("Draft") };
    let invalid = admin.test(Target::Connection(kafka), None).await.expect_err("properties of another type");
    assert_eq!(invalid.code(), Code::InvalidArgument);
    let saved = admin.connection("Saved").await.name;
    let both = admin.test(Target::Name(saved), Some(password("x"))).await.expect_err("the stored one is tested");
    assert_eq!(both.fields(), ["credential"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_has_a_limited_number_of_tests() {
    let server = TestServer::start(Backend::Sqlite).await;
    let mut admin = server.admin().await;
    let draft = || Target::Connection(with_host(&sftp("Draft"), "127.0.0.1"));
    for _ in 0..MAX_TESTS {
        admin.test(draft(), Some(password("x"))).await.expect("within the limit");
    }
    let refused = admin.test(draft(), Some(password("x"))).await.expect_err("over the limit");
    assert_eq!((refused.code(), refused.reason().as_str()), (Code::ResourceExhausted, "RATE_LIMITED"));
    let mut other = server.caller("other", "root", &[outflow::model::Role::Admin], &[]).await;
    let request = pb::TestConnectionRequest {
        parent: "organizations/other".into(),
        target: Some(draft()),
        credential: Some(password("x")),
    };
    other.connections.test_connection(request).await.expect("the limit of another organization");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_whose_caller_leaves_removes_what_it_wrote() {
    let far_side = Versitygw::start().await;
    let proxy = HoldingProxy::start(far_side.address(), 0).await;
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = outflow(directory.path());
    command.env("OUTFLOW_OUTBOUND_ALLOWED", "*=127.0.0.1").env("OUTFLOW_OUTBOUND_CA_FILE", far_side.tls.certificate());
    let server = Process::start(&mut command);
    let target = far_side.target(proxy.address, "tested");
    let connection = pb::Connection {
        connection_type: "connectionTypes/s3".to_owned(),
        properties: Some(to_struct(&target.properties.into())),
        ..pb::Connection::default()
    };
    let secret = target.credential.expect("a credential");
    let values = secret.fields.iter().map(|(key, value)| (key.clone(), value.expose().to_owned())).collect();
    let credential = pb::CredentialInput {
        auth_method: secret.auth_method,
        source: Some(pb::credential_input::Source::Inline(pb::credential_input::Inline { values })),
        expire_time: None,
    };
    let test = async || {
        let (connection, credential) = (connection.clone(), credential.clone());
        server.admin().await.test(Target::Connection(connection), Some(credential)).await
    };
    proxy.arm(None, 0);
    assert!(test().await.expect("tested").passed);
    let bytes = proxy.counted().expect("bytes");
    let mut seen = 0;
    for part in 1..10_u32 {
        proxy.arm(Some(Point::Anywhere(f64::from(part) / 10.0)), bytes);
        // A test that goes on after its caller left has its place until it ends.
        loop {
            tokio::select! {
                () = proxy.reached() => break,
                tested = test() => {
                    let refusal = tested.expect_err("the test is held");
                    assert_eq!(refusal.code(), Code::ResourceExhausted, "{refusal:?}");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
        seen += usize::from(!far_side.keys("").await.is_empty());
        proxy.resume();
    }
    assert!(seen > 0, "no caller left while there was an object");
    // The process waits for them.
    server.signal("TERM");
    server.wait_for_output();
    assert_eq!(far_side.keys("").await, <[String; 0]>::default());
}
