//! Tables of PostgreSQL.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use async_trait::async_trait;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::content::{Expected, Shape, text};
use super::far_side::{Connection, FarSide, Interruption};
use super::proxy::HoldingProxy;
use crate::destinations::postgresql::fixture::{Fixture, PASSWORD};

/// Bytes of COMMIT, its response, and the end of the connection, in TLS.
const COMMIT_BYTES: u64 = 250;

/// The ledger as deliveries would create it: all of them have the same number of bytes.
const LEDGER: &str = "CREATE TABLE outflow_deliveries (run uuid PRIMARY KEY, export text NOT NULL, \
                      delivered_at timestamptz NOT NULL DEFAULT now()); GRANT INSERT, SELECT ON outflow_deliveries TO writer";

/// A database. Each area is a table; the result of a run of one shape replaces its rows, that of the other is appended.
pub struct PostgresqlSide {
    pub fixture: Fixture,
    proxy: HoldingProxy,
}

impl PostgresqlSide {
    /// A database with the tables of these areas.
    pub async fn start(areas: &[&str]) -> Self {
        Self::with_tables(Fixture::new(LEDGER).await, areas, "pg_default").await
    }

    /// A database whose tables are in a directory of the user of the server.
    pub async fn start_in(directory: &Path, areas: &[&str]) -> Self {
        let fixture = Fixture::new(LEDGER).await;
        fixture.run(&format!("CREATE TABLESPACE small LOCATION '{}'", directory.display())).await;
        Self::with_tables(fixture, areas, "small").await
    }

    /// Removes what [`Self::start_in`] made, so that the server does not need the directory any more.
    pub async fn drop_tables(&self, areas: &[&str]) {
        for area in areas {
            self.fixture.run(&format!("DROP TABLE \"{area}\"")).await;
        }
        self.fixture.run("DROP TABLESPACE small").await;
    }

    async fn with_tables(fixture: Fixture, areas: &[&str], tablespace: &str) -> Self {
        for area in areas {
            let create = format!(
                "CREATE TABLE \"{area}\" (id bigint, text text) TABLESPACE {tablespace}; \
                 GRANT INSERT, SELECT, DELETE ON \"{area}\" TO writer"
            );
            fixture.run(&create).await;
        }
        let server = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), fixture.server.port);
        let proxy = HoldingProxy::start(server, COMMIT_BYTES).await;
        Self { fixture, proxy }
    }
}

#[async_trait]
impl FarSide for PostgresqlSide {
    fn connection(&self) -> Connection {
        let properties = json!({
            "host": "127.0.0.1",
            "port": self.proxy.address.port(),
            "dbname": self.fixture.database,
            "user": "writer",
            "sslmode": "verify-ca",
        });
        let fields = [("password", PASSWORD), ("sslrootcert", &self.fixture.server.authority)];
        let fields = fields.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let properties = properties.as_object().expect("an object").clone();
        Connection { connection_type: "postgresql", properties, credential: Some(("password".to_owned(), fields)) }
    }

    fn tables(&self, _shape: Shape) -> &'static [&'static str] {
        &["customers"]
    }

    fn settings(&self, shape: Shape, area: &str) -> Value {
        json!({"table": area, "write_mode": if shape == Shape::One { "replace" } else { "append" }})
    }

    fn interruption(&self) -> &dyn Interruption {
        &self.proxy
    }

    /// Rows that are appended are those of one run.
    async fn prepare(&self, shape: Shape, area: &str) {
        if shape == Shape::Several {
            self.fixture.run(&format!("DELETE FROM \"{area}\"")).await;
        }
    }

    /// The rows and the ledger as one statement sees them: the rows of the run are there if and only if its ledger row is.
    async fn observe(&self, area: &str, expected: &Expected) -> bool {
        let (uid, first) = (expected.uid(), expected.rows[0].1.start);
        let seen = format!(
            "SELECT (SELECT count(*) FROM outflow_deliveries WHERE run = '{uid}') || ' ' || count(*) || ' ' || \
             coalesce(min(id), 0) FROM \"{area}\""
        );
        let seen = self.fixture.texts(&seen).await.remove(0).expect("a text");
        let delivered = seen == format!("1 {} {first}", expected.count());
        // Before: no rows, or those of an earlier run, which had another first id.
        let before = seen.starts_with("0 ") && !seen.ends_with(&format!(" {first}"));
        assert!(delivered || before, "{seen}, of {} rows", expected.count());
        delivered
    }

    async fn assert_delivered(&self, area: &str, expected: &Expected) {
        assert!(self.observe(area, expected).await, "the rows are missing");
        let ids = expected.rows[0].1.clone();
        let lines: Vec<String> = ids.map(|id| format!("{id},{}", text(id))).collect();
        let digest = Sha256::digest(lines.join("\n"));
        let digest = digest.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        let stored = format!(
            "SELECT encode(sha256(convert_to(string_agg(id || ',' || text, E'\\n' ORDER BY id), 'UTF8')), 'hex') \
             FROM \"{area}\""
        );
        assert_eq!(self.fixture.texts(&stored).await, [Some(digest)]);
    }

    async fn list(&self, area: &str) -> Vec<String> {
        let rows = self.fixture.texts(&format!("SELECT id::text FROM \"{area}\"")).await;
        rows.into_iter().flatten().collect()
    }
}
