//! Requests for tests of connections, and their checks as messages.

use super::checks;
use super::connections::{connection_name, credential_input};
use super::validator::RequestValidator;
use super::values::properties;
use crate::app::connections::TestConnection;
use crate::grpc::proto as pb;
use crate::model::Check;

/// Converts a request of TestConnection.
pub fn test_connection(
    validator: &mut RequestValidator<'_>,
    request: pb::TestConnectionRequest,
) -> Option<TestConnection> {
    use pb::test_connection_request::Target;
    validator.deny_foreign_names([request.parent.as_str()]);
    validator.parent(&request.parent);
    match request.target {
        None => {
            validator.add("name", "is required, or `connection`");
            None
        }
        Some(Target::Name(name)) => {
            if request.credential.is_some() {
                validator.add("credential", "must be absent with `name`; the stored credential is tested");
            }
            connection_name(validator, &name).map(TestConnection::Saved)
        }
        Some(Target::Connection(connection)) => {
            validator.deny_foreign_names([connection.name.as_str()]);
            let connection_type = validator.connection_type("connection.connection_type", &connection.connection_type);
            let properties = properties(&mut validator.violations, "connection.properties", connection.properties);
            let credential = request.credential.map(|input| credential_input(validator, input));
            Some(TestConnection::Draft { connection_type: connection_type?, properties, credential })
        }
    }
}

/// The response of a test.
pub fn checks_to_proto(checks: Vec<Check>) -> pb::TestConnectionResponse {
    let passed = checks::passed(&checks);
    pb::TestConnectionResponse { passed, checks: checks.into_iter().map(checks::check_to_proto).collect() }
}
