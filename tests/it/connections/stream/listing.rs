//! The listing: complete, in order of attachment, with a summary and its etag; it can be resumed after any message.

use outflow::grpc::proto as pb;
use pb::stream_blocking_exports_response::Event;
use tonic::Code;

use super::Reader;
use crate::support::{Clients as _, ErrorExt as _, TestServer, create_export, cron, on_both};

#[tokio::test(flavor = "multi_thread")]
async fn exports_are_listed_in_order_of_attachment_before_the_summary() {
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
        let first =
            ann.exports.create_export(scheduled).await.expect("created").into_inner().export.expect("an export");
        let moved = ann.export(&other, "Moved here last").await.name;
        let second = ann.export(&connection, "By hand").await.name;
        let attach =
            pb::AttachExportRequest { name: moved.clone(), connection: connection.clone(), ..Default::default() };
        ann.exports.attach_export(attach).await.expect("moved");

        let mut reader = Reader::open(&mut admin, &connection, "", false).await.expect("opened");
        let Event::Blocking(listed) = reader.event().await else { panic!("not an export") };
        assert_eq!((&listed.name, &listed.display_name, &*listed.creator), (&first.name, &first.display_name, "ann"));
        assert_eq!((listed.state(), listed.next_run_time), (pb::export::State::Active, first.next_run_time));
        let Event::Blocking(listed) = reader.event().await else { panic!("not an export") };
        assert_eq!((listed.name, listed.next_run_time), (second, None));
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
        let Event::Blocking(listed) = reader.event().await else { panic!("not an export") };
        assert_eq!((listed.state(), listed.next_run_time), (pb::export::State::Blocked, None));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_resumes_after_any_message_without_gaps_or_repeats() {
    on_both(async |server: TestServer| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await.name;
        let first = admin.export(&connection, "First").await;
        // More than one page of the server.
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
        for (index, cursor) in cursors.iter().enumerate() {
            let mut rest = Reader::open(&mut admin, &connection, cursor, false).await.expect("resumed");
            assert_eq!(rest.listing().await, (names[index + 1..].to_vec(), summary.clone()));
        }
        // After the summary, only the summary is sent again.
        let mut rest = Reader::open(&mut admin, &connection, &reader.cursor, false).await.expect("resumed");
        assert_eq!(rest.listing().await, (Vec::new(), summary));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_listing_reflects_the_changes_in_between() {
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
        // A listed export is detached and attached again, an unlisted one is detached, a new one is created.
        for name in [&names[1], &names[4]] {
            let detach = pb::DetachExportRequest { name: name.clone(), ..Default::default() };
            admin.exports.detach_export(detach).await.expect("detached");
        }
        let attach =
            pb::AttachExportRequest { name: names[1].clone(), connection: connection.clone(), ..Default::default() };
        admin.exports.attach_export(attach).await.expect("attached");
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
        let page_token = "AwAAAAAAAAAA";
        for cursor in [reader.cursor.as_str(), &reader.cursor[..20], "nonsense", page_token] {
            let refusal = Reader::open(&mut admin, &connection, cursor, true).await.err().expect("refused");
            assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::InvalidArgument, "CURSOR_INVALID"));
            assert_eq!(refusal.fields(), ["cursor"]);
        }
        let absent = Reader::open(&mut admin, "organizations/acme/connections/absent", "", false).await;
        assert_eq!(absent.err().expect("absent").reason(), "RESOURCE_NOT_FOUND");
    })
    .await;
}
