//! Detach of the set that was shown ∥ attach: never a detached export that was not shown. And exports that are moved
//! to and fro while they are detached: whoever locks them, nobody waits for ever.

use outflow::grpc::proto as pb;

use super::{Racers, outcome, race};
use crate::support::{Client, create_export, parent};

/// The names that the stream shows, and the etag of the set.
async fn shown(admin: &mut Client, connection: &str) -> (Vec<String>, String) {
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
async fn detach_of_the_shown_set_against_attach() {
    race("detach of the shown set ∥ attach", async |_, racers, round| {
        let Racers { mut admin, mut ann, home, .. } = racers;
        let connection = admin.shared_connection(&format!("Connection {round}")).await.name;
        for number in 0..2 {
            ann.export(&connection, &format!("Shown {number}")).await;
        }
        let moving = ann.export(&home, "Moving").await.name;
        let (names, etag) = shown(&mut admin, &connection).await;
        assert_eq!(names.len(), 2);
        let detach = pb::BatchDetachExportsRequest {
            parent: parent(),
            attached_set: Some(pb::batch_detach_exports_request::AttachedSet {
                connection: connection.clone(),
                blocking_set_etag: etag,
            }),
            ..Default::default()
        };
        // Every second round the export comes new, in the others it is moved there.
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
        let attached = attached.expect("attached, before or behind the others").expect("answered");
        let now = ann.read_export(&attached.name).await;
        assert_eq!((now.connection, now.etag), (connection.clone(), attached.etag), "it was not shown");
        let left = admin.read_connection(&connection).await.attached_export_count;
        let outcome = outcome(&detached);
        let count = detached.map_or(0, |detached| detached.into_inner().detached_count);
        match (outcome.as_str(), count, left) {
            ("OK", 2, 1) => true,
            ("BLOCKING_SET_CHANGED", 0, 3) => false,
            forbidden => panic!("{forbidden:?}"),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn moves_to_and_fro_against_detaches() {
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
        let there = attach(&connections[0], names.clone());
        let back = attach(&connections[1], names.iter().rev().cloned().collect());
        let detach = pb::BatchDetachExportsRequest { parent: parent(), names: names.clone(), ..Default::default() };
        let (there, back, detached) = tokio::join!(
            admin.exports.batch_attach_exports(there),
            second.exports.batch_attach_exports(back),
            third.exports.batch_detach_exports(detach),
        );
        assert_eq!([outcome(&there), outcome(&back), outcome(&detached)], ["OK", "OK", "OK"]);
        let mut ends = Vec::new();
        for name in &names {
            ends.push(admin.read_export(name).await.connection);
        }
        assert!(ends.iter().all(|end| *end == ends[0]), "a batch is whole: {ends:?}");
        // Not who came first of three, but who came last.
        ends[0].is_empty()
    })
    .await;
}
