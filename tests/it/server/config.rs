//! `outflow config print`: every setting, its value and its source.

use outflow::config::all;

use crate::support::outflow;

#[test]
fn config_print_shows_every_setting_with_its_source_and_no_secrets() {
    let directory = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("a path").to_owned()
    };
    let config = write("outflow.toml", "log = \"warn\"\n\n[audit]\nretention_days = 7\n");
    let url = write("url", "postgres://ann:hunter2@127.0.0.1:1/outflow\n");
    let mut command = outflow(directory.path());
    command.env("OUTFLOW_CONFIG", &config).env("OUTFLOW_DATABASE_URL_FILE", &url);
    command.env("OUTFLOW_KEYS", "k1=hunter2").env("OUTFLOW_PRIMARY_KEY", "k1").env("OUTFLOW_LOG", "debug");
    let output = command.args(["config", "print", "--listen", "127.0.0.1:1234"]).output().expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).expect("text");
    for line in [
        "listen = \"127.0.0.1:1234\" # flag --listen",
        "log = \"debug\" # environment variable OUTFLOW_LOG",
        &format!("audit_retention_days = \"7\" # file {config}"),
        &format!("database_url = \"<redacted>\" # file {url}"),
        "keys = \"<redacted>\" # environment variable OUTFLOW_KEYS",
        "denied_retention_days = \"30\" # default",
        "# jwt_issuer is not set",
    ] {
        assert!(printed.lines().any(|printed| printed == line), "{line}\n{printed}");
    }
    assert!(!printed.contains("hunter2"), "{printed}");
    for setting in all() {
        assert!(printed.contains(setting.key), "{} in {printed}", setting.key);
    }
    // What it prints is a configuration file; secrets must be set again.
    let printed = write("printed.toml", &printed.replace("\"<redacted>\"", "\"\""));
    let output =
        outflow(directory.path()).args(["config", "print", "--config", &printed]).output().expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!directory.path().join("keys").exists(), "nothing is created");
}
