//! What the replicas of a test share: a database, a key, datasets and an outbox.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use outflow::delivery::datasets::write_sample;
use outflow::delivery::{FileSummary, Manifest};
use outflow::grpc::proto as pb;
use pb::payload_field::Transform;
use prost_types::value::Kind;
use sha2::{Digest as _, Sha256};

use crate::support::{Backend, Client, Process, TestServer, new_database, object, outflow, parent, text};

/// A database, a key, datasets with the sample, and an outbox below which local directories lie.
pub struct Shared {
    /// The outbox of the organization.
    pub outbox: PathBuf,
    /// The datasets of the organization.
    pub datasets: PathBuf,
    backend: Backend,
    settings: Vec<(&'static str, String)>,
    root: tempfile::TempDir,
}

impl Shared {
    /// Creates them. The settings apply to every replica. On SQLite each replica has a database of its own.
    pub async fn new(backend: Backend, settings: &[(&'static str, &str)]) -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let path = |name: &str| root.path().join(name).to_str().expect("a path").to_owned();
        for folder in ["outbox", "datasets"] {
            std::fs::create_dir(root.path().join(folder)).expect("created");
        }
        write_sample(&root.path().join("datasets/acme")).expect("a sample");
        let mut all = vec![
            ("runs", "on".to_owned()),
            ("run_retry_delay", "10ms".to_owned()),
            ("local_directory_root", path("outbox")),
            ("dataset_location", path("datasets")),
        ];
        if backend == Backend::Postgres {
            outflow::vault::generate_first(&root.path().join("keys")).expect("a key");
            let url = tokio::task::spawn_blocking(new_database).await.expect("a database");
            all.extend([("database_url", url), ("key_dir", path("keys"))]);
        }
        let (outbox, datasets) = (root.path().join("outbox/acme"), root.path().join("datasets/acme"));
        let mut shared = Self { outbox, datasets, backend, settings: all, root };
        shared.settings = shared.with(settings);
        shared
    }

    /// Adds a table `name` with the fields `id`, `email` and `segment`.
    pub fn add_table(&self, name: &str, rows: usize) {
        let mut csv = String::from("id,email,segment\n");
        for row in 0..rows {
            writeln!(csv, "{row},customer-{row}@example.com,segment-{}", row % 97).expect("a row");
        }
        std::fs::write(self.datasets.join(name).with_extension("csv"), csv).expect("written");
    }

    /// Starts a replica in this process, with these settings over the common ones.
    pub async fn server(&self, settings: &[(&'static str, &str)]) -> TestServer {
        TestServer::start_with(self.backend, self.with(settings)).await
    }

    /// Starts a replica in a process of its own, with these settings over the common ones.
    pub async fn process(&self, settings: &[(&'static str, &str)]) -> Process {
        let directory = tempfile::tempdir_in(self.root.path()).expect("a directory").keep();
        let mut command = outflow(&directory);
        for (key, value) in self.with(settings) {
            command.env(format!("OUTFLOW_{}", key.to_uppercase()), value);
        }
        tokio::task::spawn_blocking(move || Process::start(&mut command)).await.expect("it starts")
    }

    fn with(&self, settings: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
        let mut all = self.settings.clone();
        for (key, value) in settings {
            all.retain(|(known, _)| known != key);
            all.push((*key, (*value).to_owned()));
        }
        all
    }

    /// The files below the outbox, by path.
    pub fn files(&self) -> Vec<String> {
        files_below(&self.outbox)
    }

    /// The manifest in a file below the outbox.
    pub fn manifest(&self, path: &str) -> Manifest {
        read_manifest(&self.outbox.join(path))
    }

    /// The decompressed text of a file that has the summary that its manifest states.
    pub fn text(&self, folder: &str, summary: &FileSummary) -> String {
        read_text(&self.outbox.join(folder), summary)
    }
}

/// The files below a folder, by path.
pub fn files_below(root: &Path) -> Vec<String> {
    let (mut found, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let below = path.strip_prefix(root).expect("below");
                found.push(below.to_str().expect("a path").to_owned());
            }
        }
    }
    found.sort();
    found
}

/// A result that was delivered.
pub struct Delivered {
    /// Its manifest.
    pub manifest: Manifest,
    /// The texts of its files, one after another.
    pub text: String,
}

/// The results below a folder. Panics if a file differs from its manifest, or if there is anything else.
pub fn results_below(root: &Path) -> Vec<Delivered> {
    let mut others: BTreeSet<_> = files_below(root).into_iter().collect();
    let is_manifest = |path: &&String| path.ends_with(".manifest.json") || path.ends_with("/_SUCCESS.json");
    let manifests: Vec<_> = others.iter().filter(is_manifest).cloned().collect();
    let mut results = Vec::new();
    for path in manifests {
        let manifest = read_manifest(&root.join(&path));
        // The manifest of several files lies in the folder of the run, and that in the folder named after the export.
        let levels = if path.ends_with("/_SUCCESS.json") { 3 } else { 1 };
        let folder = Path::new(&path).ancestors().nth(levels).expect("a folder");
        let mut text = String::new();
        for file in &manifest.files {
            let known = folder.join(&file.path);
            assert!(others.remove(known.to_str().expect("a path")), "{} of {path} does not exist", file.path);
            text += &read_text(&root.join(folder), file);
        }
        others.remove(&path);
        results.push(Delivered { manifest, text });
    }
    assert!(others.is_empty(), "files that no manifest describes: {others:?}");
    results
}

fn read_manifest(path: &Path) -> Manifest {
    serde_json::from_slice(&std::fs::read(path).expect("a manifest")).expect("valid")
}

fn read_text(folder: &Path, summary: &FileSummary) -> String {
    let bytes = std::fs::read(folder.join(&summary.path)).expect("a file");
    assert_eq!(bytes.len() as u64, summary.bytes);
    let digest = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    assert_eq!(digest, summary.sha256);
    let text = if Path::new(&summary.path).extension().is_some_and(|extension| extension == "zst") {
        zstd::decode_all(&*bytes).expect("zstd")
    } else {
        bytes
    };
    String::from_utf8(text).expect("UTF-8")
}

/// A field of a payload.
pub fn field(field: &str, transform: Transform) -> pb::PayloadField {
    pb::PayloadField { field: field.to_owned(), transform: transform.into(), ..pb::PayloadField::default() }
}

/// An export of fields of a table to a folder.
pub fn export_of(connection: &str, table: &str, fields: Vec<pb::PayloadField>, folder: &str) -> pb::Export {
    let table = pb::PayloadTable { table: table.to_owned(), fields, filters: Vec::new() };
    pb::Export {
        display_name: format!("{} to {folder}", table.table),
        connection: connection.to_owned(),
        payload: Some(pb::Payload { tables: vec![table] }),
        destination_settings: Some(object([("folder", text(folder))])),
        ..pb::Export::default()
    }
}

/// The same export with a new file after that many rows.
pub fn in_files_of(rows: usize, mut export: pb::Export) -> pb::Export {
    let settings = export.destination_settings.get_or_insert_default();
    let rows = f64::from(u32::try_from(rows).expect("a number"));
    settings.fields.insert("max_rows_per_file".to_owned(), Kind::NumberValue(rows).into());
    export
}

impl Client {
    /// Creates an export, and returns its name.
    pub async fn create(&mut self, export: pb::Export) -> String {
        let request = pb::CreateExportRequest { parent: parent(), export: Some(export), ..Default::default() };
        self.exports.create_export(request).await.expect("created").into_inner().export.expect("answered").name
    }
}
