//! Detaches a listed blocking set concurrently with an attach: an export that was not listed is never detached. Moves
//! in opposite directions concurrently with a detach: the calls never deadlock.

use outflow::grpc::proto as pb;

use super::{Racers, outcome, race};
use crate::support::{Client, create_export, parent};

/// Lists the blocking set of a connection; returns the names of the exports and the etag.
async fn list_blocking(admin: &mut Client, connection: &str) -> (Vec<String>, String) {
    use pb::stream_blocking_exports_response::Event;
    let request = pb::StreamBlockingExportsRequest { name: connection.to_owned(), ..Default::default() };
    let mut stream = admin.connections.stream_blocking_exports(request).await.expect("streamed").into_inner();
    let mut names = Vec::new();
    loop {
        let message = stream.message().await.expect("a message").expect("a summary before the end");
        match message.event.expect("an event") {
            Event::Blocking(blocking) => names.push(blocking.name),
            Event::Summary(summary) => return (names, summary.blocking_set_etag),
            Event::Released(_) | Event::Heartbeat(_) => panic!("only with `follow`"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn detaching_a_listed_set_never_detaches_an_export_attached_since() {
    race("detach of the shown set ∥ attach", async |_, racers, round| {
        let Racers { mut admin, mut ann, home, .. } = racers;
        let connection = admin.shared_connection(&format!("Connection {round}")).await.name;
        for number in 0..2 {
            ann.export(&connection, &format!("Listed {number}")).await;
        }
        let moving = ann.export(&home, "Moving").await.name;
        let (names, etag) = list_blocking(&mut admin, &connection).await;
        assert_eq!(names.len(), 2);
        let detach = pb::BatchDetachExportsRequest {
            parent: parent(),
            attached_set: Some(pb::batch_detach_exports_request::AttachedSet {
                connection: connection.clone(),
                blocking_set_etag: etag,
            }),
            ..Default::default()
        };
        // In every second round the export is created, in the others it is moved to the connection.
        let (detached, attached) = if round % 2 == 0 {
            let create = ann.exports.create_export(create_export(&connection, "New"));
            let (detached, created) = tokio::join!(admin.exports.batch_detach_exports(detach), create);
            (detached, created.map(|created| created.into_inner().export))
        } else {
            let attach = pb::AttachExportRequest { name: moving, connection: connection.clone(), ..Default::default() };
            let attach = ann.exports.attach_export(attach);
            let (detached, moved) = tokio::join!(admin.exports.batch_detach_exports(detach), attach);
            (detached, moved.map(|moved| moved.into_inner().export))
        };
        let attached = attached.expect("attached, before or after the detach").expect("an export");
        let current = ann.read_export(&attached.name).await;
        assert_eq!((current.connection, current.etag), (connection.clone(), attached.etag), "it was not listed");
        let remaining = admin.read_connection(&connection).await.attached_export_count;
        let outcome = outcome(&detached);
        let count = detached.map_or(0, |detached| detached.into_inner().detached_count);
        match (outcome.as_str(), count, remaining) {
            ("OK", 2, 1) => true,
            ("BLOCKING_SET_CHANGED", 0, 3) => false,
            forbidden => panic!("forbidden outcome: {forbidden:?}"),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opposite_moves_and_detaches_do_not_deadlock() {
    race("move ∥ move back ∥ detach", async |_, racers, round| {
        let Racers { mut admin, mut second, .. } = racers;
        let mut third = admin.clone();
        let mut connections = Vec::new();
        for number in 0..2 {
            connections.push(admin.connection(&format!("Connection {round}/{number}")).await.name);
        }
        let mut names = Vec::new();
        for number in 0..3 {
            names.push(admin.export(&connections[number % 2], &format!("Export {number}")).await.name);
        }
        let attach = |connection: &str, names: Vec<String>| pb::BatchAttachExportsRequest {
            parent: parent(),
            names,
            connection: connection.to_owned(),
            ..Default::default()
        };
        let forth = attach(&connections[0], names.clone());
        let back = attach(&connections[1], names.iter().rev().cloned().collect());
        let detach = pb::BatchDetachExportsRequest { parent: parent(), names: names.clone(), ..Default::default() };
        let (forth, back, detached) = tokio::join!(
            admin.exports.batch_attach_exports(forth),
            second.exports.batch_attach_exports(back),
            third.exports.batch_detach_exports(detach),
        );
        assert_eq!([outcome(&forth), outcome(&back), outcome(&detached)], ["OK", "OK", "OK"]);
        let mut connections_after = Vec::new();
        for name in &names {
            connections_after.push(admin.read_export(name).await.connection);
        }
        let last = &connections_after[0];
        assert!(connections_after.iter().all(|name| name == last), "a batch is atomic: {connections_after:?}");
        // Of three calls, count whether the detach was the last one.
        last.is_empty()
    })
    .await;
}
