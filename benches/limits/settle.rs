//! Does what autovacuum and checkpoints would have done in a database that was not filled just now.

use crate::support::Database;

/// Updates the statistics of PostgreSQL, and moves the log of SQLite into its file. SQLite gets no statistics, as in operation:
/// nothing would update them.
pub async fn settle(database: &Database) {
    let statement = match database {
        Database::Sqlite(_) => "PRAGMA wal_checkpoint(TRUNCATE)",
        Database::Postgres(_) => "VACUUM (ANALYZE)",
    };
    database.execute(statement).await;
}
