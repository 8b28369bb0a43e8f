//! Pages of lists with filters: one ends after 10,000 rows were read, with a token to continue with, on both databases.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use outflow::grpc::proto as pb;
use serde_json::{Value as Json, json};

use crate::support::{Client, Clients as _, Database, TestServer, on_both, parent};

use super::fill::copy;
use super::lists::List;

/// Rows beside those that are found; more than a page reads.
const COPIES: u64 = 10_100;

/// How long a test that fills millions of rows can delay the feed.
const FEED_DELAY: Duration = Duration::from_mins(15);

/// Reads all pages of a list. They hold the entries `expected` once each, in this order unless it is unknown, and as many
/// pages hold none although another follows.
async fn assert_found(client: &Client, method: &'static str, request: Json, expected: &[String], empty_pages: usize) {
    let list = List::new(method, request);
    let pages = list.pages(client, 4).await;
    let names: Vec<_> = pages.iter().flat_map(|page| page.names.clone()).collect();
    assert_eq!(names, expected, "{list:?}");
    let empty = pages.iter().filter(|page| page.names.is_empty() && !page.next.is_empty()).count();
    assert_eq!(empty, empty_pages, "{list:?}: {} pages", pages.len());
}

/// Creates exports with names before and after those of the copies, which have larger uids than all others.
async fn exports(server: &TestServer, admin: &mut Client) -> (Vec<String>, String) {
    let connection = admin.connection("Partner").await.name;
    let first = admin.export(&connection, "A needle").await;
    let other = admin.export(&connection, "Other").await;
    let last = admin.export(&connection, "needle, the last").await;
    server.database().await.attach_copies(&other, COPIES).await;
    (vec![first.name, last.name], connection)
}

#[tokio::test(flavor = "multi_thread")]
async fn exports_that_match_are_found_once_on_pages_that_end_early() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let (found, connection) = exports(&server, &mut admin).await;
        let reversed: Vec<_> = found.iter().rev().cloned().collect();
        let (list, ann) = ("ExportService/ListExports", server.contributor("ann").await);
        for (order, expected, empty_pages) in [
            ("create_time", &found, 0),
            ("create_time desc", &reversed, 1),
            ("display_name", &found, 0),
            ("display_name desc", &reversed, 0),
            ("update_time", &found, 0),
        ] {
            for filter in [json!({}), json!({"connection": connection})] {
                let with_size = |page_size: u32| {
                    let mut request = filter.clone();
                    request["search"] = "NEEDLE".into();
                    request["orderBy"] = order.into();
                    request["pageSize"] = page_size.into();
                    request
                };
                assert_found(&admin, list, with_size(50), expected, empty_pages).await;
                let pages = List::new(list, with_size(1)).pages(&admin, 0).await;
                let names: Vec<_> = pages.into_iter().flat_map(|page| page.names).collect();
                assert_eq!(&names, expected, "{order}, {filter}");
            }
        }
        assert_found(&admin, list, json!({"search": "not there"}), &[], 1).await;
        assert_found(&ann, list, json!({"callerAccess": "CALLER_ACCESS_MANAGE"}), &[], 1).await;
        // An index finds these, whatever the order.
        for order in ["create_time", "display_name desc", "update_time"] {
            for filter in [json!({"creator": "stranger"}), json!({"state": "STATE_INACTIVE"})] {
                let mut request = filter;
                request["orderBy"] = order.into();
                assert_found(&admin, list, request, &[], 0).await;
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_added_and_removed_between_pages_hide_no_others() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let (found, connection) = exports(&server, &mut admin).await;
        let list = List::new("ExportService/ListExports", json!({"search": "needle", "orderBy": "create_time desc"}));
        let first = list.page(&admin, "").await;
        assert!(first.names.is_empty() && !first.next.is_empty());
        let database = server.database().await;
        database.execute("DELETE FROM exports WHERE id LIKE 'copy%-5_'").await;
        admin.export(&connection, "needle, too late").await;
        let second = list.page(&admin, &first.next).await;
        assert!(found.iter().all(|name| second.names.contains(name)), "{:?}", second.names);
    })
    .await;
}

