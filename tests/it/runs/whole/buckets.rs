//! Object stores.

use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;

use super::content::{Expected, Shape};
use super::directories::of_files;
use super::far_side::{Connection, FarSide, Interruption};
use super::files::{self, Files};
use super::proxy::HoldingProxy;
use crate::destinations::objects::bucket::{Bucket, uploads_below};

/// The prefix of the connection.
const PREFIX: &str = "whole";
/// Bytes of the requests of a commit and their responses.
const COMMIT_BYTES: u64 = 8 * 1024;

/// A bucket or container.
pub struct BucketSide<B> {
    pub bucket: B,
    connection_type: &'static str,
    certificate: String,
    proxy: HoldingProxy,
}

impl<B: Bucket> BucketSide<B> {
    /// The bucket of a server with that certificate.
    pub async fn start(bucket: B, connection_type: &'static str, certificate: &Path) -> Self {
        let certificate = std::fs::read_to_string(certificate).expect("a certificate");
        let proxy = HoldingProxy::start(bucket.address(), COMMIT_BYTES).await;
        Self { bucket, connection_type, certificate, proxy }
    }
}

#[async_trait]
impl<B: Bucket + Send> Files for BucketSide<B> {
    async fn read(&self, folder: &str, path: &str) -> Option<Bytes> {
        self.bucket.object(&format!("{PREFIX}/{folder}/{path}")).await
    }

    async fn list(&self, folder: &str) -> Vec<String> {
        let prefix = format!("{PREFIX}/{folder}/");
        let keys = self.bucket.keys(&prefix).await;
        keys.into_iter().map(|key| key[prefix.len()..].to_owned()).collect()
    }
}

#[async_trait]
impl<B: Bucket + Send> FarSide for BucketSide<B> {
    fn connection(&self) -> Connection {
        Connection::of(self.connection_type, &self.bucket.target(self.proxy.address, PREFIX))
    }

    fn tables(&self, shape: Shape) -> &'static [&'static str] {
        of_files(shape)
    }

    fn settings(&self, shape: Shape, area: &str) -> Value {
        files::settings(shape, area)
    }

    fn authorities(&self) -> String {
        self.certificate.clone()
    }

    fn interruption(&self) -> &dyn Interruption {
        &self.proxy
    }

    async fn observe(&self, area: &str, expected: &Expected) -> bool {
        files::observe(self, area, expected).await
    }

    async fn assert_delivered(&self, area: &str, expected: &Expected) {
        files::assert_delivered(self, area, expected).await;
    }

    async fn list(&self, area: &str) -> Vec<String> {
        Files::list(self, area).await
    }

    async fn uploads(&self, area: &str) -> usize {
        uploads_below(&self.bucket, &format!("{PREFIX}/{area}")).await
    }
}
