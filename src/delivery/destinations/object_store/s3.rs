//! Amazon S3, and stores with a compatible API.

use std::sync::Arc;

use object_store::aws::AmazonS3Builder;

use super::ObjectDestination;
use super::connector::{Connector, client_options, retries};
use super::credential::{credential, field, required, unusable};
use super::origin::Origin;
use super::store::{Store, text};
use crate::delivery::DeliveryError;
use crate::delivery::destinations::{Destination, Target};
use crate::dialer::Network;
use crate::model::FailureCode;

/// The destination of a connection of the type `s3`.
pub fn destination(target: &Target, network: Network) -> Result<Box<dyn Destination>, DeliveryError> {
    let properties = &target.properties;
    let (bucket, region) = (required(properties, "bucket")?, required(properties, "region")?);
    let credential = credential(target)?;
    let is_virtual = text(properties, "addressing_style") != Some("path");
    let endpoint = endpoint(text(properties, "endpoint"), region, bucket, is_virtual)?;
    // Both keys are set, so that the builder never looks for credentials elsewhere.
    let mut objects = AmazonS3Builder::new()
        .with_access_key_id(field(credential, "access_key_id")?)
        .with_secret_access_key(field(credential, "secret_access_key")?)
        .with_region(region)
        .with_bucket_name(bucket)
        .with_endpoint(endpoint.as_str())
        .with_virtual_hosted_style_request(is_virtual)
        .with_disable_bulk_delete(true)
        .with_client_options(client_options())
        .with_retry(retries())
        .with_http_connector(Connector::new(&network)?);
    if credential.fields.contains_key("session_token") {
        objects = objects.with_token(field(credential, "session_token")?);
    }
    // The signature of an object contains the digest of its content: some servers take the end of a connection for the end of
    // the object. An upload becomes visible only when all its parts have been acknowledged. A digest of them would cost a tenth
    // of the CPU time of a delivery, here and at the server together.
    let uploads = objects.clone().with_unsigned_payload(true);
    let build = |builder: AmazonS3Builder| builder.build().map_err(|_| unusable("the access key cannot be used"));
    let (objects, uploads) = (Arc::new(build(objects)?), Arc::new(build(uploads)?));
    let server = (Origin::of(&endpoint)?, network);
    Ok(ObjectDestination::boxed(Store::new(objects, Some(uploads), target, server, "storage_class")))
}

/// URL of the server: with the bucket in its host name, or to be followed by the bucket.
fn endpoint(endpoint: Option<&str>, region: &str, bucket: &str, is_virtual: bool) -> Result<String, DeliveryError> {
    let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    let endpoint = endpoint.map_or_else(|| format!("https://s3.{region}.{suffix}"), ToOwned::to_owned);
    let endpoint = endpoint.trim_end_matches('/');
    if !is_virtual {
        return Ok(endpoint.to_owned());
    }
    let host = endpoint.strip_prefix("https://").filter(|host| !host.is_empty());
    let invalid = || DeliveryError::new(FailureCode::DestinationRefused, "the endpoint is not an https URL");
    host.map(|host| format!("https://{bucket}.{host}")).ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bucket_is_in_the_host_or_follows_it() {
        let url = |given, region, is_virtual| endpoint(given, region, "b", is_virtual).expect("a URL");
        assert_eq!(url(None, "eu-central-1", true), "https://b.s3.eu-central-1.amazonaws.com");
        assert_eq!(url(None, "eu-central-1", false), "https://s3.eu-central-1.amazonaws.com");
        assert_eq!(url(None, "cn-north-1", true), "https://b.s3.cn-north-1.amazonaws.com.cn");
        assert_eq!(url(Some("https://minio.example:9000/"), "r", true), "https://b.minio.example:9000");
        assert_eq!(url(Some("https://minio.example:9000/"), "r", false), "https://minio.example:9000");
        assert!(endpoint(Some("http://minio.example"), "r", "b", true).is_err());
    }
}
