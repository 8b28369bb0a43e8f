//! Statements: each has a client-side timeout and, with tracing, a span named after its operation and table.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, Statement};
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

/// Client-side timeout of a statement; longer than the database's own `statement_timeout`.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(8);

/// Runs a statement and returns the number of affected rows.
pub async fn execute(db: &impl ConnectionTrait, statement: Statement) -> Result<ExecResult, DbErr> {
    let (backend, span) = (statement.db_backend, span(statement.db_backend, &statement.sql));
    with_client_timeout(backend, db.execute_raw(statement)).instrument(span).await
}

/// Runs statements without parameters.
pub async fn execute_unprepared(db: &impl ConnectionTrait, sql: &str) -> Result<ExecResult, DbErr> {
    let backend = db.get_database_backend();
    with_client_timeout(backend, db.execute_unprepared(sql)).instrument(span(backend, sql)).await
}

/// Runs a statement and returns the first row.
pub async fn query_one(db: &impl ConnectionTrait, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
    let (backend, span) = (statement.db_backend, span(statement.db_backend, &statement.sql));
    with_client_timeout(backend, db.query_one_raw(statement)).instrument(span).await
}

/// Runs a statement and returns all rows.
pub async fn query_all(db: &impl ConnectionTrait, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
    let (backend, span) = (statement.db_backend, span(statement.db_backend, &statement.sql));
    with_client_timeout(backend, db.query_all_raw(statement)).instrument(span).await
}

/// Fails after 8 s without a response of PostgreSQL. `statement_timeout` cannot fire when the server is unreachable.
/// SQLite is a local file and has no timeout.
pub async fn with_client_timeout<T>(
    backend: DbBackend,
    response: impl Future<Output = Result<T, DbErr>>,
) -> Result<T, DbErr> {
    if backend == DbBackend::Sqlite {
        return response.await;
    }
    let timed_out = |_| Err(DbErr::Conn(RuntimeErr::Internal("no response from the database".to_owned())));
    tokio::time::timeout(CLIENT_TIMEOUT, response).await.unwrap_or_else(timed_out)
}

/// The span of a statement, named by OpenTelemetry's conventions for databases. It never contains values.
fn span(backend: DbBackend, sql: &str) -> Span {
    let span = tracing::info_span!(
        target: "otel",
        "statement",
        otel.name = Empty,
        otel.kind = "client",
        db.system.name = Empty,
        db.query.summary = Empty
    );
    if !span.is_disabled() {
        let summary = summary(sql);
        span.record("otel.name", &summary).record("db.query.summary", &summary);
        span.record("db.system.name", if backend == DbBackend::Sqlite { "sqlite" } else { "postgresql" });
    }
    span
}

/// Operation and table of a statement: `SELECT connections`. Tables of subqueries do not count.
fn summary(sql: &str) -> String {
    let mut depth = 0_usize;
    let mut words = sql.split_ascii_whitespace().filter(|word| {
        let outside = depth == 0 && !word.starts_with('(');
        depth = (depth + word.matches('(').count()).saturating_sub(word.matches(')').count());
        outside
    });
    let operation = words.next().unwrap_or_default().to_ascii_uppercase();
    let is_before_table = |word: &&str| ["FROM", "INTO", "UPDATE"].iter().any(|known| word.eq_ignore_ascii_case(known));
    let table = match operation.as_str() {
        "UPDATE" => words.next(),
        _ => words.skip_while(|word| !is_before_table(word)).nth(1),
    };
    match table.map(|table| table.trim_matches(|letter: char| !letter.is_alphanumeric() && letter != '_')) {
        Some(table) if !table.is_empty() => format!("{operation} {table}"),
        _ => operation,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_named_after_its_operation_and_table() {
        for (sql, name) in [
            (r#"SELECT "uid" FROM "connections" WHERE "id" = $1"#, "SELECT connections"),
            (r#"INSERT INTO "exports" ("uid") VALUES ($1)"#, "INSERT exports"),
            (r#"update "exports" SET "revision" = 2"#, "UPDATE exports"),
            ("DELETE FROM request_ids", "DELETE request_ids"),
            (r#"SELECT "a", (SELECT max("b") FROM "members" WHERE (1 = 1)) AS "c" FROM "exports""#, "SELECT exports"),
            (r#"SELECT COUNT(*) FROM "exports" INNER JOIN "connections""#, "SELECT exports"),
            ("SELECT 1", "SELECT"),
            ("", ""),
        ] {
            assert_eq!(summary(sql), name);
        }
    }
}
