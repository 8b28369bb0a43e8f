//! Azure Blob Storage.

use std::sync::Arc;

use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};

use super::ObjectDestination;
use super::connector::{Connector, client_options, retries};
use super::credential::{credential, field, required, unusable};
use super::origin::Origin;
use super::store::{Store, text};
use crate::delivery::DeliveryError;
use crate::delivery::destinations::{Destination, Target};
use crate::dialer::Network;

/// Issues tokens for client secrets in the public cloud.
const AUTHORITY_HOST: &str = "https://login.microsoftonline.com";

/// The destination of a connection of the type `azure_blob`.
///
/// Blocks of an upload have random ids and no upload has an id: what an attempt leaves, Azure removes after a week,
/// or when a later attempt commits the blob.
pub fn destination(target: &Target, network: Network) -> Result<Box<dyn Destination>, DeliveryError> {
    let properties = &target.properties;
    let account = required(properties, "account_name")?;
    let endpoint = text(properties, "endpoint")
        .map_or_else(|| format!("https://{account}.blob.core.windows.net"), |url| url.trim_end_matches('/').to_owned());
    let builder = MicrosoftAzureBuilder::new()
        .with_account(account)
        .with_container_name(required(properties, "container")?)
        .with_endpoint(endpoint.clone())
        .with_client_options(client_options())
        .with_retry(retries())
        .with_http_connector(Connector::new(&network)?);
    let builder = authorize(builder, target)?;
    let store = Arc::new(builder.build().map_err(|_| unusable("the credential cannot be used"))?);
    let server = (Origin::of(&endpoint)?, network);
    Ok(ObjectDestination::boxed(Store::new(store, None, target, server, "access_tier")))
}

/// Sets the credential and its type, so that the builder never looks for credentials elsewhere.
fn authorize(builder: MicrosoftAzureBuilder, target: &Target) -> Result<MicrosoftAzureBuilder, DeliveryError> {
    let credential = credential(target)?;
    let field = |key| field(credential, key);
    Ok(match credential.auth_method.as_str() {
        "account_key" => builder.with_access_key(field("account_key")?).with_credential_type("access_key"),
        "sas_token" => {
            builder.with_config(AzureConfigKey::SasKey, field("sas_token")?).with_credential_type("sas_token")
        }
        "client_secret" => {
            let authority = text(&target.properties, "authority_host").unwrap_or(AUTHORITY_HOST).trim_end_matches('/');
            Origin::of(authority)?;
            let property = |key| {
                let missing = || unusable(&format!("the connection has no {key}"));
                text(&target.properties, key).ok_or_else(missing)
            };
            builder
                .with_client_secret_authorization(
                    property("client_id")?,
                    field("client_secret")?,
                    property("tenant_id")?,
                )
                .with_authority_host(authority)
                .with_credential_type("client_secret")
        }
        _ => return Err(unusable("the auth method is not known")),
    })
}
