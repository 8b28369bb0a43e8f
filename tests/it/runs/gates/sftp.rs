//! Connections to an SFTP server of the tests.

use outflow::grpc::proto::{self as pb, credential_input};
use prost_types::value::Kind;

use crate::destinations::sftp::Login;
use crate::support::{Client, object, parent, text};

/// The range of addresses that replicas have to permit.
pub const ALLOWED: (&str, &str) = ("outbound_allowed", "*=127.0.0.1/32");

/// A connection with a login, to a directory of its server.
pub fn connection(login: &Login, directory: &str) -> pb::Connection {
    pb::Connection {
        display_name: "Partner".to_owned(),
        connection_type: "connectionTypes/sftp".to_owned(),
        properties: Some(object([
            ("host", text("127.0.0.1")),
            ("port", Kind::NumberValue(f64::from(login.port))),
            ("username", text(&login.username)),
            ("directory", text(directory)),
            ("host_key", text(&login.host_key)),
        ])),
        ..pb::Connection::default()
    }
}

/// The credential of a login.
pub fn credential(login: &Login) -> pb::CredentialInput {
    let values = login.fields.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    pb::CredentialInput {
        auth_method: login.method.to_owned(),
        source: Some(credential_input::Source::Inline(credential_input::Inline { values })),
        expire_time: None,
    }
}

impl Client {
    /// Creates a connection with a login, to a directory of its server.
    pub async fn sftp_to(&mut self, login: &Login, directory: &str) -> pb::Connection {
        let request = pb::CreateConnectionRequest {
            parent: parent(),
            connection: Some(connection(login, directory)),
            credential: Some(credential(login)),
            ..pb::CreateConnectionRequest::default()
        };
        self.connections.create_connection(request).await.expect("created").into_inner().connection.expect("answered")
    }
}
