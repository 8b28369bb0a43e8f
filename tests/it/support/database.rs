//! Direct access to the database of a server: checks the invariants of its rows, and inserts many rows at once.

use std::sync::atomic::{AtomicU64, Ordering};

use outflow::grpc::proto as pb;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, FromRow, PgPool, SqlitePool};

use super::TestServer;

/// A pool to the database of a server, apart from the pools of the server.
pub enum Database {
    /// A pool to a SQLite file.
    Sqlite(SqlitePool),
    /// A pool to a PostgreSQL database.
    Postgres(PgPool),
}

/// Queries that count invalid rows, each with a description of these rows.
const INVALID_ROWS: &[(&str, &str)] = &[
    (
        "an export attached to a connection that does not exist",
        "SELECT count(*) FROM exports e LEFT JOIN connections c ON c.organization = e.organization \
         AND c.uid = e.connection_uid WHERE e.connection_uid IS NOT NULL AND c.uid IS NULL",
    ),
    (
        "a connection with a wrong count of attached exports",
        "SELECT count(*) FROM connections c WHERE attached_export_count <> (SELECT count(*) FROM exports e \
         WHERE e.organization = c.organization AND e.connection_uid = c.uid)",
    ),
    (
        "an attachment with a later revision than the last of its connection",
        "SELECT count(*) FROM exports e JOIN connections c ON c.organization = e.organization \
         AND c.uid = e.connection_uid WHERE e.attached_revision > c.last_attached_revision \
         OR c.last_attached_revision > c.attachment_revision",
    ),
    (
        "a release with the revision of an attachment, or with a later one than the last of its connection",
        "SELECT count(*) FROM attachment_releases r JOIN connections c ON c.organization = r.organization \
         AND c.uid = r.connection_uid WHERE r.revision > c.attachment_revision OR EXISTS (SELECT 1 FROM exports e \
         WHERE e.organization = r.organization AND e.connection_uid = r.connection_uid \
         AND e.attached_revision = r.revision)",
    ),
    (
        "a connection whose credential status does not match its stored secret",
        "SELECT count(*) FROM connections c LEFT JOIN credentials s ON s.organization = c.organization \
         AND s.connection_uid = c.uid WHERE (c.credential_auth_method IS NULL) <> (s.revision IS NULL) \
         OR s.revision <> c.credential_revision",
    ),
    (
        "a request id without the resources that it changed",
        "SELECT count(*) FROM request_ids WHERE CAST(effect AS text) = 'null'",
    ),
    (
        "a connection whose revision is not the number of the changes in its audit events",
        "SELECT count(*) FROM connections r LEFT JOIN (SELECT organization, resource_uid, count(*) AS events \
         FROM audit_events WHERE CAST(changed_fields AS text) <> '[]' GROUP BY organization, resource_uid) a ON a.organization = r.organization \
         AND a.resource_uid = r.uid WHERE r.revision <> coalesce(a.events, 0)",
    ),
    (
        "an export whose revision is not the number of the changes in its audit events",
        "SELECT count(*) FROM exports r LEFT JOIN (SELECT organization, resource_uid, count(*) AS events \
         FROM audit_events WHERE CAST(changed_fields AS text) <> '[]' GROUP BY organization, resource_uid) a ON a.organization = r.organization \
         AND a.resource_uid = r.uid WHERE r.revision <> coalesce(a.events, 0)",
    ),
];

/// The tables that calls write to.
const TABLES: &[&str] = &[
    "connections",
    "connection_members",
    "credentials",
    "exports",
    "attachment_releases",
    "runs",
    "request_ids",
    "audit_events",
];

impl Database {
    /// Opens a pool to the database of a URL.
    pub async fn open(url: &str) -> Self {
        if url.starts_with("sqlite:") {
            Self::Sqlite(SqlitePool::connect(url).await.expect("the database"))
        } else {
            Self::Postgres(PgPool::connect(url).await.expect("the database"))
        }
    }

    /// Panics if there is an invalid row.
    pub async fn check_rows(&self) {
        for (what, query) in INVALID_ROWS {
            assert_eq!(self.fetch_count(query).await, 0, "{what}");
        }
    }

