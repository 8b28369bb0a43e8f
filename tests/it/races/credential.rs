//! Changes the endpoint concurrently with the credential: a credential that was stored for the old endpoint is never kept for the new one.

use outflow::grpc::proto as pb;

use super::{Racers, outcome, race};
use crate::support::{host, password, with_host};

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_change_never_keeps_a_credential_stored_before_it() {
    race("new endpoint ∥ new credential", async |server, racers, round| {
        let Racers { mut admin, mut second, .. } = racers;
        let connection = admin.connection(&format!("Connection {round}")).await;
        // In every second round no credential is stored, and the endpoint may change without one.
        let stored = round % 2 == 0;
        if !stored {
            let revoke = pb::RevokeConnectionCredentialRequest { name: connection.name.clone(), ..Default::default() };
            admin.connections.revoke_connection_credential(revoke).await.expect("revoked");
        }
        let mut moved = with_host(&connection, "moved.example");
        moved.etag = String::new();
        let update = pb::UpdateConnectionRequest {
            connection: Some(moved),
            credential: stored.then(|| password("for the new endpoint")),
            ..Default::default()
        };
        let rotate = pb::RotateConnectionCredentialRequest {
            name: connection.name.clone(),
            credential: Some(password("rotated")),
            ..Default::default()
        };
        let (updated, rotated) = tokio::join!(
            admin.connections.update_connection(update),
            second.connections.rotate_connection_credential(rotate),
        );
        let rotated = rotated.expect("rotated").into_inner().connection.expect("a connection");
        let rotated_first = host(&rotated) == "sftp.partner.example";
        let connection = admin.read_connection(&connection.name).await;
        let kept = server.stored_password(&connection).await;
        let found = (outcome(&updated), host(&connection), kept.as_str());
        let (ok, refused) = ("OK".to_owned(), "CREDENTIAL_REENTRY_REQUIRED".to_owned());
        let expected = match (stored, rotated_first) {
            (true, true) => (ok, "moved.example", "for the new endpoint"),
            (true | false, false) => (ok, "moved.example", "rotated"),
            (false, true) => (refused, "sftp.partner.example", "rotated"),
        };
        assert_eq!(found, expected);
        !rotated_first
    })
    .await;
}
