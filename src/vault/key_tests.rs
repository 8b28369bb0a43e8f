//! Key rings, key files and every way in which they can be wrong.
//!
//! A wrong key must stop the server at start, with an error that helps and shows nothing of a key.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Barrier;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;

use super::*;
use crate::model::Secret;

/// A directory that is removed with the test.
struct Directory(PathBuf);

impl Directory {
    fn with(files: &[(&str, &str)]) -> Self {
        let path = std::env::temp_dir().join(format!("outflow-vault-{}", Uuid::new_v4()));
        fs::create_dir_all(&path).unwrap();
        for (name, content) in files {
            fs::write(path.join(name), content).unwrap();
        }
        Self(path)
    }

    fn ring(&self, primary: Option<&str>) -> Result<KeyRing, KeyError> {
        KeyRing::from_directory(&self.0, primary)
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn key(byte: u8) -> String {
    STANDARD.encode([byte; 32])
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn setting(text: &str) -> Result<KeyRing, KeyError> {
    KeyRing::from_setting(&Secret::new(text.to_owned()), None, "OUTFLOW_KEYS")
}

#[test]
fn the_primary_is_named_or_sorts_last() {
    let directory = Directory::with(&[("k0001", &key(1)), ("k0002", &format!(" {}\n", key(2))), ("a", &key(3))]);
    let ring = directory.ring(None).ok().unwrap();
    assert_eq!(ring.primary(), "k0002");
    assert_eq!(ring.ids().collect::<Vec<_>>(), ["a", "k0001", "k0002"]);
    assert_eq!(ring.get("k0002").unwrap(), [2; 32]);
    assert_eq!(directory.ring(Some("a")).ok().unwrap().primary(), "a");
    assert_eq!(Directory::with(&[("only", &key(1))]).ring(None).ok().unwrap().primary(), "only");
}

#[test]
fn a_mounted_secret_is_read_through_its_links() {
    let directory = Directory::with(&[]);
    let data = directory.0.join("..2026_11_24_04_00_00.1");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("k0001"), key(1)).unwrap();
    fs::create_dir(directory.0.join("lost+found")).unwrap();
    symlink("..2026_11_24_04_00_00.1", directory.0.join("..data")).unwrap();
    symlink("..data/k0001", directory.0.join("k0001")).unwrap();
    fs::write(directory.0.join(".hidden"), "no key").unwrap();
    assert_eq!(directory.ring(None).ok().unwrap().ids().collect::<Vec<_>>(), ["k0001"]);
}

/// A name, the files, the setting, and what the error must say.
type BadRing<'a> = (&'a str, &'a [(&'a str, &'a str)], Option<&'a str>, &'a str);

#[test]
fn every_bad_key_ring_is_refused_by_name() {
    let good = key(1);
    let long = "A".repeat(2000);
    let cases: &[BadRing<'_>] = &[
        ("empty directory", &[], None, "no key in"),
        ("only hidden files", &[(".k0001", &good)], None, "no key in"),
        ("empty file", &[("k0001", "")], None, "k0001"),
        ("not base64", &[("k0001", "passw0rd! passw0rd! passw0rd! passw0rd! x")], None, "not base64"),
        ("truncated", &[("k0001", &good[..43])], None, "k0001"),
        ("truncated to whole groups", &[("k0001", &good[..40])], None, "30 bytes"),
        ("16 bytes", &[("k0001", &STANDARD.encode([1; 16]))], None, "16 bytes"),
        ("33 bytes", &[("k0001", &STANDARD.encode([1; 33]))], None, "33 bytes"),
        ("raw bytes", &[("k0001", "\u{1}\u{2}\u{3}")], None, "k0001"),
        ("too long", &[("k0001", &long)], None, "k0001"),
        ("good and bad", &[("k0001", &good), ("k0002", "?")], None, "k0002"),
        ("bad name", &[("k 1", &good)], None, "k 1"),
        ("backup file", &[("k0001~", &good)], None, "k0001~"),
        ("one key twice", &[("k0001", &good), ("k0002", &good)], None, "k0001 and k0002"),
        ("primary not there", &[("k0001", &good)], Some("k0002"), "k0002"),
        ("two primaries", &[("k0001", &good), ("k0002", &key(2))], Some("k0001,k0002"), "k0001,k0002"),
        ("empty primary", &[("k0001", &good)], Some(""), "must be one of"),
    ];
    for (case, files, primary, expected) in cases {
        let error = Directory::with(files).ring(*primary).err().unwrap();
        let text = format!("{error} {error:?}");
        assert!(text.contains(expected), "{case}: {text}");
        for (_, content) in files.iter().filter(|(_, content)| content.len() > 8) {
            assert!(!text.contains(&content[..8]), "{case} shows a key: {text}");
        }
    }
    let absent = std::env::temp_dir().join(Uuid::new_v4().to_string());
    assert!(matches!(KeyRing::from_directory(&absent, None), Err(KeyError::MissingDirectory(_))));
    let many: Vec<_> = (0..65).map(|number| format!("k{number:04}={}", key(number))).collect();
    assert!(matches!(setting(&many.join(",")), Err(KeyError::TooMany)));
    assert!(setting(&many[1..].join(",")).is_ok());
}

#[test]
fn a_setting_is_read_or_refused_without_showing_it() {
    let ring = setting(&format!("b={}, a={},", key(1), key(2))).ok().unwrap();
    assert_eq!((ring.primary(), ring.ids().count()), ("b", 2));
    let good = key(9);
    let bare = good.trim_end_matches('=');
    for text in [
        String::new(),
        " , ".to_owned(),
        good.clone(),
        bare.to_owned(),
        format!("{bare}={bare}"),
        format!("={good}"),
        format!("{}={good}", "x".repeat(65)),
        format!("a={good},a={}", key(2)),
        format!("a={good},b={good}"),
        format!("a={good},b={}", &good[..20]),
    ] {
        let error = setting(&text).err().unwrap();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(&good[..8]), "{shown}");
    }
}

#[test]
fn generated_keys_are_private_and_sort_by_age() {
    let directory = Directory::with(&[]);
    let keys = directory.0.join("made/keys");
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
fn of_many_first_starts_one_makes_the_key() {
    for _ in 0..50 {
        let directory = Directory::with(&[]);
        let barrier = Barrier::new(8);
        let made: Vec<_> = std::thread::scope(|scope| {
            let start = || {
                barrier.wait();
                generate_first(&directory.0).unwrap()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
            threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(made, ["k0001"]);
        assert_eq!(directory.names(), ["k0001"], "nothing hidden is left");
        assert!(directory.ring(None).is_ok());
        assert_eq!(generate_first(&directory.0).unwrap(), None);
    }
}

#[test]
fn of_many_generations_each_makes_a_key() {
    let directory = Directory::with(&[]);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..4).for_each(|_| drop(generate(&directory.0, None).unwrap())));
        }
    });
    assert_eq!(directory.ring(None).ok().unwrap().ids().count(), 32);
}

#[test]
fn a_first_key_is_made_only_where_there_is_none() {
    let directory = Directory::with(&[("other", &key(1))]);
    assert_eq!(generate_first(&directory.0).unwrap(), None);
    assert_eq!(directory.names(), ["other"]);
}
