//! FEED: a reader that follows the audit log in the order `feed` gets every event once, in order, and misses none.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use outflow::grpc::proto as pb;

use crate::support::{
    Backend, Client, Clients as _, Database, ErrorExt as _, Gate, TestServer, on_both, parent, print_line,
};

/// Callers that write at the same time.
const WRITERS: usize = 8;
/// How long they write.
const DURATION: Duration = Duration::from_secs(30);
/// How long they write outside of a full run.
const SHORT_DURATION: Duration = Duration::from_secs(3);

/// Reads a page after a token. Returns the names of the events and the next token.
async fn poll(admin: &mut Client, page_token: &str) -> (Vec<String>, String) {
    let request = pb::ListAuditEventsRequest {
        parent: parent(),
        page_size: 100,
        page_token: page_token.to_owned(),
        order_by: "feed".to_owned(),
        ..Default::default()
    };
    let page = admin.audit.list_audit_events(request).await.expect("listed").into_inner();
    assert!(!page.next_page_token.is_empty(), "the feed goes on");
    (page.audit_events.into_iter().map(|event| event.name).collect(), page.next_page_token)
}

/// Reads the feed until it has shown this number of events. Open transactions of other databases of the cluster delay it.
async fn read_until(admin: &mut Client, token: &mut String, seen: &mut Vec<String>, count: usize) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while seen.len() < count {
        assert!(Instant::now() < deadline, "{} of {count} events", seen.len());
        let (names, next) = poll(admin, token).await;
        *token = next;
        seen.extend(names);
    }
    let (more, _) = poll(admin, token).await;
    assert!(more.is_empty(), "more than {count} events");
}

/// The names of all events.
async fn all_events(admin: &mut Client) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut page_token = String::new();
    loop {
        let request =
            pb::ListAuditEventsRequest { parent: parent(), page_size: 1_000, page_token, ..Default::default() };
        let page = admin.audit.list_audit_events(request).await.expect("listed").into_inner();
        names.extend(page.audit_events.into_iter().map(|event| event.name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return names;
        }
    }
}

/// Suspends and resumes a connection until it is told to stop.
async fn write(server: &TestServer, number: usize, stop: &AtomicBool) {
    let mut admin = server.admin().await;
    let name = admin.connection(&format!("Partner {number}")).await.name;
    while !stop.load(Ordering::Relaxed) {
        let suspend = pb::SuspendConnectionRequest { name: name.clone(), ..Default::default() };
        admin.connections.suspend_connection(suspend).await.expect("suspended");
        let resume = pb::ResumeConnectionRequest { name: name.clone(), ..Default::default() };
        admin.connections.resume_connection(resume).await.expect("resumed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_the_feed_gets_every_event_once() {
    on_both(async |server| {
        let stop = Arc::new(AtomicBool::new(false));
        let end = Instant::now() + if Gate::is_full() { DURATION } else { SHORT_DURATION };
        let mut reader = server.admin().await;
        let (mut token, mut seen) = (String::new(), Vec::new());
        let reading = async {
            while Instant::now() < end {
                let (names, next) = poll(&mut reader, &token).await;
                seen.extend(names);
                token = next;
            }
            stop.store(true, Ordering::Relaxed);
        };
        let writers = futures_util::future::join_all((0..WRITERS).map(|number| write(&server, number, &stop)));
        tokio::join!(reading, writers);
        let all = all_events(&mut reader).await;
        read_until(&mut reader, &mut token, &mut seen, all.len()).await;
        let unique: HashSet<&String> = seen.iter().collect();
        assert_eq!(unique.len(), seen.len(), "an event appeared twice");
        assert_eq!(seen.iter().cloned().collect::<BTreeSet<_>>(), all);
        // In the same order from the start.
        let (mut token, mut again) = (String::new(), Vec::new());
        read_until(&mut reader, &mut token, &mut again, seen.len()).await;
        assert_eq!(again, seen);
        print_line(&format!("gate FEED, {:?}: {} events of {WRITERS} writers, 0 bad", server.backend, seen.len()));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_transaction_delays_the_feed_and_a_restored_dump_continues_it() {
    let server = TestServer::start(Backend::Postgres).await;
    let mut admin = server.admin().await;
    let Database::Postgres(pool) = Database::open(&server.database_url).await else { panic!("PostgreSQL") };
    let (mut token, mut seen) = (String::new(), Vec::new());
    let mut foreign = pool.begin().await.expect("begun");
    sqlx::query("SELECT pg_current_xact_id()").execute(&mut *foreign).await.expect("a number");
    admin.connection("Delayed").await;
    let (names, next) = poll(&mut admin, &token).await;
    assert!(names.is_empty(), "an earlier transaction can still commit");
    token = next;
    assert_eq!(all_events(&mut admin).await.len(), 1, "the order `time` shows it at once");
    foreign.rollback().await.expect("rolled back");
    read_until(&mut admin, &mut token, &mut seen, 1).await;

    // As if the events came from a cluster that has counted further.
    sqlx::query("UPDATE audit_events SET feed_position = 1000000000000").execute(&pool).await.expect("updated");
    let keys = server.data_dir.join("keys").display().to_string();
    let settings = vec![("database_url", server.database_url.clone()), ("key_dir", keys)];
    let restarted = TestServer::start_with(Backend::Sqlite, settings).await;
    let mut admin = restarted.admin().await;
    admin.connection("Later").await;
    let (mut token, mut names) = (String::new(), Vec::new());
    read_until(&mut admin, &mut token, &mut names, 2).await;
    assert_eq!(names[0], seen[0], "the stored event comes first");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_has_one_direction() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let request =
            pb::ListAuditEventsRequest { parent: parent(), order_by: "feed desc".to_owned(), ..Default::default() };
        let error = admin.audit.list_audit_events(request).await.expect_err("refused");
        assert_eq!(error.reason(), "INVALID_FIELD");
    })
    .await;
}
