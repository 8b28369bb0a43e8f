//! A bucket or container on a server that runs here.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::Bytes;
use outflow::delivery::DeliveryError;
use outflow::delivery::destinations::{Destination, Target};
use outflow::dialer::Network;
use outflow::model::json::Object;
use outflow::model::{CredentialSecret, OrganizationId, Secret};
use serde_json::Value;

/// A bucket. What it holds is read without the code that is tested.
#[async_trait::async_trait]
pub trait Bucket: Sync {
    /// The address of its server.
    fn address(&self) -> SocketAddr;

    /// A target with that prefix, whose server is reached at an address.
    fn target(&self, address: SocketAddr, prefix: &str) -> Target;

    /// Builds the destination.
    fn build(&self, target: &Target, network: Network) -> Result<Box<dyn Destination>, DeliveryError>;

    /// A network that reaches the server.
    fn network(&self) -> Network;

    /// The keys that begin with a prefix.
    async fn keys(&self, prefix: &str) -> Vec<String>;

    /// The content of an object; `None` if it does not exist.
    async fn object(&self, key: &str) -> Option<Bytes>;

    /// Deletes an object.
    async fn delete(&self, key: &str);

    /// The objects whose keys begin with a prefix, by their keys.
    async fn objects(&self, prefix: &str) -> BTreeMap<String, Bytes> {
        let mut objects = BTreeMap::new();
        for key in self.keys(prefix).await {
            let content = self.object(&key).await.expect("the object still exists");
            objects.insert(key, content);
        }
        objects
    }

    /// Keys of the uploads that are not complete and that can be aborted.
    async fn uploads(&self) -> Vec<String>;
}

/// A destination below a prefix of a bucket.
pub fn destination(bucket: &dyn Bucket, prefix: &str) -> Box<dyn Destination> {
    destination_through(bucket, bucket.address(), prefix)
}

/// A destination whose server is reached at an address.
pub fn destination_through(bucket: &dyn Bucket, address: SocketAddr, prefix: &str) -> Box<dyn Destination> {
    bucket.build(&bucket.target(address, prefix), bucket.network()).expect("a destination")
}

/// The objects below a prefix, by the rest of their keys.
pub async fn objects_below(bucket: &dyn Bucket, prefix: &str) -> BTreeMap<String, Bytes> {
    let prefix = format!("{prefix}/");
    let objects = bucket.objects(&prefix).await;
    objects.into_iter().map(|(key, content)| (key[prefix.len()..].to_owned(), content)).collect()
}

/// The uploads below a prefix.
pub async fn uploads_below(bucket: &dyn Bucket, prefix: &str) -> usize {
    bucket.uploads().await.into_iter().filter(|key| key.starts_with(&format!("{prefix}/"))).count()
}

/// A target of organization `acme`.
pub fn target(properties: Value, auth_method: &str, fields: &[(&str, &str)]) -> Target {
    let fields = fields.iter().map(|(key, value)| ((*key).to_owned(), Secret::new((*value).to_owned()))).collect();
    Target {
        organization: OrganizationId::parse("acme").expect("an id"),
        properties: object(properties),
        credential: Some(CredentialSecret { auth_method: auth_method.to_owned(), fields }),
        settings: Object::new(),
    }
}

/// A JSON object.
pub fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        other => panic!("{other}"),
    }
}

/// The texts of all XML elements of a name.
pub fn elements<'a>(xml: &'a str, name: &str) -> Vec<&'a str> {
    let (start, end) = (format!("<{name}>"), format!("</{name}>"));
    xml.split(start.as_str()).skip(1).filter_map(|rest| rest.split_once(end.as_str())).map(|(text, _)| text).collect()
}
