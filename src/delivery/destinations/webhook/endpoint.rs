//! Sends requests to the endpoint of a connection: headers, signature, retries.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use chrono::DateTime;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use reqwest::{Method, Request, Response, Url};

use super::failure::Failure;
use super::signature::Signer;
use crate::delivery::DeliveryError;
use crate::dialer::HttpClient;
use crate::model::{Clock, CredentialSecret, FailureCode, Secret};

/// How often a request is sent in one attempt.
const MAX_TRIES: u32 = 5;
/// Delay before the second try; it doubles with each further try.
const INITIAL_DELAY: Duration = Duration::from_millis(500);
/// Maximum delay that a receiver can ask for.
const MAX_DELAY: Duration = Duration::from_mins(1);
/// Bytes of a response body that are read, so that the connection can be used again. They are discarded.
const MAX_DISCARDED_BYTES: usize = 64 * 1024;
/// How long these bytes may take.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);

/// The endpoint of a connection.
pub(super) struct Endpoint {
    pub(super) url: Url,
    client: HttpClient,
    authorization: Option<HeaderValue>,
    signer: Option<Signer>,
    clock: Clock,
}

/// A request.
pub(super) struct Message {
    /// `webhook-id`, the same for each try.
    pub(super) id: String,
    /// Headers that depend on the batch.
    pub(super) headers: HeaderMap,
    /// The body before compression, which is signed: receivers and the libraries of Standard Webhooks verify what their
    /// HTTP server has decoded.
    pub(super) content: Bytes,
    /// The body as sent.
    pub(super) body: Bytes,
}

impl Endpoint {
    /// An endpoint with the credential of a connection.
    pub(super) fn new(
        url: Url,
        client: HttpClient,
        credential: &CredentialSecret,
        clock: Clock,
    ) -> Result<Self, DeliveryError> {
        let signing_secret = credential.fields.get("signing_secret").filter(|secret| !secret.expose().is_empty());
        let signer = signing_secret.map(Signer::new).transpose()?;
        let authorization = authorization(credential)?;
        if signer.is_none() && authorization.is_none() {
            return Err(DeliveryError::new(FailureCode::CredentialRequired, "the credential has no signing secret"));
        }
        Ok(Self { url, client, authorization, signer, clock })
    }

    /// Sends a request until it is accepted, refused, or tried [`MAX_TRIES`] times.
    pub(super) async fn post(&self, message: &Message) -> Result<(), DeliveryError> {
        let mut tries = 1;
        loop {
            let failure = match self.try_post(message).await {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            if !failure.retryable || tries == MAX_TRIES {
                let mut error = failure.error;
                if tries > 1 {
                    error.detail = format!("{} (tried {tries} times)", error.detail);
                }
                return Err(error);
            }
            let delay = INITIAL_DELAY * (1 << (tries - 1));
            let delay = failure.retry_after.unwrap_or_else(|| delay.mul_f64(rand::random_range(0.5..=1.0)));
            tokio::time::sleep(delay.min(MAX_DELAY)).await;
            tries += 1;
        }
    }

    /// Sends a request once.
    pub(super) async fn try_post(&self, message: &Message) -> Result<(), Failure> {
        let request = self.request(message).map_err(Failure::terminal)?;
        let response = self.client.execute(request).await.map_err(|error| Failure::of_dial(&error))?;
        let status = response.status();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| self.retry_after(value));
        // The connection can only be used again if the body was read to its end.
        let _ = tokio::time::timeout(DISCARD_TIMEOUT, discard(response)).await;
        if status.is_success() { Ok(()) } else { Err(Failure::of_status(&self.url, status, retry_after)) }
    }

    fn request(&self, message: &Message) -> Result<Request, DeliveryError> {
        let timestamp = self.clock.now().timestamp();
        let mut request = Request::new(Method::POST, self.url.clone());
        let headers = request.headers_mut();
        headers.clone_from(&message.headers);
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("outflow/", env!("CARGO_PKG_VERSION"))));
        headers.insert(HeaderName::from_static("webhook-id"), header(&message.id)?);
        headers.insert(HeaderName::from_static("webhook-timestamp"), HeaderValue::from(timestamp));
        if let Some(signer) = &self.signer {
            let signature = signer.sign(&message.id, timestamp, &message.content)?;
            headers.insert(HeaderName::from_static("webhook-signature"), header(&signature)?);
        }
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        *request.body_mut() = Some(message.body.clone().into());
        Ok(request)
    }

    /// The delay that a receiver asks for: seconds or a date.
    fn retry_after(&self, value: &HeaderValue) -> Option<Duration> {
        let text = value.to_str().ok()?.trim();
        let delay = text.parse().map(Duration::from_secs).ok();
        let delay =
            delay.or_else(|| (DateTime::parse_from_rfc2822(text).ok()?.to_utc() - self.clock.now()).to_std().ok());
        delay.map(|delay| delay.min(MAX_DELAY))
    }
}

/// A header value.
pub(super) fn header(text: &str) -> Result<HeaderValue, DeliveryError> {
    HeaderValue::from_str(text).map_err(|error| DeliveryError::with(FailureCode::Internal, "a header", error))
}

async fn discard(mut response: Response) {
    let mut discarded = 0;
    while let Ok(Some(chunk)) = response.chunk().await {
        discarded += chunk.len();
        if discarded > MAX_DISCARDED_BYTES {
            return;
        }
    }
}

/// The header `Authorization` of an auth method, marked as sensitive.
fn authorization(credential: &CredentialSecret) -> Result<Option<HeaderValue>, DeliveryError> {
    let field = |key: &str| {
        let missing = || DeliveryError::new(FailureCode::CredentialRequired, format!("the credential has no {key}"));
        credential.fields.get(key).map(Secret::expose).ok_or_else(missing)
    };
    let text = match credential.auth_method.as_str() {
        "signature" => return Ok(None),
        "bearer_token" => zeroize::Zeroizing::new(format!("Bearer {}", field("token")?)),
        "basic" => {
            let pair =
                zeroize::Zeroizing::new(format!("{}:{}", field("username")?, field("password").unwrap_or_default()));
            zeroize::Zeroizing::new(format!("Basic {}", BASE64.encode(pair.as_bytes())))
        }
        other => {
            return Err(DeliveryError::new(FailureCode::Internal, format!("the auth method {other} is unknown")));
        }
    };
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| DeliveryError::new(FailureCode::CredentialRequired, "the credential is not a header value"))?;
    value.set_sensitive(true);
    Ok(Some(value))
}
