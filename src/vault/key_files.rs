//! Generates and lists key files, for `outflow keys generate`, `outflow keys list` and the embedded default.
//!
//! No key file is overwritten, and concurrent processes find complete files only.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::TryRng;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

use crate::private_file;

use super::key_ring::{KEY_BYTES, KeyError, MAX_KEYS, choose_primary, is_key_id, list_files};

/// The highest number in a generated id. `k10000` would sort before `k9999`.
const MAX_GENERATED_NUMBER: u32 = 9999;

/// A key in a directory, as `outflow keys list` prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyListing {
    /// Its id, the name of its file.
    pub id: String,
    /// Whether it is the primary key, which seals; the others only open.
    pub primary: bool,
}

/// Writes a new random key into a directory and returns its id. Creates the directory (mode 0700) if it is missing.
///
/// Without `id` the id is the next of `k0001` to `k9999`. Such a key is primary at the next start, unless the setting
/// `primary_key` names another key or another id sorts after it. The file has mode 0600 and is synced to disk on return.
/// Fails with [`KeyError::DuplicateId`] if `id` is in use.
pub fn generate(directory: &Path, id: Option<&str>) -> Result<String, KeyError> {
    make_directory(directory)?;
    if let Some(id) = id {
        if !is_key_id(id) {
            return Err(KeyError::BadId(id.to_owned()));
        }
        return if write_key(directory, id)? { Ok(id.to_owned()) } else { Err(KeyError::DuplicateId(id.to_owned())) };
    }
    loop {
        let files = list_files(directory)?;
        let highest = files.keys().filter_map(|id| generated_number(id)).max().unwrap_or(0);
        if files.len() >= MAX_KEYS || highest >= MAX_GENERATED_NUMBER {
            return Err(KeyError::TooMany);
        }
        let id = format!("k{:04}", highest + 1);
        // If another process took the number in the meantime, try the next one.
        if write_key(directory, &id)? {
            return Ok(id);
        }
    }
}

/// Writes the first key of a directory and returns its id. Returns `None` if the directory already has a key.
///
/// Of several concurrent processes exactly one writes a key; the others use it.
pub fn generate_first(directory: &Path) -> Result<Option<String>, KeyError> {
    make_directory(directory)?;
    if !list_files(directory)?.is_empty() {
        return Ok(None);
    }
    let id = "k0001";
    Ok(write_key(directory, id)?.then(|| id.to_owned()))
}

/// Lists the keys of a directory by id, without opening their files. `primary` is the setting `primary_key`.
pub fn list(directory: &Path, primary: Option<&str>) -> Result<Vec<KeyListing>, KeyError> {
    let files = list_files(directory)?;
    let primary = choose_primary(files.keys().map(String::as_str), primary, &directory.display().to_string())?;
    Ok(files.into_keys().map(|id| KeyListing { primary: id == primary, id }).collect())
}

fn generated_number(id: &str) -> Option<u32> {
    id.strip_prefix('k').filter(|digits| digits.len() == 4)?.parse().ok()
}

fn make_directory(directory: &Path) -> Result<(), KeyError> {
    private_file::make_directory(directory).map_err(|cause| KeyError::Io { path: directory.to_owned(), cause })
}

/// Writes a new random key. Returns `false` if the id is in use.
fn write_key(directory: &Path, id: &str) -> Result<bool, KeyError> {
    let mut key = Zeroizing::new([0_u8; KEY_BYTES]);
    SysRng.try_fill_bytes(key.as_mut_slice()).map_err(|_| KeyError::Random)?;
    let mut text = Zeroizing::new(STANDARD.encode(key.as_slice()));
    text.push('\n');
    let path = directory.join(id);
    private_file::write_new(&path, text.as_bytes()).map_err(|cause| KeyError::Io { path, cause })
}