/// Inserts copies of the only connection and of the only audit event, and of the only run as a cancelled one.
async fn fill(database: &Database) {
    let id = ("id", "'copy-' || n");
    copy(database, "connections", COPIES, &[id, ("display_name_search", "'copy'")]).await;
    copy(database, "audit_events", COPIES, &[("method", "'Copy'")]).await;
    let (state, end) = (("state", "'CANCELLED'"), ("end_time", "create_time"));
    copy(database, "runs", COPIES, &[state, end, ("connection_id", "'other'")]).await;
}

/// Waits until the feed has all events. Long transactions of other tests in the same PostgreSQL cluster delay it.
async fn wait_for_feed(database: &Database) {
    if matches!(database, Database::Sqlite(_)) {
        return;
    }
    let later = "SELECT count(*) FROM audit_events WHERE feed_position >= audit_feed_end()";
    let end = Instant::now() + FEED_DELAY;
    while database.fetch_count(later).await > 0 {
        assert!(Instant::now() < end, "the feed is delayed");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_runs_and_audit_events_that_match_are_found_on_pages_that_end_early() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Needle").await.name;
        let database = server.database().await;
        let only = |events: Vec<String>| events.into_iter().next().expect("an event");
        let event = only(List::new("AuditService/ListAuditEvents", json!({})).page(&admin, "").await.names);
        let export = admin.export(&connection, "Segment").await.name;
        let run = pb::RunExportRequest { name: export, ..Default::default() };
        let run = admin.exports.run_export(run).await.expect("queued").into_inner().run.expect("a run").name;
        database.execute(&format!("DELETE FROM audit_events WHERE resource <> '{connection}'")).await;
        fill(&database).await;
        let caller = server.caller("acme", "ann", &[outflow::model::Role::Contributor], &[]).await;

        let connections = ["ConnectionService/ListConnections", "ConnectionService/SearchUsableConnections"];
        for (order, empty_pages) in [("create_time", 0), ("create_time desc", 1)] {
            for list in connections {
                let request = json!({"search": "needle", "orderBy": order});
                assert_found(&admin, list, request, std::slice::from_ref(&connection), empty_pages).await;
            }
            assert_found(&caller, connections[1], json!({"orderBy": order}), &[], 0).await;
        }
        let share = pb::ShareConnectionRequest {
            name: connection.clone(),
            members: vec!["user:ann".to_owned()],
            ..Default::default()
        };
        admin.connections.share_connection(share).await.expect("shared");
        let search = json!({"orderBy": "display_name"});
        assert_found(&caller, connections[1], search, std::slice::from_ref(&connection), 0).await;

        let runs = "ExportService/ListExportRuns";
        let of_all = format!("{}/exports/-", parent());
        let queued = json!({"parent": of_all, "state": "STATE_QUEUED"});
        assert_found(&admin, runs, queued, std::slice::from_ref(&run), 0).await;
        let manual = json!({"parent": of_all, "trigger": "TRIGGER_MANUAL", "state": "STATE_SUCCEEDED"});
        assert_found(&admin, runs, manual, &[], 0).await;
        let both =
            json!({"parent": of_all, "connection": format!("{}/connections/other", parent()), "trigger": "TRIGGER_CATCH_UP"});
        assert_found(&admin, runs, both, &[], 1).await;

        let events = "AuditService/ListAuditEvents";
        let created = "outflow.v1.ConnectionService/CreateConnection";
        let both = json!({"resource": connection, "method": created, "orderBy": "time desc"});
        assert_found(&admin, events, both, std::slice::from_ref(&event), 1).await;
        wait_for_feed(&database).await;
        let all = List::new(events, json!({"method": created, "orderBy": "feed"})).pages(&admin, 3).await;
        let found: BTreeSet<_> = all.into_iter().flat_map(|page| page.names).collect();
        assert_eq!(found, BTreeSet::from([event]));
    })
    .await;
}
