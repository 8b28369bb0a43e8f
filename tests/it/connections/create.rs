//! CreateConnection: checked against its type, sealed, answered as stored.

use outflow::grpc::proto as pb;
use prost_types::value::Kind;
use tonic::Code;

use crate::support::{Clients as _, ErrorExt as _, create_connection, object, on_both, parent, password, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_answered_as_it_is_read_back() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let request =
            pb::CreateConnectionRequest { connection_id: "partner".into(), ..create_connection(" Partner – SFTP ") };
        let created = admin.connections.create_connection(request).await.expect("created").into_inner();
        let created = created.connection.expect("answered");
        assert_eq!(created.name, "organizations/acme/connections/partner");
        assert_eq!(created.display_name, " Partner – SFTP ");
        assert_eq!(created.state(), pb::connection::State::Active);
        assert_eq!((created.creator.as_str(), created.updater.as_str()), ("root", "root"));
        let status = created.credential_status.clone().expect("a credential is stored");
        assert_eq!((status.auth_method.as_str(), status.revision), ("password", 1));
        assert_eq!(status.set_fields, ["password"]);
        assert_eq!(created.sharing, Some(pb::Sharing::default()));
        assert_eq!(created, admin.read_connection(&created.name).await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_wrong_is_said_at_once_and_nothing_is_stored() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let mut request = create_connection("");
        request.connection_id = "Bad".into();
        request.request_id = "7".into();
        let connection = request.connection.as_mut().expect("a connection");
        connection.labels.insert(String::new(), "x".repeat(300));
        let refusal = admin.connections.create_connection(request).await.expect_err("much is wrong");
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
        let refusal = admin.connections.create_connection(request).await.expect_err("the type says no");
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
async fn a_type_without_auth_method_takes_no_credential() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let mut request = create_connection("Folder");
        let connection = request.connection.as_mut().expect("a connection");
        connection.connection_type = "connectionTypes/local_directory".into();
        connection.properties = Some(object([("directory", text("out"))]));
        request.credential = Some(password("p"));
        let refusal = admin.connections.create_connection(request.clone()).await.expect_err("no credential");
        assert_eq!(refusal.fields(), ["credential"]);
        request.credential = None;
        let created = admin.connections.create_connection(request).await.expect("created").into_inner();
        assert_eq!(created.connection.expect("answered").state(), pb::connection::State::Active);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_is_given_once_and_a_rehearsal_leaves_nothing() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let mut request = create_connection("First");
        request.connection_id = "one".into();
        request.validate_only = true;
        let rehearsed = admin.connections.create_connection(request.clone()).await.expect("fine").into_inner();
        let rehearsed = rehearsed.connection.expect("answered");
        assert_eq!(rehearsed.name, "organizations/acme/connections/one");
        assert_eq!((rehearsed.uid.as_str(), rehearsed.etag.as_str(), rehearsed.create_time), ("", "", None));
        let get = pb::GetConnectionRequest { name: rehearsed.name };
        let absent = admin.connections.get_connection(get).await.expect_err("nothing was made");
        assert_eq!(absent.code(), Code::NotFound);

        request.validate_only = false;
        let first = admin.connections.create_connection(request.clone()).await.expect("created").into_inner();
        let first = first.connection.expect("answered");
        let taken = admin.connections.create_connection(request).await.expect_err("the id is taken");
        assert_eq!((taken.code(), taken.reason().as_str()), (Code::AlreadyExists, "RESOURCE_EXISTS"));
        assert_eq!(admin.read_connection(&first.name).await, first);
    })
    .await;
}
