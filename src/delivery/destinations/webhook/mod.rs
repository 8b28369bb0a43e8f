//! Webhook: rows in batches, by POST to an HTTPS endpoint, signed as the Standard Webhooks specification says.
//!
//! A webhook cannot be atomic: a receiver sees each batch when it is sent, and [`Writer::commit`] makes nothing visible.
//! Each batch has an id that is the same whenever the same batch is sent again, so that receivers can drop duplicates.
//!
//! [`Writer::commit`]: super::Writer::commit

mod acknowledgements;
mod batch;
mod endpoint;
mod failure;
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

use self::acknowledgements::Acknowledgements;
use self::batch::BatchSettings;
use self::endpoint::{Endpoint, Message};
use self::failure::Failure;
use self::writer::WebhookWriter;
use super::progress::{Progress, TEST_TIMEOUT};
use super::{Check, CheckStep, Delivery, Destination, Opened, Target};
use crate::delivery::{DeliveryError, OutputFormat};
use crate::dialer::{HttpOptions, Network};
use crate::model::json::Object;
use crate::model::{Clock, FailureCode};

/// The body of the request of a test.
const TEST_BODY: &[u8] = br#"{"test":true,"rows":[]}"#;

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
    /// Builds a webhook.
    pub fn new(target: Target, network: Network, clock: Clock) -> Result<Self, DeliveryError> {
        let properties: Properties = parse("the properties", target.properties)?;
        let no_credential = || DeliveryError::new(FailureCode::CredentialRequired, "the connection has no credential");
        let credential = target.credential.ok_or_else(no_credential)?;
        let url = Url::parse(&properties.url)
            .map_err(|error| DeliveryError::with(FailureCode::Internal, "the URL of the webhook", error))?;
        let timeout = Some(Duration::from_secs(properties.timeout_seconds));
        let client = network.http_client(HttpOptions { timeout, root_certificates: None });
        let client = client.map_err(|error| DeliveryError::new(error.code(), error.to_string()))?;
        let endpoint = Endpoint::new(url, client, &credential, clock)?;
        Ok(Self { endpoint: Arc::new(endpoint), network, settings: target.settings })
    }

    /// Connects, then sends one request without rows.
    async fn check(&self, progress: &mut Progress) -> Result<(), Failure> {
        progress.begin(CheckStep::Resolve);
        let url = &self.endpoint.url;
        let port = url.port_or_known_default().unwrap_or_default();
        let connected = self.network.connect(url.host_str().unwrap_or_default(), port).await;
        connected.map_err(|error| Failure::of_dial(&error))?;
        progress.begin(CheckStep::Tls);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let (id, body) = (format!("test-{}", Uuid::now_v7()), Bytes::from_static(TEST_BODY));
        self.endpoint.try_post(&Message { id, headers, content: body.clone(), body }).await
    }
}

#[async_trait::async_trait]
impl Destination for Webhook {
    fn format(&self) -> OutputFormat {
        OutputFormat::JsonLines
    }

    /// Sends one signed request without rows. If the receiver refuses it for another reason than the credential, `Write`
    /// has failed and `Authenticate` is skipped, because the receiver may not have checked the credential.
    async fn test(&self) -> Vec<Check> {
        let mut progress = Progress::default();
        let mut steps =
            vec![CheckStep::Resolve, CheckStep::Connect, CheckStep::Tls, CheckStep::Authenticate, CheckStep::Write];
        let result = match tokio::time::timeout(TEST_TIMEOUT, self.check(&mut progress)).await {
            Ok(Ok(())) => {
                progress.begin(CheckStep::Write);
                Ok(())
            }
            Ok(Err(failure)) => {
                progress.begin(failure.step);
                steps.retain(|step| failure.step != CheckStep::Write || *step != CheckStep::Authenticate);
                Err(failure.error)
            }
            Err(_) => {
                Err(DeliveryError::new(FailureCode::DestinationUnreachable, "the endpoint did not respond in time"))
            }
        };
        if let Err(error) = &result {
            tracing::info!(%error, "a test of a webhook failed");
        }
        progress.checks(&steps, &result)
    }

    /// Sends nothing yet.
    async fn open(&self, delivery: &Delivery) -> Result<Opened, DeliveryError> {
        let settings: BatchSettings = parse("the settings", self.settings.clone())?;
        let Some(acknowledgements) = Acknowledgements::resume(delivery) else {
            return Ok(Opened::AlreadyDelivered(None));
        };
        let endpoint = Arc::clone(&self.endpoint);
        Ok(Opened::Writer(Box::new(WebhookWriter::new(endpoint, settings, delivery, acknowledgements))))
    }
}

/// Parses values that the catalog checked.
fn parse<T: DeserializeOwned>(what: &str, values: Object) -> Result<T, DeliveryError> {
    serde_json::from_value(Value::Object(values))
        .map_err(|error| DeliveryError::with(FailureCode::Internal, what, error))
}
