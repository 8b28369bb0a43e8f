//! Lists the fields of a payload that was saved without them, before it is delivered.

use std::time::{Duration, Instant};

use super::leased::LeasedRun;
use crate::app::App;
use crate::delivery::DeliveryError;
use crate::model::{Error, FailureCode, OpContext, Unavailable};
use crate::store::runs::changes::Attempt;

/// The name of the actor that changes the payload.
const ACTOR: &str = "runner";
/// How long reading the schemas and saving the payload may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Lists the fields of the payload of a leased run.
pub async fn pin_payload(app: &App, leased: &mut LeasedRun) -> Result<(), DeliveryError> {
    let attempt = Attempt { uid: leased.run.name.uid, number: leased.run.attempt };
    let context = OpContext::system(ACTOR, leased.run.name.organization.clone(), Instant::now() + TIMEOUT);
    match app.pin_payload(&context, &leased.export, attempt).await {
        Ok(payload) => {
            leased.export.payload = payload;
            Ok(())
        }
        Err(error) => {
            let code = if matches!(error, Error::Unavailable(Unavailable::Dataset)) {
                FailureCode::DatasetUnavailable
            } else if matches!(error, Error::Invalid(..)) {
                FailureCode::FieldMissing
            } else {
                FailureCode::Internal
            };
            Err(DeliveryError::with(code, "cannot list the fields of the payload", error))
        }
    }
}
