//! Two updates with the same etag, two creates with the same id, two calls with the same request id.

use outflow::grpc::proto as pb;
use uuid::Uuid;

use super::{Racers, outcome, race};
use crate::support::{create_connection, create_export, parent};

/// Checks that one call succeeded and the other was refused for this reason. Returns the index of the former.
fn winner_of(outcomes: &[String; 2], refusal: &str) -> usize {
    let expected = [["OK", refusal], [refusal, "OK"]];
    let winner = expected.iter().position(|pair| outcomes == pair);
    winner.unwrap_or_else(|| panic!("forbidden outcomes: {outcomes:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_updates_with_the_same_etag_succeeds() {
    race("update ∥ update", async |_, racers, round| {
        let Racers { mut admin, mut second, .. } = racers;
        let connection = admin.connection(&format!("Connection {round}")).await;
        let update = |description: &str| pb::UpdateConnectionRequest {
            connection: Some(pb::Connection {
                name: connection.name.clone(),
                description: description.to_owned(),
                etag: connection.etag.clone(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let (first, other) = tokio::join!(
            admin.connections.update_connection(update("first")),
            second.connections.update_connection(update("second")),
        );
        let winner = winner_of(&[outcome(&first), outcome(&other)], "ETAG_MISMATCH");
        let description = admin.read_connection(&connection.name).await.description;
        assert_eq!(description, ["first", "second"][winner]);

        let export = admin.export(&connection.name, "Export").await;
        let update = |description: &str| pb::UpdateExportRequest {
            export: Some(pb::Export {
                name: export.name.clone(),
                description: description.to_owned(),
                etag: export.etag.clone(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let (first, other) =
            tokio::join!(admin.exports.update_export(update("first")), second.exports.update_export(update("second")));
        let winner = winner_of(&[outcome(&first), outcome(&other)], "ETAG_MISMATCH");
        assert_eq!(admin.read_export(&export.name).await.description, ["first", "second"][winner]);
        winner == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_creates_with_the_same_id_succeeds() {
    race("same id twice", async |_, racers, round| {
        let Racers { mut admin, mut second, .. } = racers;
        let create = |display_name: &str| pb::CreateConnectionRequest {
            connection_id: format!("c{round}"),
            ..create_connection(display_name)
        };
        let (first, other) = tokio::join!(
            admin.connections.create_connection(create("first")),
            second.connections.create_connection(create("second")),
        );
        let winner = winner_of(&[outcome(&first), outcome(&other)], "RESOURCE_EXISTS");
        let connection = admin.read_connection(&format!("organizations/acme/connections/c{round}")).await;
        assert_eq!(connection.display_name, ["first", "second"][winner]);

        let create = |display_name: &str| pb::CreateExportRequest {
            export_id: format!("x{round}"),
            ..create_export(&connection.name, display_name)
        };
        let (first, other) =
            tokio::join!(admin.exports.create_export(create("first")), second.exports.create_export(create("second")));
        let winner = winner_of(&[outcome(&first), outcome(&other)], "RESOURCE_EXISTS");
        let export = admin.read_export(&format!("organizations/acme/exports/x{round}")).await;
        assert_eq!(export.display_name, ["first", "second"][winner]);
        winner == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_requests_with_the_same_request_id_have_one_effect() {
    race("same request id twice", async |_, racers, round| {
        let Racers { mut admin, mut second, home, .. } = racers;
        let id = || Uuid::new_v4().to_string();
        let create = pb::CreateExportRequest { request_id: id(), ..create_export(&home, &format!("Export {round}")) };
        let (first, other) =
            tokio::join!(admin.exports.create_export(create.clone()), second.exports.create_export(create));
        let first = first.expect("created").into_inner();
        assert_eq!(first, other.expect("replayed").into_inner());
        let source = first.export.expect("an export").name;

        // The same request id with other content: only the first call succeeds.
        let duplicate = pb::DuplicateExportRequest { name: source, request_id: id(), ..Default::default() };
        let duplicate_as =
            |display_name: &str| pb::DuplicateExportRequest { display_name: display_name.into(), ..duplicate.clone() };
        let names = ["one", "two"].map(|name| format!("Duplicate {round} {name}"));
        let (first, other) = tokio::join!(
            admin.exports.duplicate_export(duplicate_as(&names[0])),
            second.exports.duplicate_export(duplicate_as(&names[1])),
        );
        let winner = winner_of(&[outcome(&first), outcome(&other)], "REQUEST_ID_REUSED");
        for (display_name, count) in
            [(format!("Export {round}"), 1), (names[winner].clone(), 1), (names[1 - winner].clone(), 0)]
        {
            let list = pb::ListExportsRequest { parent: parent(), search: display_name.clone(), ..Default::default() };
            let found = admin.exports.list_exports(list).await.expect("listed").into_inner().exports;
            assert_eq!(found.iter().filter(|export| export.display_name == display_name).count(), count);
        }
        winner == 0
    })
    .await;
}
