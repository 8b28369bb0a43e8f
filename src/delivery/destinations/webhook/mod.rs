//! Webhook: rows in batches, by POST to an HTTPS endpoint, signed as the Standard Webhooks specification says.
//!
//! A webhook cannot be atomic: a receiver sees each batch when it is sent, and [`Writer::commit`] makes nothing visible.
//! Each batch has an id that is the same whenever the same batch is sent again, so that receivers can drop duplicates.
//!
//! [`Writer::commit`]: super::Writer::commit

mod batch;
mod endpoint;
mod failure;
mod progress;
mod signature;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Url;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use self::batch::BatchSettings;
use self::endpoint::{Endpoint, Message};
use self::progress::Progress;
use self::writer::WebhookWriter;
use super::{Check, CheckOutcome, CheckStep, Delivery, Destination, Opened, Target};
use crate::delivery::{DeliveryError, OutputFormat};
use crate::dialer::{DialError, HttpOptions, Network};
use crate::model::json::Object;
use crate::model::{Clock, FailureCode};

/// How long a test may take.
const TEST_TIMEOUT: Duration = Duration::from_secs(20);
/// The steps of a test, in order.
const STEPS: [CheckStep; 5] =
    [CheckStep::Resolve, CheckStep::Connect, CheckStep::Tls, CheckStep::Authenticate, CheckStep::Write];

/// A webhook.
pub struct Webhook {
    endpoint: Arc<Endpoint>,
    network: Network,
    settings: Object,
}

/// Properties of the connection type.
#[derive(Deserialize)]
struct Properties {
    url: String,
    timeout_seconds: u64,
}

impl Webhook {
    /// Builds a webhook. `root_certificates` (PEM) are trusted instead of the public authorities.
    pub fn new(
        target: Target,
        network: Network,
        clock: Clock,
        root_certificates: Option<Vec<u8>>,
    ) -> Result<Self, DeliveryError> {
        let properties: Properties = parse("the properties", target.properties)?;
        let no_credential = || DeliveryError::new(FailureCode::CredentialRequired, "the connection has no credential");
        let credential = target.credential.ok_or_else(no_credential)?;
        let url = Url::parse(&properties.url)
            .map_err(|error| DeliveryError::with(FailureCode::Internal, "the URL of the webhook", error))?;
        let timeout = Some(Duration::from_secs(properties.timeout_seconds));
        let client = network.http_client(HttpOptions { timeout, root_certificates });
        let client = client.map_err(|error| DeliveryError::with(FailureCode::Internal, "the HTTP client", error))?;
        let endpoint = Endpoint::new(url, client, &credential, clock)?;
        Ok(Self { endpoint: Arc::new(endpoint), network, settings: target.settings })
    }

    /// Connects, then sends one request without rows. Returns the step that failed.
    async fn try_out(&self) -> Result<(), (CheckStep, FailureCode)> {
        let url = &self.endpoint.url;
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let connected = self.network.connect(host, url.port_or_known_default().unwrap_or(443)).await;
        connected.map_err(|error| match error {
            DialError::Resolve { .. } | DialError::Forbidden { .. } => (CheckStep::Resolve, error.code()),
            DialError::Connect { .. } => (CheckStep::Connect, error.code()),
        })?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let body = Bytes::from_static(br#"{"test":true,"rows":[]}"#);
        let message = Message { id: format!("test-{}", Uuid::now_v7()), headers, body };
        self.endpoint.try_post(&message).await.map_err(|failure| (failure.step, failure.error.code))
    }
}

#[async_trait::async_trait]
impl Destination for Webhook {
    fn format(&self) -> OutputFormat {
        OutputFormat::JsonLines
    }

    /// Sends one signed request, `{"test":true,"rows":[]}`. A receiver that refuses it for another reason than the
    /// credential fails the step `Write`, and `Authenticate` is skipped, because it may not have been checked.
    async fn test(&self) -> Vec<Check> {
        let tried = tokio::time::timeout(TEST_TIMEOUT, self.try_out()).await;
        let failed = match tried {
            Ok(Ok(())) => None,
            Ok(Err(failed)) => Some(failed),
            Err(_) => Some((CheckStep::Write, FailureCode::DestinationUnreachable)),
        };
        let position = |step| STEPS.iter().position(|other| *other == step);
        let outcome = |step: CheckStep| match failed {
            None => CheckOutcome::Passed,
            Some((at, code)) if at == step => CheckOutcome::Failed { code, found_host_key: None },
            Some((CheckStep::Write, _)) if step == CheckStep::Authenticate => CheckOutcome::Skipped,
            Some((at, _)) if position(step) < position(at) => CheckOutcome::Passed,
            Some(_) => CheckOutcome::Skipped,
        };
        STEPS.iter().map(|step| Check { step: *step, outcome: outcome(*step) }).collect()
    }

    /// Sends nothing yet.
    async fn open(&self, delivery: &Delivery) -> Result<Opened, DeliveryError> {
        let settings: BatchSettings = parse("the settings", self.settings.clone())?;
        let Some(progress) = Progress::resume(delivery) else { return Ok(Opened::AlreadyDelivered(None)) };
        let endpoint = Arc::clone(&self.endpoint);
        Ok(Opened::Writer(Box::new(WebhookWriter::new(endpoint, settings, delivery, progress))))
    }
}

/// Parses values that the catalog checked.
fn parse<T: DeserializeOwned>(what: &str, values: Object) -> Result<T, DeliveryError> {
    serde_json::from_value(Value::Object(values))
        .map_err(|error| DeliveryError::with(FailureCode::Internal, what, error))
}
