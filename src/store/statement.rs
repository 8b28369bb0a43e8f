//! Several statements as one, and the spans of statements.

use std::fmt::Write as _;

use sea_orm::{DbBackend, Statement};
use tracing::Span;
use tracing::field::Empty;

/// The texts of inserts, and after them those of `end`.
pub fn sequence(inserts: &[Statement], end: &[&str]) -> String {
    let texts = inserts.iter().map(|insert| insert.sql.as_str()).chain(end.iter().copied());
    texts.collect::<Vec<_>>().join("; ")
}

/// One statement of PostgreSQL that runs inserts in any order: the last one, with the others in its `WITH` clause. Foreign keys
/// are checked after all of them.
pub fn combined(inserts: Vec<Statement>) -> Statement {
    let (mut texts, mut values) = (Vec::new(), Vec::new());
    for insert in inserts {
        texts.push(renumbered(&insert.sql, values.len()));
        values.extend(insert.values.into_iter().flat_map(|values| values.0));
    }
    let mut sql = texts.pop().unwrap_or_default();
    if !texts.is_empty() {
        let others = texts.iter().enumerate().map(|(index, text)| format!("insert_{index} AS ({text})"));
        sql = format!("WITH {} {sql}", others.collect::<Vec<_>>().join(", "));
    }
    Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
}

/// The text with parameters whose numbers are greater by `offset`. Only parameters contain a `$`.
fn renumbered(sql: &str, offset: usize) -> String {
    if offset == 0 {
        return sql.to_owned();
    }
    let mut parts = sql.split('$');
    let mut renumbered = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(part.len());
        let (number, rest) = part.split_at(digits);
        let number = number.parse::<usize>().unwrap_or_default() + offset;
        // Writing to a string does not fail.
        let _ = write!(renumbered, "${number}{rest}");
    }
    renumbered
}

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
    fn inserts_are_one_statement_with_all_their_values() {
        let insert = |sql: &str, values: &[i64]| {
            Statement::from_sql_and_values(DbBackend::Postgres, sql, values.iter().map(|value| (*value).into()))
        };
        let first = insert("INSERT INTO a VALUES ($1, $2)", &[1, 2]);
        let second = insert("INSERT INTO b VALUES (CAST($1 AS text))", &[3]);
        let third = insert("INSERT INTO c VALUES ($2, $1)", &[4, 5]);
        assert_eq!(combined(vec![first.clone()]), first);
        let sql = "WITH insert_0 AS (INSERT INTO a VALUES ($1, $2)), \
                   insert_1 AS (INSERT INTO b VALUES (CAST($3 AS text))) INSERT INTO c VALUES ($5, $4)";
        assert_eq!(combined(vec![first, second, third]), insert(sql, &[1, 2, 3, 4, 5]));
    }

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
