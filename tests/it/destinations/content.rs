//! Deliveries with content that a test makes up.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use chrono::DateTime;
use outflow::delivery::destinations::{Delivery, Destination, Opened, StateLog, Target, Writer};
use outflow::delivery::{Chunk, DeliveryError, FileSummary, Manifest, OutputFile};
use outflow::model::{CredentialSecret, OrganizationId, ResourceId};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// Number of bytes of a chunk.
const CHUNK_BYTES: usize = 100_000;

/// The files of a delivery, and the path of its manifest.
#[derive(Clone)]
pub struct Content {
    /// Path and bytes of each file.
    pub files: Vec<(String, Bytes)>,
    /// Path of the manifest.
    pub manifest_path: String,
}

impl Content {
    /// One file of random bytes.
    pub fn single(path: &str, bytes: usize, seed: u64) -> Self {
        let files = vec![(path.to_owned(), random(bytes, seed))];
        Self { files, manifest_path: format!("{path}.manifest.json") }
    }

    /// Several files of random bytes, in the folder of a run.
    pub fn several(run: Uuid, bytes: usize, seed: u64) -> Self {
        let folder = format!("weekly/20261124T060000Z-{run}");
        let file = |(index, name): (usize, &str)| (format!("{folder}/{name}"), random(bytes, seed + index as u64));
        let names = ["customers/part-00000.csv", "customers/part-00001.csv", "orders/part-00000.csv"];
        let files = names.into_iter().enumerate().map(file).collect();
        Self { files, manifest_path: format!("{folder}/_SUCCESS.json") }
    }

    /// The same content in another folder.
    fn moved(self, folder: &str) -> Self {
        let moved = |path: &str| format!("{folder}/{path}");
        let files = self.files.into_iter().map(|(path, bytes)| (moved(&path), bytes)).collect();
        Self { files, manifest_path: moved(&self.manifest_path) }
    }

    /// The attempt of a run that delivers it.
    pub fn delivery(&self, run: Uuid, attempt: u32) -> Delivery {
        Delivery {
            fingerprint: Some("files".to_owned()),
            run,
            attempt,
            export: ResourceId::parse("weekly").expect("an id"),
            time: DateTime::UNIX_EPOCH,
            manifest_path: self.manifest_path.clone(),
            saved_state: None,
            state_log: Arc::new(NoStateLog),
        }
    }

    /// The manifest of a run that delivered it.
    pub fn manifest(&self, run: Uuid) -> Manifest {
        let files: Vec<FileSummary> = self.files.iter().map(|(path, bytes)| summary(path, bytes)).collect();
        let bytes = files.iter().map(|file| file.bytes).sum();
        Manifest {
            run: format!("organizations/acme/exports/weekly/runs/{run}"),
            export: "organizations/acme/exports/weekly".to_owned(),
            time: "2026-11-24T06:00:00Z".to_owned(),
            format: "csv".to_owned(),
            formula_guard: false,
            files,
            fields: Vec::new(),
            rows: 1,
            bytes,
        }
    }

    /// Writes all files, and does not commit them.
    pub async fn write(&self, writer: &mut dyn Writer) -> Result<(), DeliveryError> {
        for (path, bytes) in &self.files {
            let file = OutputFile { path: path.clone(), table: "t".to_owned(), fields: vec!["f".to_owned()] };
            writer.start_file(&file).await?;
            for start in (0..bytes.len()).step_by(CHUNK_BYTES) {
                let bytes = bytes.slice(start..bytes.len().min(start + CHUNK_BYTES));
                writer.write(Chunk { bytes, rows: 1 }).await?;
            }
            writer.finish_file(&summary(path, bytes)).await?;
        }
        Ok(())
    }

    /// Carries out an attempt: writes and commits, and aborts after a failure. Returns whether it wrote something.
    pub async fn deliver(&self, destination: &dyn Destination, run: Uuid, attempt: u32) -> Result<bool, DeliveryError> {
        let mut writer = match destination.open(&self.delivery(run, attempt)).await? {
            Opened::Writer(writer) => writer,
            Opened::AlreadyDelivered(manifest) => {
                assert_eq!(manifest.as_deref(), Some(&self.manifest(run)));
                return Ok(false);
            }
        };
        let written = async {
            self.write(writer.as_mut()).await?;
            writer.commit(&self.manifest(run)).await
        };
        let result = written.await;
        if result.is_err() {
            writer.abort().await;
        }
        result.map(|()| true)
    }

    /// Fails unless a directory holds exactly these files and their manifest.
    pub fn assert_delivered(&self, directory: &Path, run: Uuid) {
        let mut found = read_files(directory);
        let manifest = found.remove(&self.manifest_path).expect("a manifest");
        assert_eq!(serde_json::from_slice::<Manifest>(&manifest).expect("a manifest"), self.manifest(run));
        let expected: BTreeMap<String, Vec<u8>> =
            self.files.iter().map(|(path, bytes)| (path.clone(), bytes.to_vec())).collect();
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        assert!(found == expected, "the content of a file differs");
    }
}

/// All files below a directory, by their paths relative to it.
pub fn read_files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![directory.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(directory).expect("a file below it").to_str().expect("UTF-8").to_owned();
                found.insert(name, std::fs::read(path).expect("a file"));
            }
        }
    }
    found
}

