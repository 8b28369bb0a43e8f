//! Builds a status with its details, within the limit of bytes.

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

use crate::grpc::proto::ErrorReason;
use crate::model::{ResourceKind, Violations};

/// `ErrorInfo.domain` of every status.
pub const DOMAIN: &str = "outflow";
/// Maximum size of all violations of a status in bytes. With the other details and in base64, they stay under 6 KiB.
const MAX_VIOLATIONS_BYTES: usize = 3_700;
/// The longest display name in a status.
pub const MAX_DISPLAY_NAME_CHARS: usize = 60;
/// The longest message of a status.
pub const MAX_MESSAGE_CHARS: usize = 300;
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
        self.details.set_resource_info(kind, truncate(name, MAX_MESSAGE_CHARS), "", "");
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

    /// The finished status.
    pub fn into_status(mut self) -> Status {
        let reason = self.reason.as_str_name().trim_start_matches("ERROR_REASON_");
        self.details.set_error_info(reason, DOMAIN, self.metadata);
        Status::with_error_details(self.code, truncate(&self.message, MAX_MESSAGE_CHARS), self.details)
    }
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

/// The first characters of a text, without control characters.
pub fn truncate(text: &str, chars: usize) -> String {
    text.chars().filter(|character| !character.is_control()).take(chars).collect()
}
