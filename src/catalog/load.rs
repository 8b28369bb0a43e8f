//! Loads the files of the catalog: the embedded ones first, then those of the operator.
//!
//! A duplicate type id is an error. If a file could replace the type of another, existing connections would silently change
//! their meaning.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::{CatalogError, SpannedError};
use super::file::read_type;
use super::spec::ConnectionType;

/// The largest file, in bytes; far above the size of any real type.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

const EMBEDDED: [(&str, &str); 9] = [
    ("embedded:azure_blob.toml", include_str!("types/azure_blob.toml")),
    ("embedded:dynamics_365_marketing.toml", include_str!("types/dynamics_365_marketing.toml")),
    ("embedded:gcs.toml", include_str!("types/gcs.toml")),
    ("embedded:kafka.toml", include_str!("types/kafka.toml")),
    ("embedded:local_directory.toml", include_str!("types/local_directory.toml")),
    ("embedded:postgresql.toml", include_str!("types/postgresql.toml")),
    ("embedded:s3.toml", include_str!("types/s3.toml")),
    ("embedded:sftp.toml", include_str!("types/sftp.toml")),
    ("embedded:webhook.toml", include_str!("types/webhook.toml")),
];

/// The types read so far, and the file of each.
type Types = BTreeMap<String, (ConnectionType, String)>;

pub(super) fn load(extra_dir: Option<&Path>) -> Result<BTreeMap<String, ConnectionType>, CatalogError> {
    let mut types = Types::new();
    for (file, text) in EMBEDDED {
        add(&mut types, file, text.as_bytes())?;
    }
    for path in extra_dir.map(toml_files).transpose()?.unwrap_or_default() {
        let bytes = read_file(&path).map_err(|source| CatalogError::Unreadable { path: path.clone(), source })?;
        add(&mut types, &path.display().to_string(), &bytes)?;
    }
    Ok(types.into_iter().map(|(id, (connection_type, _))| (id, connection_type)).collect())
}

fn add(types: &mut Types, file: &str, bytes: &[u8]) -> Result<(), CatalogError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        SpannedError { offset: error.valid_up_to(), reason: "the file is not UTF-8".to_owned() }.in_file(file, bytes)
    })?;
    let (id, connection_type) = read_type(text).map_err(|error| error.in_file(file, bytes))?;
    match types.entry(id.get_ref().clone()) {
        Entry::Vacant(entry) => {
            entry.insert((connection_type, file.to_owned()));
            Ok(())
        }
        Entry::Occupied(entry) => {
            let (_, first) = entry.get();
            let reason = format!("connection type {} is already defined in {first}", id.get_ref());
            Err(SpannedError::new(&id, reason).in_file(file, bytes))
        }
    }
}

fn toml_files(directory: &Path) -> Result<Vec<PathBuf>, CatalogError> {
    let unreadable = |source| CatalogError::Unreadable { path: directory.to_owned(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.len() > MAX_FILE_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the file is larger than 1 MiB"));
    }
    fs::read(path)
}
