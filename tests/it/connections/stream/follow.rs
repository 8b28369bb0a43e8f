//! With `follow`: who comes and who goes, until nothing keeps the connection from being removed.

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
    admin.exports.delete_export(delete).await.expect("removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_tells_of_each_that_comes_or_goes_and_ends_with_the_last() {
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
        // Gone and back between two looks: both are told, in their order.
        detach(&mut admin, &new).await;
        attach(&mut admin, &new, &connection).await;
        assert_eq!(reader.released().await.name, new);
        assert_eq!(reader.blocking().await, new);

        let before_the_end = reader.cursor.clone();
        let mut other_reader = Reader::open(&mut admin, &other, "", false).await.expect("opened");
        other_reader.blocking().await;
        let elsewhere = other_reader.cursor.clone();
        detach(&mut admin, &new).await;
        assert_eq!(reader.released().await.name, new);
        let last = reader.summary().await;
        assert_eq!(last.blocking_export_count, 0);
        reader.end().await;
        let remove = pb::DeleteConnectionRequest { name: connection.clone(), ..Default::default() };
        admin.connections.delete_connection(remove).await.expect("nothing blocks it");

        // Whoever was cut off before the end learns of it, though the connection is gone by now.
        let mut reader = Reader::open(&mut admin, &connection, &before_the_end, true).await.expect("resumed");
        assert_eq!(reader.released().await.name, new);
        assert_eq!(reader.summary().await.blocking_export_count, 0);
        reader.end().await;
        for (cursor, follow) in [("", true), (&*before_the_end, false)] {
            let refusal = Reader::open(&mut admin, &connection, cursor, follow).await.err().expect("it is gone");
            assert_eq!(refusal.code(), Code::NotFound);
        }
        // A cursor of a connection that is there does not belong to one that is not.
        let refusal = Reader::open(&mut admin, &connection, &elsewhere, true).await.err().expect("it is gone");
        assert_eq!(refusal.code(), Code::NotFound);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_stream_goes_on_with_what_went_in_between() {
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
        // What was shown and what was not: both are told of, for the stream had begun.
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

        // It ends by itself, too, when all of it went while nobody watched.
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
async fn it_ends_when_the_connection_itself_goes() {
    on_both(async |server: TestServer| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await.name;
        let export = admin.export(&connection, "Last").await.name;
        let mut reader = Reader::open(&mut admin, &connection, "", true).await.expect("opened");
        assert_eq!(reader.listing().await.0, [&*export]);
        delete(&mut admin, &export).await;
        let remove = pb::DeleteConnectionRequest { name: connection, ..Default::default() };
        admin.connections.delete_connection(remove).await.expect("nothing blocks it");
        assert_eq!(reader.released().await.cause(), Cause::Removed);
        assert_eq!(reader.summary().await.blocking_export_count, 0);
        reader.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_is_good_for_twenty_three_hours() {
    on_both(async |server: TestServer| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await.name;
        admin.export(&connection, "Only").await;
        let mut reader = Reader::open(&mut admin, &connection, "", false).await.expect("opened");
        reader.listing().await;
        server.clock.advance(chrono::TimeDelta::minutes(22 * 60 + 59));
        let mut admin = server.admin().await;
        let mut good = Reader::open(&mut admin, &connection, &reader.cursor, true).await.expect("good still");
        assert_eq!(good.summary().await.blocking_export_count, 1);
        server.clock.advance(chrono::TimeDelta::minutes(2));
        let refusal = Reader::open(&mut admin, &connection, &reader.cursor, true).await.err().expect("too old");
        assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::OutOfRange, "CURSOR_EXPIRED"));
        // Without `follow` no release is asked for, so none can be missed.
        let mut listing = Reader::open(&mut admin, &connection, &reader.cursor, false).await.expect("good still");
        assert_eq!(listing.listing().await.0, [""; 0]);
    })
    .await;
}
