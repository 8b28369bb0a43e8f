//! Runs: executions of an export.

use serde::{Deserialize, Serialize};

/// Why a run or a check of a connection failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FailureCode {
    /// The destination did not respond: no such host, connection refused, timed out or ended.
    DestinationUnreachable,
    /// TLS could not be established, or the certificate is not trusted.
    TlsFailed,
    /// The host key of the server is not the configured one.
    HostKeyMismatch,
    /// The destination does not accept the credential.
    AuthenticationFailed,
    /// The credential lacks a permission at the destination.
    DestinationDenied,
    /// The destination has no space left, or a quota is used up.
    DestinationFull,
    /// The destination refused the data or the request.
    DestinationRefused,
    /// The destination limits the rate of requests.
    DestinationThrottled,
    /// The address of the destination is not permitted.
    AddressForbidden,
    /// The organization has no source of datasets.
    DatasetNotConfigured,
    /// The source of the dataset did not respond, or the dataset does not exist.
    DatasetUnavailable,
    /// The dataset changed while it was read.
    SourceChanged,
    /// The dataset no longer has a field of the payload.
    FieldMissing,
    /// A field no longer has a type that the payload can use.
    FieldTypeChanged,
    /// A value cannot be represented in the format of the destination.
    ValueNotEncodable,
    /// A limit of the service or of the destination was exceeded.
    LimitExceeded,
    /// The run took longer than permitted.
    TimedOut,
    /// The runner lost its lease.
    LeaseLost,
    /// The connection has no valid credential.
    CredentialRequired,
    /// No runner executes runs of this connection type.
    NoRunner,
    /// A fault of the service.
    Internal,
}

impl FailureCode {
    /// Whether another attempt can succeed without a change by a person.
    pub fn is_retryable(self) -> bool {
        match self {
            Self::DestinationUnreachable
            | Self::DestinationFull
            | Self::DestinationThrottled
            | Self::DatasetUnavailable
            | Self::SourceChanged
            | Self::LeaseLost
            | Self::Internal => true,
            Self::TlsFailed
            | Self::HostKeyMismatch
            | Self::AuthenticationFailed
            | Self::DestinationDenied
            | Self::DestinationRefused
            | Self::AddressForbidden
            | Self::DatasetNotConfigured
            | Self::FieldMissing
            | Self::FieldTypeChanged
            | Self::ValueNotEncodable
            | Self::LimitExceeded
            | Self::TimedOut
            | Self::CredentialRequired
            | Self::NoRunner => false,
        }
    }
}
