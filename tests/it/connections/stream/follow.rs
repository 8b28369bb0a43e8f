//! Streams with `follow`: they report attachments and releases until nothing blocks the deletion of the connection.

use outflow::grpc::proto as pb;
use pb::stream_blocking_exports_response::released::Cause;
use tonic::Code;

use super::Reader;
use crate::support::{Client, Clients as _, ErrorExt as _, TestServer, on_both};

async fn detach(admin: &mut Client, name: &str) {
    let detach = pb::DetachExportRequest { name: name.to_owned(), ..Default::default() };
    admin.exports.detach_export(detach).await.expect("detached");
}

async fn attach(admin: &mut Client, name: &str, connection: &str) {
    let attach =
        pb::AttachExportRequest { name: name.to_owned(), connection: connection.to_owned(), ..Default::default() };
    admin.exports.attach_export(attach).await.expect("attached");
}

async fn delete(admin: &mut Client, name: &str) {
    let delete = pb::DeleteExportRequest { name: name.to_owned(), ..Default::default() };
    admin.exports.delete_export(delete).await.expect("deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_attachment_and_release_is_reported_and_the_last_release_ends_the_stream() {
    on_both(async |server: TestServer| {
        let mut admin = server.admin().await;
        let (connection, other) = (admin.connection("Partner").await.name, admin.connection("Other").await.name);
        let mut names = Vec::new();
        for number in 0..3 {
            names.push(admin.export(&connection, &format!("Export {number}")).await.name);
        }
        let mut reader = Reader::open(&mut admin, &connection, "", true).await.expect("opened");
        let (listed, summary) = reader.listing().await;
        assert_eq!((listed, summary.blocking_export_count), (names.clone(), 3));

        let new = admin.export(&connection, "New").await.name;
        assert_eq!(reader.blocking().await, new);
        detach(&mut admin, &names[0]).await;
        attach(&mut admin, &names[1], &other).await;
        delete(&mut admin, &names[2]).await;
        for (name, cause) in names.iter().zip([Cause::Detached, Cause::Moved, Cause::Removed]) {
            let released = reader.released().await;
            assert_eq!((&released.name, released.cause()), (name, cause));
        }
        // Detached and attached again between two polls: both are reported, in order.
        detach(&mut admin, &new).await;
        attach(&mut admin, &new, &connection).await;
        assert_eq!(reader.released().await.name, new);
        assert_eq!(reader.blocking().await, new);

        let cursor_before_end = reader.cursor.clone();
        let mut other_reader = Reader::open(&mut admin, &other, "", false).await.expect("opened");
        other_reader.blocking().await;
        let other_cursor = other_reader.cursor.clone();
        detach(&mut admin, &new).await;
        assert_eq!(reader.released().await.name, new);
        let summary = reader.summary().await;
        assert_eq!(summary.blocking_export_count, 0);
        reader.end().await;
        let delete = pb::DeleteConnectionRequest { name: connection.clone(), ..Default::default() };
        admin.connections.delete_connection(delete).await.expect("nothing blocks it");

        // A stream that was interrupted before the end can be resumed, although the connection is deleted by now.
        let mut reader = Reader::open(&mut admin, &connection, &cursor_before_end, true).await.expect("resumed");
        assert_eq!(reader.released().await.name, new);
        assert_eq!(reader.summary().await.blocking_export_count, 0);
        reader.end().await;
        for (cursor, follow) in [("", true), (&*cursor_before_end, false)] {
            let refusal =
                Reader::open(&mut admin, &connection, cursor, follow).await.err().expect("the connection is deleted");
            assert_eq!(refusal.code(), Code::NotFound);
        }
        // A cursor of an existing connection is refused for the deleted one.
        let refusal =
            Reader::open(&mut admin, &connection, &other_cursor, true).await.err().expect("the connection is deleted");
        assert_eq!(refusal.code(), Code::NotFound);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_stream_reports_what_was_released_in_between() {
    on_both(async |server: TestServer| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await.name;
        let mut names = Vec::new();
        for number in 0..3 {
            names.push(admin.export(&connection, &format!("Export {number}")).await.name);
        }
        let mut reader = Reader::open(&mut admin, &connection, "", true).await.expect("opened");
        assert_eq!(reader.blocking().await, names[0]);
        let cursor = reader.cursor.clone();
        drop(reader);
        // Both releases are reported, of an export that was listed and of one that was not: the stream had started.
        detach(&mut admin, &names[0]).await;
        detach(&mut admin, &names[2]).await;
        let new = admin.export(&connection, "New").await.name;
        let mut reader = Reader::open(&mut admin, &connection, &cursor, true).await.expect("resumed");
        assert_eq!(reader.blocking().await, names[1]);
        assert_eq!(reader.released().await.name, names[0]);
        assert_eq!(reader.released().await.name, names[2]);
        assert_eq!(reader.blocking().await, new);
        assert_eq!(reader.summary().await.blocking_export_count, 2);
        let cursor = reader.cursor.clone();
        drop(reader);

        // A resumed stream also ends if all exports were released while it was interrupted.
        detach(&mut admin, &names[1]).await;
        detach(&mut admin, &new).await;
        let mut reader = Reader::open(&mut admin, &connection, &cursor, true).await.expect("resumed");
        assert_eq!(reader.released().await.name, names[1]);
        assert_eq!(reader.released().await.name, new);
        assert_eq!(reader.summary().await.blocking_export_count, 0);
        reader.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_when_its_connection_is_deleted() {
    on_both(async |server: TestServer| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await.name;
        let export = admin.export(&connection, "Last").await.name;
        let mut reader = Reader::open(&mut admin, &connection, "", true).await.expect("opened");
        assert_eq!(reader.listing().await.0, [&*export]);
        delete(&mut admin, &export).await;
        let delete = pb::DeleteConnectionRequest { name: connection, ..Default::default() };
        admin.connections.delete_connection(delete).await.expect("nothing blocks it");
        assert_eq!(reader.released().await.cause(), Cause::Removed);
        assert_eq!(reader.summary().await.blocking_export_count, 0);
        reader.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_expires_after_twenty_three_hours() {
    on_both(async |server: TestServer| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await.name;
        admin.export(&connection, "Only").await;
        let mut reader = Reader::open(&mut admin, &connection, "", false).await.expect("opened");
        reader.listing().await;
        server.clock.advance(chrono::TimeDelta::minutes(22 * 60 + 59));
        let mut admin = server.admin().await;
        let mut resumed = Reader::open(&mut admin, &connection, &reader.cursor, true).await.expect("not expired");
        assert_eq!(resumed.summary().await.blocking_export_count, 1);
        server.clock.advance(chrono::TimeDelta::minutes(2));
        let refusal = Reader::open(&mut admin, &connection, &reader.cursor, true).await.err().expect("expired");
        assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::OutOfRange, "CURSOR_EXPIRED"));
        // Without `follow` no releases are reported, so none can be missed and the cursor does not expire.
        let mut listing = Reader::open(&mut admin, &connection, &reader.cursor, false).await.expect("not expired");
        assert_eq!(listing.listing().await.0, [""; 0]);
    })
    .await;
}
