//! Why runs and checks of connections fail.

use serde::{Deserialize, Serialize};

/// Why a run or a check of a connection failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FailureCode {
    /// The destination did not respond (no such host, connection refused, timed out or ended), or reported an error of its
    /// own.
    DestinationUnreachable,
    /// TLS could not be established, or the certificate is not trusted.
    TlsFailed,
    /// The host key of the server is not the configured one.
    HostKeyMismatch,
    /// The destination does not accept the credential.
    AuthenticationFailed,
    /// A permission at the destination is missing.
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
    /// The source of the datasets did not respond.
    DatasetUnavailable,
    /// The dataset changed while it was read.
    SourceChanged,
    /// A table or field of the payload does not exist any more.
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
    /// The code as text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DestinationUnreachable => "DESTINATION_UNREACHABLE",
            Self::TlsFailed => "TLS_FAILED",
            Self::HostKeyMismatch => "HOST_KEY_MISMATCH",
            Self::AuthenticationFailed => "AUTHENTICATION_FAILED",
            Self::DestinationDenied => "DESTINATION_DENIED",
            Self::DestinationFull => "DESTINATION_FULL",
            Self::DestinationRefused => "DESTINATION_REFUSED",
            Self::DestinationThrottled => "DESTINATION_THROTTLED",
            Self::AddressForbidden => "ADDRESS_FORBIDDEN",
            Self::DatasetNotConfigured => "DATASET_NOT_CONFIGURED",
            Self::DatasetUnavailable => "DATASET_UNAVAILABLE",
            Self::SourceChanged => "SOURCE_CHANGED",
            Self::FieldMissing => "FIELD_MISSING",
            Self::FieldTypeChanged => "FIELD_TYPE_CHANGED",
            Self::ValueNotEncodable => "VALUE_NOT_ENCODABLE",
            Self::LimitExceeded => "LIMIT_EXCEEDED",
            Self::TimedOut => "TIMED_OUT",
            Self::LeaseLost => "LEASE_LOST",
            Self::CredentialRequired => "CREDENTIAL_REQUIRED",
            Self::NoRunner => "NO_RUNNER",
            Self::Internal => "INTERNAL",
        }
    }

    /// What happened and what to do, for callers. It names no property of a connection.
    pub fn advice(self) -> &'static str {
        match self {
            Self::DestinationUnreachable => {
                "The destination did not respond, or reported an error of its own. Check that it is running."
            }
            Self::TlsFailed => {
                "TLS with the destination failed. Ask an administrator to check its certificate and the connection."
            }
            Self::HostKeyMismatch => {
                "The host key of the server is not the configured one. Ask an administrator to verify it, and to update \
                 the connection if the server has a new key."
            }
            Self::AuthenticationFailed => {
                "The destination does not accept the credential. Ask an administrator to store a valid one."
            }
            Self::DestinationDenied => "A permission at the destination is missing. Ask an administrator to grant it.",
            Self::DestinationFull => "The destination has no space left. Free some space there.",
            Self::DestinationRefused => {
                "The destination refused the data. Compare the export and its settings with what the destination accepts."
            }
            Self::DestinationThrottled => {
                "The destination limits the rate of requests. Run fewer exports at the same time."
            }
            Self::AddressForbidden => {
                "The address of the destination is not permitted. Ask the operator of the service to permit it."
            }
            Self::DatasetNotConfigured => {
                "The organization has no source of datasets. Ask the operator of the service to configure one."
            }
            Self::DatasetUnavailable => {
                "The source of the datasets did not respond. Ask the operator of the service if this goes on."
            }
            Self::SourceChanged => "A dataset changed while it was read. Run exports when it is not being written.",
            Self::FieldMissing => "A table or field of the payload does not exist any more. Update the payload.",
            Self::FieldTypeChanged => "A field has another type than the payload needs. Update the payload.",
            Self::ValueNotEncodable => {
                "A value cannot be written in the format of the destination. Choose another format, or leave the field out."
            }
            Self::LimitExceeded => "A limit was exceeded. Export fewer rows or fields at once.",
            Self::TimedOut => "The run took longer than permitted. Export fewer rows at once.",
            Self::LeaseLost => {
                "The runner stopped or did not respond. Run the export again, and report the name of the run if it fails repeatedly."
            }
            Self::CredentialRequired => "The connection has no valid credential. Ask an administrator to store one.",
            Self::NoRunner => "No runner delivers to connections of this type. Ask the operator of the service.",
            Self::Internal => "The service failed. Report the name of the run to its operator if it fails repeatedly.",
        }
    }

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

/// The steps of a connection that a test checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckStep {
    /// The host name is resolved, and its addresses are permitted.
    Resolve,
    /// The connection is opened.
    Connect,
    /// TLS is established, or the host key is verified.
    Tls,
    /// The credential is accepted.
    Authenticate,
    /// A file, object or row can be written.
    Write,
}

impl CheckStep {
    /// The step as text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "RESOLVE",
            Self::Connect => "CONNECT",
            Self::Tls => "TLS",
            Self::Authenticate => "AUTHENTICATE",
            Self::Write => "WRITE",
        }
    }
}

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The step.
    pub step: CheckStep,
    /// Its outcome.
    pub outcome: CheckOutcome,
}

/// The outcome of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckOutcome {
    /// It passed.
    Passed,
    /// It failed.
    Failed {
        /// The cause of the failure.
        code: FailureCode,
        /// The fingerprint of the host key that the server has; set for HOST_KEY_MISMATCH.
        found_host_key: Option<String>,
    },
    /// It does not apply to the type, or an earlier check failed.
    Skipped,
}
