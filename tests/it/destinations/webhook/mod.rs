//! Webhooks, delivered to an HTTPS server.

mod batches;
mod checks;
mod failures;
pub mod receiver;
mod resume;

use outflow::delivery::destinations::webhook::Webhook;
use outflow::model::Clock;
use serde_json::{Value, json};

use super::services::{TableRows, network, target};
use receiver::Receiver;

/// The secret of the examples of Standard Webhooks.
pub const SIGNING_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A webhook at a port of this host that signs its requests.
fn webhook(receiver: &Receiver, port: u16, settings: Value) -> Webhook {
    with_credential(receiver, port, "signature", &[("signing_secret", SIGNING_SECRET)], settings)
}

fn with_credential(
    receiver: &Receiver,
    port: u16,
    auth_method: &str,
    credential: &[(&str, &str)],
    settings: Value,
) -> Webhook {
    let properties = json!({ "url": format!("https://hooks.test:{port}/segments?from=outflow"), "timeout_seconds": 5 });
    let target = target(properties, auth_method, credential, settings);
    let network = network(Some(&receiver.authority), "*=127.0.0.0/8");
    Webhook::new(target, network, Clock::default()).expect("a webhook")
}

/// Settings with their defaults.
fn settings(batch_size: u32) -> Value {
    json!({ "body_format": "json", "batch_size": batch_size, "max_batch_bytes": 1_048_576, "compression": "none" })
}

/// A table of numbered rows.
fn table(name: &str, rows: usize, rows_per_chunk: usize) -> TableRows {
    let row = |id: usize| json!({ "id": id, "text": format!("row {id} of {name}: ä\n😀") }).to_string();
    TableRows {
        table: name.to_owned(),
        fields: vec!["id".to_owned(), "text".to_owned()],
        rows: (0..rows).map(row).collect(),
        rows_per_chunk,
    }
}
