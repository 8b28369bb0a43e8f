//! The key ring: key-encryption keys, of which the primary one seals and the others only open.
//!
//! Keys are read from files (a mounted secret) or, in development, from a setting; never from the database.
//!
//! **Primary key:** the key that the setting `primary_key` names. Without the setting it is the key whose id sorts last in
//! byte order. Generated ids (`k0001`, `k0002`, …) sort by age. To add a new key to many replicas, name the old key as
//! primary until all replicas have both.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::model::Secret;
use crate::private_file;

/// The length of a key in bytes.
pub const KEY_BYTES: usize = 32;

/// Maximum number of keys in a ring.
pub const MAX_KEYS: usize = 64;

/// The longest key id in bytes.
pub const MAX_KEY_ID_BYTES: usize = 64;

/// The largest key file in bytes: 44 of base64, and white space.
const MAX_KEY_FILE_BYTES: u64 = 1024;

/// Why keys cannot be read or written. It names ids and paths, never a byte of a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The directory does not exist.
    #[error("key directory {} does not exist; create a key with `outflow keys generate`", .0.display())]
    MissingDirectory(PathBuf),
    /// The directory or the setting has no key.
    #[error("no key in {0}; create one with `outflow keys generate`")]
    Empty(String),
    /// A file or directory cannot be read or written.
    #[error("cannot read or write {}: {cause}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The error of the operating system.
        cause: io::Error,
    },
    /// A file name, or an id in the setting, is not a valid key id.
    #[error(
        "invalid key id: {0}; an id has 1 to {MAX_KEY_ID_BYTES} characters of A-Z a-z 0-9 . _ : - and starts with a letter or digit"
    )]
    BadId(String),
    /// A key is not base64.
    #[error("key {id} in {source_name} is not valid base64; it may be truncated")]
    Malformed {
        /// The id of the key, or its position in the setting.
        id: String,
        /// The path of its file, or the name of the setting.
        source_name: String,
    },
    /// A key is not [`KEY_BYTES`] long.
    #[error("key {id} in {source_name} has {length} bytes instead of {KEY_BYTES}; it may be truncated")]
    WrongLength {
        /// The id of the key, or its position in the setting.
        id: String,
        /// The path of its file, or the name of the setting.
        source_name: String,
        /// Its length in bytes.
        length: usize,
    },
    /// Other users of the machine can read a file.
    #[error("key file {} can be read by other users; set its mode to 0600", .0.display())]
    ReadableByOthers(PathBuf),
    /// Two keys have the same id, or the id of a new key is in use.
    #[error("key id {0} is already in use")]
    DuplicateId(String),
    /// Two ids have the same key. Removing one of them would not retire the key.
    #[error("keys {first} and {second} are identical; remove one of them")]
    SameKey {
        /// The id that sorts first.
        first: String,
        /// The other id.
        second: String,
    },
    /// The setting `primary_key` does not name exactly one key of the ring.
    #[error("primary key {wanted:?} must be one of: {}", known.join(", "))]
    UnknownPrimary {
        /// The value of the setting.
        wanted: String,
        /// The ids of the keys.
        known: Vec<String>,
    },
    /// There are more than [`MAX_KEYS`], or no generated id is left.
    #[error("too many keys: at most {MAX_KEYS}, and generated ids end at k9999")]
    TooMany,
    /// The operating system returned no random bytes.
    #[error("cannot read random bytes from the operating system")]
    Random,
}

/// The keys that seal and open data keys. It has no `Debug`, and its keys are wiped when it is dropped.
pub struct KeyRing {
    keys: BTreeMap<String, Zeroizing<Vec<u8>>>,
    primary: String,
}

impl KeyRing {
    /// Reads the keys of a directory, one per file. The name of a file is the id, its content 32 bytes in base64.
    ///
    /// Skips directories and names that start with a dot, such as `..data` of a Kubernetes mount. Follows links. `primary`
    /// is the setting `primary_key`, see above.
    pub fn from_directory(directory: &Path, primary: Option<&str>) -> Result<Self, KeyError> {
        let mut keys = BTreeMap::new();
        for (id, path) in list_files(directory)? {
            let source_name = path.display().to_string();
            if !is_mounted_secret(directory) && private_file::is_readable_by_others(&path) {
                return Err(KeyError::ReadableByOthers(path));
            }
            let text = read_limited(&path).map_err(|cause| KeyError::Io { path, cause })?;
            keys.insert(id.clone(), decode(&text, id, source_name)?);
        }
        Self::new(keys, primary, &directory.display().to_string())
    }

    /// Reads the keys of a setting, for development: comma-separated pairs of `id=base64`.
    ///
    /// `source_name` is the name of the setting, for errors.
    pub fn from_setting(setting: &Secret, primary: Option<&str>, source_name: &str) -> Result<Self, KeyError> {
        let mut keys = BTreeMap::new();
        let pairs = setting.expose().split(',').map(str::trim).filter(|pair| !pair.is_empty());
        for (index, pair) in pairs.enumerate() {
            // Errors show the position until the key is decoded: if the id is missing, the text before `=` is key material.
            let position = format!("number {}", index + 1);
            let (id, text) = pair.split_once('=').unwrap_or_default();
            let key = decode(text.as_bytes(), position.clone(), source_name.to_owned())?;
            if !is_key_id(id) {
                return Err(KeyError::BadId(format!("{position} in {source_name}")));
            }
            if keys.insert(id.to_owned(), key).is_some() {
                return Err(KeyError::DuplicateId(id.to_owned()));
            }
        }
        Self::new(keys, primary, source_name)
    }

    /// Returns the id of the key that seals.
    pub fn primary(&self) -> &str {
        &self.primary
    }

    /// Iterates over the ids of all keys, in byte order.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().map(String::as_str)
    }

    /// Returns a key, always [`KEY_BYTES`] long.
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

/// Chooses the primary key by the rule at the top of this file. `ids` are in byte order.
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

/// Whether a text is a valid key id.
pub(super) fn is_key_id(text: &str) -> bool {
    text.len() <= MAX_KEY_ID_BYTES
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte))
}

/// Whether a directory is a secret that Kubernetes, Docker or Podman has mounted. These set the modes of its files, and no
/// other user is on the machine.
fn is_mounted_secret(directory: &Path) -> bool {
    directory.join("..data").exists() || directory.starts_with("/run/secrets")
}

/// Lists the key files of a directory by id, without opening them.
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

/// Reads at most one byte more than [`MAX_KEY_FILE_BYTES`], so that a longer file fails to decode.
fn read_limited(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let size = usize::try_from(MAX_KEY_FILE_BYTES + 1).unwrap_or(usize::MAX);
    let mut text = Zeroizing::new(Vec::with_capacity(size));
    fs::File::open(path)?.take(MAX_KEY_FILE_BYTES + 1).read_to_end(&mut text)?;
    Ok(text)
}

/// Decodes a key. The error of the decoder is dropped because it shows a byte of the key.
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
