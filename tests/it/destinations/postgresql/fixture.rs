//! A cluster with TLS, passwords and client certificates, and a database in it for each test.

use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use outflow::delivery::destinations::postgresql::Postgresql;
use serde_json::json;
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, PgPool};

use crate::destinations::certificates::{Authority, Identity};
use crate::destinations::services::{TableRows, network, target, within};
use crate::support::{Cluster, program, start_cluster};

/// The name in the certificate of the server.
pub const HOST: &str = "db.test";
/// The password of the role `writer`.
pub const PASSWORD: &str = "it's a \"secret\" ä\\";

/// Local administration without a password; `secure` with a certificate; all others over TLS with a password.
const HBA: &str = "local all postgres trust\n\
                   host all postgres 127.0.0.1/32 trust\n\
                   hostssl all secure 127.0.0.1/32 cert\n\
                   hostssl all all 127.0.0.1/32 scram-sha-256\n";

static SERVER: OnceLock<Server> = OnceLock::new();

/// The cluster.
pub struct Server {
    cluster: Cluster,
    pub port: u16,
    /// Certificate of the authority of the server, in PEM.
    pub authority: String,
    /// Certificate of the client `secure`.
    pub secure: Identity,
    /// Certificate of another client.
    pub other: Identity,
}

/// A database with a table.
pub struct Fixture {
    pub server: &'static Server,
    pub database: String,
    /// The pool of the superuser.
    pub admin: PgPool,
}

/// Values of a connection and of an export.
#[derive(Clone)]
pub struct Options<'a> {
    pub host: &'a str,
    pub port: u16,
    pub dbname: &'a str,
    pub user: &'a str,
    pub sslmode: &'a str,
    pub auth_method: &'a str,
    pub credential: Vec<(&'a str, &'a str)>,
    pub schema: &'a str,
    pub table: &'a str,
    pub write_mode: &'a str,
    /// Authorities of the operator, in PEM.
    pub authorities: Option<&'a str>,
    pub permitted: &'a str,
}

fn server() -> &'static Server {
    SERVER.get_or_init(|| {
        let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
        let identity = servers.issue(HOST);
        let files: &[(&str, &str)] = &[
            ("server.crt", &identity.certificate),
            ("server.key", &identity.key),
            ("root.crt", &clients.pem()),
            ("pg_hba.conf", HBA),
        ];
        let cluster = start_cluster("tls", files, "-c ssl=on -c ssl_ca_file=root.crt -c shared_buffers=64MB");
        let password = PASSWORD.replace('\'', "''");
        let roles = format!("CREATE ROLE writer LOGIN PASSWORD '{password}'; CREATE ROLE secure LOGIN");
        let output = Command::new(program("psql"))
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", &format!("{}/postgres", cluster.base), "-c", &roles])
            .output()
            .expect("psql runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let port = cluster.base.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        let (secure, other) = (clients.issue("secure"), clients.issue("other"));
        Server { cluster, port, authority: servers.pem(), secure, other }
    })
}

impl Fixture {
    /// A new database after these statements of the superuser. The role `writer` may create tables in `public`.
    pub async fn new(statements: &str) -> Self {
        let server = server();
        let url = server.cluster.new_database();
        let database = url.rsplit('/').next().expect("a name").to_owned();
        let admin = PgPoolOptions::new().max_connections(4).connect(&format!("{url}?sslmode=disable")).await;
        let fixture = Self { server, database, admin: admin.expect("the database") };
        fixture.run("GRANT CREATE, USAGE ON SCHEMA public TO writer, secure").await;
        fixture.run(statements).await;
        fixture
    }

    /// A database with the table `target(id integer primary key, name text)`, which `writer` may write.
    pub async fn with_target() -> Self {
        Self::new(
            "CREATE TABLE target (id integer PRIMARY KEY, name text); GRANT INSERT, DELETE ON target TO writer, secure",
        )
        .await
    }

    /// Executes statements as the superuser.
    pub async fn run(&self, statements: &str) {
        let done = sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&self.admin).await;
        done.unwrap_or_else(|error| panic!("{statements}: {error}"));
    }

    /// The values of a query with one column of text.
    pub async fn texts(&self, query: &str) -> Vec<Option<String>> {
        sqlx::query_scalar(AssertSqlSafe(query.to_owned())).fetch_all(&self.admin).await.expect("rows")
    }

    /// The number that a query returns.
    pub async fn count(&self, query: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(query.to_owned())).fetch_one(&self.admin).await.expect("a number")
    }

    /// Waits until the sessions of destinations have ended.
    pub async fn wait_for_sessions(&self) {
        let sessions = "SELECT count(*) FROM pg_stat_activity \
                        WHERE application_name = 'outflow' AND datname = current_database()";
        within(async {
            while self.count(sessions).await > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    /// Values that work.
    pub fn options(&self) -> Options<'_> {
        Options {
            host: HOST,
            port: self.server.port,
            dbname: &self.database,
            user: "writer",
            sslmode: "verify-full",
            auth_method: "password",
            credential: vec![("password", PASSWORD), ("sslrootcert", &self.server.authority)],
            schema: "public",
            table: "target",
            write_mode: "append",
            authorities: None,
            permitted: "*=127.0.0.0/8",
        }
    }

    /// A destination that works.
    pub fn destination(&self) -> Postgresql {
        self.options().destination()
    }
}

impl Options<'_> {
    /// A destination with these values.
    pub fn destination(&self) -> Postgresql {
        let properties = json!({
            "host": self.host, "port": self.port, "dbname": self.dbname, "user": self.user, "sslmode": self.sslmode
        });
        let settings = json!({ "schema": self.schema, "table": self.table, "write_mode": self.write_mode });
        let target = target(properties, self.auth_method, &self.credential, settings);
        Postgresql::new(target, network(self.authorities, self.permitted)).expect("a destination")
    }
}

/// A table of rows with two fields, as the engine encodes them.
pub fn rows(fields: [&str; 2], rows: &[(String, Option<&str>)], rows_per_chunk: usize) -> TableRows {
    let row = |(id, name): &(String, Option<&str>)| {
        let name = name.map_or(String::new(), |name| format!("\"{}\"", name.replace('"', "\"\"")));
        format!("{id},{name}")
    };
    TableRows {
        table: "customers".to_owned(),
        fields: fields.map(ToOwned::to_owned).into(),
        rows: rows.iter().map(row).collect(),
        rows_per_chunk,
    }
}

/// Numbered rows.
pub fn numbered(count: usize, rows_per_chunk: usize) -> TableRows {
    let numbered: Vec<_> = (0..count).map(|id| (id.to_string(), Some("a name"))).collect();
    rows(["id", "name"], &numbered, rows_per_chunk)
}