    /// Returns every row as text, except for denied attempts, which are written in the background.
    pub async fn content(&self) -> Vec<String> {
        let mut rows = Vec::new();
        for table in TABLES {
            let filter = if *table == "audit_events" { "denied_code IS NULL" } else { "true" };
            let found: Result<Vec<String>, _> = match self {
                Self::Sqlite(pool) => {
                    let columns =
                        "SELECT group_concat('quote(' || name || ')', ' || '','' || ') FROM pragma_table_info($1)";
                    let columns: String =
                        sqlx::query_scalar(columns).bind(*table).fetch_one(pool).await.expect("columns");
                    let query = AssertSqlSafe(format!("SELECT {columns} FROM {table} WHERE {filter} ORDER BY 1"));
                    sqlx::query_scalar(query).fetch_all(pool).await
                }
                Self::Postgres(pool) => {
                    let query = AssertSqlSafe(format!("SELECT t::text FROM {table} t WHERE {filter} ORDER BY 1"));
                    sqlx::query_scalar(query).fetch_all(pool).await
                }
            };
            rows.extend(found.unwrap_or_else(|error| panic!("{table}: {error}")));
        }
        rows
    }

    /// Runs a query that returns one number.
    pub async fn fetch_count(&self, query: &str) -> i64 {
        let sql = AssertSqlSafe(query.to_owned());
        let count = match self {
            Self::Sqlite(pool) => sqlx::query_scalar(sql).fetch_one(pool).await,
            Self::Postgres(pool) => sqlx::query_scalar(sql).fetch_one(pool).await,
        };
        count.unwrap_or_else(|error| panic!("{query}: {error}"))
    }

    /// Runs a query that returns rows.
    pub async fn fetch_rows<T>(&self, query: &str) -> Vec<T>
    where
        T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let sql = AssertSqlSafe(query.to_owned());
        let rows = match self {
            Self::Sqlite(pool) => sqlx::query_as(sql).fetch_all(pool).await,
            Self::Postgres(pool) => sqlx::query_as(sql).fetch_all(pool).await,
        };
        rows.unwrap_or_else(|error| panic!("{query}: {error}"))
    }

    /// Executes SQL statements, separated by semicolons.
    pub async fn execute(&self, statements: &str) {
        let sql = AssertSqlSafe(statements.to_owned());
        let executed = match self {
            Self::Sqlite(pool) => sqlx::raw_sql(sql).execute(pool).await.map(|_| ()),
            Self::Postgres(pool) => sqlx::raw_sql(sql).execute(pool).await.map(|_| ()),
        };
        executed.unwrap_or_else(|error| panic!("{statements}: {error}"));
    }

    /// Inserts copies of an attached export, attached to its connection after the existing ones. Creating as many by
    /// calls would take too long.
    pub async fn attach_copies(&self, template: &pb::Export, count: u64) {
        static TAGS: AtomicU64 = AtomicU64::new(0);
        let tag = TAGS.fetch_add(1, Ordering::Relaxed);
        let id = template.name.rsplit('/').next().expect("a name");
        let (uid, numbers) = match self {
            Self::Sqlite(_) => (
                "randomblob(16)",
                format!("WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {count})"),
            ),
            Self::Postgres(_) => ("gen_random_uuid()", format!("WITH n AS (SELECT generate_series(1, {count}) AS n)")),
        };
        let columns = "connection_type, connection_uid, payload, schedule, destination_settings, next_due_time, \
             labels, creator, create_time, updater, update_time";
        let values = columns.split(", ").map(|column| format!("e.{column}")).collect::<Vec<_>>().join(", ");
        // Revision 0, because no call created them and there is no audit event.
        self.execute(&format!(
            "BEGIN; \
             INSERT INTO exports (organization, uid, id, display_name, display_name_search, description, \
             attached_revision, revision, {columns}) {numbers} \
             SELECT e.organization, {uid}, 'copy{tag}-' || n.n, 'Copy ' || n.n, 'copy ' || n.n, '', \
             c.attachment_revision + n.n, 0, {values} FROM n CROSS JOIN exports e JOIN connections c \
             ON c.organization = e.organization AND c.uid = e.connection_uid WHERE e.id = '{id}'; \
             UPDATE connections SET attached_export_count = attached_export_count + {count}, \
             last_attached_revision = attachment_revision + {count}, \
             attachment_revision = attachment_revision + {count} \
             WHERE uid = (SELECT connection_uid FROM exports WHERE id = '{id}'); \
             COMMIT"
        ))
        .await;
    }
}

/// Locks the rows of all connections of a PostgreSQL database, until the transaction is rolled back or dropped.
pub async fn lock_connections(url: &str) -> sqlx::Transaction<'static, sqlx::Postgres> {
    let pool = PgPool::connect(url).await.expect("the database");
    let mut transaction = pool.begin().await.expect("a transaction");
    sqlx::query("SELECT 1 FROM connections FOR UPDATE").execute(&mut *transaction).await.expect("locked");
    transaction
}

impl TestServer {
    /// Opens a pool to its database.
    pub async fn database(&self) -> Database {
        Database::open(&self.database_url).await
    }

    /// Panics if there is an invalid row.
    pub async fn check_rows(&self) {
        self.database().await.check_rows().await;
    }
}
