//! Every RPC of ConnectionService.

use outflow::grpc::proto as pb;
use prost::Message as _;

use super::Slot::{Connection, Free, Parent};
use super::{EveryCall, bytes};
use crate::support::{create_connection, password, sftp, with_host};

pub const CALLS: [EveryCall; 15] = [
    EveryCall {
        method: "outflow.v1.ConnectionService/ListConnectionTypes",
        slots: &[],
        call: |mut client, _, _| {
            Box::pin(async move {
                bytes(client.connections.list_connection_types(pb::ListConnectionTypesRequest::default()).await)
            })
        },
    },
    EveryCall {
        method: "outflow.v1.ConnectionService/GetConnectionType",
        slots: &[],
        call: |mut client, _, _| {
            Box::pin(async move {
                let request = pb::GetConnectionTypeRequest { name: "connectionTypes/sftp".into() };
                bytes(client.connections.get_connection_type(request).await)
            })
        },
    },
    EveryCall {
        method: "outflow.v1.ConnectionService/CreateConnection",
        slots: &[Parent],
        call: |mut client, names, with| {
            Box::pin(async move {
                let credential = Some(password(&with.secret));
                let request = pb::CreateConnectionRequest {
                    parent: names.parent,
                    credential,
                    request_id: with.request_id,
                    validate_only: with.validate_only,
                    ..create_connection("New")
                };
                bytes(client.connections.create_connection(request).await)
            })
        },
    },
    EveryCall {
        method: "outflow.v1.ConnectionService/GetConnection",
        slots: &[Connection],
        call: |mut client, names, _| {
            Box::pin(async move {
                bytes(client.connections.get_connection(pb::GetConnectionRequest { name: names.connection }).await)
            })
        },
    },
    EveryCall {
        method: "outflow.v1.ConnectionService/ListConnections",
        slots: &[Parent],
        call: |mut client, names, _| {
            Box::pin(async move {
                let request = pb::ListConnectionsRequest { parent: names.parent, ..Default::default() };
                bytes(client.connections.list_connections(request).await)
            })
        },
    },
    EveryCall {
        method: "outflow.v1.ConnectionService/UpdateConnection",
        slots: &[Connection],
        call: |mut client, names, with| {
            Box::pin(async move {
                let changed = with_host(&sftp("Changed"), "changed.example");
                let request = pb::UpdateConnectionRequest {
                    connection: Some(pb::Connection { name: names.connection, ..changed }),
                    update_mask: Some(prost_types::FieldMask {
                        paths: vec!["display_name".into(), "properties".into()],
                    }),
                    credential: Some(password(&with.secret)),
                    request_id: with.request_id,
                    validate_only: with.validate_only,
                };
                bytes(client.connections.update_connection(request).await)
            })
        },
    },
    EveryCall {
        method: "outflow.v1.ConnectionService/DeleteConnection",
        slots: &[Free],
        call: |mut client, names, with| {
            Box::pin(async move {
                let request = pb::DeleteConnectionRequest {
                    name: names.free,
                    request_id: with.request_id,
                    validate_only: with.validate_only,
                    ..Default::default()
                };
                bytes(client.connections.delete_connection(request).await)
            })
        },
    },
    EveryCall {
        method: "outflow.v1.ConnectionService/StreamBlockingExports",
        slots: &[Connection],
        call: |mut client, names, _| {
            Box::pin(async move {
                let request = pb::StreamBlockingExportsRequest { name: names.connection, ..Default::default() };
                let mut stream = client.connections.stream_blocking_exports(request).await?.into_inner();
                let mut all = Vec::new();
                while let Some(message) = stream.message().await? {
                    all.extend(message.encode_to_vec());
                }
                Ok(all)
            })
        },
    },
    EveryCall {
        method: "outflow.v1.ConnectionService/SearchUsableConnections",
        slots: &[Parent],
        call: |mut client, names, _| {
            Box::pin(async move {
                let request = pb::SearchUsableConnectionsRequest { parent: names.parent, ..Default::default() };
                bytes(client.connections.search_usable_connections(request).await)
            })
        },
    },
    EveryCall {
        method: "outflow.v1.ConnectionService/ShareConnection",
        slots: &[Connection],
        call: |mut client, names, with| {
            Box::pin(async move {
                let members = vec!["user:zed".to_owned()];
                let request = pb::ShareConnectionRequest {
                    name: names.connection,
                    members,
                    request_id: with.request_id,
                    validate_only: with.validate_only,
                    ..Default::default()
                };
                bytes(client.connections.share_connection(request).await)
            })
        },
    },
    EveryCall {
        method: "outflow.v1.ConnectionService/UnshareConnection",
        slots: &[Connection],
        call: |mut client, names, with| {
            Box::pin(async move {
                let members = vec!["user:bea".to_owned()];
                let request = pb::UnshareConnectionRequest {
                    name: names.connection,
                    members,
                    request_id: with.request_id,
                    validate_only: with.validate_only,
                    ..Default::default()
                };
                bytes(client.connections.unshare_connection(request).await)
            })
        },
    },
    EveryCall {
        method: "outflow.v1.ConnectionService/RotateConnectionCredential",
        slots: &[Connection],
        call: |mut client, names, with| {
            Box::pin(async move {
                let request = pb::RotateConnectionCredentialRequest {
                    name: names.connection,
                    credential: Some(password(&with.secret)),
                    request_id: with.request_id,
                    validate_only: with.validate_only,
                    ..Default::default()
                };
                bytes(client.connections.rotate_connection_credential(request).await)
            })
        },
    },
    EveryCall {
        method: "outflow.v1.ConnectionService/RevokeConnectionCredential",
        slots: &[Connection],
        call: |mut client, names, with| {
            Box::pin(async move {
                let request = pb::RevokeConnectionCredentialRequest {
                    name: names.connection,
                    request_id: with.request_id,
                    validate_only: with.validate_only,
                    ..Default::default()
                };
                bytes(client.connections.revoke_connection_credential(request).await)
            })
        },
    },
    EveryCall {
        method: "outflow.v1.ConnectionService/SuspendConnection",
        slots: &[Connection],
        call: |mut client, names, with| {
            Box::pin(async move {
                let request = pb::SuspendConnectionRequest {
                    name: names.connection,
                    reason: "maintenance".into(),
                    request_id: with.request_id,
                    validate_only: with.validate_only,
                    ..Default::default()
                };
                bytes(client.connections.suspend_connection(request).await)
            })
        },
    },
    EveryCall {
        method: "outflow.v1.ConnectionService/ResumeConnection",
        slots: &[Connection],
        call: |mut client, names, with| {
            Box::pin(async move {
                let request = pb::ResumeConnectionRequest {
                    name: names.connection,
                    request_id: with.request_id,
                    validate_only: with.validate_only,
                    ..Default::default()
                };
                bytes(client.connections.resume_connection(request).await)
            })
        },
    },
];
