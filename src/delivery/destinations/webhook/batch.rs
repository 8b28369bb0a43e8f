//! Divides the rows of a table into the bodies of requests.

use bytes::Bytes;
use serde::Deserialize;

use crate::delivery::DeliveryError;
use crate::model::FailureCode;

/// How rows are divided into requests: settings of the export.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct BatchSettings {
    /// Format of the body.
    #[serde(default)]
    pub(super) body_format: BodyFormat,
    /// Maximum number of rows of a body.
    pub(super) batch_size: u32,
    /// Maximum number of bytes of a body, before compression.
    pub(super) max_batch_bytes: usize,
    /// Compression of the bodies.
    #[serde(default)]
    pub(super) compression: Compression,
}

/// Format of a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum BodyFormat {
    /// `{"export":…,"run":…,"table":…,"rows":[…]}`
    #[default]
    Json,
    /// One row per line.
    Ndjson,
}

/// Compression of a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Compression {
    /// None.
    #[default]
    None,
    /// `Content-Encoding: gzip`
    Gzip,
}

/// Collects the rows of one table. The batches depend on the rows alone, not on how they are divided into chunks.
pub(super) struct Batcher {
    settings: BatchSettings,
    prefix: Vec<u8>,
    separator: u8,
    suffix: &'static [u8],
    body: Vec<u8>,
    rows: u32,
}

impl Batcher {
    /// An empty batch of a table.
    pub(super) fn new(settings: BatchSettings, export: &str, run: &str, table: &str) -> Self {
        let (prefix, separator, suffix): (_, _, &[u8]) = match settings.body_format {
            BodyFormat::Json => {
                let mut prefix = serde_json::json!({ "export": export, "run": run, "table": table }).to_string();
                prefix.truncate(prefix.len() - 1);
                prefix.push_str(r#","rows":["#);
                (prefix.into_bytes(), b',', b"]}")
            }
            BodyFormat::Ndjson => (Vec::new(), b'\n', b"\n"),
        };
        Self { settings, body: prefix.clone(), prefix, separator, suffix, rows: 0 }
    }

    /// Adds a row, a JSON object without line breaks. Returns the body of the rows before it if the row begins a new
    /// batch. Fails with LIMIT_EXCEEDED if the row alone is too large.
    pub(super) fn push(&mut self, row: &[u8]) -> Result<Option<Bytes>, DeliveryError> {
        let max_bytes = self.settings.max_batch_bytes;
        let alone = self.prefix.len() + row.len() + self.suffix.len();
        if alone > max_bytes {
            let detail = format!("a row needs a body of {alone} bytes, and max_batch_bytes is {max_bytes}");
            return Err(DeliveryError::new(FailureCode::LimitExceeded, detail));
        }
        let with_row = self.body.len() + 1 + row.len() + self.suffix.len();
        let full = self.rows >= self.settings.batch_size || (self.rows > 0 && with_row > max_bytes);
        let complete = if full { self.take() } else { None };
        if self.rows > 0 {
            self.body.push(self.separator);
        }
        self.body.extend_from_slice(row);
        self.rows += 1;
        Ok(complete)
    }

    /// Returns the body of the collected rows, if there are any, and begins a new batch.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        if self.rows == 0 {
            return None;
        }
        self.rows = 0;
        let mut body = std::mem::replace(&mut self.body, self.prefix.clone());
        body.extend_from_slice(self.suffix);
        Some(body.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn batches(body_format: BodyFormat, batch_size: u32, max_batch_bytes: usize, rows: &[String]) -> Vec<Bytes> {
        let settings = BatchSettings { body_format, batch_size, max_batch_bytes, compression: Compression::None };
        let mut batcher = Batcher::new(settings, "nightly", "run", "a \"table\"");
        let mut bodies: Vec<_> = rows.iter().filter_map(|row| batcher.push(row.as_bytes()).unwrap()).collect();
        bodies.extend(batcher.take());
        assert!(batcher.take().is_none(), "an empty batch has no body");
        bodies
    }

    fn rows(count: usize) -> Vec<String> {
        (0..count).map(|id| json!({ "id": id, "text": "ä\n".repeat(id % 7) }).to_string()).collect()
    }

    #[test]
    fn batches_hold_every_row_in_order_within_both_limits() {
        for (batch_size, max_bytes) in [(1, 1024), (7, 1024), (10_000, 1024), (3, 1 << 20)] {
            let rows = rows(250);
            let expected: Vec<Value> = rows.iter().map(|row| serde_json::from_str(row).unwrap()).collect();
            let mut found = Vec::new();
            for body in batches(BodyFormat::Json, batch_size, max_bytes, &rows) {
                assert!(body.len() <= max_bytes);
                let body: Value = serde_json::from_slice(&body).unwrap();
                assert_eq!((&body["table"], &body["export"]), (&json!("a \"table\""), &json!("nightly")));
                let rows = body["rows"].as_array().unwrap();
                assert!((1..=batch_size as usize).contains(&rows.len()));
                found.extend(rows.iter().cloned());
            }
            assert_eq!(found, expected);
            let lines = batches(BodyFormat::Ndjson, batch_size, max_bytes, &rows);
            assert!(lines.iter().all(|body| body.len() <= max_bytes && body.ends_with(b"\n")));
            assert_eq!(lines.concat(), (rows.join("\n") + "\n").as_bytes());
        }
    }

    #[test]
    fn a_body_may_have_exactly_the_maximum_size() {
        let row = |length: usize| format!("\"{}\"", "x".repeat(length - 2));
        let bodies = batches(BodyFormat::Ndjson, 10, 1024, &[row(1023), row(511), row(511), "1".into()]);
        assert_eq!(bodies.iter().map(Bytes::len).collect::<Vec<_>>(), [1024, 1024, 2]);
        let settings = BatchSettings {
            body_format: BodyFormat::Ndjson,
            batch_size: 10,
            max_batch_bytes: 1024,
            compression: Compression::None,
        };
        let error = Batcher::new(settings, "e", "r", "t").push(row(1024).as_bytes()).unwrap_err();
        assert_eq!(error.code, FailureCode::LimitExceeded);
    }
}
