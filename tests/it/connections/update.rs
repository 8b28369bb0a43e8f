//! UpdateConnection: masks, etags, and binding fields.

use outflow::grpc::proto as pb;
use prost_types::FieldMask;
use prost_types::value::Kind;
use tonic::Code;

use crate::support::{Client, Clients as _, ErrorExt as _, on_both, password, with_host};

fn request(connection: pb::Connection, paths: &[&str]) -> pb::UpdateConnectionRequest {
    let paths = paths.iter().map(ToString::to_string).collect::<Vec<_>>();
    let update_mask = Some(FieldMask { paths }).filter(|mask| !mask.paths.is_empty());
    pb::UpdateConnectionRequest { connection: Some(connection), update_mask, ..Default::default() }
}

async fn update(admin: &mut Client, request: pb::UpdateConnectionRequest) -> pb::Connection {
    let updated = admin.connections.update_connection(request).await.expect("updated");
    updated.into_inner().connection.expect("a connection")
}

#[tokio::test(flavor = "multi_thread")]
async fn only_fields_in_the_mask_change() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let created = admin.connection("Before").await;
        let mut change = created.clone();
        change.display_name = "After".into();
        change.description = "not in the mask".into();
        let updated = update(&mut admin, request(change, &["display_name"])).await;
        assert_eq!((updated.display_name.as_str(), updated.description.as_str()), ("After", ""));
        assert_ne!(updated.etag, created.etag);

        // Without a mask the populated fields change. With `*` all fields change, and absent ones are cleared.
        let populated =
            pb::Connection { name: created.name.clone(), description: "populated".into(), ..Default::default() };
        let updated = update(&mut admin, request(populated, &[])).await;
        assert_eq!((updated.display_name.as_str(), updated.description.as_str()), ("After", "populated"));
        let mut full = updated.clone();
        full.description = String::new();
        full.etag = String::new();
        let replaced = update(&mut admin, request(full, &["*"])).await;
        assert_eq!((replaced.display_name.as_str(), replaced.description.as_str()), ("After", ""));
        assert_eq!(replaced.properties, created.properties);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn immutable_and_unknown_paths_are_refused_with_advice() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let created = admin.connection("Same").await;
        for (path, reason, advice) in [
            ("sharing", "IMMUTABLE_FIELD", "ShareConnection"),
            ("state", "IMMUTABLE_FIELD", "SuspendConnection"),
            ("connection_type", "IMMUTABLE_FIELD", "AttachExport"),
            ("credential_status.revision", "IMMUTABLE_FIELD", "RotateConnectionCredential"),
            ("etag", "INVALID_FIELD", "display_name"),
            ("colour", "INVALID_FIELD", "display_name"),
            ("properties.host", "INVALID_FIELD", "as a whole"),
        ] {
            let refusal = admin.connections.update_connection(request(created.clone(), &[path])).await;
            let refusal = refusal.expect_err(path);
            assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::InvalidArgument, reason), "{path}");
            assert!(refusal.message().contains(advice), "{path}: {}", refusal.message());
        }
        let mut other = created.clone();
        other.connection_type = "connectionTypes/s3".into();
        let refusal = admin.connections.update_connection(request(other, &[])).await.expect_err("another type");
        assert_eq!(refusal.reason(), "IMMUTABLE_FIELD");
        assert_eq!(admin.read_connection(&created.name).await, created);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changing_a_binding_field_requires_the_credential() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let created = admin.connection("Bound").await;
        let moved = with_host(&created, "elsewhere.example");
        let refusal = admin.connections.update_connection(request(moved.clone(), &["properties"])).await;
        let refusal = refusal.expect_err("the stored secret must not be sent to another host");
        assert_eq!(
            (refusal.code(), refusal.reason().as_str()),
            (Code::FailedPrecondition, "CREDENTIAL_REENTRY_REQUIRED")
        );
        assert_eq!(refusal.info("changed_binding_fields"), "connection.properties.host");
        assert_eq!(admin.read_connection(&created.name).await, created);

        let mut with_credential = request(moved.clone(), &["properties"]);
        with_credential.credential = Some(password("another"));
        let updated = update(&mut admin, with_credential).await;
        assert_eq!(updated.properties, moved.properties);
        assert_eq!(updated.credential_status.expect("a credential").revision, 2);

        // 22 and 22.0 are the same port, so no binding field changes.
        let mut same = admin.read_connection(&created.name).await;
        let port = prost_types::Value { kind: Some(Kind::NumberValue(22.0)) };
        same.properties.as_mut().expect("properties").fields.insert("port".into(), port);
        same.etag = String::new();
        update(&mut admin, request(same, &["properties"])).await;

        // Without a stored secret a binding field may change.
        let revoke = pb::RevokeConnectionCredentialRequest { name: created.name.clone(), ..Default::default() };
        admin.connections.revoke_connection_credential(revoke).await.expect("revoked");
        let mut changed = with_host(&created, "third.example");
        changed.etag = String::new();
        update(&mut admin, request(changed, &["properties"])).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_etag_is_refused_and_equal_values_keep_the_etag() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let created = admin.connection("One").await;
        let mut change = created.clone();
        change.display_name = "Two".into();
        let updated = update(&mut admin, request(change.clone(), &["display_name"])).await;
        change.display_name = "Three".into();
        let refusal = admin.connections.update_connection(request(change.clone(), &["display_name"])).await;
        let refusal = refusal.expect_err("the etag is stale");
        assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::Aborted, "ETAG_MISMATCH"));
        assert_eq!(admin.read_connection(&created.name).await, updated);

        // Equal values are not a change: etag and update time stay.
        let again = update(&mut admin, request(updated.clone(), &["display_name"])).await;
        assert_eq!(again, updated);
    })
    .await;
}
