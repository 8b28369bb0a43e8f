//! The architecture: imports, outbound connections, lengths of files and functions, the only file that attaches exports,
//! and one cryptographic backend.

mod descriptors;
mod imports;
mod outbound;
mod sizes;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use imports::Imports;

/// The modules that each module may import, besides itself and `model`.
const DEPENDENCIES: &[(&str, &[&str])] = &[
    ("lib", &[]),
    ("main", &["cli"]),
    ("cli", &["config", "telemetry", "server"]),
    (
        "server",
        &[
            "config",
            "telemetry",
            "grpc",
            "background",
            "runs",
            "app",
            "identity",
            "catalog",
            "vault",
            "store",
            "delivery",
            "dialer",
            "private_file",
            "fair_share",
        ],
    ),
    ("grpc", &["app", "identity", "catalog", "vault", "fair_share"]),
    ("background", &["app", "store", "identity"]),
    ("runs", &["app", "background", "delivery", "store", "vault", "catalog"]),
    ("app", &["store", "vault", "catalog", "delivery", "fair_share"]),
    ("delivery", &["catalog", "dialer"]),
    ("store", &["private_file", "fair_share"]),
    ("fair_share", &[]),
    ("identity", &["private_file", "dialer"]),
    ("dialer", &[]),
    ("vault", &["private_file"]),
    ("catalog", &[]),
    ("config", &[]),
    ("telemetry", &[]),
    ("private_file", &[]),
    ("model", &[]),
];

/// The crates that only these modules may name.
const CRATES: &[(&str, &[&str])] = &[
    ("sea_orm", &["store"]),
    ("sea_orm_migration", &["store"]),
    ("sqlx", &["store", "delivery"]),
    ("tonic", &["grpc", "server"]),
    ("tonic_health", &["grpc", "server"]),
    ("tonic_prost", &["grpc"]),
    ("tonic_reflection", &["server"]),
    ("tonic_types", &["grpc", "server"]),
    ("prost", &["grpc", "server"]),
    ("prost_types", &["grpc", "server"]),
    ("axum", &["grpc", "server"]),
    ("hyper", &["server"]),
    ("metrics_exporter_prometheus", &["telemetry"]),
    ("opentelemetry", &["telemetry"]),
    ("opentelemetry_http", &["telemetry"]),
    ("opentelemetry_otlp", &["telemetry"]),
    ("opentelemetry_sdk", &["telemetry"]),
    ("tracing_opentelemetry", &["telemetry"]),
    ("tracing_subscriber", &["telemetry"]),
];

/// Code that only one file outside the store may contain: what attaches and releases exports, and what makes connections
/// unavailable.
const SINGLE_PLACES: &[(&str, &str)] = &[
    ("attachments::reserve_revisions(", "app/exports/attachment.rs"),
    ("attachments::reserve_usable(", "app/exports/attachment.rs"),
    ("attachments::attach(", "app/exports/attachment.rs"),
    ("attachments::release(", "app/exports/attachment.rs"),
    ("attachments::detach(", "app/exports/attachment.rs"),
    ("exports::insert(", "app/exports/attachment.rs"),
    ("exports::delete(", "app/exports/attachment.rs"),
    ("suspended = true", "app/connections/availability.rs"),
    ("credentials::erase(", "app/connections/availability.rs"),
];

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
    // What a macro defines counts as defined by the file that calls it.
    let generated = Imports::of(&source(&[
        ("lib.rs", "pub mod m;"),
        ("m/mod.rs", "pub mod proto; mod a;"),
        ("m/proto.rs", "tonic::include_proto!(\"package\"); use super::a::A;"),
        ("m/a.rs", "pub struct A(crate::m::proto::Message);"),
    ]));
    assert_eq!(generated.cycles(), [["m/a.rs", "m/proto.rs"]]);
    // `mod` lines are no imports, and neither is what tests import.
    let acyclic = Imports::of(&source(&[
        ("lib.rs", "pub mod m;"),
        ("m/mod.rs", "mod a; pub struct Item;"),
        ("m/a.rs", "use super::Item; pub fn f(_: Item) {} #[cfg(test)] mod tests { use crate::m::Item; }"),
    ]));
    assert!(acyclic.cycles().is_empty(), "{:?}", acyclic.cycles());
}

#[test]
fn exports_are_released_and_connections_made_unavailable_in_one_file_each() {
    let source = source();
    let outside_the_store = || source.iter().filter(|(path, _)| module(path) != "store");
    for (code, file) in SINGLE_PLACES {
        let files: Vec<_> = outside_the_store().filter(|(_, text)| text.contains(code)).map(|(path, _)| path).collect();
        assert_eq!(files, [file], "{code}");
    }
    // No file imports a function of these modules: a call without its module would not be found above.
    for module in ["attachments", "credentials", "exports"] {
        for (path, text) in outside_the_store() {
            let imports = text.lines().filter(|line| line.starts_with("use "));
            let names =
                imports.filter_map(|line| line.split_once(&format!("store::{module}::"))).map(|(_, names)| names);
            for name in names.flat_map(|names| names.split(['{', '}', ',', ';'])).map(str::trim) {
                assert!(name == "self" || !name.starts_with(char::is_lowercase), "{path} imports {module}::{name}");
            }
        }
    }
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
