//! Failures of SSH and SFTP. No detail holds a text of the server.

use russh_sftp::client::error::Error as SftpError;
use russh_sftp::protocol::StatusCode;

use crate::delivery::DeliveryError;
use crate::model::FailureCode;

/// A failure before the connection is authenticated.
pub fn handshake(error: &russh::Error) -> DeliveryError {
    use russh::Error::{
        ConnectionTimeout, Disconnect, HUP, IO, InactivityTimeout, Join, KeepaliveTimeout, NoCommonAlgo, RecvError,
        SendError,
    };
    if let NoCommonAlgo { kind, .. } = error {
        let detail = format!("the SSH handshake failed: client and server have no common {kind:?} algorithm");
        return DeliveryError::new(FailureCode::TlsFailed, detail);
    }
    if let IO(cause) = error {
        return DeliveryError::with(FailureCode::DestinationUnreachable, "the SSH handshake failed", cause);
    }
    let is_disconnect = matches!(
        error,
        ConnectionTimeout | Disconnect | HUP | InactivityTimeout | Join(_) | KeepaliveTimeout | RecvError | SendError
    );
    if is_disconnect {
        lost("the SSH handshake")
    } else {
        DeliveryError::new(FailureCode::TlsFailed, "the SSH handshake failed: the server does not follow the protocol")
    }
}

/// The connection ended.
pub fn lost(during: &str) -> DeliveryError {
    DeliveryError::new(FailureCode::DestinationUnreachable, format!("the connection was lost during {during}"))
}

/// A step took too long.
pub fn timed_out(during: &str) -> DeliveryError {
    DeliveryError::new(FailureCode::DestinationUnreachable, format!("the server did not respond in time: {during}"))
}

/// An operation on a file or folder failed.
pub fn operation(doing: &str, path: &str, error: &SftpError) -> DeliveryError {
    let doing = format!("cannot {doing} {path}");
    let Some(status) = status(error) else {
        let cause = if matches!(error, SftpError::Timeout) { "no response in time" } else { "the connection was lost" };
        return DeliveryError::with(FailureCode::DestinationUnreachable, &doing, cause);
    };
    let code = match status {
        StatusCode::PermissionDenied => FailureCode::DestinationDenied,
        StatusCode::NoConnection | StatusCode::ConnectionLost => FailureCode::DestinationUnreachable,
        StatusCode::Ok
        | StatusCode::Eof
        | StatusCode::NoSuchFile
        | StatusCode::Failure
        | StatusCode::BadMessage
        | StatusCode::OpUnsupported => FailureCode::DestinationRefused,
    };
    DeliveryError::with(code, &doing, status)
}

/// The status that the server responded with; `None`: it did not respond.
pub fn status(error: &SftpError) -> Option<StatusCode> {
    if let SftpError::Status(status) = error { Some(status.status_code) } else { None }
}

/// Whether the server responded that a file or folder does not exist.
pub fn is_missing(error: &SftpError) -> bool {
    status(error) == Some(StatusCode::NoSuchFile)
}

/// The server refuses what a delivery needs.
pub fn refused(detail: impl Into<String>) -> DeliveryError {
    DeliveryError::new(FailureCode::DestinationRefused, detail)
}
