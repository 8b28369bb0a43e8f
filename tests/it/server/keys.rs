//! The key ring at start: whoever lost, swapped, cut or mixed up a key is told its id before the port opens.

use std::fs;
use std::path::Path;

use crate::support::{Clients as _, Database, Process, create_connection, outflow};

fn generate(data_dir: &Path, id: &str) {
    let output = outflow(data_dir).args(["keys", "generate", "--id", id]).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// How a start that is refused explains itself.
fn refusal(data_dir: &Path) -> String {
    let output = outflow(data_dir).output().expect("it runs");
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_swapped_cut_or_foreign_key_refuses_to_start_and_the_right_one_serves_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let data_dir = folder.path();
    let keys = data_dir.join("keys");
    let server = Process::start(&mut outflow(data_dir));
    server.admin().await.connections.create_connection(create_connection("Sealed with the first")).await.expect("made");
    drop(server);
    let first = fs::read(keys.join("k0001")).expect("the key");

    // Lost, and another made in its place under the next id.
    generate(data_dir, "k0002");
    fs::remove_file(keys.join("k0001")).expect("removed");
    let said = refusal(data_dir);
    assert!(said.contains("k0001") && said.contains("lacks"), "{said}");
    // Swapped for another of the same name.
    fs::rename(keys.join("k0002"), keys.join("k0001")).expect("renamed");
    let said = refusal(data_dir);
    assert!(said.contains("k0001") && said.contains("wrong or swapped"), "{said}");
    // Not even a schema that lacks a step is brought up by a server that cannot open what is there.
    let database = Database::open(&format!("sqlite://{}", data_dir.join("outflow.db").display())).await;
    let (table, last) = ("seaql_migrations", "(SELECT max(version) FROM seaql_migrations)");
    database.execute(&format!("CREATE TABLE kept AS SELECT * FROM {table} WHERE version = {last}")).await;
    database.execute(&format!("DELETE FROM {table} WHERE version = {last}")).await;
    let said = refusal(data_dir);
    assert!(said.contains("wrong or swapped") && !said.contains("migration"), "{said}");
    database.execute(&format!("INSERT INTO {table} SELECT * FROM kept; DROP TABLE kept")).await;
    // Cut.
    fs::write(keys.join("k0001"), &first[..20]).expect("written");
    let said = refusal(data_dir);
    assert!(said.contains("k0001") && said.contains("truncated"), "{said}");
    // Gone with its directory: nothing makes a key where there is something to open.
    fs::remove_file(keys.join("k0001")).expect("removed");
    assert!(refusal(data_dir).contains("keys generate"));

    // None of these starts left a trace: the first key and a second of any content serve.
    fs::write(keys.join("k0001"), &first).expect("written");
    generate(data_dir, "k0002");
    drop(Process::start(&mut outflow(data_dir)));
    // From now on the second key is known as well.
    fs::remove_file(keys.join("k0002")).expect("removed");
    generate(data_dir, "k0002");
    let said = refusal(data_dir);
    assert!(said.contains("k0002") && said.contains("wrong or swapped"), "{said}");
    // It sealed nothing yet: without it the server starts.
    fs::remove_file(keys.join("k0002")).expect("removed");
    drop(Process::start(&mut outflow(data_dir)));
}
