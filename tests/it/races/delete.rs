//! Deletes a connection concurrently with creating, attaching or moving an export: an export never has a missing connection.

use outflow::grpc::proto as pb;

use super::{Racers, outcome, race};
use crate::support::{Client, create_export};

fn delete(connection: &str) -> pb::DeleteConnectionRequest {
    pb::DeleteConnectionRequest { name: connection.to_owned(), ..Default::default() }
}

fn attach(export: &str, connection: &str) -> pb::AttachExportRequest {
    pb::AttachExportRequest { name: export.to_owned(), connection: connection.to_owned(), ..Default::default() }
}

/// Checks that exactly one of the two calls succeeded. Returns whether it was the deletion.
async fn deleted_first(
    admin: &mut Client,
    connection: &str,
    deleted: &str,
    attached: &str,
    expected_refusal: &str,
) -> bool {
    let get = pb::GetConnectionRequest { name: connection.to_owned() };
    let found = admin.connections.get_connection(get).await;
    let count = found.ok().map(|found| found.into_inner().connection.expect("a connection").attached_export_count);
    match (deleted, attached, count) {
        ("OK", refusal, None) if refusal == expected_refusal => true,
        ("CONNECTION_IN_USE", "OK", Some(1)) => false,
        forbidden => panic!("forbidden outcome: {forbidden:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_and_create_never_leave_an_export_without_its_connection() {
    race("remove ∥ create", async |_, racers, round| {
        let Racers { mut admin, mut ann, .. } = racers;
        let connection = admin.shared_connection(&format!("Connection {round}")).await.name;
        let (deleted, created) = tokio::join!(
            admin.connections.delete_connection(delete(&connection)),
            ann.exports.create_export(create_export(&connection, "Late")),
        );
        deleted_first(&mut admin, &connection, &outcome(&deleted), &outcome(&created), "NOT_PERMITTED").await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_and_attach_never_leave_an_export_without_its_connection() {
    race("remove ∥ attach", async |_, racers, round| {
        let Racers { mut admin, mut second, .. } = racers;
        let connection = admin.connection(&format!("Connection {round}")).await.name;
        let export = admin.export(&connection, "Detached").await.name;
        let detach = pb::DetachExportRequest { name: export.clone(), ..Default::default() };
        admin.exports.detach_export(detach).await.expect("detached");
        let (deleted, attached) = tokio::join!(
            admin.connections.delete_connection(delete(&connection)),
            second.exports.attach_export(attach(&export, &connection)),
        );
        deleted_first(&mut admin, &connection, &outcome(&deleted), &outcome(&attached), "RESOURCE_NOT_FOUND").await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_and_move_never_leave_an_export_without_its_connection() {
    race("remove ∥ move", async |_, racers, round| {
        let Racers { mut admin, mut ann, home, .. } = racers;
        let connection = admin.shared_connection(&format!("Connection {round}")).await.name;
        let export = ann.export(&home, "Moving").await.name;
        let (deleted, moved) = tokio::join!(
            admin.connections.delete_connection(delete(&connection)),
            ann.exports.attach_export(attach(&export, &connection)),
        );
        let expected = if moved.is_ok() { &connection } else { &home };
        assert_eq!(ann.read_export(&export).await.connection, *expected);
        deleted_first(&mut admin, &connection, &outcome(&deleted), &outcome(&moved), "NOT_PERMITTED").await
    })
    .await;
}
