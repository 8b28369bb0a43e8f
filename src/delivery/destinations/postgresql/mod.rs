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

use std::time::Duration;

use self::connect::Connected;
use self::session::Session;
use self::target::{Credential, Server, Table};
use self::writer::PostgresqlWriter;
use super::{Check, CheckOutcome, CheckStep, Delivery, Destination, Opened, Target};
use crate::delivery::{DeliveryError, OutputFormat};
use crate::dialer::Network;
use crate::model::FailureCode;
use crate::model::json::Object;

/// How long a test may take.
const TEST_TIMEOUT: Duration = Duration::from_secs(20);
/// The steps of a test, in order.
const STEPS: [CheckStep; 5] =
    [CheckStep::Resolve, CheckStep::Connect, CheckStep::Tls, CheckStep::Authenticate, CheckStep::Write];

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

    /// Connects and begins a transaction. Returns the step that failed.
    async fn try_out(&self) -> Result<(), (CheckStep, FailureCode)> {
        let connected = Connected::open(&self.network, &self.server, &self.credential).await;
        let mut connected = connected.map_err(|refused| (refused.step, refused.error.code))?;
        let writable = session::check_writable(&mut connected).await;
        connected.close().await;
        writable.map_err(|error| (CheckStep::Write, error.code))
    }
}

#[async_trait::async_trait]
impl Destination for Postgresql {
    fn format(&self) -> OutputFormat {
        OutputFormat::CopyCsv
    }

    /// `Write` fails if the server accepts no writes, as a standby, and is skipped otherwise: the table, and the rights on
    /// it, are those of each export.
    async fn test(&self) -> Vec<Check> {
        let tried = tokio::time::timeout(TEST_TIMEOUT, self.try_out()).await;
        let failed = match tried {
            Ok(Ok(())) => None,
            Ok(Err(failed)) => Some(failed),
            Err(_) => Some((CheckStep::Authenticate, FailureCode::DestinationUnreachable)),
        };
        let position = |step| STEPS.iter().position(|other| *other == step);
        let outcome = |step: CheckStep| match failed {
            None if step == CheckStep::Write => CheckOutcome::Skipped,
            None => CheckOutcome::Passed,
            Some((at, code)) if at == step => CheckOutcome::Failed { code, found_host_key: None },
            Some((at, _)) if position(step) < position(at) => CheckOutcome::Passed,
            Some(_) => CheckOutcome::Skipped,
        };
        STEPS.iter().map(|step| Check { step: *step, outcome: outcome(*step) }).collect()
    }

    async fn open(&self, delivery: &Delivery) -> Result<Opened, DeliveryError> {
        let table: Table = target::parse("the settings", self.settings.clone())?;
        let connected = Connected::open(&self.network, &self.server, &self.credential).await;
        let connected = connected.map_err(|refused| refused.error)?;
        match Session::begin(connected, &table, delivery.run, delivery.export.as_str()).await? {
            Some(session) => Ok(Opened::Writer(Box::new(PostgresqlWriter::new(session, table)))),
            None => Ok(Opened::AlreadyDelivered(None)),
        }
    }
}
