//! Results that are files, and all destinations of them.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use outflow::delivery::Manifest;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::buckets::BucketSide;
use super::content::{Expected, MAX_ROWS_PER_FILE, Shape};
use super::directories::DirectorySide;
use super::far_side::FarSide;
use crate::destinations::objects::azurite::Azurite;
use crate::destinations::objects::gcs_server::GcsServer;
use crate::destinations::objects::versitygw::Versitygw;

/// Reads files of the far side without the code that is tested.
#[async_trait]
pub trait Files: Sync {
    /// The content of a file in a folder; `None` if it does not exist.
    async fn read(&self, folder: &str, path: &str) -> Option<Bytes>;

    /// The paths of all files in a folder and the folders in it.
    async fn list(&self, folder: &str) -> Vec<String>;
}

/// A destination of files.
pub trait FileSide: FarSide + Files {}

impl<S: FarSide + Files> FileSide for S {}

/// All destinations of files. Those on this machine are below a root.
pub async fn file_sides(root: &Path) -> Vec<Arc<dyn FileSide>> {
    let (s3, azure, gcs) = tokio::join!(Versitygw::start(), Azurite::start(), GcsServer::start());
    let (s3_tls, azure_tls, gcs_tls) = (s3.tls.certificate(), azure.tls.certificate(), gcs.tls.certificate());
    vec![
        Arc::new(DirectorySide::local(root)),
        Arc::new(DirectorySide::sftp(None).await),
        Arc::new(BucketSide::start(s3, "s3", &s3_tls).await),
        Arc::new(BucketSide::start(azure, "azure_blob", &azure_tls).await),
        Arc::new(BucketSide::start(gcs, "gcs", &gcs_tls).await),
    ]
}

/// The settings of an export whose files have known bytes.
pub fn settings(shape: Shape, folder: &str) -> Value {
    let mut settings = json!({"folder": folder, "file_format": "csv", "compression": "none"});
    match shape {
        Shape::One => settings["file_name_template"] = json!("{export}"),
        Shape::Several => settings["max_rows_per_file"] = json!(MAX_ROWS_PER_FILE),
    }
    settings
}

/// Reads the manifest, then the files. Panics if one is visible that is not complete, or if the manifest is, and not all that it
/// names. Returns whether the manifest is visible.
pub async fn observe(files: &dyn Files, folder: &str, expected: &Expected) -> bool {
    let manifest = match files.read(folder, &expected.manifest_path).await {
        Some(text) => {
            let manifest: Manifest = serde_json::from_slice(&text).expect("a complete manifest");
            Some(manifest).filter(|manifest| manifest.run == expected.run)
        }
        None => None,
    };
    for (path, whole) in &expected.files {
        let found = files.read(folder, path).await;
        let earlier = expected.earlier.get(path);
        match &found {
            Some(found) if manifest.is_some() => assert!(found == whole, "{path} is not what the manifest describes"),
            Some(found) => {
                assert!(found == whole || Some(found) == earlier, "{path} is not whole: {} bytes", found.len());
            }
            None => assert!(manifest.is_none() && earlier.is_none(), "{path} is missing"),
        }
    }
    if let Some(manifest) = &manifest {
        assert_manifest(manifest, expected);
    }
    manifest.is_some()
}

/// Panics unless the files and the manifest of the run are there, and nothing else of it.
pub async fn assert_delivered(files: &dyn Files, folder: &str, expected: &Expected) {
    assert!(observe(files, folder, expected).await, "the manifest is missing");
    let found = files.list(folder).await;
    let staged: Vec<_> = found.iter().filter(|path| path.contains(".part-")).collect();
    assert!(staged.is_empty(), "{staged:?} remain");
    // Other runs have folders of their own.
    let of_run = |path: &&String| expected.manifest_path.ends_with(".manifest.json") || path.contains(expected.uid());
    let mut of_run: Vec<_> = found.iter().filter(of_run).collect();
    of_run.sort();
    let mut names: Vec<_> = expected.files.keys().chain([&expected.manifest_path]).collect();
    names.sort();
    assert_eq!(of_run, names);
}

fn assert_manifest(manifest: &Manifest, expected: &Expected) {
    let described: Vec<_> =
        manifest.files.iter().map(|file| (file.path.clone(), file.bytes, file.sha256.clone())).collect();
    let mut whole: Vec<_> = expected.files.iter().map(|(path, content)| (path, content.len() as u64)).collect();
    whole.sort();
    let mut found: Vec<_> = described.iter().map(|(path, bytes, _)| (path, *bytes)).collect();
    found.sort();
    assert_eq!(found, whole);
    for (path, _, sha256) in &described {
        let digest = Sha256::digest(&expected.files[path]);
        let digest = digest.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        assert_eq!(*sha256, digest, "{path}");
    }
    assert_eq!(i64::try_from(manifest.rows), Ok(expected.count()));
}
