//! Builds a status with its details, within the limit of bytes.

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

use crate::grpc::proto::ErrorReason;
use crate::model::{ResourceKind, Violations, excerpt};

/// `ErrorInfo.domain` of every status.
pub const DOMAIN: &str = "outflow";
/// Maximum size of message and details as sent. Clients refuse trailers over 8 KiB, and a trailer has a few entries more.
const MAX_STATUS_BYTES: usize = 6 * 1024 - 256;
/// Maximum size of all violations of a status in bytes. With the usual other details, a status stays below its maximum.
const MAX_VIOLATIONS_BYTES: usize = 3_700;
/// The longest display name in a status.
pub const MAX_DISPLAY_NAME_CHARS: usize = 60;
/// The longest message of a status.
pub const MAX_MESSAGE_CHARS: usize = 300;
/// Maximum size of the message of a status as sent.
const MAX_MESSAGE_BYTES: usize = 1_024;
/// Maximum number of binding fields that an error names.
pub const MAX_NAMED_FIELDS: usize = 20;
/// Builds a status.
pub struct StatusBuilder {
    code: Code,
    message: String,
    reason: ErrorReason,
    metadata: HashMap<String, String>,
    /// The details, to add more of them.
    pub details: ErrorDetails,
}

impl StatusBuilder {
    /// A status without details.
    pub fn new(code: Code, reason: ErrorReason, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), reason, metadata: HashMap::new(), details: ErrorDetails::new() }
    }

    /// Adds an entry to the metadata of `ErrorInfo`.
    pub fn with(mut self, key: &str, value: &impl ToString) -> Self {
        self.metadata.insert(key.to_owned(), value.to_string());
        self
    }

    /// Adds the minimum delay before a retry.
    pub fn retry(mut self, after: Duration) -> Self {
        self.details.set_retry_info(Some(after));
        self
    }

    /// Adds the resource that the error is about.
    pub fn resource(mut self, kind: &str, name: &str) -> Self {
        self.details.set_resource_info(kind, excerpt(name, MAX_MESSAGE_CHARS), "", "");
        self
    }

    /// Adds the violations that fit, and their number.
    pub fn violations(mut self, violations: &Violations) -> Self {
        let size = |violation: &&crate::model::FieldViolation| violation.field.len() + violation.description.len() + 8;
        let list = take_within(violations.iter(), size);
        let list = list.iter().map(|found| FieldViolation::new(found.field.as_str(), found.description.as_str()));
        self.details.set_bad_request(list.collect::<Vec<_>>());
        self.with("violation_count", &violations.len())
    }

    /// The finished status, with as many violations as fit.
    pub fn into_status(mut self) -> Status {
        let reason = self.reason.as_str_name().trim_start_matches("ERROR_REASON_");
        self.details.set_error_info(reason, DOMAIN, self.metadata);
        let message = excerpt(&self.message, MAX_MESSAGE_CHARS);
        let message = truncate_as_sent(&message);
        loop {
            let status = Status::with_error_details(self.code, message, self.details.clone());
            let sent = message.bytes().map(bytes_as_sent).sum::<usize>() + status.details().len().div_ceil(3) * 4;
            if sent <= MAX_STATUS_BYTES || !drop_violations(&mut self.details) {
                return status;
            }
        }
    }
}

/// Drops the last eighth of the violations. Returns whether there were any.
fn drop_violations(details: &mut ErrorDetails) -> bool {
    let fields = details.bad_request().map(|found| found.field_violations.clone()).unwrap_or_default();
    let preconditions = details.precondition_failure().map(|found| found.violations.clone()).unwrap_or_default();
    if !fields.is_empty() {
        details.set_bad_request(&fields[..fields.len() * 7 / 8]);
    }
    if !preconditions.is_empty() {
        details.set_precondition_failure(&preconditions[..preconditions.len() * 7 / 8]);
    }
    !(fields.is_empty() && preconditions.is_empty())
}

/// Bytes of a byte of a message as sent: `grpc-message` is percent-encoded.
fn bytes_as_sent(byte: u8) -> usize {
    if byte.is_ascii_graphic() && !b"\"#%<>`?{}".contains(&byte) { 1 } else { 3 }
}

/// The start of a message that has [`MAX_MESSAGE_BYTES`] as sent.
fn truncate_as_sent(message: &str) -> &str {
    let mut bytes = 0;
    let end = message.char_indices().find(|(start, character)| {
        bytes += message[*start..start + character.len_utf8()].bytes().map(bytes_as_sent).sum::<usize>();
        bytes > MAX_MESSAGE_BYTES
    });
    &message[..end.map_or(message.len(), |(start, _)| start)]
}

/// The first items that fit into the budget for violations.
pub fn take_within<T>(items: impl Iterator<Item = T>, size: impl Fn(&T) -> usize) -> Vec<T> {
    let mut budget = MAX_VIOLATIONS_BYTES;
    items
        .map_while(|item| {
            budget = budget.checked_sub(size(&item))?;
            Some(item)
        })
        .collect()
}

/// The full name of the message of a resource.
pub fn kind_name(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::ConnectionType => "outflow.v1.ConnectionType",
        ResourceKind::Connection => "outflow.v1.Connection",
        ResourceKind::Export => "outflow.v1.Export",
        ResourceKind::Dataset => "outflow.v1.Dataset",
        ResourceKind::ExportRun => "outflow.v1.ExportRun",
    }
}
