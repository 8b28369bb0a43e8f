//! UpdateConnection: masks, etags, and the fields that decide where a secret is sent.

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
    updated.into_inner().connection.expect("answered")
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_the_mask_names_changes() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let made = admin.connection("Before").await;
        let mut change = made.clone();
        change.display_name = "After".into();
        change.description = "not named".into();
        let updated = update(&mut admin, request(change, &["display_name"])).await;
        assert_eq!((updated.display_name.as_str(), updated.description.as_str()), ("After", ""));
        assert_ne!(updated.etag, made.etag);

        // Without a mask: what is populated. With `*`: everything, so that what is absent is emptied.
        let populated = pb::Connection { name: made.name.clone(), description: "said".into(), ..Default::default() };
        let updated = update(&mut admin, request(populated, &[])).await;
        assert_eq!((updated.display_name.as_str(), updated.description.as_str()), ("After", "said"));
        let mut full = updated.clone();
        full.description = String::new();
        full.etag = String::new();
        let replaced = update(&mut admin, request(full, &["*"])).await;
        assert_eq!((replaced.display_name.as_str(), replaced.description.as_str()), ("After", ""));
        assert_eq!(replaced.properties, made.properties);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_that_cannot_be_changed_are_refused_with_the_way_to_change_them() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let made = admin.connection("Same").await;
        for (path, reason, word) in [
            ("sharing", "IMMUTABLE_FIELD", "ShareConnection"),
            ("state", "IMMUTABLE_FIELD", "SuspendConnection"),
            ("connection_type", "IMMUTABLE_FIELD", "AttachExport"),
            ("credential_status.revision", "IMMUTABLE_FIELD", "RotateConnectionCredential"),
            ("etag", "INVALID_FIELD", "display_name"),
            ("colour", "INVALID_FIELD", "display_name"),
            ("properties.host", "INVALID_FIELD", "as a whole"),
        ] {
            let refusal = admin.connections.update_connection(request(made.clone(), &[path])).await;
            let refusal = refusal.expect_err(path);
            assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::InvalidArgument, reason), "{path}");
            assert!(refusal.message().contains(word), "{path}: {}", refusal.message());
        }
        let mut other = made.clone();
        other.connection_type = "connectionTypes/s3".into();
        let refusal = admin.connections.update_connection(request(other, &[])).await.expect_err("another type");
        assert_eq!(refusal.reason(), "IMMUTABLE_FIELD");
        assert_eq!(admin.read_connection(&made.name).await, made);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binding_field_needs_the_credential_again() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let made = admin.connection("Bound").await;
        let moved = with_host(&made, "elsewhere.example");
        let refusal = admin.connections.update_connection(request(moved.clone(), &["properties"])).await;
        let refusal = refusal.expect_err("the stored secret must not go elsewhere");
        assert_eq!(
            (refusal.code(), refusal.reason().as_str()),
            (Code::FailedPrecondition, "CREDENTIAL_REENTRY_REQUIRED")
        );
        assert_eq!(refusal.info("changed_binding_fields"), "connection.properties.host");
        assert_eq!(admin.read_connection(&made.name).await, made);

        let mut with_credential = request(moved.clone(), &["properties"]);
        with_credential.credential = Some(password("another"));
        let updated = update(&mut admin, with_credential).await;
        assert_eq!(updated.properties, moved.properties);
        assert_eq!(updated.credential_status.expect("a credential").revision, 2);

        // 22 and 22.0 are one port.
        let mut same = admin.read_connection(&made.name).await;
        let port = prost_types::Value { kind: Some(Kind::NumberValue(22.0)) };
        same.properties.as_mut().expect("properties").fields.insert("port".into(), port);
        same.etag = String::new();
        update(&mut admin, request(same, &["properties"])).await;

        // Without a stored secret there is nothing to protect.
        let revoke = pb::RevokeConnectionCredentialRequest { name: made.name.clone(), ..Default::default() };
        admin.connections.revoke_connection_credential(revoke).await.expect("revoked");
        let mut back = with_host(&made, "third.example");
        back.etag = String::new();
        update(&mut admin, request(back, &["properties"])).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_etag_changes_nothing() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let made = admin.connection("One").await;
        let mut change = made.clone();
        change.display_name = "Two".into();
        let updated = update(&mut admin, request(change.clone(), &["display_name"])).await;
        change.display_name = "Three".into();
        let refusal = admin.connections.update_connection(request(change.clone(), &["display_name"])).await;
        let refusal = refusal.expect_err("the etag is stale");
        assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::Aborted, "ETAG_MISMATCH"));
        assert_eq!(admin.read_connection(&made.name).await, updated);

        // The same values again are no change: neither etag nor time move.
        let again = update(&mut admin, request(updated.clone(), &["display_name"])).await;
        assert_eq!(again, updated);
    })
    .await;
}
