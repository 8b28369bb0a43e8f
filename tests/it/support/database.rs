//! The rows behind a server: what must be true of them whatever the calls answered, and very many of them at once.

use std::sync::atomic::{AtomicU64, Ordering};

use outflow::grpc::proto as pb;
use sqlx::{AssertSqlSafe, PgPool, SqlitePool};

use super::TestServer;

/// A pool of our own to the database of a server.
pub enum Database {
    /// Of an SQLite file.
    Sqlite(SqlitePool),
    /// Of PostgreSQL.
    Postgres(PgPool),
}

/// Each counts rows that must not be.
const FORBIDDEN: [(&str, &str); 8] = [
    (
        "an export attached to a connection that is not there",
        "SELECT count(*) FROM exports e LEFT JOIN connections c ON c.organization = e.organization \
         AND c.uid = e.connection_uid WHERE e.connection_uid IS NOT NULL AND c.uid IS NULL",
    ),
    (
        "a connection that counts its exports wrongly",
        "SELECT count(*) FROM connections c WHERE attached_export_count <> (SELECT count(*) FROM exports e \
         WHERE e.organization = c.organization AND e.connection_uid = c.uid)",
    ),
    (
        "an attachment beyond the last that its connection knows",
        "SELECT count(*) FROM exports e JOIN connections c ON c.organization = e.organization \
         AND c.uid = e.connection_uid WHERE e.attached_revision > c.last_attached_revision \
         OR c.last_attached_revision > c.attachment_revision",
    ),
    (
        "a release with the number of an attachment, or beyond the last",
        "SELECT count(*) FROM attachment_releases r JOIN connections c ON c.organization = r.organization \
         AND c.uid = r.connection_uid WHERE r.revision > c.attachment_revision OR EXISTS (SELECT 1 FROM exports e \
         WHERE e.organization = r.organization AND e.connection_uid = r.connection_uid \
         AND e.attached_revision = r.revision)",
    ),
    (
        "a secret that is not the one its connection tells of",
        "SELECT count(*) FROM connections c LEFT JOIN credentials s ON s.organization = c.organization \
         AND s.connection_uid = c.uid WHERE (c.credential_auth_method IS NULL) <> (s.revision IS NULL) \
         OR s.revision <> c.credential_revision",
    ),
    ("a request id without its effect", "SELECT count(*) FROM request_ids WHERE CAST(effect AS text) = 'null'"),
    (
        "a connection with a change that is not on the audit log, or an entry without its change",
        "SELECT count(*) FROM connections r LEFT JOIN (SELECT organization, resource_uid, count(*) AS told FROM audit_events \
         GROUP BY organization, resource_uid) a ON a.organization = r.organization AND a.resource_uid = r.uid \
         WHERE r.revision <> coalesce(a.told, 0)",
    ),
    (
        "an export with a change that is not on the audit log, or an entry without its change",
        "SELECT count(*) FROM exports r LEFT JOIN (SELECT organization, resource_uid, count(*) AS told FROM audit_events \
         GROUP BY organization, resource_uid) a ON a.organization = r.organization AND a.resource_uid = r.uid \
         WHERE r.revision <> coalesce(a.told, 0)",
    ),
];

/// What callers make and change.
const CONTENT: [&str; 7] = [
    "connections",
    "connection_members",
    "credentials",
    "exports",
    "attachment_releases",
    "request_ids",
    "audit_events",
];

impl Database {
    /// A pool of our own to the database of a URL.
    pub async fn open(url: &str) -> Self {
        if url.starts_with("sqlite:") {
            Self::Sqlite(SqlitePool::connect(url).await.expect("the database"))
        } else {
            Self::Postgres(PgPool::connect(url).await.expect("the database"))
        }
    }

    /// Fails if there is a row that must not be.
    pub async fn check_rows(&self) {
        for (what, query) in FORBIDDEN {
            assert_eq!(self.number(query).await, 0, "{what}");
        }
    }

    /// Every row, as text, but for the denied attempts, which are written whenever there is time.
    pub async fn content(&self) -> Vec<String> {
        let mut rows = Vec::new();
        for table in CONTENT {
            let all = if table == "audit_events" { "denied_code IS NULL" } else { "true" };
            let found: Result<Vec<String>, _> = match self {
                Self::Sqlite(pool) => {
                    let columns =
                        "SELECT group_concat('quote(' || name || ')', ' || '','' || ') FROM pragma_table_info($1)";
                    let columns: String =
                        sqlx::query_scalar(columns).bind(table).fetch_one(pool).await.expect("columns");
                    let query = AssertSqlSafe(format!("SELECT {columns} FROM {table} WHERE {all} ORDER BY 1"));
                    sqlx::query_scalar(query).fetch_all(pool).await
                }
                Self::Postgres(pool) => {
                    let query = AssertSqlSafe(format!("SELECT t::text FROM {table} t WHERE {all} ORDER BY 1"));
                    sqlx::query_scalar(query).fetch_all(pool).await
                }
            };
            rows.extend(found.unwrap_or_else(|error| panic!("{table}: {error}")));
        }
        rows
    }

    /// One number.
    pub async fn number(&self, query: &'static str) -> i64 {
        let number = match self {
            Self::Sqlite(pool) => sqlx::query_scalar(query).fetch_one(pool).await,
            Self::Postgres(pool) => sqlx::query_scalar(query).fetch_one(pool).await,
        };
        number.unwrap_or_else(|error| panic!("{query}: {error}"))
    }

    /// Runs statements.
    pub async fn execute(&self, statements: &str) {
        let sql = AssertSqlSafe(statements.to_owned());
        let done = match self {
            Self::Sqlite(pool) => sqlx::raw_sql(sql).execute(pool).await.map(|_| ()),
            Self::Postgres(pool) => sqlx::raw_sql(sql).execute(pool).await.map(|_| ()),
        };
        done.unwrap_or_else(|error| panic!("{statements}: {error}"));
    }

    /// Attaches copies of an attached export to its connection, behind the rows that are there: more than anybody would
    /// create one by one.
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
        let copied = "connection_type, connection_uid, payload, schedule, destination_settings, next_due_time, labels, \
             creator, create_time, updater, update_time";
        let of_template = copied.split(", ").map(|column| format!("e.{column}")).collect::<Vec<_>>().join(", ");
        // Revision 0: no caller made them, and the audit log knows nothing of them.
        self.execute(&format!(
            "BEGIN; \
             INSERT INTO exports (organization, uid, id, display_name, display_name_search, description, \
             attached_revision, revision, {copied}) {numbers} \
             SELECT e.organization, {uid}, 'copy{tag}-' || n.n, 'Copy ' || n.n, 'copy ' || n.n, '', \
             c.attachment_revision + n.n, 0, {of_template} FROM n CROSS JOIN exports e JOIN connections c \
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

/// Holds the rows of all connections of a PostgreSQL database, until it is rolled back or dropped.
pub async fn hold_connections(url: &str) -> sqlx::Transaction<'static, sqlx::Postgres> {
    let pool = PgPool::connect(url).await.expect("the database");
    let mut holder = pool.begin().await.expect("a transaction");
    sqlx::query("SELECT 1 FROM connections FOR UPDATE").execute(&mut *holder).await.expect("the rows are held");
    holder
}

impl TestServer {
    /// A pool of our own to its database.
    pub async fn database(&self) -> Database {
        Database::open(&self.database_url).await
    }

    /// Fails if there is a row that must not be.
    pub async fn check_rows(&self) {
        self.database().await.check_rows().await;
    }
}
