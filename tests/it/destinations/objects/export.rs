//! Exports by hand: what the engine and the runner do around a destination.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use chrono::DateTime;
use outflow::delivery::destinations::{Delivery, Destination, Opened, StateLog, Writer};
use outflow::delivery::{Chunk, DeliveryError, FileSummary, Manifest, OutputFile};
use outflow::model::ResourceId;
use parking_lot::Mutex;
use uuid::Uuid;

/// Size of chunks that is no divisor of the size of parts.
const CHUNK_BYTES: usize = 1_000_003;

/// The output of one run.
#[derive(Clone)]
pub struct Export {
    pub run: Uuid,
    /// Paths and contents.
    pub files: Vec<(String, Bytes)>,
    pub manifest_path: String,
}

/// The saved state of a run.
#[derive(Default)]
pub struct Log(Mutex<Option<String>>);

#[async_trait::async_trait]
impl StateLog for Log {
    async fn save(&self, state: &str) -> Result<(), DeliveryError> {
        *self.0.lock() = Some(state.to_owned());
        Ok(())
    }
}

impl Log {
    /// What was saved last.
    pub fn saved(&self) -> Option<String> {
        self.0.lock().clone()
    }
}

impl Export {
    /// A run with one file of that size.
    pub fn single(path: &str, bytes: usize) -> Self {
        let files = vec![(path.to_owned(), noise(bytes))];
        Self { run: Uuid::now_v7(), files, manifest_path: format!("{path}.manifest.json") }
    }

    /// A run with several files of these sizes.
    pub fn several(sizes: &[usize]) -> Self {
        let run = Uuid::now_v7();
        let folder = format!("weekly/20261124T060000Z-{run}");
        let path = |index| format!("{folder}/customers/part-{index:05}.csv");
        let files = sizes.iter().enumerate().map(|(index, bytes)| (path(index), noise(*bytes)));
        Self { run, files: files.collect(), manifest_path: format!("{folder}/_SUCCESS.json") }
    }

    /// The same run after its export was edited: other paths.
    pub fn moved(&self) -> Self {
        let moved = |path: &str| format!("moved/{path}");
        let files = self.files.iter().map(|(path, content)| (moved(path), content.clone())).collect();
        Self { run: self.run, files, manifest_path: moved(&self.manifest_path) }
    }

    /// An attempt to deliver it. The log is that of the run, and what it holds is what earlier attempts saved.
    pub fn attempt(&self, attempt: u32, log: &Arc<Log>) -> Delivery {
        Delivery {
            run: self.run,
            attempt,
            export: ResourceId::parse("weekly").expect("an id"),
            time: DateTime::UNIX_EPOCH,
            manifest_path: self.manifest_path.clone(),
            fingerprint: Some("files".to_owned()),
            saved_state: log.saved(),
            state_log: Arc::<Log>::clone(log),
        }
    }

    /// What the manifest must say.
    pub fn manifest(&self) -> Manifest {
        let files: Vec<_> = self.files.iter().map(|(path, content)| summary(path, content)).collect();
        Manifest {
            run: format!("organizations/acme/exports/weekly/runs/{}", self.run),
            export: "organizations/acme/exports/weekly".to_owned(),
            time: "2026-11-24T06:00:00Z".to_owned(),
            format: "csv".to_owned(),
            formula_guard: false,
            fields: Vec::new(),
            rows: files.iter().map(|file| file.rows).sum(),
            bytes: files.iter().map(|file| file.bytes).sum(),
            files,
        }
    }

    /// Writes all files, still invisible.
    pub async fn write(&self, writer: &mut dyn Writer) -> Result<(), DeliveryError> {
        for (path, content) in &self.files {
            writer.start_file(&file(path)).await?;
            for start in (0..content.len()).step_by(CHUNK_BYTES) {
                let end = content.len().min(start + CHUNK_BYTES);
                writer.write(Chunk { bytes: content.slice(start..end), rows: 1 }).await?;
            }
            writer.finish_file(&summary(path, content)).await?;
        }
        Ok(())
    }

    /// Delivers it as a runner does. A failed attempt is given up as a lost one is, without an abort.
    pub async fn deliver(&self, to: &dyn Destination, delivery: &Delivery) -> Result<(), DeliveryError> {
        match to.open(delivery).await? {
            Opened::AlreadyDelivered(manifest) => assert_eq!(manifest.as_deref(), Some(&self.manifest())),
            Opened::Writer(mut writer) => {
                self.write(writer.as_mut()).await?;
                writer.commit(&self.manifest()).await?;
            }
        }
        Ok(())
    }
}

/// The writer of an attempt that has something to write.
pub async fn open(to: &dyn Destination, delivery: &Delivery) -> Box<dyn Writer> {
    match to.open(delivery).await.expect("opened") {
        Opened::Writer(writer) => writer,
        Opened::AlreadyDelivered(_) => panic!("delivered already"),
    }
}

/// A file of the output.
pub fn file(path: &str) -> OutputFile {
    OutputFile { path: path.to_owned(), table: "customers".to_owned(), fields: vec!["id".to_owned()] }
}

fn summary(path: &str, content: &Bytes) -> FileSummary {
    let sha256 = sha256(content);
    let rows = content.len().div_ceil(CHUNK_BYTES) as u64;
    FileSummary { path: path.to_owned(), table: "customers".to_owned(), rows, bytes: content.len() as u64, sha256 }
}

fn noise(bytes: usize) -> Bytes {
    let mut noise = vec![0; bytes];
    aws_lc_rs::rand::fill(&mut noise).expect("random bytes");
    noise.into()
}

/// The digest of content, in hexadecimal digits.
pub fn sha256(content: &[u8]) -> String {
    digest(&SHA256, content).as_ref().iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}
