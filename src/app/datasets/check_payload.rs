//! Checks payloads against the datasets of the organization, before the transaction that saves them.

use std::collections::BTreeMap;
use std::time::Instant;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::error::unavailable;
use crate::app::App;
use crate::delivery::DeliveryError;
use crate::delivery::datasets::SCHEMA_TIMEOUT;
use crate::model::{
    Error, FailureCode, Invalid, InvalidRequest, KnownDatasets, OpContext, OrganizationId, Payload, Result,
    Unavailable, Violations,
};

/// Number of schemas that are read at the same time for one payload.
const CONCURRENCY: usize = 8;

/// The result of the check of a payload. It becomes an error only where the payload is saved, after the permissions of the
/// caller are checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum PayloadCheck {
    /// The organization has no source of datasets, or the request has no payload: it is saved as it is.
    #[default]
    NotChecked,
    /// It suits the datasets; the payload lists all its fields.
    Suitable(Payload),
    /// It does not suit the datasets; the payload lists the fields of the tables that are known.
    Unsuitable(Payload, Violations),
    /// The source of the datasets does not respond.
    Unavailable,
}

impl PayloadCheck {
    /// The payload to save, if there are no violations.
    pub fn payload(&self, request: &mut InvalidRequest, given: &Payload) -> Result<Payload> {
        match self {
            Self::NotChecked => Ok(given.clone()),
            Self::Suitable(pinned) => Ok(pinned.clone()),
            Self::Unsuitable(pinned, violations) => {
                request.add(Invalid::Field, violations.clone());
                Ok(pinned.clone())
            }
            Self::Unavailable => Err(std::mem::take(request).or(Error::Unavailable(Unavailable::Dataset))),
        }
    }
}

impl App {
    /// Reads the schemas of the tables of a payload, within the deadline of the call, and checks the payload against them.
    pub async fn check_payload(&self, context: &OpContext, payload: &Payload, path: &str) -> PayloadCheck {
        let organization = &context.organization;
        let mut violations = Violations::new();
        if !self.datasets().is_configured(organization) {
            payload.check_numbers(&mut violations, path);
            return if violations.is_empty() {
                PayloadCheck::NotChecked
            } else {
                PayloadCheck::Unsuitable(payload.clone(), violations)
            };
        }
        let deadline = context.deadline.min(Instant::now() + SCHEMA_TIMEOUT);
        // In a box: its future is large, and moves with that of the call.
        let reading = Box::pin(self.read_schemas(organization, payload));
        let read = tokio::time::timeout_at(deadline.into(), reading).await;
        let late = |elapsed| DeliveryError::with(FailureCode::DatasetUnavailable, "cannot read the schemas", elapsed);
        let known = match read.map_err(late) {
            Ok(Ok(known)) => known,
            Ok(Err(error)) | Err(error) => {
                // It logs the cause.
                let _ = unavailable(organization, error);
                return PayloadCheck::Unavailable;
            }
        };
        payload.check_against(&known, &mut violations, path);
        let pinned = payload.clone().pinned(&known);
        if violations.is_empty() {
            PayloadCheck::Suitable(pinned)
        } else {
            PayloadCheck::Unsuitable(pinned, violations)
        }
    }

    async fn read_schemas(
        &self,
        organization: &OrganizationId,
        payload: &Payload,
    ) -> Result<KnownDatasets, DeliveryError> {
        let tables = self.datasets().tables(organization).await?;
        let named: Vec<String> = payload.tables.iter().map(|table| table.table.clone()).collect();
        let get = stream::iter(named).map(|table| async move {
            let dataset = self.datasets().get(organization, &table).await?;
            Ok::<_, DeliveryError>((table, dataset))
        });
        let found: Vec<_> = get.buffered(CONCURRENCY).try_collect().await?;
        let datasets: BTreeMap<_, _> =
            found.into_iter().filter_map(|(table, dataset)| Some((table, dataset?))).collect();
        Ok(KnownDatasets { tables, datasets })
    }
}
