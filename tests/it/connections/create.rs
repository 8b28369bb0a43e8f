//! CreateConnection: validation against the type, stored credentials, ids, and dry runs.

use outflow::grpc::proto as pb;
use prost_types::value::Kind;
use tonic::Code;

use crate::support::{Clients as _, ErrorExt as _, create_connection, object, on_both, parent, password, text};

#[tokio::test(flavor = "multi_thread")]
async fn create_returns_the_connection_that_get_returns() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let mut request =
            pb::CreateConnectionRequest { connection_id: "partner".into(), ..create_connection(" Partner – SFTP ") };
        let connection = request.connection.as_mut().expect("a connection");
        connection.description = "Where the partner reads".into();
        connection.labels.insert("team".into(), "crm".into());
        let members = ["user:zoe", "group:marketing", "user:zoe"].map(ToOwned::to_owned);
        connection.sharing = Some(pb::Sharing { members: members.to_vec(), ..Default::default() });
        let expire_time = prost_types::Timestamp { seconds: 4_102_444_800, nanos: 123_456_789 };
        request.credential.as_mut().expect("a credential").expire_time = Some(expire_time);
        let created = admin.connections.create_connection(request).await.expect("created").into_inner();
        let created = created.connection.expect("a connection");
        assert_eq!(created.name, "organizations/acme/connections/partner");
        assert_eq!(created.display_name, " Partner – SFTP ");
        assert_eq!(created.state(), pb::connection::State::Active);
        assert_eq!((created.creator.as_str(), created.updater.as_str()), ("root", "root"));
        let status = created.credential_status.clone().expect("a credential is stored");
        assert_eq!((status.auth_method.as_str(), status.revision), ("password", 1));
        assert_eq!(status.set_fields, ["password"]);
        assert_eq!(created.sharing.as_ref().expect("sharing").members, ["group:marketing", "user:zoe"]);
        assert_eq!(created, admin.read_connection(&created.name).await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_violations_are_reported_at_once_and_nothing_is_stored() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let mut request = create_connection("");
        request.connection_id = "Bad".into();
        request.request_id = "7".into();
        let connection = request.connection.as_mut().expect("a connection");
        connection.labels.insert(String::new(), "x".repeat(300));
        let refusal = admin.connections.create_connection(request).await.expect_err("five fields are invalid");
        assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::InvalidArgument, "INVALID_FIELD"));
        let mut fields = refusal.fields();
        fields.sort();
        let expected = ["connection.display_name", "connection.labels.key", "connection.labels.value"];
        assert_eq!(fields, [&expected[..], &["connection_id", "request_id"]].concat());
        assert_eq!(refusal.info("violation_count"), "5");

        let mut request = create_connection("Typed");
        let properties = object([("port", Kind::NumberValue(0.5)), ("host", text("a b")), ("colour", text("red"))]);
        request.connection.as_mut().expect("a connection").properties = Some(properties);
        request.credential = None;
        let refusal = admin.connections.create_connection(request).await.expect_err("invalid for the type");
        let fields = refusal.fields();
        for field in ["host", "port", "colour", "username", "host_key"] {
            assert!(fields.contains(&format!("connection.properties.{field}")), "{field} in {fields:?}");
        }
        assert!(fields.contains(&"credential".to_owned()), "{fields:?}");

        let list = pb::ListConnectionsRequest { parent: parent(), ..Default::default() };
        let listed = admin.connections.list_connections(list).await.expect("listed").into_inner();
        assert_eq!(listed.connections, []);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_without_auth_methods_refuses_a_credential() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let mut request = create_connection("Folder");
        let connection = request.connection.as_mut().expect("a connection");
        connection.connection_type = "connectionTypes/local_directory".into();
        connection.properties = Some(object([("directory", text("out"))]));
        request.credential = Some(password("p"));
        let refusal =
            admin.connections.create_connection(request.clone()).await.expect_err("the type takes no credential");
        assert_eq!(refusal.fields(), ["credential"]);
        request.credential = None;
        let created = admin.connections.create_connection(request).await.expect("created").into_inner();
        assert_eq!(created.connection.expect("a connection").state(), pb::connection::State::Active);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_existing_id_is_refused_and_a_dry_run_stores_nothing() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let mut request = create_connection("First");
        request.connection_id = "one".into();
        request.validate_only = true;
        let dry_run = admin.connections.create_connection(request.clone()).await.expect("valid").into_inner();
        let dry_run = dry_run.connection.expect("a connection");
        assert_eq!(dry_run.name, "organizations/acme/connections/one");
        assert_eq!((dry_run.uid.as_str(), dry_run.etag.as_str(), dry_run.create_time), ("", "", None));
        let get = pb::GetConnectionRequest { name: dry_run.name };
        let absent = admin.connections.get_connection(get).await.expect_err("nothing was created");
        assert_eq!(absent.code(), Code::NotFound);

        request.validate_only = false;
        let first = admin.connections.create_connection(request.clone()).await.expect("created").into_inner();
        let first = first.connection.expect("a connection");
        for (validate_only, member) in [(false, None), (true, None), (false, Some("user:ann"))] {
            request.validate_only = validate_only;
            let members = member.map(str::to_owned).into_iter().collect();
            let connection = request.connection.as_mut().expect("a connection");
            connection.sharing = Some(pb::Sharing { members, ..Default::default() });
            let taken = admin.connections.create_connection(request.clone()).await.expect_err("the id is taken");
            assert_eq!((taken.code(), taken.reason().as_str()), (Code::AlreadyExists, "RESOURCE_EXISTS"));
        }
        assert_eq!(admin.read_connection(&first.name).await, first);
    })
    .await;
}
