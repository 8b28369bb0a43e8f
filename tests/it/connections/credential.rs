//! RotateConnectionCredential, RevokeConnectionCredential and expiry: the effect on exports, and the binding of secrets.

use outflow::grpc::proto as pb;
use outflow::model::limits;
use prost_types::Timestamp;
use tonic::Code;

use crate::support::{Backend, Clients as _, ErrorExt as _, TestServer, create_connection, on_both, password};

#[tokio::test(flavor = "multi_thread")]
async fn revoking_a_credential_blocks_the_exports_and_rotating_it_unblocks_them() {
    on_both(async |server| {
        let (mut admin, mut viewer) = (server.admin().await, server.viewer().await);
        let connection = admin.connection("Partner").await;
        let export = admin.export(&connection.name, "Weekly").await;
        let revoke = pb::RevokeConnectionCredentialRequest { name: connection.name.clone(), ..Default::default() };
        let revoked = admin.connections.revoke_connection_credential(revoke.clone()).await.expect("revoked");
        let revoked = revoked.into_inner().connection.expect("a connection");
        assert_eq!(revoked.state(), pb::connection::State::CredentialRequired);
        assert_eq!(revoked.state_reason(), pb::connection::StateReason::CredentialMissing);
        let status = revoked.credential_status.clone().expect("a status");
        assert_eq!((status.auth_method.as_str(), status.revision, status.set_time), ("", 2, None));
        let seen = viewer.read_export(&export.name).await;
        assert_eq!(seen.state(), pb::export::State::Blocked);
        assert_eq!(seen.state_reason(), pb::export::StateReason::CredentialRequired);
        assert_eq!(seen.etag, export.etag, "the export itself did not change");
        let again = admin.connections.revoke_connection_credential(revoke).await.expect("no error");
        assert_eq!(again.into_inner().connection.expect("a connection"), revoked);

        let rotate = pb::RotateConnectionCredentialRequest {
            name: connection.name.clone(),
            credential: Some(password("new")),
            ..Default::default()
        };
        let rotated = admin.connections.rotate_connection_credential(rotate).await.expect("rotated").into_inner();
        let rotated = rotated.connection.expect("a connection");
        assert_eq!(rotated.state(), pb::connection::State::Active);
        assert_eq!(rotated.credential_status.expect("a status").revision, 3);
        assert_eq!(viewer.read_export(&export.name).await.state(), pb::export::State::Active);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_credential_blocks_the_exports() {
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
        let refusal =
            admin.connections.rotate_connection_credential(rotate.clone()).await.expect_err("it is in the past");
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
async fn a_credential_that_does_not_match_its_type_is_refused() {
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
async fn a_sealed_secret_does_not_open_for_another_connection_or_endpoint() {
    on_both(async |server: TestServer| {
        let mut admin = server.admin().await;
        let mut connections = Vec::new();
        for number in 0..20 {
            let mut request = create_connection(&format!("Connection {number}"));
            request.credential = Some(password(&format!("secret {number}")));
            let created = admin.connections.create_connection(request).await.expect("created").into_inner();
            connections.push(created.connection.expect("a connection"));
        }
        let mut stored = Vec::new();
        for (number, connection) in connections.iter().enumerate() {
            assert_eq!(server.stored_password(connection).await, format!("secret {number}"));
            stored.push(server.stored_credential(&connection.name).await);
        }
        let mut unopened = 0;
        for (one, connection) in connections.iter().enumerate() {
            for (other, stored) in stored.iter().enumerate() {
                assert_eq!(server.open(connection, stored).is_ok(), one == other);
                unopened += usize::from(one != other);
            }
        }
        assert_eq!(unopened, 380, "every pair of different connections");

        // UpdateConnection requires the credential for a new endpoint. Changing the row directly does not help either.
        let database = server.database().await;
        let (column, cast) =
            if server.backend == Backend::Postgres { ("properties::text", "::jsonb") } else { ("properties", "") };
        for (from, to) in [("sftp.partner.example", "evil.example"), ("\"outflow\"", "\"root\""), ("22", "2222")] {
            for (from, to, expected) in [(from, to, 0), (to, from, connections.len())] {
                database
                    .execute(&format!("UPDATE connections SET properties = replace({column}, '{from}', '{to}'){cast}"))
                    .await;
                let mut opened = 0;
                for connection in &connections {
                    let stored = server.stored_credential(&connection.name).await;
                    opened += usize::from(server.open(connection, &stored).is_ok());
                }
                assert_eq!(opened, expected, "from {from} to {to}");
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_secret_is_stored_and_a_larger_one_is_refused() {
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
