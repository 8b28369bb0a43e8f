//! Tests of key rings and key files.
//!
//! An invalid key must prevent the start with an error that names the key and does not show it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Barrier;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;

use super::*;
use crate::model::Secret;

/// A temporary key directory.
struct Directory(TempDir);

impl Directory {
    fn with(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = directory.path().join(name);
            fs::write(&path, content).unwrap();
            set_mode(&path, 0o640);
        }
        Self(directory)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn ring(&self, primary: Option<&str>) -> Result<KeyRing, KeyError> {
        KeyRing::from_directory(self.path(), primary)
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(self.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn key(byte: u8) -> String {
    STANDARD.encode([byte; 32])
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn setting(text: &str) -> Result<KeyRing, KeyError> {
    KeyRing::from_setting(&Secret::new(text.to_owned()), None, "OUTFLOW_KEYS")
}

#[test]
fn the_primary_key_is_the_named_one_or_sorts_last() {
    let directory = Directory::with(&[("k0001", &key(1)), ("k0002", &format!(" {}\n", key(2))), ("a", &key(3))]);
    let ring = directory.ring(None).ok().unwrap();
    assert_eq!(ring.primary(), "k0002");
    assert_eq!(ring.ids().collect::<Vec<_>>(), ["a", "k0001", "k0002"]);
    assert_eq!(ring.get("k0002").unwrap(), [2; 32]);
    assert_eq!(directory.ring(Some("a")).ok().unwrap().primary(), "a");
    assert_eq!(Directory::with(&[("only", &key(1))]).ring(None).ok().unwrap().primary(), "only");
}

#[test]
fn a_key_file_that_other_users_can_read_is_refused() {
    let directory = Directory::with(&[("k0001", &key(1)), ("k0002", &key(2))]);
    let path = directory.path().join("k0001");
    set_mode(&path, 0o604);
    let error = directory.ring(None).err().unwrap();
    assert!(matches!(&error, KeyError::ReadableByOthers(refused) if *refused == path), "{error}");
    set_mode(&path, 0o600);
    assert!(directory.ring(None).is_ok());
}

#[test]
fn keys_of_a_mounted_secret_are_read_through_links() {
    let directory = Directory::with(&[]);
    let data = directory.path().join("..2026_11_24_04_00_00.1");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("k0001"), key(1)).unwrap();
    fs::create_dir(directory.path().join("lost+found")).unwrap();
    symlink("..2026_11_24_04_00_00.1", directory.path().join("..data")).unwrap();
    symlink("..data/k0001", directory.path().join("k0001")).unwrap();
    fs::write(directory.path().join(".hidden"), "no key").unwrap();
    assert_eq!(directory.ring(None).ok().unwrap().ids().collect::<Vec<_>>(), ["k0001"]);
}

/// The name of the case, the files, the setting `primary_key`, and a part of the expected error.
type InvalidRing<'a> = (&'a str, &'a [(&'a str, &'a str)], Option<&'a str>, &'a str);

#[test]
fn every_invalid_key_ring_is_refused_with_an_error_that_names_the_key() {
    let valid = key(1);
    let long = "A".repeat(2000);
    let cases: &[InvalidRing<'_>] = &[
        ("empty directory", &[], None, "no key in"),
        ("only hidden files", &[(".k0001", &valid)], None, "no key in"),
        ("empty file", &[("k0001", "")], None, "k0001"),
        ("not base64", &[("k0001", "passw0rd! passw0rd! passw0rd! passw0rd! x")], None, "not valid base64"),
        ("truncated", &[("k0001", &valid[..43])], None, "k0001"),
        ("truncated to whole groups", &[("k0001", &valid[..40])], None, "30 bytes"),
        ("16 bytes", &[("k0001", &STANDARD.encode([1; 16]))], None, "16 bytes"),
        ("33 bytes", &[("k0001", &STANDARD.encode([1; 33]))], None, "33 bytes"),
        ("raw bytes", &[("k0001", "\u{1}\u{2}\u{3}")], None, "k0001"),
        ("too long", &[("k0001", &long)], None, "k0001"),
        ("valid and invalid", &[("k0001", &valid), ("k0002", "?")], None, "k0002"),
        ("invalid name", &[("k 1", &valid)], None, "k 1"),
        ("backup file", &[("k0001~", &valid)], None, "k0001~"),
        ("one key under two ids", &[("k0001", &valid), ("k0002", &valid)], None, "k0001 and k0002"),
        ("unknown primary", &[("k0001", &valid)], Some("k0002"), "k0002"),
        ("two primaries", &[("k0001", &valid), ("k0002", &key(2))], Some("k0001,k0002"), "k0001,k0002"),
        ("empty primary", &[("k0001", &valid)], Some(""), "must be one of"),
    ];
    for (case, files, primary, expected) in cases {
        let error = Directory::with(files).ring(*primary).err().unwrap();
        let text = format!("{error} {error:?}");
        assert!(text.contains(expected), "{case}: {text}");
        for (_, content) in files.iter().filter(|(_, content)| content.len() > 8) {
            assert!(!text.contains(&content[..8]), "{case} shows a key: {text}");
        }
    }
    let missing = Directory::with(&[]).path().join("missing");
    assert!(matches!(KeyRing::from_directory(&missing, None), Err(KeyError::MissingDirectory(_))));
    let many: Vec<_> = (0..65).map(|number| format!("k{number:04}={}", key(number))).collect();
    assert!(matches!(setting(&many.join(",")), Err(KeyError::TooMany)));
    assert!(setting(&many[1..].join(",")).is_ok());
}

#[test]
fn keys_in_a_setting_are_read_and_never_shown_by_an_error() {
    let ring = setting(&format!("b={}, a={},", key(1), key(2))).ok().unwrap();
    assert_eq!((ring.primary(), ring.ids().count()), ("b", 2));
    let valid = key(9);
    let bare = valid.trim_end_matches('=');
    for text in [
        String::new(),
        " , ".to_owned(),
        valid.clone(),
        bare.to_owned(),
        format!("{bare}={bare}"),
        format!("={valid}"),
        format!("{}={valid}", "x".repeat(65)),
        format!("a={valid},a={}", key(2)),
        format!("a={valid},b={valid}"),
        format!("a={valid},b={}", &valid[..20]),
    ] {
        let error = setting(&text).err().unwrap();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(&valid[..8]), "{shown}");
    }
}

#[test]
fn generated_keys_are_private_and_sort_by_age() {
    let directory = Directory::with(&[]);
    let keys = directory.path().join("made/keys");
    assert_eq!(generate(&keys, None).unwrap(), "k0001");
    assert_eq!(generate(&keys, None).unwrap(), "k0002");
    assert_eq!(generate(&keys, Some("a")).unwrap(), "a");
    assert!(matches!(generate(&keys, Some("a")), Err(KeyError::DuplicateId(id)) if id == "a"));
    assert!(matches!(generate(&keys, Some("../a")), Err(KeyError::BadId(_))));
    assert_eq!(mode(&keys), 0o700);
    assert_eq!(mode(&keys.join("k0001")), 0o600);
    let ring = KeyRing::from_directory(&keys, None).ok().unwrap();
    assert_eq!(ring.primary(), "k0002");
    let listed = list(&keys, Some("k0001")).unwrap();
    let listed: Vec<_> = listed.iter().map(|key| (key.id.as_str(), key.primary)).collect();
    assert_eq!(listed, [("a", false), ("k0001", true), ("k0002", false)]);
    fs::write(keys.join("k9999"), key(1)).unwrap();
    assert!(matches!(generate(&keys, None), Err(KeyError::TooMany)));
}

#[test]
fn concurrent_first_starts_generate_one_key() {
    for _ in 0..50 {
        let directory = Directory::with(&[]);
        let barrier = Barrier::new(8);
        let made: Vec<_> = std::thread::scope(|scope| {
            let start = || {
                barrier.wait();
                generate_first(directory.path()).unwrap()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
            threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(made, ["k0001"]);
        assert_eq!(directory.names(), ["k0001"], "no temporary file is left");
        assert!(directory.ring(None).is_ok());
        assert_eq!(generate_first(directory.path()).unwrap(), None);
    }
}

#[test]
fn concurrent_generations_each_write_a_key() {
    let directory = Directory::with(&[]);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..4).for_each(|_| drop(generate(directory.path(), None).unwrap())));
        }
    });
    assert_eq!(directory.ring(None).ok().unwrap().ids().count(), 32);
}

#[test]
fn the_first_key_is_generated_only_in_an_empty_directory() {
    let directory = Directory::with(&[("other", &key(1))]);
    assert_eq!(generate_first(directory.path()).unwrap(), None);
    assert_eq!(directory.names(), ["other"]);
}
