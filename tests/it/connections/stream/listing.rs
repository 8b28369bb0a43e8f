//! The listing: in order of attachment, complete, with a summary that names the set; resumed behind any message.

use outflow::grpc::proto as pb;
use pb::stream_blocking_exports_response::Event;
use tonic::Code;

use super::Reader;
use crate::support::{Clients as _, ErrorExt as _, TestServer, create_export, cron, on_both};

#[tokio::test(flavor = "multi_thread")]
async fn it_shows_each_export_in_order_of_attachment_and_then_the_set() {
    on_both(async |server: TestServer| {
        let (mut admin, mut ann) = (server.admin().await, server.contributor("ann").await);
        let connection = admin.shared_connection("Partner").await.name;
        let other = admin.shared_connection("Other").await.name;
        let mut reader = Reader::open(&mut admin, &connection, "", false).await.expect("opened");
        let (names, summary) = reader.listing().await;
        assert_eq!((names.len(), summary.blocking_export_count), (0, 0));
        reader.end().await;

        let mut scheduled = create_export(&connection, "Scheduled");
        scheduled.export.as_mut().expect("an export").schedule = Some(cron("0 6 * * MON", "Europe/Berlin"));
        let first = ann.exports.create_export(scheduled).await.expect("created").into_inner().export.expect("answered");
        let moved = ann.export(&other, "Moved here last").await.name;
        let second = ann.export(&connection, "By hand").await.name;
        let attach =
            pb::AttachExportRequest { name: moved.clone(), connection: connection.clone(), ..Default::default() };
        ann.exports.attach_export(attach).await.expect("moved");

        let mut reader = Reader::open(&mut admin, &connection, "", false).await.expect("opened");
        let Event::Blocking(shown) = reader.event().await else { panic!("an export") };
        assert_eq!((&shown.name, &shown.display_name, &*shown.creator), (&first.name, &first.display_name, "ann"));
        assert_eq!((shown.state(), shown.next_run_time), (pb::export::State::Active, first.next_run_time));
        let Event::Blocking(shown) = reader.event().await else { panic!("an export") };
        assert_eq!((shown.name, shown.next_run_time), (second, None));
        assert_eq!(reader.blocking().await, moved);
        let summary = reader.summary().await;
        reader.end().await;
        let delete = pb::DeleteConnectionRequest { name: connection.clone(), ..Default::default() };
        let refusal = admin.connections.delete_connection(delete).await.expect_err("in use");
        assert_eq!(refusal.info("blocking_set_etag"), summary.blocking_set_etag);
        assert_eq!(summary.blocking_export_count, 3);

        let suspend = pb::SuspendConnectionRequest { name: connection.clone(), ..Default::default() };
        admin.connections.suspend_connection(suspend).await.expect("suspended");
        let mut reader = Reader::open(&mut admin, &connection, "", false).await.expect("opened");
        let Event::Blocking(shown) = reader.event().await else { panic!("an export") };
        assert_eq!((shown.state(), shown.next_run_time), (pb::export::State::Blocked, None));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_any_message_the_rest_follows_exactly() {
    on_both(async |server: TestServer| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await.name;
        let first = admin.export(&connection, "First").await;
        // More than a page of the server's.
        server.database().await.attach_copies(&first, 520).await;
        let mut reader = Reader::open(&mut admin, &connection, "", false).await.expect("opened");
        let (mut names, mut cursors) = (Vec::new(), Vec::new());
        let summary = loop {
            match reader.event().await {
                Event::Blocking(blocking) => {
                    names.push(blocking.name);
                    cursors.push(reader.cursor.clone());
                }
                Event::Summary(summary) => break summary,
                other => panic!("{other:?} within the listing"),
            }
        };
        assert_eq!((names.len(), summary.blocking_export_count), (521, 521));
        for (seen, cursor) in cursors.iter().enumerate() {
            let mut rest = Reader::open(&mut admin, &connection, cursor, false).await.expect("resumed");
            assert_eq!(rest.listing().await, (names[seen + 1..].to_vec(), summary.clone()));
        }
        // Behind the summary there is nothing new, and the summary again.
        let mut rest = Reader::open(&mut admin, &connection, &reader.cursor, false).await.expect("resumed");
        assert_eq!(rest.listing().await, (Vec::new(), summary));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_between_a_cut_and_its_resumption_is_told_right() {
    on_both(async |server: TestServer| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await.name;
        let mut names = Vec::new();
        for number in 0..6 {
            names.push(admin.export(&connection, &format!("Export {number}")).await.name);
        }
        let mut reader = Reader::open(&mut admin, &connection, "", false).await.expect("opened");
        for name in &names[..3] {
            assert_eq!(reader.blocking().await, *name);
        }
        // One that was shown leaves and comes back, one that was not leaves, a new one comes.
        for name in [&names[1], &names[4]] {
            let detach = pb::DetachExportRequest { name: name.clone(), ..Default::default() };
            admin.exports.detach_export(detach).await.expect("detached");
        }
        let back =
            pb::AttachExportRequest { name: names[1].clone(), connection: connection.clone(), ..Default::default() };
        admin.exports.attach_export(back).await.expect("attached");
        let new = admin.export(&connection, "New").await.name;
        let mut rest = Reader::open(&mut admin, &connection, &reader.cursor, false).await.expect("resumed");
        let (rest, summary) = rest.listing().await;
        assert_eq!(rest, [&*names[3], &*names[5], &*names[1], &*new]);
        assert_eq!(summary.blocking_export_count, 6);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_another_stream_is_refused() {
    on_both(async |server: TestServer| {
        let mut admin = server.admin().await;
        let (connection, other) = (admin.connection("Partner").await.name, admin.connection("Other").await.name);
        let mut reader = Reader::open(&mut admin, &other, "", false).await.expect("opened");
        reader.summary().await;
        let page = "AwAAAAAAAAAA";
        for cursor in [reader.cursor.as_str(), &reader.cursor[..20], "nonsense", page] {
            let refusal = Reader::open(&mut admin, &connection, cursor, true).await.err().expect("refused");
            assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::InvalidArgument, "CURSOR_INVALID"));
            assert_eq!(refusal.fields(), ["cursor"]);
        }
        let absent = Reader::open(&mut admin, "organizations/acme/connections/absent", "", false).await;
        assert_eq!(absent.err().expect("absent").reason(), "RESOURCE_NOT_FOUND");
    })
    .await;
}
