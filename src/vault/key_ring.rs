//! The key-encryption keys: one primary that seals, any number of others that only open.
//!
//! Keys come from files (a mounted secret) or, in development, from a setting; never from the database.
//!
//! **Which key is primary:** the one that the setting `primary_key` names; without that setting the one whose id sorts
//! last in byte order (so the only one, if there is one). Generated ids, `k0001` and on, sort by age. To bring a new key
//! to many replicas, name the old one as primary until all of them have both.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::model::Secret;

/// The length of a key in bytes.
pub const KEY_BYTES: usize = 32;

/// The most keys in a ring.
pub const MAX_KEYS: usize = 64;

/// The longest key id in bytes.
pub const MAX_KEY_ID_BYTES: usize = 64;

/// The largest key file in bytes: 44 of base64 and some white space.
const MAX_KEY_FILE_BYTES: u64 = 1024;

/// Why there is no usable key ring. It names ids and paths, never a byte of a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The directory does not exist.
    #[error("key directory {} does not exist; make a key with `outflow keys generate`", .0.display())]
    MissingDirectory(PathBuf),
    /// There is no key where keys should be.
    #[error("no key in {0}; make one with `outflow keys generate`")]
    Empty(String),
    /// Something could not be read or written.
    #[error("{}: {cause}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A name that cannot be a key id.
    #[error("{0} has no good key id: 1 to {MAX_KEY_ID_BYTES} of A-Z a-z 0-9 . _ : - and the first a letter or digit")]
    BadId(String),
    /// The content is not base64.
    #[error("key {id} in {source_name} is not base64 (malformed or truncated)")]
    Malformed {
        /// The key's id, or its place in a setting.
        id: String,
        /// The path of its file, or the setting.
        source_name: String,
    },
    /// The content is base64 of another number of bytes.
    #[error("key {id} in {source_name} has {length} bytes and not {KEY_BYTES} (truncated?)")]
    WrongLength {
        /// The key's id, or its place in a setting.
        id: String,
        /// The path of its file, or the setting.
        source_name: String,
        /// How many bytes it has.
        length: usize,
    },
    /// One id stands for two keys.
    #[error("key {0} is given twice")]
    DuplicateId(String),
    /// Two ids stand for one key: retiring one of them would retire nothing.
    #[error("keys {first} and {second} are the same key")]
    SameKey {
        /// The id that sorts first.
        first: String,
        /// The other id.
        second: String,
    },
    /// The setting names more than one key, or none that is there.
    #[error("primary key {wanted:?} must be one of the keys, which are {}", known.join(", "))]
    UnknownPrimary {
        /// What the setting says.
        wanted: String,
        /// The ids that are there.
        known: Vec<String>,
    },
    /// More than [`MAX_KEYS`], or no generated id left.
    #[error("more than {MAX_KEYS} keys")]
    TooMany,
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    Random,
}

/// The keys that seal and open data keys. It has no `Debug`, and its keys are wiped when it is dropped.
pub struct KeyRing {
    keys: BTreeMap<String, Zeroizing<Vec<u8>>>,
    primary: String,
}

impl KeyRing {
    /// Reads a directory: one key a file, the file's name its id, its content 32 bytes in base64.
    ///
    /// Names that start with a dot are skipped (`..data` and its like of a Kubernetes mount), and so are directories;
    /// links are followed. `primary` is the setting described above.
    pub fn from_directory(directory: &Path, primary: Option<&str>) -> Result<Self, KeyError> {
        let mut keys = BTreeMap::new();
        for (id, path) in list_files(directory)? {
            let source_name = path.display().to_string();
            let text = read_limited(&path).map_err(|cause| KeyError::Io { path, cause })?;
            keys.insert(id.clone(), decode(&text, id, source_name)?);
        }
        Self::new(keys, primary, &directory.display().to_string())
    }

