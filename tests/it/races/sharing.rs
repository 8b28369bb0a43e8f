//! Unshares concurrently with a create or an attach: after the unshare, a caller without a share cannot attach an export.

use outflow::grpc::proto as pb;

use super::{Racers, outcome, race};
use crate::support::{Client, create_export};

async fn unshare(admin: &mut Client, connection: &str) -> i64 {
    let request = pb::UnshareConnectionRequest {
        name: connection.to_owned(),
        members: vec!["user:ann".to_owned()],
        ..Default::default()
    };
    admin.connections.unshare_connection(request).await.expect("unshared").into_inner().affected_export_count
}

async fn share(admin: &mut Client, connection: &str) {
    let request = pb::ShareConnectionRequest {
        name: connection.to_owned(),
        members: vec!["user:ann".to_owned()],
        ..Default::default()
    };
    admin.connections.share_connection(request).await.expect("shared");
}

/// Checks that the count of the unshare includes the export if and only if it was attached. Returns whether the unshare
/// was first.
async fn unshared_first(admin: &mut Client, connection: &str, outcome: &str, affected: i64) -> bool {
    let count = admin.read_connection(connection).await.attached_export_count;
    match (outcome, affected, count) {
        ("NOT_PERMITTED", 0, 0) => true,
        ("OK", 1, 1) => false,
        forbidden => panic!("forbidden outcome: {forbidden:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_export_is_created_after_an_unshare() {
    race("unshare ∥ create", async |_, racers, round| {
        let Racers { mut admin, mut ann, .. } = racers;
        let connection = admin.connection(&format!("Connection {round}")).await.name;
        share(&mut admin, &connection).await;
        let (affected, created) = tokio::join!(
            unshare(&mut admin, &connection),
            ann.exports.create_export(create_export(&connection, "Late")),
        );
        let late = ann.exports.create_export(create_export(&connection, "Too late")).await;
        assert_eq!(outcome(&late), "NOT_PERMITTED");
        unshared_first(&mut admin, &connection, &outcome(&created), affected).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_export_is_attached_after_an_unshare() {
    race("unshare ∥ attach", async |_, racers, round| {
        let Racers { mut admin, mut ann, home, .. } = racers;
        let connection = admin.connection(&format!("Connection {round}")).await.name;
        share(&mut admin, &connection).await;
        let export = ann.export(&home, "Moving").await.name;
        let attach =
            pb::AttachExportRequest { name: export.clone(), connection: connection.clone(), ..Default::default() };
        let (affected, attached) = tokio::join!(unshare(&mut admin, &connection), ann.exports.attach_export(attach));
        unshared_first(&mut admin, &connection, &outcome(&attached), affected).await
    })
    .await;
}
