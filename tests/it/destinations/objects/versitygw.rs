//! A server with the S3 API: versitygw, which checks signatures and permissions.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use object_store::aws::{AwsAuthorizer, AwsCredential};
use object_store::client::{HttpClient, HttpRequest};
use outflow::delivery::DeliveryError;
use outflow::delivery::destinations::object_store::s3;
use outflow::delivery::destinations::{Destination, Target};
use outflow::dialer::Network;
use serde_json::json;
use tempfile::TempDir;

use super::bucket::{Bucket, elements, target};
use super::process::ServerProcess;
use super::tls::Tls;

const KEY_ID: &str = "root";
const SECRET: &str = "secret-of-the-root";
const REGION: &str = "us-east-1";

/// A server with one bucket.
pub struct Versitygw {
    server: ServerProcess,
    pub tls: Tls,
    // Removed after the server ends.
    _directory: TempDir,
}

impl Versitygw {
    /// Starts a server, and creates the bucket `bucket`.
    pub async fn start() -> Self {
        Self::start_in(tempfile::tempdir().expect("a directory")).await
    }

    /// Starts a server whose files are in a directory.
    pub async fn start_in(directory: TempDir) -> Self {
        let tls = Tls::generate();
        let path = |name: &str| directory.path().join(name);
        for name in ["users", "objects", "metadata"] {
            std::fs::create_dir(path(name)).expect("a directory");
        }
        let server = ServerProcess::start(|address| {
            let mut command = Command::new("versitygw");
            command.args(["--port", &address.to_string(), "--access", KEY_ID, "--secret", SECRET, "--region", REGION]);
            command.arg("--cert").arg(tls.certificate()).arg("--key").arg(tls.key());
            command.arg("--quiet").arg("--iam-dir").arg(path("users"));
            command.arg("posix").arg("--sidecar").arg(path("metadata")).arg(path("objects"));
            command
        });
        let server = Self { server: server.await, tls, _directory: directory };
        server.request("PUT", "/bucket", "").await;
        server
    }

    /// Creates a user, and permits the user everything below a prefix.
    pub async fn create_user(&self, key_id: &str, secret: &str, prefix: &str) {
        let mut command = Command::new("versitygw");
        let endpoint = format!("https://{}", self.server.address);
        command.args([
            "admin",
            "--allow-insecure",
            "--access",
            KEY_ID,
            "--secret",
            SECRET,
            "--endpoint-url",
            &endpoint,
        ]);
        command.args(["create-user", "--access", key_id, "--secret", secret, "--role", "user"]);
        let created = tokio::task::spawn_blocking(move || command.output()).await.expect("it runs").expect("it starts");
        assert!(created.status.success(), "{created:?}");
        let resources = json!(["arn:aws:s3:::bucket", format!("arn:aws:s3:::bucket/{prefix}/*")]);
        let statement =
            json!({"Effect": "Allow", "Principal": {"AWS": [key_id]}, "Action": ["s3:*"], "Resource": resources});
        let policy = json!({"Version": "2012-10-17", "Statement": [statement]});
        self.request("PUT", "/bucket?policy", &policy.to_string()).await;
    }

    /// A target with other values of the connection and its credential.
    pub fn target_with(&self, bucket: &str, key_id: &str, secret: &str, prefix: &str) -> Target {
        Self::build_target(
            self.server.address,
            bucket,
            prefix,
            &[("access_key_id", key_id), ("secret_access_key", secret)],
        )
    }

    fn build_target(address: SocketAddr, bucket: &str, prefix: &str, fields: &[(&str, &str)]) -> Target {
        let properties = json!({
            "endpoint": format!("https://{address}"),
            "region": REGION,
            "bucket": bucket,
            "prefix": prefix,
            "addressing_style": "path",
        });
        target(properties, "access_key", fields)
    }

    /// Sends a signed request, and returns the body of its response, which must be a success.
    async fn request(&self, method: &str, path: &str, body: &str) -> Bytes {
        let (status, body) = self.send(method, path, body).await;
        assert!(status.is_success(), "{method} {path}: {status} {}", String::from_utf8_lossy(&body));
        body
    }

    /// Sends a signed request, and returns the status and the body of its response.
    async fn send(&self, method: &str, path: &str, body: &str) -> (http::StatusCode, Bytes) {
        let url = format!("https://{}{path}", self.server.address);
        let request = http::Request::builder().method(method).uri(url).body(body.to_owned().into());
        let mut request: HttpRequest = request.expect("a request");
        let (key_id, secret_key) = (KEY_ID.to_owned(), SECRET.to_owned());
        let credential = AwsCredential { key_id, secret_key, token: None };
        AwsAuthorizer::new(&credential, "s3", REGION).try_authorize(&mut request, None).expect("signed");
        let client = HttpClient::new(self.tls.client());
        let sent = tokio::time::timeout(Duration::from_secs(30), client.execute(request));
        let response = sent.await.expect("in time").expect("a response");
        let status = response.status();
        (status, response.into_body().bytes().await.expect("a body"))
    }
}

#[async_trait::async_trait]
impl Bucket for Versitygw {
    fn address(&self) -> SocketAddr {
        self.server.address
    }

    fn target(&self, address: SocketAddr, prefix: &str) -> Target {
        Self::build_target(address, "bucket", prefix, &[("access_key_id", KEY_ID), ("secret_access_key", SECRET)])
    }

    fn build(&self, target: &Target, network: Network) -> Result<Box<dyn Destination>, DeliveryError> {
        s3::destination(target, network)
    }

    fn network(&self) -> Network {
        self.tls.network()
    }

    async fn keys(&self, prefix: &str) -> Vec<String> {
        let list = self.request("GET", "/bucket?list-type=2", "").await;
        let list = String::from_utf8(list.to_vec()).expect("UTF-8");
        assert_eq!(elements(&list, "IsTruncated"), ["false"]);
        elements(&list, "Key").into_iter().filter(|key| key.starts_with(prefix)).map(ToOwned::to_owned).collect()
    }

    async fn object(&self, key: &str) -> Option<Bytes> {
        let (status, body) = self.send("GET", &format!("/bucket/{key}"), "").await;
        assert!(status.is_success() || status == http::StatusCode::NOT_FOUND, "{key}: {status}");
        status.is_success().then_some(body)
    }

    async fn delete(&self, key: &str) {
        self.request("DELETE", &format!("/bucket/{key}"), "").await;
    }

    async fn uploads(&self) -> Vec<String> {
        let list = self.request("GET", "/bucket?uploads", "").await;
        let list = String::from_utf8(list.to_vec()).expect("UTF-8");
        elements(&list, "Key").into_iter().map(ToOwned::to_owned).collect()
    }
}
