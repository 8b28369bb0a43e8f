//! The architecture: imports, lengths of files and functions, the only file that attaches exports, and one
//! cryptographic backend.

mod imports;
mod sizes;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use imports::Imports;

/// The modules that each module may import, besides itself and `model`.
const DEPENDENCIES: &[(&str, &[&str])] = &[
    ("lib", &[]),
    ("main", &["cli"]),
    ("cli", &["config", "telemetry", "server", "grpc", "identity", "vault", "store"]),
    ("server", &["config", "telemetry", "grpc", "background", "app", "identity", "catalog", "vault", "store"]),
    ("grpc", &["app", "identity", "catalog", "vault"]),
    ("background", &["app", "store", "identity"]),
    ("app", &["store", "vault", "catalog"]),
    ("store", &["private_file"]),
    ("identity", &["private_file"]),
    ("vault", &["private_file"]),
    ("catalog", &[]),
    ("config", &[]),
    ("telemetry", &["config"]),
    ("private_file", &[]),
    ("model", &[]),
];

/// The crates that only these modules may name.
const CRATES: &[(&str, &[&str])] = &[
    ("sea_orm", &["store"]),
    ("sea_orm_migration", &["store"]),
    ("sqlx", &["store"]),
    ("tonic", &["grpc", "server"]),
    ("tonic_health", &["grpc", "server"]),
    ("tonic_types", &["grpc", "server"]),
    ("prost", &["grpc", "server"]),
    ("prost_types", &["grpc", "server"]),
    ("axum", &["grpc", "server"]),
    ("hyper", &["server"]),
    ("metrics_exporter_prometheus", &["telemetry"]),
    ("opentelemetry", &["telemetry"]),
    ("opentelemetry_sdk", &["telemetry"]),
    ("tracing_opentelemetry", &["telemetry"]),
    ("tracing_subscriber", &["telemetry"]),
];

/// The functions of the store by which an export is attached or released, and the one file that may call them.
const ATTACHMENT: (&[&str], &str) =
    (&["reserve_revisions", "attach", "release", "detach"], "app/exports/attachment.rs");

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

/// The path of a file of `src` below it, and the module at the top of it.
fn below_src(path: &Path) -> (String, String) {
    let below = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).expect("below src");
    let below = below.to_string_lossy().into_owned();
    let module = below.split('/').next().expect("a name").trim_end_matches(".rs").to_owned();
    (below, module)
}

fn source() -> BTreeMap<String, String> {
    files("src").into_iter().map(|(path, text)| (below_src(&path).0, text)).collect()
}

fn module(file: &str) -> &str {
    file.split('/').next().expect("a name").trim_end_matches(".rs")
}

#[test]
fn modules_import_only_what_they_may() {
    let allowed: BTreeMap<_, _> = DEPENDENCIES.iter().copied().collect();
    let crates: BTreeMap<_, _> = CRATES.iter().copied().collect();
    let imports = Imports::of(&source());
    for (from, to) in imports.edges() {
        let (own, other) = (module(from), module(to));
        let allowed = allowed.get(own).unwrap_or_else(|| panic!("{own} is not in the table of dependencies"));
        assert!(own == other || other == "model" || allowed.contains(&other), "{from} imports {to}");
    }
    for (file, name) in imports.crates() {
        let permitted = crates.get(name.as_str());
        assert!(permitted.is_none_or(|permitted| permitted.contains(&module(file))), "{file} names the crate {name}");
    }
    assert!(imports.edges().count() > 400, "{} imports were found", imports.edges().count());
}

#[test]
fn no_file_imports_itself_through_others() {
    let cycles = Imports::of(&source()).cycles();
    assert!(cycles.is_empty(), "import cycles: {cycles:#?}");
}

#[test]
fn the_resolver_sees_cycles_through_re_exports() {
    let source =
        |files: &[(&str, &str)]| files.iter().map(|(file, text)| (file.to_string(), text.to_string())).collect();
    // a.rs imports an item of b.rs through the re-export of mod.rs, and b.rs imports an item of a.rs through an alias.
    let cyclic = Imports::of(&source(&[
        ("lib.rs", "pub mod m;"),
        ("m/mod.rs", "mod a; mod b; pub use b::B; pub use a::A as Alias;"),
        ("m/a.rs", "use super::B; pub struct A(B);"),
        ("m/b.rs", "pub struct B; fn f() { let _ = crate::m::Alias; }"),
    ]));
    assert_eq!(cyclic.cycles(), [["m/a.rs", "m/b.rs"]]);
    // `mod` lines are no imports, and neither is what tests import.
    let acyclic = Imports::of(&source(&[
        ("lib.rs", "pub mod m;"),
        ("m/mod.rs", "mod a; pub struct Item;"),
        ("m/a.rs", "use super::Item; pub fn f(_: Item) {} #[cfg(test)] mod tests { use crate::m::Item; }"),
    ]));
    assert!(acyclic.cycles().is_empty(), "{:?}", acyclic.cycles());
}

#[test]
fn exports_are_attached_and_released_in_one_file() {
    let (functions, file) = ATTACHMENT;
    let calls = |text: &str| functions.iter().filter(|name| text.contains(&format!("attachments::{name}("))).count();
    let mut callers: Vec<String> = Vec::new();
    for (path, text) in source() {
        if module(&path) != "store" && calls(&text) > 0 {
            callers.push(path);
        }
    }
    assert_eq!(callers, [file]);
}

#[test]
fn every_file_has_a_doc_comment() {
    for (path, text) in ["src", "tests", "benches"].into_iter().flat_map(files) {
        assert!(text.starts_with("//!"), "{} has no module documentation", path.display());
    }
}

#[test]
fn files_functions_and_handlers_are_short() {
    let too_long: Vec<String> = ["src", "tests", "benches"]
        .into_iter()
        .flat_map(files)
        .flat_map(|(path, text)| sizes::too_long(&path, &text))
        .collect();
    assert!(too_long.is_empty(), "{too_long:#?}");
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
