//! Compares the responses of the contenders, so that none of them does less.

use std::fmt::Debug;

use outflow::grpc::proto as pb;
use prost_types::Timestamp;

/// Panics if a response differs from that of the service, the first one.
pub fn assert_equal<T: PartialEq + Debug>(responses: &[T]) {
    assert!(responses.iter().all(|response| *response == responses[0]), "responses differ: {responses:#?}");
}

/// Clears what differs between two exports of equal requests, also the next due time, which bare servers do not compute.
pub fn comparable_export(export: Option<pb::Export>) -> pb::Export {
    let export = export.expect("an export");
    pb::Export {
        name: String::new(),
        uid: String::new(),
        etag: String::new(),
        create_time: None,
        update_time: None,
        next_run_time: export.next_run_time.map(|_| Timestamp::default()),
        ..export
    }
}

/// Clears what differs between two connections of equal requests.
pub fn comparable_connection(connection: Option<pb::Connection>) -> pb::Connection {
    let connection = connection.expect("a connection");
    let credential_status = connection
        .credential_status
        .map(|status| pb::CredentialStatus { set_time: status.set_time.map(|_| Timestamp::default()), ..status });
    pb::Connection {
        name: String::new(),
        uid: String::new(),
        etag: String::new(),
        create_time: None,
        update_time: None,
        credential_status,
        ..connection
    }
}
