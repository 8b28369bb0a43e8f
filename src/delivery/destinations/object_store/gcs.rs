//! Google Cloud Storage.

use std::sync::Arc;

use object_store::gcp::GoogleCloudStorageBuilder;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::ObjectDestination;
use super::connector::{Connector, client_options, retries};
use super::credential::{credential, field, required, unusable};
use super::origin::Origin;
use super::store::{Store, text};
use crate::delivery::DeliveryError;
use crate::delivery::destinations::{Destination, Target};
use crate::dialer::Network;

/// The service, unless the connection has an endpoint.
const ENDPOINT: &str = "https://storage.googleapis.com";

/// What is used of the key of a service account. Everything else is dropped: `token_uri`, because tokens are signed
/// with the key and not fetched, and extensions of `object_store` that would change the endpoint or switch off
/// authentication.
#[derive(Deserialize, Serialize, Zeroize, ZeroizeOnDrop)]
struct ServiceAccountKey {
    #[serde(rename = "type")]
    account_type: String,
    client_email: String,
    private_key_id: String,
    private_key: String,
}

/// The destination of a connection of the type `gcs`.
pub fn destination(target: &Target, network: Network) -> Result<Box<dyn Destination>, DeliveryError> {
    let endpoint = text(&target.properties, "endpoint").unwrap_or(ENDPOINT).trim_end_matches('/');
    let key = service_account_key(field(credential(target)?, "service_account_key")?)?;
    // With a key, the builder never looks for credentials elsewhere.
    let builder = GoogleCloudStorageBuilder::new()
        .with_service_account_key(key.as_str())
        .with_bucket_name(required(&target.properties, "bucket")?)
        .with_base_url(endpoint)
        .with_client_options(client_options())
        .with_retry(retries())
        .with_http_connector(Connector::new(&network)?);
    let store =
        Arc::new(builder.build().map_err(|_| unusable("the private key of the service account cannot be used"))?);
    let server = (Origin::of(endpoint)?, network);
    Ok(ObjectDestination::boxed(Store::new(store.clone(), Some(store), target, server, "storage_class")))
}

/// The key as JSON, with nothing in it but what is used. Errors of the parser are dropped, for they hold parts of the
/// text.
fn service_account_key(text: &str) -> Result<Zeroizing<String>, DeliveryError> {
    let invalid = || unusable("the service account key is not the JSON document of a service account");
    let key: ServiceAccountKey = serde_json::from_str(text).map_err(|_| invalid())?;
    let is_empty = [&key.client_email, &key.private_key_id, &key.private_key].into_iter().any(String::is_empty);
    if key.account_type != "service_account" || is_empty {
        return Err(invalid());
    }
    serde_json::to_string(&key).map(Zeroizing::new).map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_cannot_move_the_endpoint_or_switch_off_authentication() {
        let text = r#"{"type": "service_account", "client_email": "a@b", "private_key_id": "i", "private_key": "k",
            "token_uri": "https://evil.example", "gcs_base_url": "http://169.254.169.254", "disable_oauth": true}"#;
        let key = service_account_key(text).expect("a key");
        for dropped in ["evil", "169.254", "disable_oauth"] {
            assert!(!key.contains(dropped), "{dropped}");
        }
        assert!(key.contains("a@b"));
        for other in [r#"{"type": "authorized_user"}"#, "{", r#"{"type": "service_account", "private_key": 7}"#] {
            let error = service_account_key(other).expect_err("not a key");
            assert!(!error.detail.contains('7'), "{error}");
        }
    }
}
