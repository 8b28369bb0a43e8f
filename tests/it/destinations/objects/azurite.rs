//! A server with the API of Azure Blob Storage: Azurite.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use object_store::azure::{AzureAccessKey, AzureAuthorizer, AzureCredential};
use object_store::client::{HttpClient, HttpRequest};
use outflow::delivery::DeliveryError;
use outflow::delivery::destinations::object_store::azure_blob;
use outflow::delivery::destinations::{Destination, Target};
use outflow::dialer::Network;
use reqwest::Url;
use serde_json::json;
use sha2::Sha256;

use super::bucket::{Bucket, elements, target};
use super::process::ServerProcess;
use super::tls::Tls;

const ACCOUNT: &str = "outflow";

/// A server with one container.
pub struct Azurite {
    server: ServerProcess,
    pub tls: Tls,
    /// The key of the account.
    pub key: String,
}

impl Azurite {
    /// Starts a server, and creates the container `container`.
    pub async fn start() -> Self {
        Self::start_with(|command| command.arg("--inMemoryPersistence")).await
    }

    /// Starts a server whose files are in a directory.
    pub async fn start_in(directory: &Path) -> Self {
        Self::start_with(|command| command.arg("--location").arg(directory)).await
    }

    async fn start_with(persistence: impl Fn(&mut Command) -> &mut Command) -> Self {
        let (tls, key) = (Tls::generate(), BASE64_STANDARD.encode(rand::random::<[u8; 64]>()));
        let server = ServerProcess::start(|address| {
            let mut command = Command::new("azurite-blob");
            persistence(&mut command).args(["--skipApiVersionCheck", "--silent", "--disableTelemetry"]);
            command.args(["--blobHost", "127.0.0.1", "--blobPort", &address.port().to_string(), "--oauth", "basic"]);
            command.arg("--cert").arg(tls.certificate()).arg("--key").arg(tls.key());
            command.env("AZURITE_ACCOUNTS", format!("{ACCOUNT}:{key}"));
            command
        });
        let server = Self { server: server.await, tls, key };
        server.request("PUT", "/container?restype=container").await;
        server
    }

    /// A target with another container or credential.
    pub fn target_with(&self, container: &str, auth_method: &str, fields: &[(&str, &str)], prefix: &str) -> Target {
        Self::build_target(self.server.address, container, auth_method, fields, prefix)
    }

    fn build_target(
        address: SocketAddr,
        container: &str,
        auth_method: &str,
        fields: &[(&str, &str)],
        prefix: &str,
    ) -> Target {
        let properties = json!({
            "account_name": ACCOUNT,
            "container": container,
            "prefix": prefix,
            "endpoint": format!("https://{address}/{ACCOUNT}"),
        });
        target(properties, auth_method, fields)
    }

    /// A shared access signature for the container with these permissions.
    pub fn sas_token(&self, permissions: &str) -> String {
        let (expiry, version) = ("2099-01-01T00:00:00Z", "2020-12-06");
        let resource = format!("/blob/{ACCOUNT}/container");
        let fields = [permissions, "", expiry, &resource, "", "", "", version, "c", "", "", "", "", "", "", ""];
        let key = BASE64_STANDARD.decode(&self.key).expect("base64");
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("a key");
        mac.update(fields.join("\n").as_bytes());
        let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
        let pairs = [("sp", permissions), ("se", expiry), ("sv", version), ("sr", "c"), ("sig", &signature)];
        let url = Url::parse_with_params("https://server/", pairs).expect("a URL");
        format!("?{}", url.query().expect("a query"))
    }

    /// The access tier of a blob.
    pub async fn access_tier(&self, key: &str) -> String {
        let (headers, _) = self.request("HEAD", &format!("/container/{key}")).await;
        headers["x-ms-access-tier"].to_str().expect("ASCII").to_owned()
    }

    /// Sends a signed request without a body, and returns its response, which must be a success.
    async fn request(&self, method: &str, path: &str) -> (http::HeaderMap, Bytes) {
        let (status, headers, body) = self.send(method, path).await;
        assert!(status.is_success(), "{method} {path}: {status} {}", String::from_utf8_lossy(&body));
        (headers, body)
    }

    /// Sends a signed request without a body, and returns its response.
    async fn send(&self, method: &str, path: &str) -> (http::StatusCode, http::HeaderMap, Bytes) {
        let url = format!("https://{}/{ACCOUNT}{path}", self.server.address);
        let request = http::Request::builder().method(method).uri(url).header("content-length", "0");
        let mut request: HttpRequest = request.body(Vec::new().into()).expect("a request");
        let credential = AzureCredential::AccessKey(AzureAccessKey::try_new(&self.key).expect("a key"));
        AzureAuthorizer::new(&credential, ACCOUNT).try_authorize(&mut request).expect("signed");
        let client = HttpClient::new(self.tls.client());
        let sent = tokio::time::timeout(Duration::from_secs(30), client.execute(request));
        let (parts, body) = sent.await.expect("in time").expect("a response").into_parts();
        let body = body.bytes().await.expect("a body");
        (parts.status, parts.headers, body)
    }
}

#[async_trait::async_trait]
impl Bucket for Azurite {
    fn address(&self) -> SocketAddr {
        self.server.address
    }

    fn target(&self, address: SocketAddr, prefix: &str) -> Target {
        Self::build_target(address, "container", "account_key", &[("account_key", &self.key)], prefix)
    }

    fn build(&self, target: &Target, network: Network) -> Result<Box<dyn Destination>, DeliveryError> {
        azure_blob::destination(target, network)
    }

    fn network(&self) -> Network {
        self.tls.network()
    }

    async fn keys(&self, prefix: &str) -> Vec<String> {
        let (_, list) = self.request("GET", "/container?restype=container&comp=list").await;
        let list = String::from_utf8(list.to_vec()).expect("UTF-8");
        assert_eq!(elements(&list, "NextMarker").concat(), "", "the list is complete");
        elements(&list, "Name").into_iter().filter(|key| key.starts_with(prefix)).map(ToOwned::to_owned).collect()
    }

    async fn object(&self, key: &str) -> Option<Bytes> {
        let (status, _, body) = self.send("GET", &format!("/container/{key}")).await;
        assert!(status.is_success() || status == http::StatusCode::NOT_FOUND, "{key}: {status}");
        status.is_success().then_some(body)
    }

    async fn delete(&self, key: &str) {
        let (status, ..) = self.send("DELETE", &format!("/container/{key}")).await;
        assert!(status.is_success(), "{key}: {status}");
    }

    /// Uncommitted blocks cannot be aborted: they expire.
    async fn uploads(&self) -> Vec<String> {
        Vec::new()
    }
}
