//! Remove a connection ∥ create, attach, move an export: never an export with a missing connection.

use outflow::grpc::proto as pb;

use super::{Racers, outcome, race};
use crate::support::{Client, create_export};

fn remove(connection: &str) -> pb::DeleteConnectionRequest {
    pb::DeleteConnectionRequest { name: connection.to_owned(), ..Default::default() }
}

fn attach(export: &str, connection: &str) -> pb::AttachExportRequest {
    pb::AttachExportRequest { name: export.to_owned(), connection: connection.to_owned(), ..Default::default() }
}

/// One of the two, never both: either the connection is gone and nothing is attached to it, or it is there and in use.
async fn removed_first(admin: &mut Client, connection: &str, removed: &str, attached: &str, absent: &str) -> bool {
    let get = pb::GetConnectionRequest { name: connection.to_owned() };
    let found = admin.connections.get_connection(get).await;
    let count = found.ok().map(|found| found.into_inner().connection.expect("answered").attached_export_count);
    match (removed, attached, count) {
        ("OK", refusal, None) if refusal == absent => true,
        ("CONNECTION_IN_USE", "OK", Some(1)) => false,
        forbidden => panic!("{forbidden:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn remove_against_create() {
    race("remove ∥ create", async |_, racers, round| {
        let Racers { mut admin, mut ann, .. } = racers;
        let connection = admin.shared_connection(&format!("Connection {round}")).await.name;
        let (removed, created) = tokio::join!(
            admin.connections.delete_connection(remove(&connection)),
            ann.exports.create_export(create_export(&connection, "Late")),
        );
        removed_first(&mut admin, &connection, &outcome(&removed), &outcome(&created), "NOT_PERMITTED").await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn remove_against_attach() {
    race("remove ∥ attach", async |_, racers, round| {
        let Racers { mut admin, mut second, .. } = racers;
        let connection = admin.connection(&format!("Connection {round}")).await.name;
        let export = admin.export(&connection, "Detached").await.name;
        let detach = pb::DetachExportRequest { name: export.clone(), ..Default::default() };
        admin.exports.detach_export(detach).await.expect("detached");
        let (removed, attached) = tokio::join!(
            admin.connections.delete_connection(remove(&connection)),
            second.exports.attach_export(attach(&export, &connection)),
        );
        removed_first(&mut admin, &connection, &outcome(&removed), &outcome(&attached), "RESOURCE_NOT_FOUND").await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn remove_against_move() {
    race("remove ∥ move", async |_, racers, round| {
        let Racers { mut admin, mut ann, home, .. } = racers;
        let connection = admin.shared_connection(&format!("Connection {round}")).await.name;
        let export = ann.export(&home, "Moving").await.name;
        let (removed, moved) = tokio::join!(
            admin.connections.delete_connection(remove(&connection)),
            ann.exports.attach_export(attach(&export, &connection)),
        );
        let expected = if moved.is_ok() { &connection } else { &home };
        assert_eq!(ann.read_export(&export).await.connection, *expected);
        removed_first(&mut admin, &connection, &outcome(&removed), &outcome(&moved), "NOT_PERMITTED").await
    })
    .await;
}
