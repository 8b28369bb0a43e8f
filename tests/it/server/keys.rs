//! The key ring at start: a missing, swapped or truncated key is reported with its id before the server listens.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::support::{Clients as _, Database, Process, create_connection, outflow};

/// Generates a key with an id.
fn generate(data_dir: &Path, id: &str) {
    let output = outflow(data_dir).args(["keys", "generate", "--id", id]).output().expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Standard error of a start that must fail.
fn start_error(data_dir: &Path) -> String {
    let output = outflow(data_dir).output().expect("the binary runs");
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_swapped_or_truncated_key_prevents_the_start_until_it_is_restored() {
    let directory = tempfile::tempdir().expect("a directory");
    let data_dir = directory.path();
    let keys = data_dir.join("keys");
    let server = Process::start(&mut outflow(data_dir));
    server
        .admin()
        .await
        .connections
        .create_connection(create_connection("Sealed with the first"))
        .await
        .expect("created");
    drop(server);
    let first = fs::read(keys.join("k0001")).expect("the key");

    // The key is missing, and there is another with the next id.
    generate(data_dir, "k0002");
    fs::remove_file(keys.join("k0001")).expect("removed");
    let error = start_error(data_dir);
    assert!(error.contains("k0001") && error.contains("lacks"), "{error}");
    // Another key has the id of the first.
    fs::rename(keys.join("k0002"), keys.join("k0001")).expect("renamed");
    let error = start_error(data_dir);
    assert!(error.contains("k0001") && error.contains("wrong or swapped"), "{error}");
    // A server that cannot open the stored credentials does not migrate the schema either.
    let database = Database::open(&format!("sqlite://{}", data_dir.join("outflow.db").display())).await;
    let (table, last) = ("seaql_migrations", "(SELECT max(version) FROM seaql_migrations)");
    database.execute(&format!("CREATE TABLE kept AS SELECT * FROM {table} WHERE version = {last}")).await;
    database.execute(&format!("DELETE FROM {table} WHERE version = {last}")).await;
    let error = start_error(data_dir);
    assert!(error.contains("wrong or swapped") && !error.contains("migration"), "{error}");
    database.execute(&format!("INSERT INTO {table} SELECT * FROM kept; DROP TABLE kept")).await;
    // The key is truncated.
    fs::write(keys.join("k0001"), &first[..20]).expect("written");
    let error = start_error(data_dir);
    assert!(error.contains("k0001") && error.contains("truncated"), "{error}");
    // There is no key: the server generates one only if nothing is sealed.
    fs::remove_file(keys.join("k0001")).expect("removed");
    assert!(start_error(data_dir).contains("keys generate"));

    // None of these starts changed anything: the server starts with the first key and a new second one.
    fs::write(keys.join("k0001"), &first).expect("written");
    let set_mode = |mode| fs::set_permissions(keys.join("k0001"), fs::Permissions::from_mode(mode)).expect("the mode");
    set_mode(0o644);
    assert!(start_error(data_dir).contains("can be read by other users"));
    set_mode(0o600);
    generate(data_dir, "k0002");
    drop(Process::start(&mut outflow(data_dir)));
    // The database now knows the second key, too.
    fs::remove_file(keys.join("k0002")).expect("removed");
    generate(data_dir, "k0002");
    let error = start_error(data_dir);
    assert!(error.contains("k0002") && error.contains("wrong or swapped"), "{error}");
    // No credential is sealed with it, so the server starts without it.
    fs::remove_file(keys.join("k0002")).expect("removed");
    drop(Process::start(&mut outflow(data_dir)));
}
