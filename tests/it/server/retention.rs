//! Retention on SQLite, where the task shares the single writer with calls.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use outflow::background::{RetentionJob, Task as _};
use outflow::store::Retention;
use sqlx::sqlite::SqlitePool;

use crate::support::{Backend, Clients as _, TestServer, create_connection, print_line, with_timeout};

const EXPIRED_ROWS: i64 = 5_000;

#[tokio::test(flavor = "multi_thread")]
async fn calls_write_while_many_expired_rows_are_deleted() {
    let server = TestServer::start(Backend::Sqlite).await;
    let mut admin = server.admin().await;
    admin.connections.create_connection(create_connection("First")).await.expect("created");
    let pool = SqlitePool::connect(&server.database_url).await.expect("the database");
    let copy = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) \
                INSERT INTO audit_events SELECT organization, randomblob(16), time, principal, roles, method, resource, \
                resource_uid, resource_display_name, changed_fields, before, after, denied_code, denied_minute, count, \
                call_id, trace_id, batch_id, reason, feed_position FROM (SELECT * FROM audit_events LIMIT 1), n";
    sqlx::query(copy).bind(EXPIRED_ROWS).execute(&pool).await.expect("inserted");
    server.clock.advance(TimeDelta::days(401));
    let hours = Duration::from_hours;
    let retention = Retention {
        request_ids: hours(24),
        releases: hours(24),
        denied: hours(24),
        audit: hours(24 * 400),
        runs: hours(24),
    };
    let task = RetentionJob::new(server.app.store().clone(), retention);
    let running = tokio::spawn(async move { task.run_once().await.map_err(|error| error.to_string()) });

    let mut admin = server.admin().await;
    let (mut calls, mut longest) = (0, Duration::ZERO);
    while !running.is_finished() {
        let start = Instant::now();
        admin.connections.create_connection(create_connection(&format!("Partner {calls}"))).await.expect("created");
        calls += 1;
        longest = longest.max(start.elapsed());
    }
    running.await.expect("no panic").expect("deleted");
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM audit_events").fetch_one(&pool).await.expect("a count");
    assert_eq!(left, calls, "the events of the calls");
    assert!(calls > 10, "{calls} calls during the run");
    print_line(&format!(
        "retention: {calls} calls while {EXPIRED_ROWS} rows were deleted; the longest took {longest:?}"
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_background_transaction_on_sqlite_spends_its_budget_and_ends() {
    let server = TestServer::start(Backend::Sqlite).await;
    let deadline = Instant::now() + Duration::from_secs(10);
    let statements = server.app.store().transact_in_background(deadline, (), |transaction, ()| {
        Box::pin(async move {
            let mut statements = 0_u32;
            while transaction.is_within_budget() {
                statements += 1;
                tokio::task::yield_now().await;
            }
            Ok(statements)
        })
    });
    let statements = with_timeout("the end of the budget", statements).await;
    assert!(statements.expect("committed before the deadline") > 0);
}
