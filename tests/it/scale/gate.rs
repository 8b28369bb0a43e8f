//! SCALE: a list call, a start and retention take as long with many rows as with few, on PostgreSQL.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use outflow::background::RetentionJob;
use outflow::model::Role;
use outflow::store::Retention;

use crate::support::{
    Backend, Client, Clients as _, Database, Gate, ORGANIZATION, Process, TestServer, new_database, outflow, print_line,
};

use super::fill::{Rows, fill};
use super::lists::{Caller, List, all};

/// Rows that calls are compared with.
const FEW: Rows = Rows { connections: 10_000, exports: 10_000, runs: 10_000, events: 10_000 };
/// Rows of the full run.
const MANY: Rows = Rows { connections: 500_000, exports: 5_000_000, runs: 1_000_000, events: 20_000_000 };
/// Rows of the short run.
const SOME: Rows = Rows { connections: 12_000, exports: 21_000, runs: 12_000, events: 30_000 };
/// Rows that a page with filters reads.
const ROWS_READ: u64 = 10_000;
/// How much longer a call may take with many rows.
const MAX_RATIO: u32 = 3;
/// A shorter call than this is not compared.
const MIN_DURATION: Duration = Duration::from_millis(5);
/// Calls of which the median is taken.
const CALLS: usize = 5;
/// How often a slow call is measured again: other processes take processor time too.
const ATTEMPTS: usize = 4;
/// How long a start may take.
const MAX_START: Duration = Duration::from_secs(2);
/// Expired events that are deleted before the test ends.
const DELETED: i64 = 50_000;
/// How long that may take.
const MAX_DELETION: Duration = Duration::from_mins(1);
/// In a short run, every fifth list is read: each filter in one order or another.
const STEP: usize = 5;

/// A filled database.
struct Installation {
    directory: tempfile::TempDir,
    url: String,
    rows: Rows,
}

/// A server, and a client of each caller.
struct Running {
    process: Process,
    clients: Vec<(Caller, Client)>,
    start: Duration,
}

impl Installation {
    async fn new(rows: Rows) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        outflow::vault::generate_first(&directory.path().join("keys")).expect("a key");
        let url = tokio::task::spawn_blocking(new_database).await.expect("a database");
        let installation = Self { directory, url, rows };
        let first = installation.start(&[]).await;
        let mut admin = first.process.admin().await;
        let connection = admin.connection("Partner").await.name;
        let export = admin.export(&connection, "Segment").await.name;
        let run = outflow::grpc::proto::RunExportRequest { name: export, ..Default::default() };
        admin.exports.run_export(run).await.expect("queued");
        drop(first);
        let start = Instant::now();
        tokio::task::block_in_place(|| fill(&installation.url, &rows));
        print_line(&format!(
            "SCALE: filled {} events and {} exports in {:.1?}",
            rows.events,
            rows.exports,
            start.elapsed()
        ));
        installation
    }

    fn command(&self, settings: &[(&str, &str)]) -> Command {
        let mut command = outflow(self.directory.path());
        command.args(["serve", "--database-url", &self.url]);
        command.env("OUTFLOW_RUNS", "off").env("OUTFLOW_DATASET_LOCATION", "none").envs(settings.iter().copied());
        command
    }

    async fn start(&self, settings: &[(&str, &str)]) -> Running {
        let begun = Instant::now();
        let process = tokio::task::block_in_place(|| Process::start(&mut self.command(settings)));
        let start = begun.elapsed();
        let contributor = async |subject: &str, groups: &[&str]| {
            process.caller(ORGANIZATION, subject, &[Role::Contributor], groups).await
        };
        let clients = vec![
            (Caller::Admin, process.admin().await),
            (Caller::Few, contributor("ann", &["few"]).await),
            (Caller::All, contributor("bob", &["everyone"]).await),
            (Caller::None, contributor("carl", &[]).await),
        ];
        Running { process, clients, start }
    }
}

impl Running {
    fn client(&self, list: &List) -> &Client {
        let (_, client) = self.clients.iter().find(|(caller, _)| *caller == list.caller).expect("a client");
        client
    }

    /// The median duration of calls for the first page.
    async fn duration(&self, list: &List) -> Duration {
        let client = self.client(list);
        list.page(client, "").await;
        let mut durations = Vec::new();
        for _ in 0..CALLS {
            let start = Instant::now();
            list.page(client, "").await;
            durations.push(start.elapsed());
        }
        durations.sort_unstable();
        durations[CALLS / 2]
    }
}

