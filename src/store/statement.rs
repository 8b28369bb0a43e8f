//! The spans of statements.

use sea_orm::DbBackend;
use tracing::Span;
use tracing::field::Empty;

/// The span of a statement, named by OpenTelemetry's conventions for databases. It never contains values.
pub fn span(backend: DbBackend, sql: &str) -> Span {
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

/// Operation and table of each statement: `SELECT connections`, or `INSERT exports; COMMIT`.
fn summary(sql: &str) -> String {
    sql.split("; ").map(summary_of_one).collect::<Vec<_>>().join("; ")
}

/// Operation and table of a statement. Tables of subqueries do not count.
fn summary_of_one(sql: &str) -> String {
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
            (r#"INSERT INTO "exports" ("uid") VALUES (?); COMMIT; BEGIN IMMEDIATE"#, "INSERT exports; COMMIT; BEGIN"),
            ("SELECT 1", "SELECT"),
            ("", ""),
        ] {
            assert_eq!(summary(sql), name);
        }
    }
}
