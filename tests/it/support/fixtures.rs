//! Valid sample requests, and shorthands for calls that must succeed.

use std::collections::BTreeMap;

use outflow::grpc::proto::{self as pb, credential_input};
use prost_types::value::Kind;
use prost_types::{Struct, Value};

use super::{Client, client};

/// The name of the default organization, `organizations/acme`.
pub fn parent() -> String {
    format!("organizations/{}", client::ORGANIZATION)
}

/// Builds a Struct from its fields.
pub fn object<const N: usize>(fields: [(&str, Kind); N]) -> Struct {
    let fields = fields.map(|(key, kind)| (key.to_owned(), Value { kind: Some(kind) }));
    Struct { fields: BTreeMap::from(fields) }
}

/// A string value of a Struct.
pub fn text(value: &str) -> Kind {
    Kind::StringValue(value.to_owned())
}

/// A valid SFTP connection.
pub fn sftp(display_name: &str) -> pb::Connection {
    pb::Connection {
        display_name: display_name.to_owned(),
        connection_type: "connectionTypes/sftp".to_owned(),
        properties: Some(object([
            ("host", text("sftp.partner.example")),
            ("port", Kind::NumberValue(22.0)),
            ("username", text("outflow")),
            ("directory", text("in")),
            ("host_key", text("SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")),
        ])),
        ..pb::Connection::default()
    }
}

/// A copy of a connection with another host.
pub fn with_host(connection: &pb::Connection, host: &str) -> pb::Connection {
    let mut changed = connection.clone();
    let properties = changed.properties.as_mut().expect("properties");
    properties.fields.insert("host".to_owned(), Value { kind: Some(text(host)) });
    changed
}

/// The host in the properties of a connection.
pub fn host(connection: &pb::Connection) -> &str {
    match &connection.properties.as_ref().expect("properties").fields["host"].kind {
        Some(Kind::StringValue(host)) => host,
        other => panic!("{other:?} is not a host"),
    }
}

/// A credential with a password.
pub fn password(secret: &str) -> pb::CredentialInput {
    let values = BTreeMap::from([("password".to_owned(), secret.to_owned())]);
    pb::CredentialInput {
        auth_method: "password".to_owned(),
        source: Some(credential_input::Source::Inline(credential_input::Inline { values })),
        expire_time: None,
    }
}

/// A request that creates an SFTP connection.
pub fn create_connection(display_name: &str) -> pb::CreateConnectionRequest {
    pb::CreateConnectionRequest {
        parent: parent(),
        connection: Some(sftp(display_name)),
        credential: Some(password("correct horse")),
        ..pb::CreateConnectionRequest::default()
    }
}

/// A valid export of one table.
pub fn export_on(connection: &str, display_name: &str) -> pb::Export {
    pb::Export {
        display_name: display_name.to_owned(),
        connection: connection.to_owned(),
        payload: Some(pb::Payload {
            tables: vec![pb::PayloadTable {
                table: "customers".to_owned(),
                fields: vec![pb::PayloadField { field: "email".to_owned(), ..pb::PayloadField::default() }],
                filters: Vec::new(),
            }],
        }),
        destination_settings: Some(object([("folder", text("weekly")), ("file_format", text("csv"))])),
        ..pb::Export::default()
    }
}

/// A request that creates an export.
pub fn create_export(connection: &str, display_name: &str) -> pb::CreateExportRequest {
    pb::CreateExportRequest {
        parent: parent(),
        export: Some(export_on(connection, display_name)),
        ..pb::CreateExportRequest::default()
    }
}

/// An enabled cron schedule.
pub fn cron(expression: &str, time_zone: &str) -> pb::Schedule {
    pb::Schedule {
        timing: Some(pb::schedule::Timing::Cron(pb::schedule::Cron {
            expression: expression.to_owned(),
            time_zone: time_zone.to_owned(),
            ..pb::schedule::Cron::default()
        })),
        enabled: true,
        ..pb::Schedule::default()
    }
}

impl Client {
    /// Creates an SFTP connection.
    pub async fn connection(&mut self, display_name: &str) -> pb::Connection {
        let created = self.connections.create_connection(create_connection(display_name)).await;
        created.expect("created").into_inner().connection.expect("a resource")
    }

    /// Creates an SFTP connection that all contributors may use.
    pub async fn shared_connection(&mut self, display_name: &str) -> pb::Connection {
        let mut request = create_connection(display_name);
        let sharing = pb::Sharing { all_contributors: true, members: Vec::new() };
        request.connection.as_mut().expect("a connection").sharing = Some(sharing);
        let created = self.connections.create_connection(request).await;
        created.expect("created").into_inner().connection.expect("a resource")
    }

    /// Creates an export.
    pub async fn export(&mut self, connection: &str, display_name: &str) -> pb::Export {
        let created = self.exports.create_export(create_export(connection, display_name)).await;
        created.expect("created").into_inner().export.expect("a resource")
    }

    /// Creates a connection and an export on it in another organization.
    pub async fn export_in(&mut self, organization: &str, display_name: &str) -> pb::Export {
        let parent = format!("organizations/{organization}");
        let create = pb::CreateConnectionRequest { parent: parent.clone(), ..create_connection(display_name) };
        let created = self.connections.create_connection(create).await.expect("created").into_inner();
        let create = create_export(&created.connection.expect("a resource").name, display_name);
        let created = self.exports.create_export(pb::CreateExportRequest { parent, ..create }).await;
        created.expect("created").into_inner().export.expect("a resource")
    }

    /// Reads a connection.
    pub async fn read_connection(&mut self, name: &str) -> pb::Connection {
        let request = pb::GetConnectionRequest { name: name.to_owned() };
        let found = self.connections.get_connection(request).await.expect("found");
        found.into_inner().connection.expect("a resource")
    }

    /// Reads an export.
    pub async fn read_export(&mut self, name: &str) -> pb::Export {
        let request = pb::GetExportRequest { name: name.to_owned() };
        let found = self.exports.get_export(request).await.expect("found");
        found.into_inner().export.expect("a resource")
    }
}
