//! Deliveries of the tests: targets, runs with their saved state, and a network that leads to this host.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::DateTime;
use outflow::delivery::destinations::{
    Check, CheckOutcome, CheckStep, Delivery, Destination, Opened, StateLog, Target, Writer,
};
use outflow::delivery::{Chunk, DeliveryError, FileSummary, Manifest, OutputFile};
use outflow::dialer::{Dialer, DialerSettings, Network, Resolver};
use outflow::model::{CredentialSecret, FailureCode, OrganizationId, OutboundAllowance, ResourceId, Secret};
use parking_lot::Mutex;
use serde_json::Value;
use uuid::Uuid;

/// What an organization may reach with [`dialer`].
pub fn network(authorities: Option<&str>, permitted: &str) -> Network {
    dialer(authorities, permitted).network(&organization())
}

/// A dialer for which names lead to this host, except those that begin with `missing`. `authorities` (PEM) are trusted in
/// addition to the public ones; `permitted` is the range of permitted addresses.
pub fn dialer(authorities: Option<&str>, permitted: &str) -> Dialer {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), authorities.unwrap_or_default()).expect("written");
    let allowance = OutboundAllowance::parse(permitted).expect("an allowance");
    let authorities = authorities.map(|_| file.path().to_owned());
    let settings = DialerSettings { allowances: vec![allowance], authorities };
    let resolver = Resolver::new(|name| async move {
        if name.starts_with("missing") {
            return Err(std::io::ErrorKind::NotFound.into());
        }
        Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)])
    });
    Dialer::with_resolver(settings, resolver).expect("a dialer")
}

fn organization() -> OrganizationId {
    OrganizationId::parse("acme").expect("an id")
}

/// A target of the organization of [`network`].
pub fn target(properties: Value, auth_method: &str, credential: &[(&str, &str)], settings: Value) -> Target {
    let object = |value: Value| value.as_object().expect("an object").clone();
    let fields = credential.iter().map(|(key, value)| ((*key).to_owned(), Secret::new((*value).to_owned()))).collect();
    Target {
        organization: organization(),
        properties: object(properties),
        credential: Some(CredentialSecret { auth_method: auth_method.to_owned(), fields }),
        settings: object(settings),
    }
}

/// The state of a run.
#[derive(Default)]
pub struct SavedState {
    texts: Mutex<Vec<String>>,
}

#[async_trait::async_trait]
impl StateLog for SavedState {
    async fn save(&self, state: &str) -> Result<(), DeliveryError> {
        self.texts.lock().push(state.to_owned());
        Ok(())
    }
}

/// A run.
pub struct Run {
    pub id: Uuid,
    pub fingerprint: Option<String>,
    state: Arc<SavedState>,
}

/// A table with its rows, as encoded by the engine, and the number of rows of a chunk.
pub struct TableRows {
    pub table: String,
    pub fields: Vec<String>,
    pub rows: Vec<String>,
    pub rows_per_chunk: usize,
}

impl Run {
    /// A run of pinned files, or of a query.
    pub fn new(pinned: bool) -> Self {
        Self { id: Uuid::now_v7(), fingerprint: pinned.then(|| "files".to_owned()), state: Arc::default() }
    }

    /// Number of times that a state was saved.
    pub fn saves(&self) -> usize {
        self.state.texts.lock().len()
    }

    /// An attempt.
    pub fn delivery(&self, attempt: u32) -> Delivery {
        Delivery {
            run: self.id,
            attempt,
            export: ResourceId::parse("nightly").expect("an id"),
            time: DateTime::from_timestamp(1_795_676_400, 0).expect("a time"),
            manifest_path: "nightly/_SUCCESS.json".to_owned(),
            fingerprint: self.fingerprint.clone(),
            saved_state: self.state.texts.lock().last().cloned(),
            state_log: Arc::clone(&self.state) as Arc<dyn StateLog>,
        }
    }

    /// Carries an attempt out as the runner does. Returns whether anything was to be delivered.
    pub async fn attempt(
        &self,
        destination: &dyn Destination,
        attempt: u32,
        tables: &[TableRows],
    ) -> Result<bool, DeliveryError> {
        let mut writer = match destination.open(&self.delivery(attempt)).await? {
            Opened::Writer(writer) => writer,
            Opened::AlreadyDelivered(_) => return Ok(false),
        };
        let written = async {
            for table in tables {
                write_table(writer.as_mut(), table).await?;
            }
            writer.commit(&manifest(self.id)).await
        };
        let written = written.await;
        if written.is_err() {
            writer.abort().await;
        }
        written.map(|()| true)
    }
}

/// Writes a table without committing it.
pub async fn write_table(writer: &mut dyn Writer, table: &TableRows) -> Result<(), DeliveryError> {
    let (path, name) = (format!("nightly/{}", table.table), table.table.clone());
    let file = OutputFile { path: path.clone(), table: name.clone(), fields: table.fields.clone() };
    writer.start_file(&file).await?;
    for rows in table.rows.chunks(table.rows_per_chunk) {
        let text = rows.iter().flat_map(|row| [row.as_str(), "\n"]).collect::<String>();
        writer.write(Chunk { bytes: Bytes::from(text), rows: rows.len() as u64 }).await?;
    }
    let bytes = table.rows.iter().map(|row| row.len() as u64 + 1).sum();
    let summary = FileSummary { path, table: name, rows: table.rows.len() as u64, bytes, sha256: "0".repeat(64) };
    writer.finish_file(&summary).await
}

/// A manifest. These destinations do not write it.
pub fn manifest(run: Uuid) -> Manifest {
    Manifest {
        run: format!("organizations/acme/exports/nightly/runs/{run}"),
        export: "organizations/acme/exports/nightly".to_owned(),
        time: "2026-11-26T00:00:00Z".to_owned(),
        format: "jsonl".to_owned(),
        formula_guard: false,
        files: Vec::new(),
        fields: Vec::new(),
        rows: 0,
        bytes: 0,
    }
}

/// Waits for an outcome that needs a while.
pub async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(3), work).await.expect("it ends in time")
}

/// The outcomes of a test: `+` passed, `-` skipped, else the code.
pub fn outcomes(checks: &[Check]) -> Vec<String> {
    let order = [CheckStep::Resolve, CheckStep::Connect, CheckStep::Tls, CheckStep::Authenticate, CheckStep::Write];
    assert_eq!(checks.iter().map(|check| check.step).collect::<Vec<_>>(), order);
    let outcome = |check: &Check| match &check.outcome {
        CheckOutcome::Passed => "+".to_owned(),
        CheckOutcome::Skipped => "-".to_owned(),
        CheckOutcome::Failed { code, .. } => format!("{code:?}"),
    };
    checks.iter().map(outcome).collect()
}

/// The code of a failure whose detail does not contain `hidden`.
pub fn code_of<T>(result: Result<T, DeliveryError>, hidden: &str) -> FailureCode {
    let error = result.err().expect("a failure");
    assert!(!error.detail.contains(hidden), "{}", error.detail);
    error.code
}
