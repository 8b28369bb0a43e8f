//! The house itself: who imports whom, how long a file may be, what every file says of itself, one crypto backend.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which rooms each room may read, besides itself.
const ARROWS: [(&str, &[&str]); 13] = [
    ("model", &[]),
    ("catalog", &["model"]),
    ("vault", &["model", "private_file"]),
    ("identity", &["model", "private_file"]),
    ("store", &["model", "private_file"]),
    ("app", &["model", "catalog", "vault", "store"]),
    ("grpc", &["model", "catalog", "vault", "identity", "app"]),
    ("config", &[]),
    ("telemetry", &["config"]),
    ("private_file", &[]),
    ("server", &["model", "catalog", "vault", "identity", "store", "app", "grpc", "config"]),
    ("commands", &["model", "vault", "identity", "store", "grpc", "config", "telemetry", "server"]),
    ("lib", &[]),
];

/// Crates that only these rooms may name.
const CRATES: [(&str, &[&str]); 7] = [
    ("sea_orm", &["store"]),
    ("sea_orm_migration", &["store"]),
    ("sqlx", &["store"]),
    ("tonic", &["grpc", "server", "telemetry"]),
    ("prost", &["grpc", "server", "telemetry"]),
    ("prost_types", &["grpc", "server", "telemetry"]),
    ("hyper", &["server"]),
];

/// Lines of a file.
const LINES: usize = 400;

/// Every Rust file below a folder of the crate, with its text.
fn files(folder: &str) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("text");
                found.insert(path, text);
            }
        }
    }
    assert!(!found.is_empty(), "{folder} is empty");
    found
}

/// The room of a file of `src`: its folder there, or its own name.
fn room(path: &Path) -> String {
    let below = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).expect("below src");
    let first = below.components().next().expect("a name").as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// The first segments of the paths in a file that begin with `crate::`, or are those of a crate; words in comments do
/// not count.
fn named(text: &str) -> Vec<(bool, String)> {
    let mut names = Vec::new();
    for line in text.lines().map(str::trim_start).filter(|line| !line.starts_with("//")) {
        for (at, _) in line.match_indices("::") {
            let word = |text: &str| -> String {
                let letters = text.chars().rev().take_while(|letter| letter.is_alphanumeric() || *letter == '_');
                letters.collect::<Vec<_>>().into_iter().rev().collect()
            };
            let head = word(&line[..at]);
            let begins = !line[..at - head.len()].ends_with("::");
            if begins && head == "crate" {
                let rest = &line[at + 2..];
                // `use crate::{a, b::c}` names several.
                let group = rest.strip_prefix('{').map_or(rest, |group| group.split('}').next().unwrap_or(group));
                let several = rest.starts_with('{');
                for part in group.split(',').take(if several { usize::MAX } else { 1 }) {
                    let room = part.trim().chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_');
                    names.push((true, room.collect()));
                }
            } else if begins {
                names.push((false, head));
            }
        }
    }
    names
}

#[test]
fn nothing_points_back() {
    let (arrows, crates) = (BTreeMap::from(ARROWS), BTreeMap::from(CRATES));
    let rooms: Vec<&str> = ARROWS.iter().map(|(room, _)| *room).collect();
    let mut counted = 0;
    for (path, text) in files("src") {
        let room = room(&path);
        if room == "main" {
            continue;
        }
        let allowed = arrows.get(room.as_str()).unwrap_or_else(|| panic!("{room} is no room of the house"));
        for (ours, name) in named(&text) {
            let name = name.as_str();
            if ours && rooms.contains(&name) {
                counted += 1;
                assert!(name == room || allowed.contains(&name), "{}: {room} reads {name}", path.display());
            }
            if let Some(permitted) = crates.get(name).filter(|_| !ours) {
                counted += 1;
                assert!(permitted.contains(&room.as_str()), "{}: {room} names {name}", path.display());
            }
        }
    }
    assert!(counted > 300, "{counted} imports were read");
}

#[test]
fn every_file_is_short_and_says_what_it_is() {
    for (path, text) in ["src", "tests", "benches"].into_iter().flat_map(files) {
        let lines = text.lines().count();
        assert!(lines <= LINES, "{} has {lines} lines", path.display());
        assert!(text.starts_with("//!"), "{} does not say what it is", path.display());
    }
}

#[test]
fn there_is_one_cryptographic_backend() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tree = |package: &str| {
        let mut command = Command::new(env!("CARGO"));
        command.args(["tree", "--locked", "--offline", "--edges", "all", "--invert", package]).current_dir(manifest);
        let output = command.output().expect("cargo runs");
        String::from_utf8(output.stdout).expect("text")
    };
    assert!(tree("aws-lc-rs").contains("outflow"));
    for other in ["ring", "openssl", "native-tls"] {
        assert_eq!(tree(other), "", "{other} is linked");
    }
}
