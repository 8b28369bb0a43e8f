//! Changes the endpoint of a connection concurrently with a run and with a new credential: no secret reaches an endpoint that
//! it was not stored for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use outflow::grpc::proto as pb;

use super::{ROUNDS, outcome};
use crate::far_side::{FarConnection, FarSide, Secrets, TrustedAuthority};
use crate::support::{Backend, Clients as _, Gate, TestServer, export_on, parent};

/// A webhook at a far side, authenticated by a token.
fn webhook(far: &FarSide, secrets: &Secrets) -> FarConnection {
    let mut all = FarConnection::all(far, secrets, false);
    all.retain(|connection| (connection.connection_type, connection.auth_method) == ("webhook", "bearer_token"));
    all.pop().expect("a webhook")
}

/// Whether a far side received the token of these secrets.
fn has_received(far: &FarSide, secrets: &Secrets) -> bool {
    far.received.contains(&format!("Bearer {}", secrets.token))
}

/// A round on a server that delivers. Returns whether the new credential was stored before the endpoint changed, and whether
/// the run began before that.
async fn round(server: &TestServer, secrets: &Secrets, sides: &[FarSide; 2], number: u64) -> (bool, bool) {
    let [old_side, new_side] = sides;
    let (mut admin, mut second, mut third) = (server.admin().await, server.admin().await, server.admin().await);
    let [first, moved, rotated] = [(); 3].map(|()| secrets.with_new_texts());
    let create = webhook(old_side, &first).create(&parent());
    let connection = admin.connections.create_connection(create).await.expect("created").into_inner();
    let connection = connection.connection.expect("a connection");
    let export = pb::Export { destination_settings: None, ..export_on(&connection.name, &format!("Export {number}")) };
    let create = pb::CreateExportRequest { parent: parent(), export: Some(export), ..Default::default() };
    let export = admin.exports.create_export(create).await.expect("created").into_inner().export.expect("an export");

    let target = webhook(new_side, &moved);
    let update = pb::UpdateConnectionRequest {
        connection: Some(pb::Connection {
            name: connection.name.clone(),
            properties: Some(target.properties.clone()),
            ..Default::default()
        }),
        credential: Some(target.credential_input()),
        ..Default::default()
    };
    let rotate = pb::RotateConnectionCredentialRequest {
        name: connection.name.clone(),
        credential: Some(webhook(old_side, &rotated).credential_input()),
        ..Default::default()
    };
    let run = pb::RunExportRequest { name: export.name.clone(), ..Default::default() };
    // A runner looks for runs every half second: the changes come before, with and after its lease.
    let delay = Duration::from_millis(number % 8 * 80);
    let change = async {
        tokio::time::sleep(delay).await;
        tokio::join!(
            admin.connections.update_connection(update),
            second.connections.rotate_connection_credential(rotate),
        )
    };
    let (started, (updated, rotation)) = tokio::join!(third.exports.run_export(run), change);
    assert_eq!([outcome(&updated), outcome(&rotation), outcome(&started)], ["OK", "OK", "OK"]);
    let run = third.follow(&started.expect("started").into_inner().run.expect("a run").name).await;
    assert_eq!(run.state(), pb::export_run::State::Failed, "the far sides refuse: {run:?}");

    let rotated_connection = rotation.expect("rotated").into_inner().connection.expect("a connection");
    let rotated_first = rotated_connection.properties
        != updated.expect("updated").into_inner().connection.expect("a connection").properties;
    let to_old = [&first, &moved, &rotated].map(|secrets| has_received(old_side, secrets));
    let to_new = [&first, &moved, &rotated].map(|secrets| has_received(new_side, secrets));
    // The run used one credential, and each only where it was stored for.
    let expected: &[[[bool; 3]; 2]] = if rotated_first {
        &[[[true, false, false], [false; 3]], [[false, false, true], [false; 3]], [[false; 3], [false, true, false]]]
    } else {
        &[[[true, false, false], [false; 3]], [[false; 3], [false, true, false]], [[false; 3], [false, false, true]]]
    };
    assert!(expected.contains(&[to_old, to_new]), "rotated first: {rotated_first}: {to_old:?}, {to_new:?}");
    (rotated_first, to_old.contains(&true))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_sends_no_secret_to_an_endpoint_that_it_was_not_stored_for() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let authority = TrustedAuthority::new();
        let sides = [FarSide::start(&authority).await, FarSide::start(&authority).await];
        let secrets = Secrets::new(&authority);
        let datasets = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(datasets.path().join("acme")).expect("created");
        std::fs::write(datasets.path().join("acme/customers.csv"), "email\nann@example.com\n").expect("written");
        let path = |path: &std::path::Path| path.to_str().expect("a path").to_owned();
        let settings = vec![
            ("runs", "on".to_owned()),
            ("dataset_location", path(datasets.path())),
            ("outbound_allowed", "*=127.0.0.1".to_owned()),
            ("outbound_ca_file", path(&authority.file())),
        ];
        let server = TestServer::start_with(backend, settings).await;
        let (rotations, old) = (AtomicU64::new(0), AtomicU64::new(0));
        let gate = Gate::new(format!("RACES new endpoint ∥ run ∥ new credential, {backend:?}"), ROUNDS);
        gate.run(async |number| {
            let (rotated_first, to_old) = Box::pin(round(&server, &secrets, &sides, number)).await;
            rotations.fetch_add(u64::from(rotated_first), Ordering::Relaxed);
            old.fetch_add(u64::from(to_old), Ordering::Relaxed);
        })
        .await;
        let (rotations, old) = (rotations.into_inner(), old.into_inner());
        gate.report(&format!(", {rotations} credentials before the change, {old} runs to the old endpoint"));
    }
}