    /// Reads a setting, meant for development: `id=base64` pairs between commas.
    ///
    /// `source_name` is the setting's name, for errors.
    pub fn from_setting(setting: &Secret, primary: Option<&str>, source_name: &str) -> Result<Self, KeyError> {
        let mut keys = BTreeMap::new();
        let pairs = setting.expose().split(',').map(str::trim).filter(|pair| !pair.is_empty());
        for (index, pair) in pairs.enumerate() {
            // Until a key was decoded its id is not shown: of a key without an id the id would be a part of the key.
            let position = format!("number {}", index + 1);
            let (id, text) = pair.split_once('=').unwrap_or_default();
            let key = decode(text.as_bytes(), position.clone(), source_name.to_owned())?;
            if !is_key_id(id) {
                return Err(KeyError::BadId(format!("{source_name} {position}")));
            }
            if keys.insert(id.to_owned(), key).is_some() {
                return Err(KeyError::DuplicateId(id.to_owned()));
            }
        }
        Self::new(keys, primary, source_name)
    }

    /// The id of the key that seals.
    pub fn primary(&self) -> &str {
        &self.primary
    }

    /// The ids of all keys, in byte order.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().map(String::as_str)
    }

    /// A key's bytes, always [`KEY_BYTES`] of them.
    pub(super) fn get(&self, id: &str) -> Option<&[u8]> {
        self.keys.get(id).map(|key| key.as_slice())
    }

    fn new(
        keys: BTreeMap<String, Zeroizing<Vec<u8>>>,
        primary: Option<&str>,
        source_name: &str,
    ) -> Result<Self, KeyError> {
        if keys.len() > MAX_KEYS {
            return Err(KeyError::TooMany);
        }
        for (first, key) in &keys {
            let twin = keys.iter().find(|(second, other)| *second > first && other.as_slice() == key.as_slice());
            if let Some((second, _)) = twin {
                return Err(KeyError::SameKey { first: first.clone(), second: second.clone() });
            }
        }
        let primary = choose_primary(keys.keys().map(String::as_str), primary, source_name)?;
        Ok(Self { keys, primary })
    }
}

/// The rule of the file's head, for ids in byte order.
pub(super) fn choose_primary<'a>(
    ids: impl Iterator<Item = &'a str> + Clone,
    wanted: Option<&str>,
    source_name: &str,
) -> Result<String, KeyError> {
    let last = ids.clone().last().ok_or_else(|| KeyError::Empty(source_name.to_owned()))?;
    let Some(wanted) = wanted else { return Ok(last.to_owned()) };
    if ids.clone().any(|id| id == wanted) {
        return Ok(wanted.to_owned());
    }
    Err(KeyError::UnknownPrimary { wanted: wanted.to_owned(), known: ids.map(str::to_owned).collect() })
}

/// Whether the text can be a key id.
pub(super) fn is_key_id(text: &str) -> bool {
    text.len() <= MAX_KEY_ID_BYTES
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte))
}

/// The key files of a directory by id; the files are not opened.
pub(super) fn list_files(directory: &Path) -> Result<BTreeMap<String, PathBuf>, KeyError> {
    let failed = |cause: io::Error| {
        if cause.kind() == io::ErrorKind::NotFound {
            return KeyError::MissingDirectory(directory.to_owned());
        }
        KeyError::Io { path: directory.to_owned(), cause }
    };
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.starts_with('.') || path.is_dir() {
            continue;
        }
        if !is_key_id(&name) {
            return Err(KeyError::BadId(path.display().to_string()));
        }
        files.insert(name, path);
        if files.len() > MAX_KEYS {
            return Err(KeyError::TooMany);
        }
    }
    Ok(files)
}

/// Reads no more than a key file may have and one byte beyond, so that a longer one is seen to be malformed.
fn read_limited(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let size = usize::try_from(MAX_KEY_FILE_BYTES + 1).unwrap_or(usize::MAX);
    let mut text = Zeroizing::new(Vec::with_capacity(size));
    fs::File::open(path)?.take(MAX_KEY_FILE_BYTES + 1).read_to_end(&mut text)?;
    Ok(text)
}

/// The decoder's own error is dropped on purpose: it shows a byte of the key.
fn decode(text: &[u8], id: String, source_name: String) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let mut key = Zeroizing::new(Vec::with_capacity(text.len()));
    if STANDARD.decode_vec(text.trim_ascii(), &mut key).is_err() {
        return Err(KeyError::Malformed { id, source_name });
    }
    if key.len() != KEY_BYTES {
        return Err(KeyError::WrongLength { id, source_name, length: key.len() });
    }
    Ok(key)
}
