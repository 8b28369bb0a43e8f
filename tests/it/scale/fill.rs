//! Many rows, inserted by SQL: creating them by calls would take too long.

use std::io::Write as _;
use std::process::{Command, Stdio};

use chrono::TimeDelta;
use outflow::model::Clock;

use crate::support::{Database, program};

/// The statements that fill a PostgreSQL database.
const FILL: &str = include_str!("fill.sql");
/// Age of the oldest rows, in days: longer than the retention of audit events.
const OLDEST_DAYS: i64 = 514;

/// How many rows there are.
#[derive(Clone, Copy)]
pub struct Rows {
    /// Number of connections.
    pub connections: u64,
    /// Number of exports.
    pub exports: u64,
    /// Number of runs.
    pub runs: u64,
    /// Audit events. A tenth of them is older than their retention.
    pub events: u64,
}

/// Fills a PostgreSQL database that has a connection, an export and a run.
pub fn fill(url: &str, rows: &Rows) {
    let start_ms = (Clock::default().now() - TimeDelta::days(OLDEST_DAYS)).timestamp_millis();
    let Rows { connections, exports, runs, events } = rows;
    let values = [
        ("{connections}", connections.to_string()),
        ("{exports}", exports.to_string()),
        ("{runs}", runs.to_string()),
        ("{events}", events.to_string()),
        ("{start_ms}", start_ms.to_string()),
    ];
    let script = values.iter().fold(FILL.to_owned(), |script, (name, value)| script.replace(name, value));
    let mut psql = Command::new(program("psql"))
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", url])
        .stdin(Stdio::piped())
        .spawn()
        .expect("psql runs");
    psql.stdin.take().expect("standard input").write_all(script.as_bytes()).expect("written");
    assert!(psql.wait().expect("psql ends").success());
}

/// Inserts copies of the only row of a table, on either database. `changes` are columns and their expressions, in which `n`
/// counts the copies.
pub async fn copy(database: &Database, table: &str, count: u64, changes: &[(&str, &str)]) {
    let (names, uid, numbers) = match database {
        Database::Sqlite(_) => (
            format!("SELECT name FROM pragma_table_info('{table}')"),
            "randomblob(16)",
            format!("WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {count})"),
        ),
        Database::Postgres(_) => (
            format!("SELECT column_name FROM information_schema.columns WHERE table_name = '{table}'"),
            "gen_random_uuid()",
            format!("WITH n AS (SELECT generate_series(1, {count}) AS n)"),
        ),
    };
    let names = database.fetch_rows::<(String,)>(&names).await;
    let value = |name: &str| match changes.iter().find(|(changed, _)| *changed == name) {
        Some((_, expression)) => (*expression).to_owned(),
        None if name == "uid" => uid.to_owned(),
        None => format!("t.\"{name}\""),
    };
    let columns = names.iter().map(|(name,)| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    let values = names.iter().map(|(name,)| value(name)).collect::<Vec<_>>().join(", ");
    let insert = format!("INSERT INTO {table} ({columns}) {numbers} SELECT {values} FROM {table} t CROSS JOIN n");
    database.execute(&insert).await;
}
