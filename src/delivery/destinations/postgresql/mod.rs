//! PostgreSQL: rows in a table, in one transaction.
//!
//! The transaction also inserts the id of the run into the table `outflow_deliveries` of the same schema. If the run is in
//! it already, nothing is written. The role needs USAGE on the schema, INSERT on the table and on `outflow_deliveries`,
//! DELETE on the table to replace its rows, and CREATE on the schema unless `outflow_deliveries` exists.

mod connect;
mod failure;
mod session;
mod target;
mod tls;
mod writer;

use serde::{Deserialize, Serialize};

use self::connect::Connected;
use self::session::Session;
use self::target::{Credential, Server, Table};
use self::writer::PostgresqlWriter;
use super::progress::{Progress, TEST_TIMEOUT};
use super::{Check, CheckStep, Delivery, Destination, Opened, Target};
use crate::delivery::{DeliveryError, OutputFormat};
use crate::dialer::Network;
use crate::model::FailureCode;
use crate::model::json::Object;

/// A database.
pub struct Postgresql {
    network: Network,
    server: Server,
    credential: Credential,
    settings: Object,
}

impl Postgresql {
    /// Builds a destination.
    pub fn new(target: Target, network: Network) -> Result<Self, DeliveryError> {
        let no_credential = || DeliveryError::new(FailureCode::CredentialRequired, "the connection has no credential");
        Ok(Self {
            network,
            server: target::parse("the properties", target.properties)?,
            credential: Credential::new(target.credential.ok_or_else(no_credential)?)?,
            settings: target.settings,
        })
    }

    async fn connect(&self, progress: &mut Progress) -> Result<Connected, DeliveryError> {
        Connected::open(&self.network, &self.server, &self.credential, progress).await
    }

    async fn check(&self, progress: &mut Progress) -> Result<(), DeliveryError> {
        let mut connected = self.connect(progress).await?;
        progress.begin(CheckStep::Write);
        let writable = session::check_writable(&mut connected).await;
        connected.close().await;
        writable
    }
}

/// What attempts of a run share: an edit of the export does not change where its ledger is.
#[derive(Deserialize, Serialize)]
struct SavedState {
    /// The schema of the attempt before.
    schema: String,
}

#[async_trait::async_trait]
impl Destination for Postgresql {
    fn format(&self) -> OutputFormat {
        OutputFormat::CopyCsv
    }

    /// `Write` fails if the server accepts no writes, as a standby, and is skipped otherwise: the table, and the rights on
    /// it, are those of each export.
    async fn test(&self) -> Vec<Check> {
        let mut progress = Progress::default();
        let timed_out = DeliveryError::new(FailureCode::DestinationUnreachable, "the server did not respond in time");
        let checked = tokio::time::timeout(TEST_TIMEOUT, self.check(&mut progress)).await;
        let result = checked.unwrap_or(Err(timed_out));
        if let Err(error) = &result {
            tracing::info!(%error, "a test of a connection to PostgreSQL failed");
        }
        let mut applicable = vec![CheckStep::Resolve, CheckStep::Connect, CheckStep::Tls, CheckStep::Authenticate];
        if result.is_err() {
            applicable.push(CheckStep::Write);
        }
        progress.checks(&applicable, &result)
    }

    async fn open(&self, delivery: &Delivery) -> Result<Opened, DeliveryError> {
        let table: Table = target::parse("the settings", self.settings.clone())?;
        let connected = self.connect(&mut Progress::default()).await?;
        let earlier = delivery.saved_state.as_deref().and_then(|saved| serde_json::from_str::<SavedState>(saved).ok());
        let earlier = earlier.as_ref().map(|earlier| earlier.schema.as_str());
        let run = (delivery.run, delivery.export.as_str());
        let Some(session) = Session::begin(connected, &table, run, earlier).await? else {
            return Ok(Opened::AlreadyDelivered(None));
        };
        if earlier != Some(&table.schema) {
            let state = SavedState { schema: table.schema.clone() };
            let state = serde_json::to_string(&state);
            let state = state.map_err(|error| DeliveryError::with(FailureCode::Internal, "the state", error))?;
            delivery.state_log.save(&state).await?;
        }
        Ok(Opened::Writer(Box::new(PostgresqlWriter::new(session, table))))
    }
}
