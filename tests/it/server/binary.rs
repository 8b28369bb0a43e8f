//! The binary as operators meet it: it says how to reach it, refuses what is unsafe, and stops when told.

use std::path::Path;
use std::process::Output;

use crate::support::{Process, outflow};

fn errors(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{errors}{}", String::from_utf8_lossy(&output.stdout));
    errors
}

#[test]
fn it_says_how_to_reach_it_and_stops_when_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Process::start(&mut outflow(folder.path()));
    assert!(server.hint.contains("token mint --role admin"), "{}", server.hint);
    assert!(!server.hint.contains("eyJ"), "no token is ever printed by serve");
    let minted = outflow(folder.path()).args(["token", "mint", "--role", "viewer"]).output().expect("it mints");
    let token = String::from_utf8(minted.stdout).expect("text");
    assert!(minted.status.success() && token.trim().split('.').count() == 3 && token.lines().count() == 1);
    server.signal("TERM");
    assert!(server.child.wait().expect("it ends").success());
}

#[test]
fn what_is_unsafe_or_unknown_is_refused_before_anything_is_opened() {
    let table: [(&[(&str, &str)], &str); 9] = [
        (&[("OUTFLOW_LISTEN", "0.0.0.0:0")], "identity_mode"),
        (&[("OUTFLOW_LISTEN", "0.0.0.0:0"), ("OUTFLOW_IDENTITY_MODE", "development")], "identity_mode"),
        (&[("OUTFLOW_LISTEN", "0.0.0.0:0"), ("OUTFLOW_IDENTITY_MODE", "jwt")], "tls_cert_file"),
        (&[("OUTFLOW_IDENTITY_MODE", "jwt")], "jwt_issuer"),
        (&[("OUTFLOW_IDENTITY_MODE", "saml")], "identity_mode"),
        (&[("OUTFLOW_TLS_CERT_FILE", "x")], "tls_key_file"),
        (&[("OUTFLOW_COLOUR", "red")], "colour"),
        (&[("OUTFLOW_DATABASE_URL", "mysql://secret@host")], "database URL"),
        (&[("OUTFLOW_DATABASE_URL", "sqlite://other.db")], "keys"),
    ];
    for (variables, word) in table {
        let folder = tempfile::tempdir().expect("a folder");
        let output = outflow(folder.path()).envs(variables.iter().copied()).output().expect("it runs");
        let errors = errors(&output);
        assert!(errors.contains(word), "{variables:?}: {errors}");
        assert!(!errors.contains("secret@"), "{errors}");
    }
}

#[test]
fn a_key_that_is_not_the_one_of_before_is_recognised() {
    let folder = tempfile::tempdir().expect("a folder");
    let migrate = |folder: &Path| outflow(folder).args(["migrate", "up"]).output().expect("it runs");
    let keys = |folder: &Path| outflow(folder).args(["keys", "generate"]).output().expect("it runs");
    assert!(keys(folder.path()).status.success());
    assert!(migrate(folder.path()).status.success());
    drop(Process::start(&mut outflow(folder.path())));

    let key = folder.path().join("keys").join("k0001");
    let other = tempfile::tempdir().expect("a folder");
    assert!(keys(other.path()).status.success());
    std::fs::remove_file(&key).expect("the key is lost");
    std::fs::copy(other.path().join("keys").join("k0001"), &key).expect("another takes its name");
    let output = outflow(folder.path()).output().expect("it runs");
    let errors = errors(&output);
    assert!(errors.contains("k0001"), "{errors}");
}
