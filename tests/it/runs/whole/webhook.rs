//! Webhooks.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::content::{Expected, Shape, text};
use super::far_side::{Connection, FarSide, Interruption};
use super::proxy::HoldingProxy;
use crate::destinations::webhook::SIGNING_SECRET;
use crate::destinations::webhook::receiver::{Received, Receiver};

/// Bytes of the last batches.
const LAST_BYTES: u64 = 4_000;
/// Rows of a batch.
const BATCH_SIZE: usize = 20;

/// A receiver of webhooks.
pub struct WebhookSide {
    pub receiver: Receiver,
    proxy: HoldingProxy,
}

impl WebhookSide {
    /// Starts a receiver.
    pub async fn start() -> Self {
        let receiver = Receiver::start_as("127.0.0.1").await;
        let proxy = HoldingProxy::start(receiver.address, LAST_BYTES).await;
        Self { receiver, proxy }
    }

    /// The accepted requests of a run, by their ids. Panics if two with the same id differ.
    fn batches(&self, expected: &Expected) -> BTreeMap<String, Received> {
        let mut batches: BTreeMap<String, Received> = BTreeMap::new();
        let is_accepted =
            |request: &Received| request.status == 204 && request.header("x-outflow-run") == expected.uid();
        for request in self.receiver.requests().into_iter().filter(is_accepted) {
            let id = request.header("webhook-id").to_owned();
            let first = batches.entry(id).or_insert_with(|| request.clone());
            let named = |request: &Received| request.header("x-outflow-table").to_owned();
            assert_eq!((&first.body, named(first)), (&request.body, named(&request)), "batches with one id differ");
        }
        batches
    }
}

#[async_trait]
impl FarSide for WebhookSide {
    fn connection(&self) -> Connection {
        let properties = json!({"url": format!("https://{}/hook", self.proxy.address), "timeout_seconds": 10});
        Connection {
            connection_type: "webhook",
            properties: properties.as_object().expect("an object").clone(),
            credential: Some(("signature".to_owned(), vec![("signing_secret".to_owned(), SIGNING_SECRET.to_owned())])),
        }
    }

    fn tables(&self, shape: Shape) -> &'static [&'static str] {
        match shape {
            Shape::One => &["orders"],
            Shape::Several => &["orders", "events"],
        }
    }

    fn settings(&self, shape: Shape, _area: &str) -> Value {
        let compression = if shape == Shape::One { "none" } else { "gzip" };
        json!({"body_format": "json", "batch_size": BATCH_SIZE, "compression": compression})
    }

    fn authorities(&self) -> String {
        self.receiver.authority.clone()
    }

    fn interruption(&self) -> &dyn Interruption {
        &self.proxy
    }

    /// A webhook is not atomic: batches are visible one by one, and each is whole.
    async fn observe(&self, _area: &str, expected: &Expected) -> bool {
        let mut rows = 0;
        for batch in self.batches(expected).values() {
            rows += batch.json()["rows"].as_array().expect("a whole batch").len();
        }
        i64::try_from(rows) == Ok(expected.count())
    }

    async fn assert_delivered(&self, _area: &str, expected: &Expected) {
        let batches = self.batches(expected);
        for (table, ids) in &expected.rows {
            let own = batches.values().filter(|batch| batch.header("x-outflow-table") == *table);
            let bodies: Vec<Value> = own.map(Received::json).collect();
            let mut rows: Vec<Value> =
                bodies.iter().flat_map(|body| body["rows"].as_array().expect("rows").clone()).collect();
            rows.sort_by_key(|row| row["id"].as_i64());
            let whole: Vec<Value> = ids.clone().map(|id| json!({"id": id, "text": text(id)})).collect();
            assert!(rows == whole, "{} rows of {table} instead of {}", rows.len(), whole.len());
        }
    }

    /// The ids of the accepted batches.
    async fn list(&self, _area: &str) -> Vec<String> {
        let accepted = self.receiver.requests().into_iter().filter(|request| request.status == 204);
        accepted.map(|request| request.header("webhook-id").to_owned()).collect()
    }
}
