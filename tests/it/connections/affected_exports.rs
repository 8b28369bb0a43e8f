//! UpdateConnection, RotateConnectionCredential, RevokeConnectionCredential, SuspendConnection and UnshareConnection tell how
//! many exports they affect, and when the first of them is due.

use outflow::grpc::proto as pb;
use prost_types::Timestamp;

use crate::support::{Client, Clients as _, cron, export_on, on_both, parent, password, with_host};

/// Creates two exports on a connection, one of them with a schedule. Returns when it is due.
async fn exports(admin: &mut Client, connection: &str) -> Timestamp {
    admin.export(connection, "By hand").await;
    let schedule = Some(cron("0 6 * * 1", "UTC"));
    let export = Some(pb::Export { schedule, ..export_on(connection, "Weekly") });
    let create = pb::CreateExportRequest { parent: parent(), export, ..Default::default() };
    let created = admin.exports.create_export(create).await.expect("created").into_inner();
    created.export.expect("an export").next_run_time.expect("a due time")
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_tell_which_exports_they_affect() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let connection = pb::Connection { etag: String::new(), ..admin.connection("Partner").await };
        let name = connection.name.clone();
        let share = pb::ShareConnectionRequest { name: name.clone(), all_contributors: true, ..Default::default() };
        admin.connections.share_connection(share).await.expect("shared");
        let due = exports(&mut admin, &name).await;
        let affected = (2, Some(due));

        let update = |connection: pb::Connection, path: &str, credential: Option<&str>| pb::UpdateConnectionRequest {
            connection: Some(connection),
            update_mask: Some(prost_types::FieldMask { paths: vec![path.to_owned()] }),
            credential: credential.map(password),
            ..Default::default()
        };
        let renamed = pb::Connection { display_name: "Other".into(), ..connection.clone() };
        let response = admin.connections.update_connection(update(renamed, "display_name", None)).await;
        let response = response.expect("updated").into_inner();
        assert_eq!((response.affected_export_count, response.next_run_time), (0, None), "a new name");
        for validate_only in [true, false] {
            let moved = update(with_host(&connection, "other.example"), "properties", Some("secret"));
            let moved = pb::UpdateConnectionRequest { validate_only, ..moved };
            let response = admin.connections.update_connection(moved).await.expect("updated").into_inner();
            assert_eq!((response.affected_export_count, response.next_run_time), affected, "{validate_only}");
        }

        let rotate = pb::RotateConnectionCredentialRequest {
            name: name.clone(),
            credential: Some(password("new")),
            ..Default::default()
        };
        let response = admin.connections.rotate_connection_credential(rotate).await.expect("rotated").into_inner();
        assert_eq!((response.affected_export_count, response.next_run_time), affected);

        let unshare = pb::UnshareConnectionRequest { name: name.clone(), all_contributors: true, ..Default::default() };
        let response = admin.connections.unshare_connection(unshare).await.expect("unshared").into_inner();
        assert_eq!((response.affected_export_count, response.next_run_time), affected);

        for expected in [affected, (0, None)] {
            let suspend = pb::SuspendConnectionRequest { name: name.clone(), ..Default::default() };
            let response = admin.connections.suspend_connection(suspend).await.expect("suspended").into_inner();
            assert_eq!((response.affected_export_count, response.next_run_time), expected);
        }
        for expected in [affected, (0, None)] {
            let revoke = pb::RevokeConnectionCredentialRequest { name: name.clone(), ..Default::default() };
            let response = admin.connections.revoke_connection_credential(revoke).await.expect("revoked").into_inner();
            assert_eq!((response.affected_export_count, response.next_run_time), expected);
        }
    })
    .await;
}