/// A target in the organization `acme`.
pub fn target(properties: &Value, settings: &Value, credential: Option<CredentialSecret>) -> Target {
    let object = |value: &Value| value.as_object().expect("an object").clone();
    Target {
        organization: OrganizationId::parse("acme").expect("an id"),
        properties: object(properties),
        credential,
        settings: object(settings),
    }
}

/// Settings of an export that writes to a folder.
pub fn folder(folder: &str) -> Value {
    json!({ "folder": folder })
}

/// A writer; fails if an earlier attempt delivered the result.
pub async fn writer(destination: &dyn Destination, delivery: &Delivery) -> Box<dyn Writer> {
    match destination.open(delivery).await {
        Ok(Opened::Writer(writer)) => writer,
        Ok(Opened::AlreadyDelivered(_)) => panic!("the result is delivered already"),
        Err(error) => panic!("{error}"),
    }
}

fn random(bytes: usize, seed: u64) -> Bytes {
    let mut content = vec![0; bytes];
    StdRng::seed_from_u64(seed).fill_bytes(&mut content);
    content.into()
}

fn summary(path: &str, bytes: &Bytes) -> FileSummary {
    let digest = Sha256::digest(bytes);
    let sha256 = digest.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    FileSummary { path: path.to_owned(), table: "t".to_owned(), rows: 1, bytes: bytes.len() as u64, sha256 }
}

/// Fails unless `later`, a destination without settings of an export, removes what lost attempts left, and keeps a result.
pub async fn assert_remains_are_removed(destination: &dyn Destination, later: &dyn Destination, directory: &Path) {
    let run = Uuid::now_v7();
    for content in [Content::single("customers.csv", 1_000, 1), Content::several(run, 1_000, 2)] {
        let saved = Arc::new(Saved::default());
        let delivery = Delivery { state_log: Arc::clone(&saved) as Arc<dyn StateLog>, ..content.delivery(run, 3) };
        // It ends without an abort, as that of a process that was killed.
        content.write(writer(destination, &delivery).await.as_mut()).await.expect("written");
        let state = saved.0.lock().clone().expect("saved before the first byte");
        assert!(!read_files(directory).is_empty());
        later.remove_staged(&state).await.expect("removed");
        assert_eq!(read_files(directory).keys().collect::<Vec<_>>(), Vec::<&String>::new());
        later.remove_staged(&state).await.expect("nothing to remove");
        assert!(content.deliver(destination, run, 4).await.expect("delivered"));
        later.remove_staged(&state).await.expect("the result stays");
        content.assert_delivered(directory, run);
        std::fs::remove_dir_all(directory).expect("removed");
    }
}

/// Fails unless an attempt after an edit of the export, by which its files have other names, recognizes a result of an
/// earlier attempt, or removes what that one left.
pub async fn assert_edits_are_noticed(destination: &dyn Destination, directory: &Path) {
    for is_single in [true, false] {
        let run = Uuid::now_v7();
        let [before, after] = ["before", "after"].map(|name| {
            let content = Content::several(run, 1_000, 1);
            if is_single { Content::single(&format!("{name}-{run}.csv"), 1_000, 1) } else { content.moved(name) }
        });
        let saved = Arc::new(Saved::default());
        let delivery = |content: &Content, attempt| Delivery {
            saved_state: saved.0.lock().clone(),
            state_log: Arc::clone(&saved) as Arc<dyn StateLog>,
            ..content.delivery(run, attempt)
        };
        // It ends without an abort, as that of a process that was killed.
        before.write(writer(destination, &delivery(&before, 1)).await.as_mut()).await.expect("written");
        let mut next = writer(destination, &delivery(&after, 2)).await;
        after.write(next.as_mut()).await.expect("written");
        next.commit(&after.manifest(run)).await.expect("committed");
        after.assert_delivered(directory, run);
        match destination.open(&delivery(&before, 3)).await.expect("opened") {
            Opened::AlreadyDelivered(manifest) => assert_eq!(manifest.as_deref(), Some(&after.manifest(run))),
            Opened::Writer(_) => panic!("the result is not recognized"),
        }
        after.assert_delivered(directory, run);

        // As if the process had been killed before its manifest was visible.
        std::fs::remove_file(directory.join(&after.manifest_path)).expect("removed");
        let mut last = writer(destination, &delivery(&before, 4)).await;
        before.write(last.as_mut()).await.expect("written");
        last.commit(&before.manifest(run)).await.expect("committed");
        before.assert_delivered(directory, run);
        std::fs::remove_dir_all(directory).expect("removed");
    }
}

/// Keeps what an attempt saves.
#[derive(Default)]
struct Saved(Mutex<Option<String>>);

#[async_trait::async_trait]
impl StateLog for Saved {
    async fn save(&self, state: &str) -> Result<(), DeliveryError> {
        *self.0.lock() = Some(state.to_owned());
        Ok(())
    }
}

struct NoStateLog;

#[async_trait::async_trait]
impl StateLog for NoStateLog {
    async fn save(&self, _: &str) -> Result<(), DeliveryError> {
        Ok(())
    }
}
