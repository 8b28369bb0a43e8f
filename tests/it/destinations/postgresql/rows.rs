//! What a delivery writes, and when it becomes visible.

use std::process::Command;

use outflow::delivery::destinations::{Destination as _, Opened};
use outflow::model::FailureCode;

use super::fixture::{Fixture, Options, PASSWORD, numbered, rows};
use crate::destinations::services::{Run, code_of, manifest, outcomes, within, write_table};

/// Texts that an encoding could damage.
const TEXTS: [Option<&str>; 14] = [
    None,
    Some(""),
    Some(" "),
    Some("\"quoted\" and 'quoted'"),
    Some("line\nbreak\r\nand\ttab"),
    Some("comma, semicolon; pipe|"),
    Some("\\."),
    Some("\\N"),
    Some("NULL"),
    Some("back\\slash\\n"),
    Some("ä ß 漢字 😀"),
    Some("a\n\\.\nb"),
    Some("=1+1"),
    Some("\u{feff}bom"),
];

#[tokio::test(flavor = "multi_thread")]
async fn texts_are_stored_as_they_are() {
    let fixture = Fixture::new(
        "CREATE SCHEMA \"my \\ schema\"; CREATE TABLE \"my \\ schema\".\"the 'table'\" (\"the id\" integer, \"Name\" text, \
         other text DEFAULT 'default'); GRANT USAGE, CREATE ON SCHEMA \"my \\ schema\" TO writer; \
         GRANT INSERT ON \"my \\ schema\".\"the 'table'\" TO writer",
    )
    .await;
    let mut options = fixture.options();
    (options.schema, options.table) = ("my \\ schema", "the 'table'");
    let values: Vec<_> = TEXTS.iter().enumerate().map(|(id, text)| (id.to_string(), *text)).collect();
    let tables = [rows(["the id", "Name"], &values, 3)];
    let run = Run::new(true);
    assert!(run.attempt(&options.destination(), 0, &tables).await.expect("delivered"));
    let stored = fixture.texts("SELECT \"Name\" FROM \"my \\ schema\".\"the 'table'\" ORDER BY \"the id\"").await;
    assert_eq!(stored, TEXTS.map(|text| text.map(ToOwned::to_owned)));
    assert_eq!(
        fixture.count("SELECT count(*) FROM \"my \\ schema\".\"the 'table'\" WHERE other = 'default'").await,
        14
    );
    let ledger = "SELECT run || ' ' || export FROM \"my \\ schema\".outflow_deliveries WHERE delivered_at < now()";
    assert_eq!(fixture.texts(ledger).await, [Some(format!("{} nightly", run.id))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_visible_after_the_commit_and_written_once() {
    let fixture = Fixture::with_target().await;
    let destination = fixture.destination();
    let run = Run::new(true);
    let Opened::Writer(mut writer) = destination.open(&run.delivery(0)).await.expect("open") else {
        panic!("nothing was delivered yet");
    };
    write_table(writer.as_mut(), &numbered(1000, 100)).await.expect("written");
    assert_eq!(fixture.count("SELECT count(*) FROM target").await, 0);
    let tls = "SELECT count(*) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) \
               WHERE s.ssl AND a.usename = 'writer' AND a.application_name = 'outflow' AND a.datname = current_database()";
    assert_eq!(fixture.count(tls).await, 1);
    writer.commit(&manifest(run.id)).await.expect("committed");
    assert_eq!(fixture.count("SELECT count(*) FROM target").await, 1000);
    assert!(!run.attempt(&destination, 1, &[numbered(1000, 100)]).await.expect("delivered already"));
    assert_eq!(fixture.count("SELECT count(*) FROM target").await, 1000);

    fixture.run("DELETE FROM target WHERE id < 10").await;
    assert!(Run::new(true).attempt(&destination, 0, &[numbered(10, 3)]).await.expect("delivered"));
    assert_eq!(fixture.count("SELECT count(*) FROM target").await, 1000);
    assert_eq!(fixture.count("SELECT count(*) FROM outflow_deliveries").await, 2);
    assert_eq!(code_of(writer.commit(&manifest(run.id)).await, PASSWORD), FailureCode::Internal);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_replaced_in_the_same_transaction() {
    let fixture = Fixture::with_target().await;
    fixture.run("INSERT INTO target VALUES (-1, 'old'), (5, 'old')").await;
    let mut options = fixture.options();
    options.write_mode = "replace";
    let destination = options.destination();
    let run = Run::new(true);
    let Opened::Writer(mut writer) = destination.open(&run.delivery(0)).await.expect("open") else {
        panic!("nothing was delivered yet");
    };
    write_table(writer.as_mut(), &numbered(10, 4)).await.expect("written");
    assert_eq!(fixture.count("SELECT count(*) FROM target WHERE name = 'old'").await, 2);
    writer.commit(&manifest(run.id)).await.expect("committed");
    assert_eq!(fixture.count("SELECT count(*) FROM target WHERE name = 'a name' AND id < 10").await, 10);
    assert_eq!(fixture.count("SELECT count(*) FROM target").await, 10);

    assert!(Run::new(true).attempt(&destination, 0, &[numbered(0, 1)]).await.expect("delivered"));
    assert_eq!(fixture.count("SELECT count(*) FROM target").await, 0);
    assert!(Run::new(true).attempt(&fixture.destination(), 0, &[numbered(0, 1)]).await.expect("delivered"));
    assert_eq!(fixture.count("SELECT count(*) FROM outflow_deliveries").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aborted_attempt_leaves_nothing() {
    let fixture = Fixture::with_target().await;
    fixture.run("INSERT INTO target VALUES (-1, 'old')").await;
    let mut options = fixture.options();
    options.write_mode = "replace";
    let destination = options.destination();
    let run = Run::new(true);
    let Opened::Writer(mut writer) = destination.open(&run.delivery(0)).await.expect("open") else {
        panic!("nothing was delivered yet");
    };
    write_table(writer.as_mut(), &numbered(10, 4)).await.expect("written");
    writer.abort().await;
    assert_eq!(code_of(writer.commit(&manifest(run.id)).await, PASSWORD), FailureCode::Internal);
    // The next attempt waits for the end of the first one, if that is still to come.
    assert!(run.attempt(&destination, 1, &[numbered(3, 4)]).await.expect("delivered"));
    assert_eq!(fixture.count("SELECT count(*) FROM target").await, 3);
    assert_eq!(fixture.count("SELECT count(*) FROM outflow_deliveries").await, 1);
    fixture.wait_for_sessions().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_attempt_waits_for_the_first_and_writes_nothing_twice() {
    let fixture = Fixture::with_target().await;
    let run = Run::new(true);
    let first = fixture.destination();
    let Opened::Writer(mut writer) = first.open(&run.delivery(0)).await.expect("open") else {
        panic!("nothing was delivered yet");
    };
    write_table(writer.as_mut(), &numbered(10, 4)).await.expect("written");
    let second = fixture.destination();
    let tables = [numbered(10, 4)];
    let mut attempt = std::pin::pin!(run.attempt(&second, 1, &tables));
    let blocked = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'writer' AND wait_event_type = 'Lock'";
    within(async {
        loop {
            tokio::select! {
                _ = &mut attempt => panic!("the second attempt did not wait"),
                waiting = fixture.count(blocked) => if waiting > 0 { break },
            }
        }
    })
    .await;
    writer.commit(&manifest(run.id)).await.expect("committed");
    assert!(!attempt.await.expect("delivered already"));
    assert_eq!(fixture.count("SELECT count(*) FROM target").await, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_waits_too_long_for_an_earlier_one_has_not_failed() {
    let fixture = Fixture::with_target().await;
    let wait = format!("ALTER ROLE writer IN DATABASE \"{}\" SET lock_timeout = '100ms'", fixture.database);
    fixture.run(&wait).await;
    let (run, first) = (Run::new(true), fixture.destination());
    let Opened::Writer(_writer) = first.open(&run.delivery(0)).await.expect("open") else {
        panic!("nothing was delivered yet");
    };
    let error = run.attempt(&fixture.destination(), 1, &[numbered(10, 4)]).await.expect_err("the row is held");
    assert_eq!(error.code, FailureCode::LeaseLost, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_delivered_once_although_an_edit_moves_its_export_to_another_schema() {
    let fixture = Fixture::with_target().await;
    let moved = "CREATE SCHEMA moved AUTHORIZATION writer; CREATE TABLE moved.target (id integer PRIMARY KEY, name text); \
                 GRANT INSERT, DELETE ON moved.target TO writer";
    fixture.run(moved).await;
    let destination = Options { schema: "moved", ..fixture.options() }.destination();
    let count = async || fixture.count("SELECT count(*) FROM moved.target").await;
    // The answer to the commit of the first attempt was lost.
    let run = Run::new(true);
    assert!(run.attempt(&fixture.destination(), 1, &[numbered(10, 4)]).await.expect("delivered"));
    assert!(!run.attempt(&destination, 2, &[numbered(10, 4)]).await.expect("delivered already"));
    assert_eq!(count().await, 0);
    // The first attempt wrote nothing.
    let run = Run::new(true);
    drop(fixture.destination().open(&run.delivery(1)).await.expect("open"));
    fixture.wait_for_sessions().await;
    assert!(run.attempt(&destination, 2, &[numbered(10, 4)]).await.expect("delivered"));
    assert!(!run.attempt(&fixture.destination(), 3, &[numbered(10, 4)]).await.expect("delivered already"));
    assert_eq!((count().await, fixture.count("SELECT count(*) FROM target").await), (10, 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_create_the_ledger_at_the_same_time_all_succeed() {
    for _ in 0..5 {
        let fixture = Fixture::with_target().await;
        let deliveries = (0..4).map(|number| {
            let destination = fixture.destination();
            async move {
                let row = [(number.to_string(), Some("a name"))];
                Run::new(true).attempt(&destination, 0, &[rows(["id", "name"], &row, 1)]).await
            }
        });
        for delivered in futures_util::future::join_all(deliveries).await {
            assert!(delivered.expect("delivered"));
        }
        assert_eq!(fixture.count("SELECT count(*) FROM outflow_deliveries").await, 4);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_of_a_connection_writes_nothing() {
    let fixture = Fixture::with_target().await;
    assert_eq!(outcomes(&fixture.destination().test().await), ["+", "+", "+", "+", "-"]);
    assert_eq!(fixture.texts("SELECT relname::text FROM pg_class WHERE relname = 'outflow_deliveries'").await, []);
}

/// Runs a test of this file in a process whose environment is meant for another database.
#[test]
fn variables_of_the_process_are_not_used() {
    let test = "destinations::postgresql::rows::rows_are_visible_after_the_commit_and_written_once";
    let run = |variables: &[(&str, &str)]| {
        let mut command = Command::new(std::env::current_exe().expect("the tests"));
        command.args(["--exact", test]).envs(variables.iter().copied());
        String::from_utf8(command.output().expect("the tests run").stdout).expect("text")
    };
    let output = run(&[
        ("PGHOST", "missing.test"),
        ("PGPORT", "1"),
        ("PGUSER", "nobody"),
        ("PGPASSWORD", "wrong"),
        ("PGDATABASE", "nothing"),
        ("PGAPPNAME", "other"),
        ("PGSSLMODE", "disable"),
        ("PGSSLROOTCERT", "/missing"),
        ("PGSSLCERT", "/missing"),
        ("PGSSLKEY", "/missing"),
    ]);
    assert!(output.contains("1 passed"), "{output}");
    // sqlx cannot be told to ignore these.
    let output = run(&[("PGOPTIONS", "-c geqo=off")]);
    assert!(output.contains("1 failed") && output.contains("PGOPTIONS") && !output.contains(PASSWORD), "{output}");
}