/// Reads all pages of each list with few matches: none is missing, and the number of pages is limited by that of the rows.
async fn find_all(server: &Running, rows: &Rows) -> usize {
    let most_rows = rows.exports.max(rows.events).max(rows.connections).max(rows.runs);
    let max_pages = usize::try_from(most_rows / ROWS_READ).expect("a number") + 2;
    let (mut count, mut empty) = (0, 0);
    let lists = all(rows).into_iter().step_by(if Gate::is_full() { 1 } else { STEP });
    for list in lists {
        let Some(matches) = list.matches else { continue };
        let pages = list.pages(server.client(&list), max_pages).await;
        assert!(pages.len() <= max_pages, "{list:?}: {} pages", pages.len());
        let names: Vec<_> = pages.iter().flat_map(|page| &page.names).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{list:?}: an entry appeared twice");
        assert_eq!(names.len(), matches, "{list:?}");
        count += 1;
        empty += pages.iter().filter(|page| page.names.is_empty() && !page.next.is_empty()).count();
    }
    assert!(empty > 0, "no page ended early");
    count
}

/// Compares the durations of all lists. Returns the highest ratio, with the list, and the longest duration.
async fn compare(few: &Running, many: &Running, rows: &Rows) -> (f64, String) {
    let mut highest = (0.0, String::new());
    for (small, large) in all(&FEW).iter().zip(&all(rows)) {
        let (mut ratio, mut figures) = (f64::MAX, String::new());
        for _ in 0..ATTEMPTS {
            let (short, long) = (few.duration(small).await, many.duration(large).await);
            let measured = long.as_secs_f64() / short.max(MIN_DURATION).as_secs_f64();
            if measured < ratio {
                (ratio, figures) = (measured, format!("{short:.1?}, {long:.1?}: {large:?}"));
            }
            if ratio <= f64::from(MAX_RATIO) {
                break;
            }
        }
        if Gate::is_full() {
            assert!(ratio <= f64::from(MAX_RATIO), "{ratio:.1} times: {figures}");
        }
        if ratio > highest.0 {
            highest = (ratio, figures);
        }
    }
    highest
}

/// Counts expired audit events and expired runs.
async fn expired(database: &Database) -> [i64; 2] {
    let events = "SELECT count(*) FROM audit_events WHERE time < now() - interval '400 days'";
    let runs = "SELECT count(*) FROM runs WHERE end_time < now() - interval '90 days'";
    [database.fetch_count(events).await, database.fetch_count(runs).await]
}

/// Deletes many expired events, and expired runs although they come last, while calls are answered.
async fn delete_expired(installation: &Installation) -> String {
    let database = Database::open(&installation.url).await;
    database
        .execute(
            "UPDATE runs SET end_time = now() - interval '100 days' \
             WHERE state <> 'QUEUED' AND uid IN (SELECT uid FROM runs ORDER BY uid LIMIT 3000)",
        )
        .await;
    let before = expired(&database).await;
    let keys = installation.directory.path().join("keys").display().to_string();
    let settings = vec![("database_url", installation.url.clone()), ("key_dir", keys)];
    let server = TestServer::start_with(Backend::Sqlite, settings).await;
    let days = |days: u64| Duration::from_hours(24 * days);
    let retention =
        Retention { request_ids: days(1), releases: days(1), denied: days(30), audit: days(400), runs: days(90) };
    let job = RetentionJob::new(server.app.store().clone(), retention);
    let deleting = tokio::spawn(async move { job.delete().await });

    let (admin, list) = (server.admin().await, List::new("ExportService/ListExports", serde_json::json!({})));
    let (start, mut calls, mut longest) = (Instant::now(), 0, Duration::ZERO);
    let (events, runs) = loop {
        let begun = Instant::now();
        list.page(&admin, "").await;
        longest = longest.max(begun.elapsed());
        calls += 1;
        if calls % 20 != 0 {
            continue;
        }
        let [events, runs] = expired(&database).await;
        let deleted = before[0] - events;
        if runs == 0 && (events == 0 || deleted >= DELETED) {
            break (deleted, before[1]);
        }
        assert!(start.elapsed() < MAX_DELETION, "{deleted} events deleted, {runs} runs left");
    };
    deleting.abort();
    let seconds = start.elapsed().as_secs_f64();
    format!(
        "{events} of {} expired events and all {runs} runs deleted in {seconds:.1} s; meanwhile {calls} calls, the longest \
         took {longest:.1?}",
        before[0]
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_a_start_and_retention_take_as_long_with_many_rows_as_with_few() {
    let installation = Installation::new(if Gate::is_full() { MANY } else { SOME }).await;
    let rows = installation.rows;
    // No event expires while calls are measured.
    let keep = [("OUTFLOW_AUDIT_RETENTION_DAYS", "36500")];
    let many = installation.start(&keep).await;
    print_line(&format!("SCALE: start in {:.1?}", many.start));
    if Gate::is_full() {
        assert!(many.start <= MAX_START, "start in {:?}", many.start);
        let few = Installation::new(FEW).await;
        let few = few.start(&keep).await;
        let (ratio, figures) = compare(&few, &many, &rows).await;
        print_line(&format!("SCALE: {} lists, the highest ratio {ratio:.1} ({figures})", all(&rows).len()));
    } else {
        let lists = find_all(&many, &rows).await;
        print_line(&format!("SCALE: {lists} lists found all rows that match"));
    }
    drop(many);
    print_line(&format!("gate SCALE: {}, 0 bad", delete_expired(&installation).await));
}
