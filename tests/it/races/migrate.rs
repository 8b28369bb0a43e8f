//! Two migrations and a server start concurrently on an empty database: all three succeed, and the schema is the same in every round.

use std::path::Path;
use std::process::Command;

use sqlx::{Connection as _, PgConnection, SqliteConnection};

use crate::support::{Backend, Gate, Process, new_database, outflow};

/// The number of rounds on each database.
const ROUNDS: u64 = 20;

/// Describes the tables, columns, indexes and constraints of a database.
async fn schema(backend: Backend, url: &str) -> String {
    let schema: Result<String, _> = match backend {
        Backend::Sqlite => {
            let mut connection = SqliteConnection::connect(url).await.expect("the database");
            let query = "SELECT group_concat(sql, ';') FROM (SELECT sql FROM sqlite_master ORDER BY name)";
            sqlx::query_scalar(query).fetch_one(&mut connection).await
        }
        Backend::Postgres => {
            let mut connection = PgConnection::connect(url).await.expect("the database");
            let query = "SELECT string_agg(line, E'\\n' ORDER BY line) FROM (\
                 SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable, collation_name) AS line \
                 FROM information_schema.columns WHERE table_schema = 'public' \
                 UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' \
                 UNION ALL SELECT concat_ws(' ', conrelid::regclass, pg_get_constraintdef(oid)) FROM pg_constraint \
                 WHERE connamespace = 'public'::regnamespace) AS lines";
            sqlx::query_scalar(query).fetch_one(&mut connection).await
        }
    };
    schema.expect("a schema")
}

/// The command of the binary for a database.
fn command(directory: &Path, url: &str, arguments: &[&str]) -> Command {
    let mut command = outflow(directory);
    command.args(["--database-url", url]).args(arguments);
    command
}

/// Runs both migrations and the server on a new database, and returns its schema.
async fn round(backend: Backend) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    outflow::vault::generate_first(&directory.path().join("keys")).expect("a key");
    let url = match backend {
        Backend::Sqlite => format!("sqlite://{}", directory.path().join("raced.db").display()),
        Backend::Postgres => tokio::task::spawn_blocking(new_database).await.expect("a database"),
    };
    let migrate = || {
        let mut migrate = command(directory.path(), &url, &["migrate", "up"]);
        tokio::task::spawn_blocking(move || migrate.output().expect("the binary runs"))
    };
    let mut serve = command(directory.path(), &url, &["serve"]);
    let serve = tokio::task::spawn_blocking(move || Process::start(&mut serve));
    let (first, second, served) = tokio::join!(migrate(), migrate(), serve);
    for migrated in [first.expect("the task ends"), second.expect("the task ends")] {
        let errors = String::from_utf8_lossy(&migrated.stderr).into_owned();
        assert!(migrated.status.success(), "{errors}");
    }
    drop(served.expect("the server starts"));
    let check = command(directory.path(), &url, &["migrate", "check"]).output().expect("the binary runs");
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
    schema(backend, &url).await
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_migrations_and_a_server_create_one_schema() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let gate = Gate::new(format!("RACES migrate ∥ migrate ∥ serve, {backend:?}"), ROUNDS);
        let expected = round(backend).await;
        while gate.next().is_some() {
            assert_eq!(round(backend).await, expected);
        }
        gate.report("");
    }
}
