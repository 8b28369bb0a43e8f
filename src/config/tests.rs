//! Settings from every source, refused values, and printing.

mod database;
mod fuzzed;
mod issuers;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use clap::Parser as _;

use super::*;
use crate::model::{OutboundAllowance, Role};

#[derive(clap::Parser)]
struct Command {
    #[command(flatten)]
    flags: Flags,
}

/// Reads arguments and environment variables as the binary does.
fn read(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Values, ConfigError> {
    let flags = Command::try_parse_from([&["outflow"], arguments].concat()).unwrap().flags;
    let environment = environment.iter().map(|(key, value)| (OsString::from(key), OsString::from(value)));
    Values::read(all().collect(), &flags.values, environment, flags.config.as_deref())
}

fn parse(settings: &[(&'static str, &str)]) -> Result<Config, ConfigError> {
    let settings = settings.iter().map(|(key, value)| (*key, (*value).to_owned()));
    Config::parse(&Values::of(all().collect(), settings)?)
}

fn file(folder: &Path, name: &str, content: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn flags_win_over_the_environment_over_the_file_over_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let config = file(folder.path(), "a.toml", "listen = '127.0.0.1:1'\nadmin_listen = '127.0.0.1:2'\nlog = 'warn'");
    let environment = [("OUTFLOW_LISTEN", "127.0.0.1:3"), ("OUTFLOW_ADMIN_LISTEN", "127.0.0.1:4"), ("HOME", "/")];
    let values = read(&["--config", &config, "--listen", "127.0.0.1:5"], &environment).unwrap();
    let found = |key| (values.text(key).unwrap(), values.source(key).unwrap().to_string());
    assert_eq!(found("listen"), ("127.0.0.1:5", "flag --listen".to_owned()));
    assert_eq!(found("admin_listen"), ("127.0.0.1:4", "environment variable OUTFLOW_ADMIN_LISTEN".to_owned()));
    assert_eq!(found("log"), ("warn", format!("file {config}")));
    assert_eq!(found("migrate"), ("auto", "default".to_owned()));
    assert!(values.source("jwt_issuer").is_none());
}

#[test]
fn a_file_that_sets_a_key_twice_or_a_pair_with_a_separator_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (text, problem) in [
        ("jwt_issuer = \"a\"\n[jwt]\nissuer = \"b\"", "`jwt_issuer` is set twice"),
        (
            "[jwt.role_values]\n\"b=admin,c\" = \"viewer\"",
            "a table of pairs must have keys without `,` and `=`, and values without `,`",
        ),
    ] {
        let config = file(folder.path(), "a.toml", text);
        let error = read(&["--config", &config], &[]).err().unwrap().to_string();
        assert!(error.ends_with(problem), "{error}");
    }
}

#[test]
fn a_file_may_nest_its_settings() {
    let folder = tempfile::tempdir().unwrap();
    let content = "identity_mode = 'jwt'\ndatabase_max_connections = 7\nreflection = true\n\
                   [jwt]\nissuer = 'https://issuer.example'\naudience = 'outflow'\nprincipal_prefix = ''\n\
                   jwks_file = 'keys.json'\n[jwt.role_values]\n\"Outflow.Admin\" = 'admin'\nreader = 'viewer'\n";
    let config = file(folder.path(), "nested.toml", content);
    let config = Config::parse(&read(&["--config", &config], &[]).unwrap()).unwrap();
    assert!(config.api.reflection);
    assert_eq!(config.database.max_connections, 7);
    let jwt = config.api.exposure.issued().and_then(|identity| identity.jwt.first()).expect("an issuer");
    let roles = BTreeMap::from([("Outflow.Admin".to_owned(), Role::Admin), ("reader".to_owned(), Role::Viewer)]);
    assert_eq!(
        (jwt.settings.issuer.as_str(), jwt.settings.role_values.clone()),
        ("https://issuer.example", Some(roles))
    );
}

#[test]
fn sources_of_datasets_have_their_own_options() {
    let folder = tempfile::tempdir().unwrap();
    let options = file(folder.path(), "options", "acme = { password = 'hunter2' }\n['*']\naccess_key = 'x'\n");
    let content = "[dataset]\nlocation = 'az://all'\n[dataset.sources]\n\
                   acme = 'postgres://u@h/d?schema_prefix=t_'\nglobex = '/srv/globex'\n";
    let config = file(folder.path(), "datasets.toml", content);
    let environment = [("OUTFLOW_DATASET_OPTIONS_FILE", options.as_str())];
    let datasets = Config::parse(&read(&["--config", &config], &environment).unwrap()).unwrap().datasets;
    let DefaultSource::Configured(all) = datasets.default else { panic!("not configured") };
    assert_eq!((all.location.as_str(), all.options["access_key"].expose()), ("az://all", "x"));
    let found: Vec<_> = datasets.organizations.iter().map(|(id, found)| (id.as_str(), &*found.location)).collect();
    assert_eq!(found, [("acme", "postgres://u@h/d?schema_prefix=t_"), ("globex", "/srv/globex")]);
    let secrets = datasets.organizations.values().map(|source| source.options.len()).collect::<Vec<_>>();
    assert_eq!(secrets, [1, 0]);

    assert!(matches!(parse(&[]).unwrap().datasets.default, DefaultSource::Embedded { .. }));
    let url = ("database_url", "sqlite:other.db");
    assert!(matches!(parse(&[url]).unwrap().datasets.default, DefaultSource::None));
    assert!(matches!(parse(&[("dataset_location", "none")]).unwrap().datasets.default, DefaultSource::None));
    for refused in [
        ("dataset_sources", "acme"),
        ("dataset_sources", "Acme=/a"),
        ("dataset_sources", "acme=/a,acme=/b"),
        ("dataset_options", "acme = 'hunter2'"),
        ("dataset_options", "acme = { password = 'hunter2' }"),
        ("dataset_options", "acme = { password = "),
    ] {
        let error = parse(&[refused]).err().unwrap().to_string();
        assert!(error.contains(refused.0) && !error.contains("hunter2"), "{error}");
    }
}

#[test]
fn a_secret_is_read_from_its_file_unless_a_flag_gives_it() {
    let folder = tempfile::tempdir().unwrap();
    let secret = file(folder.path(), "url", "postgres://ann:hunter2@db/outflow\n");
    let environment = [("OUTFLOW_DATABASE_URL_FILE", secret.as_str())];
    let values = read(&[], &environment).unwrap();
    assert_eq!(values.text("database_url"), Some("postgres://ann:hunter2@db/outflow"));
    assert_eq!(values.source("database_url").unwrap().to_string(), format!("file {secret}"));
    let values = read(&["--database-url", "sqlite:other.db"], &environment).unwrap();
    assert_eq!(values.text("database_url"), Some("sqlite:other.db"));
    let both = [environment[0], ("OUTFLOW_DATABASE_URL", "sqlite:other.db")];
    assert!(matches!(read(&[], &both), Err(ConfigError::Conflict(_))));
    let keys = file(folder.path(), "keys", "k1=c2VjcmV0");
    let values = read(&[], &[("OUTFLOW_KEYS_FILE", keys.as_str())]).unwrap();
    assert_eq!(values.text("keys"), Some("k1=c2VjcmV0"));
    let missing = [("OUTFLOW_DATABASE_URL_FILE", "/nowhere/url")];
    assert!(matches!(read(&[], &missing), Err(ConfigError::Unreadable { .. })));
}

#[test]
fn a_secret_in_place_of_its_file_is_not_shown() {
    for (variable, value) in [
        ("OUTFLOW_DATABASE_URL_FILE", "postgres://ann:hunter2@db/outflow"),
        ("OUTFLOW_DATABASE_PASSWORD_FILE", "hunter2"),
        ("OUTFLOW_DATABASE_PASSWORD_FILE", "hunter2/x=="),
        ("OUTFLOW_KEYS_FILE", "k1=hunter2\nk2=hunter2"),
    ] {
        let error = read(&[], &[(variable, value)]).err().unwrap().to_string();
        let key = variable.trim_start_matches("OUTFLOW_").to_lowercase();
        assert!(error.contains(&format!("`{key}`, which must be a path")) && !error.contains("hunter2"), "{error}");
    }
    for (variable, key) in [("OUTFLOW_DATABASE_CA_FILE", "database_ca_file"), ("OUTFLOW_TLS_KEY_FILE", "tls_key_file")]
    {
        let values = read(&[], &[(variable, "-----BEGIN CERTIFICATE-----\nhunter2\n")]).unwrap();
        let error = values.get::<std::path::PathBuf>(key).unwrap_err().to_string();
        assert!(error.contains("a path, not the content of a file") && !error.contains("hunter2"), "{error}");
    }
}

#[test]
fn unknown_settings_are_errors_and_service_links_are_ignored() {
    let error = read(&[], &[("OUTFLOW_LISTNE", "127.0.0.1:1")]).err().unwrap().to_string();
    assert_eq!(error, "configuration: unknown setting `listne` in environment variable OUTFLOW_LISTNE");
    let links = [
        ("OUTFLOW_PORT", "tcp://10.0.0.1:50051"),
        ("OUTFLOW_PORT_50051_TCP_ADDR", "10.0.0.1"),
        ("OUTFLOW_SERVICE_HOST", "10.0.0.1"),
        ("OUTFLOW_SERVICE_PORT_GRPC", "50051"),
    ];
    assert!(read(&[], &links).is_ok());
    let folder = tempfile::tempdir().unwrap();
    for content in ["[jwt]\nisuer = 'x'", "listen = ['a']", "listen = "] {
        let config = file(folder.path(), "bad.toml", content);
        assert!(read(&["--config", &config], &[]).is_err(), "{content}");
    }
}

#[test]
fn a_bad_value_is_named_and_never_shown() {
    for (key, value, expected) in [
        ("listen", "hunter2", "an IP address with a port, such as 127.0.0.1:50051 or [::1]:50051"),
        ("database_max_connections", "hunter2", "an integer that is not negative"),
        ("reflection", "hunter2", "true or false"),
        ("identity_mode", "hunter2", "`development`, `jwt`, `mtls` or `jwt,mtls`"),
        ("migrate", "hunter2", "`auto` or `check`"),
        ("log_format", "hunter2", "`text` or `json`"),
        ("traces_sample_ratio", "1.5", "a number from 0 to 1"),
        ("plaintext", "hunter2", "`behind-tls`"),
        ("key_dir", "", "a path, not the content of a file"),
    ] {
        let error = parse(&[(key, value)]).err().unwrap().to_string();
        assert_eq!(error, format!("configuration: `{key}` must be {expected} (from code)"));
    }
}

#[test]
fn settings_that_do_not_go_together_are_refused() {
    let jwt = [
        ("identity_mode", "jwt"),
        ("jwt_issuer", "https://issuer.example"),
        ("jwt_audience", "outflow"),
        ("jwt_jwks_file", "keys.json"),
        ("jwt_principal_prefix", ""),
    ];
    assert!(parse(&jwt).is_ok());
    // Without a key set, the discovery document of the issuer names it.
    for left_out in [1, 2, 4] {
        let some: Vec<_> =
            jwt.iter().enumerate().filter(|(index, _)| *index != left_out).map(|(_, pair)| *pair).collect();
        assert!(matches!(parse(&some), Err(ConfigError::Conflict(_))), "without {}", jwt[left_out].0);
    }
    let with = |more: &[(&'static str, &'static str)]| parse(&[&jwt, more].concat());
    assert!(with(&[("jwt_jwks_url", "https://issuer.example/keys")]).is_err(), "two key sets");
    assert!(with(&[("listen", "0.0.0.0:1")]).is_err(), "no TLS");
    assert!(with(&[("listen", "0.0.0.0:1"), ("plaintext", "behind-tls")]).is_ok());
    assert!(with(&[("listen", "0.0.0.0:1"), ("tls_cert_file", "c"), ("tls_key_file", "k")]).is_ok());
    assert!(with(&[("jwt_role_values", "reader=viewer,reader=admin")]).is_err(), "a duplicate value");
    assert!(with(&[("jwt_role_values", "reader=emperor")]).is_err(), "an unknown role");
    let mtls = [
        ("identity_mode", "mtls"),
        ("mtls_client_ca_file", "ca.crt"),
        ("mtls_clients_file", "clients.toml"),
        ("mtls_principal_prefix", ""),
        ("tls_cert_file", "c"),
        ("tls_key_file", "k"),
    ];
    assert!(parse(&mtls).is_ok());
    assert!(parse(&[&mtls[..], &[("listen", "0.0.0.0:1")]].concat()).is_ok());
    for left_out in 1..mtls.len() {
        let some: Vec<_> =
            mtls.iter().enumerate().filter(|(index, _)| *index != left_out).map(|(_, pair)| *pair).collect();
        assert!(matches!(parse(&some), Err(ConfigError::Conflict(_))), "without {}", mtls[left_out].0);
    }
    let both = |prefix| parse(&[&jwt[1..], &mtls[1..3], &mtls[4..], &[("identity_mode", "jwt,mtls"), prefix]].concat());
    assert!(both(("mtls_principal_prefix", "workload:")).is_ok());
    assert!(both(("mtls_principal_prefix", "")).is_err(), "the same prefix");
    assert!(parse(&[&mtls[..4], &[("plaintext", "behind-tls")]].concat()).is_err(), "certificates end at the proxy");
    for settings in [
        [("listen", "0.0.0.0:1"), ("plaintext", "behind-tls")],
        [("listen", "[::]:1"), ("identity_mode", "development")],
        [("tls_cert_file", "c"), ("log", "info")],
        [("database_max_connections", "1"), ("log", "info")],
    ] {
        assert!(matches!(parse(&settings), Err(ConfigError::Conflict(_))), "{settings:?}");
    }
}

#[test]
fn the_keys_of_the_embedded_default_are_made_by_the_server_alone() {
    let location = |settings: &[(&'static str, &str)]| parse(settings).unwrap().keys.location;
    assert!(matches!(location(&[]), KeyLocation::EmbeddedDirectory { .. }));
    assert!(matches!(location(&[("key_dir", "keys")]), KeyLocation::Directory));
    assert!(matches!(location(&[("database_url", "sqlite:other.db")]), KeyLocation::Directory));
    assert!(matches!(location(&[("keys", "k1=c2VjcmV0")]), KeyLocation::Inline(_)));
}

#[test]
fn allowed_destinations_are_parsed_and_a_bad_entry_is_named() {
    let allowed = |text| parse(&[("outbound_allowed", text)]).map(|config| config.outbound.allowed);
    assert_eq!(parse(&[]).unwrap().outbound, OutboundConfig::default());
    assert_eq!(allowed("").unwrap(), []);
    let found = allowed("*=10.0.0.0/8:443, acme=[fd00::/8]:5432").unwrap();
    let expected = ["*=10.0.0.0/8:443", "acme=[fd00::/8]:5432"].map(|entry| OutboundAllowance::parse(entry).unwrap());
    assert_eq!(found, expected);
    for (text, entry) in [
        ("*=10.0.0.0/8,acme=10.0.0.1/8", "acme=10.0.0.1/8"),
        ("*=10.0.0.0/8,", ""),
        ("minio.internal:9000", "minio.internal:9000"),
        ("*=fd00::/8:443", "*=fd00::/8:443"),
    ] {
        let error = allowed(text).err().unwrap().to_string();
        let start = format!("configuration: the entry `{entry}` of `outbound_allowed` must be ");
        assert!(error.starts_with(&start) && error.ends_with(" (from code)"), "{error}");
    }
    for (number, accepted) in [(1000, true), (1001, false)] {
        assert_eq!(parse(&[("outbound_allowed", &vec!["*=10.0.0.1"; number].join(","))]).is_ok(), accepted, "{number}");
    }
    let folder = tempfile::tempdir().unwrap();
    let config = file(folder.path(), "a.toml", "[outbound]\nallowed = 'acme=10.0.0.5:22'\nca_file = 'ca.pem'");
    let config = Config::parse(&read(&["--config", &config], &[]).unwrap()).unwrap();
    assert_eq!((config.outbound.allowed.len(), config.outbound.ca_file), (1, Some(PathBuf::from("ca.pem"))));
}

#[test]
fn the_effective_settings_are_printed_with_their_sources_and_without_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let secret = file(folder.path(), "url", "postgres://ann:hunter2@db/outflow");
    let config = file(folder.path(), "a.toml", "log = 'outflow=\"debug\"'");
    let environment = [
        ("OUTFLOW_DATABASE_URL_FILE", secret.as_str()),
        ("OUTFLOW_KEYS", "k1=hunter2"),
        ("OUTFLOW_PRIMARY_KEY", "0001"),
    ];
    let printed = effective(&read(&["--config", &config, "--data-dir", "/data"], &environment).unwrap());
    for line in [
        "listen = \"127.0.0.1:50051\" # default",
        "data_dir = \"/data\" # flag --data-dir",
        "primary_key = \"0001\" # environment variable OUTFLOW_PRIMARY_KEY",
        "keys = \"<redacted>\" # environment variable OUTFLOW_KEYS",
        &format!("database_url = \"<redacted>\" # file {secret}"),
        &format!("log = 'outflow=\"debug\"' # file {config}"),
        "# jwt_issuer is not set",
    ] {
        assert!(printed.lines().any(|printed| printed == line), "{line}\n{printed}");
    }
    assert!(!printed.contains("hunter2"), "{printed}");
    assert!(printed.parse::<toml::Table>().is_ok(), "the printed text is a valid configuration file");
    assert!(all().all(|setting| printed.contains(setting.key)));
}

#[test]
fn the_reference_in_the_readme_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let (start, end) = ("<!-- settings: generated -->\n", "<!-- settings: end -->\n");
    let (before, rest) = readme.split_once(start).unwrap();
    let (current, after) = rest.split_once(end).unwrap();
    if std::env::var_os("UPDATE_README").is_some() {
        fs::write(path, format!("{before}{start}\n{}{end}{after}", reference())).unwrap();
    } else {
        assert_eq!(current.trim(), reference().trim(), "run `UPDATE_README=1 cargo test --lib readme`");
    }
}
