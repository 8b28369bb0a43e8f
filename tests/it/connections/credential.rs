//! Rotate, revoke and expiry: what they do to the exports.

use outflow::grpc::proto as pb;
use outflow::model::limits;
use prost_types::Timestamp;
use tonic::Code;

use crate::support::{Backend, Clients as _, ErrorExt as _, TestServer, create_connection, on_both, password};

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_credential_blocks_and_a_new_one_unblocks() {
    on_both(async |server| {
        let (mut admin, mut viewer) = (server.admin().await, server.viewer().await);
        let connection = admin.connection("Partner").await;
        let export = admin.export(&connection.name, "Weekly").await;
        let revoke = pb::RevokeConnectionCredentialRequest { name: connection.name.clone(), ..Default::default() };
        let revoked = admin.connections.revoke_connection_credential(revoke.clone()).await.expect("revoked");
        let revoked = revoked.into_inner().connection.expect("answered");
        assert_eq!(revoked.state(), pb::connection::State::CredentialRequired);
        assert_eq!(revoked.state_reason(), pb::connection::StateReason::CredentialMissing);
        let status = revoked.credential_status.clone().expect("a status");
        assert_eq!((status.auth_method.as_str(), status.revision, status.set_time), ("", 2, None));
        let seen = viewer.read_export(&export.name).await;
        assert_eq!(seen.state(), pb::export::State::Blocked);
        assert_eq!(seen.state_reason(), pb::export::StateReason::CredentialRequired);
        assert_eq!(seen.etag, export.etag, "the export itself did not change");
        let again = admin.connections.revoke_connection_credential(revoke).await.expect("no error");
        assert_eq!(again.into_inner().connection.expect("answered"), revoked);

        let rotate = pb::RotateConnectionCredentialRequest {
            name: connection.name.clone(),
            credential: Some(password("new")),
            ..Default::default()
        };
        let rotated = admin.connections.rotate_connection_credential(rotate).await.expect("rotated").into_inner();
        let rotated = rotated.connection.expect("answered");
        assert_eq!(rotated.state(), pb::connection::State::Active);
        assert_eq!(rotated.credential_status.expect("a status").revision, 3);
        assert_eq!(viewer.read_export(&export.name).await.state(), pb::export::State::Active);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_expires_by_itself() {
    on_both(async |server| {
        let (mut admin, mut viewer) = (server.admin().await, server.viewer().await);
        let connection = admin.connection("Partner").await;
        let export = admin.export(&connection.name, "Weekly").await;
        let now = server.clock.now().timestamp();
        let mut credential = password("short-lived");
        credential.expire_time = Some(Timestamp { seconds: now - 1, nanos: 0 });
        let mut rotate = pb::RotateConnectionCredentialRequest {
            name: connection.name.clone(),
            credential: Some(credential),
            ..Default::default()
        };
        let refusal = admin.connections.rotate_connection_credential(rotate.clone()).await.expect_err("past");
        assert_eq!(refusal.fields(), ["credential.expire_time"]);
        rotate.credential.as_mut().expect("a credential").expire_time =
            Some(Timestamp { seconds: now + 3_600, nanos: 0 });
        admin.connections.rotate_connection_credential(rotate).await.expect("rotated");
        assert_eq!(viewer.read_export(&export.name).await.state(), pb::export::State::Active);

        server.clock.advance(chrono::TimeDelta::hours(2));
        let seen = viewer.read_export(&export.name).await;
        assert_eq!(seen.state(), pb::export::State::Blocked);
        assert_eq!(seen.state_reason(), pb::export::StateReason::CredentialExpired);
        let seen = admin.read_connection(&connection.name).await;
        assert_eq!(seen.state_reason(), pb::connection::StateReason::CredentialExpired);
        let filter = pb::ListConnectionsRequest {
            parent: "organizations/acme".into(),
            state: pb::connection::State::CredentialRequired.into(),
            ..Default::default()
        };
        let listed = admin.connections.list_connections(filter).await.expect("listed").into_inner();
        assert_eq!(listed.connections, [seen]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_does_not_fit_its_type_is_refused() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await;
        let mut unknown = password("x");
        unknown.auth_method = "oauth".into();
        let mut empty = password("x");
        empty.source = None;
        for (credential, field) in [(unknown, "credential.auth_method"), (empty, "credential.inline")] {
            let rotate = pb::RotateConnectionCredentialRequest {
                name: connection.name.clone(),
                credential: Some(credential),
                ..Default::default()
            };
            let refusal = admin.connections.rotate_connection_credential(rotate).await.expect_err(field);
            assert_eq!((refusal.code(), refusal.fields()), (Code::InvalidArgument, vec![field.to_owned()]));
        }
        assert_eq!(admin.read_connection(&connection.name).await, connection);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_was_moved_or_retargeted_in_the_database_does_not_open() {
    on_both(async |server: TestServer| {
        let mut admin = server.admin().await;
        let mut connections = Vec::new();
        for number in 0..20 {
            let mut request = create_connection(&format!("Connection {number}"));
            request.credential = Some(password(&format!("secret {number}")));
            let made = admin.connections.create_connection(request).await.expect("created").into_inner();
            connections.push(made.connection.expect("answered"));
        }
        let mut stored = Vec::new();
        for (number, connection) in connections.iter().enumerate() {
            assert_eq!(server.stored_password(connection).await, format!("secret {number}"));
            stored.push(server.stored_credential(&connection.name).await);
        }
        let mut refused = 0;
        for (one, connection) in connections.iter().enumerate() {
            for (other, stored) in stored.iter().enumerate() {
                assert_eq!(server.open(connection, stored).is_ok(), one == other);
                refused += usize::from(one != other);
            }
        }
        assert_eq!(refused, 380, "every pair");

        // What an update would not do without the credential does not work behind its back either.
        let database = server.database().await;
        let (column, cast) =
            if server.backend == Backend::Postgres { ("properties::text", "::jsonb") } else { ("properties", "") };
        for (from, to) in [("sftp.partner.example", "evil.example"), ("\"outflow\"", "\"root\""), ("22", "2222")] {
            for (from, to, opens) in [(from, to, 0), (to, from, connections.len())] {
                database
                    .execute(&format!("UPDATE connections SET properties = replace({column}, '{from}', '{to}'){cast}"))
                    .await;
                let mut opened = 0;
                for connection in &connections {
                    let stored = server.stored_credential(&connection.name).await;
                    opened += usize::from(server.open(connection, &stored).is_ok());
                }
                assert_eq!(opened, opens, "from {from} to {to}");
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_secret_is_stored_whole_and_a_larger_one_names_its_field() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await;
        let largest = "s".repeat(limits::MAX_CREDENTIAL_BYTES - "password".len());
        let mut rotate = pb::RotateConnectionCredentialRequest {
            name: connection.name.clone(),
            credential: Some(password(&largest)),
            ..Default::default()
        };
        admin.connections.rotate_connection_credential(rotate.clone()).await.expect("rotated");
        assert_eq!(server.stored_password(&connection).await, largest);
        rotate.credential = Some(password(&format!("{largest}s")));
        let refusal = admin.connections.rotate_connection_credential(rotate).await.expect_err("too large");
        assert_eq!(
            (refusal.code(), refusal.fields()),
            (Code::InvalidArgument, vec!["credential.inline.values".to_owned()])
        );
    })
    .await;
}
