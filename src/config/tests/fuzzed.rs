//! Arbitrary and mutated configuration files and values of settings.

use super::*;
use crate::fuzzing;

/// A file with settings of every type.
const FILE: &str = r#"
listen = "127.0.0.1:50051"
log = "info,access=warn"
database_url = "sqlite:outflow.db"
run_lease = "30s"
max_streams = 100
trace_sample_ratio = 0.5
outbound_allow = "acme=10.0.0.0/8:443,*=192.0.2.1"
dataset_options = """
acme = { password = "hunter2" }
"*" = { access_key_id = "AKIA", allow_http = true }
"""

[dataset_sources]
acme = "/srv/acme"
globex = "s3://globex-data/exports?region=eu-central-1"

[jwt]
issuer = "https://issuer.example"
audience = "outflow"

[jwt.role_values]
"export-admin" = "admin"
"#;

#[test]
fn any_configuration_file_is_read_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let reference = print::reference();
    let path = folder.path().join("outflow.toml");
    fuzzing::check("configuration files", 600, &fuzzing::text(&[FILE, FILE, &reference[..2_000]]), |text| {
        fs::write(&path, &text).unwrap();
        match Values::read(all().collect(), &BTreeMap::new(), [], Some(&path)) {
            Ok(values) => {
                if let Err(error) = Config::parse(&values) {
                    assert!(!error.to_string().is_empty());
                }
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    });
}

#[test]
fn any_value_of_a_setting_is_parsed_or_refused() {
    let values = [
        "127.0.0.1:50051",
        "[::1]:1",
        "30s",
        "5m 12h",
        "99999999999h",
        "true",
        "12",
        "0.5",
        "info,outflow=debug",
        "a=b,c=d",
        "acme=10.0.0.0/8:443,*=[2001:db8::]/32",
        "https://issuer.example/jwks.json",
        "export-admin=admin",
        "acme = { password = \"hunter2\" }\n\"*\" = { a = 1 }",
        "postgres://u:p@h:5432/d?sslmode=verify-full",
        "sqlite::memory:",
    ];
    let settings: Vec<&'static str> = all().map(|setting| setting.key).collect();
    let next = std::cell::Cell::new(0);
    fuzzing::check("settings", 2_000, &fuzzing::text(&values), |text| {
        let key = settings[next.replace(next.get() + 1) % settings.len()];
        if let Err(error) = parse(&[(key, &text)]) {
            assert!(!error.to_string().is_empty());
        }
    });
}
