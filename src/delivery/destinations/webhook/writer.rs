//! Writes one attempt of a run: sends each batch as soon as it is complete, one request at a time.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use flate2::write::GzEncoder;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use super::acknowledgements::Acknowledgements;
use super::batch::{BatchSettings, Batcher, BodyFormat, Compression};
use super::endpoint::{Endpoint, Message, header};
use crate::delivery::destinations::{Delivery, Writer};
use crate::delivery::{Chunk, DeliveryError, FileSummary, Manifest, OutputFile};
use crate::model::FailureCode;

/// Sends the rows of a run. What a receiver acknowledged cannot be taken back.
pub(super) struct WebhookWriter {
    endpoint: Arc<Endpoint>,
    settings: BatchSettings,
    delivery: Delivery,
    acknowledgements: Acknowledgements,
    tables: usize,
    table: Option<Table>,
}

/// The table whose rows are being sent.
struct Table {
    index: usize,
    headers: HeaderMap,
    batcher: Batcher,
    batches: u64,
}

impl WebhookWriter {
    /// Begins an attempt.
    pub(super) fn new(
        endpoint: Arc<Endpoint>,
        settings: BatchSettings,
        delivery: &Delivery,
        acknowledgements: Acknowledgements,
    ) -> Self {
        Self { endpoint, settings, delivery: delivery.clone(), acknowledgements, tables: 0, table: None }
    }

    fn table(&mut self) -> Result<&mut Table, DeliveryError> {
        self.table.as_mut().ok_or_else(|| DeliveryError::new(FailureCode::Internal, "rows without a table"))
    }

    async fn send(&mut self, body: Bytes) -> Result<(), DeliveryError> {
        let table = self.table()?;
        let (index, batch, headers) = (table.index, table.batches, table.headers.clone());
        table.batches += 1;
        if self.acknowledgements.skip(&body).await? {
            return Ok(());
        }
        self.acknowledgements.begin().await?;
        let id = self.acknowledgements.id(index, batch);
        let encoded = match self.settings.compression {
            Compression::None => body.clone(),
            Compression::Gzip => gzip(body.clone()).await?,
        };
        self.endpoint.post(&Message { id, headers, content: body.clone(), body: encoded }).await?;
        self.acknowledgements.acknowledge(&body).await
    }
}

#[async_trait::async_trait]
impl Writer for WebhookWriter {
    async fn start_file(&mut self, file: &OutputFile) -> Result<(), DeliveryError> {
        let (export, run) = (self.delivery.export.as_str(), self.delivery.run.to_string());
        self.table = Some(Table {
            index: self.tables,
            headers: headers(self.settings, export, &run, &file.table)?,
            batcher: Batcher::new(self.settings, export, &run, &file.table),
            batches: 0,
        });
        self.tables += 1;
        Ok(())
    }

    async fn write(&mut self, chunk: Chunk) -> Result<(), DeliveryError> {
        for row in chunk.bytes.split(|byte| *byte == b'\n').filter(|row| !row.is_empty()) {
            if let Some(body) = self.table()?.batcher.push(row)? {
                self.send(body).await?;
            }
        }
        Ok(())
    }

    async fn finish_file(&mut self, _summary: &FileSummary) -> Result<(), DeliveryError> {
        if let Some(body) = self.table()?.batcher.take() {
            self.send(body).await?;
        }
        self.table = None;
        self.acknowledgements.save().await
    }

    async fn commit(&mut self, _manifest: &Manifest) -> Result<(), DeliveryError> {
        self.acknowledgements.complete().await
    }

    /// Saves what was acknowledged, so that the next attempt goes on after it.
    async fn abort(&mut self) {
        // After a lost lease nothing can be saved; then the next attempt repeats batches, with the same ids.
        let _ = self.acknowledgements.save().await;
    }
}

/// The headers of the batches of a table.
fn headers(settings: BatchSettings, export: &str, run: &str, table: &str) -> Result<HeaderMap, DeliveryError> {
    let content_type = match settings.body_format {
        BodyFormat::Json => "application/json",
        BodyFormat::Ndjson => "application/x-ndjson",
    };
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if settings.compression == Compression::Gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    headers.insert(HeaderName::from_static("x-outflow-export"), header(export)?);
    headers.insert(HeaderName::from_static("x-outflow-run"), header(run)?);
    headers.insert(HeaderName::from_static("x-outflow-table"), header(&percent_encoded(table))?);
    Ok(headers)
}

/// Encodes the UTF-8 bytes of `%`, of white space and of everything that is not ASCII.
fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        if byte.is_ascii_graphic() && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

/// Compresses a body. Equal bodies have equal results.
async fn gzip(body: Bytes) -> Result<Bytes, DeliveryError> {
    let compress = move || {
        let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), flate2::Compression::default());
        encoder.write_all(&body)?;
        encoder.finish()
    };
    let failed = |error: &dyn std::fmt::Display| DeliveryError::with(FailureCode::Internal, "compression", error);
    match tokio::task::spawn_blocking(compress).await {
        Ok(Ok(compressed)) => Ok(compressed.into()),
        Ok(Err(error)) => Err(failed(&error)),
        Err(error) => Err(failed(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tables_fit_into_a_header() {
        assert_eq!(percent_encoded("orders_2026"), "orders_2026");
        assert_eq!(percent_encoded("100 % ä\r\n"), "100%20%25%20%C3%A4%0D%0A");
        assert!(header(&percent_encoded("\u{1f600}\u{0}")).is_ok());
    }
}
