//! All limits on requests.

/// Bytes of a request message. A root certificate bundle of 256 KiB among the fields of a credential fits.
pub const MAX_MESSAGE_BYTES: usize = 768 * 1024;
/// Violations that are kept of a request.
pub const MAX_VIOLATIONS: usize = 100;
/// Characters of the field of a violation.
pub const MAX_VIOLATION_FIELD_CHARS: usize = 300;
/// Characters of the description of a violation.
pub const MAX_VIOLATION_CHARS: usize = 1_000;
/// Characters of a caller's value that an error repeats.
pub const MAX_REPEATED_CHARS: usize = 100;
/// Values of a request message, in all its fields together: each takes more memory than it has bytes.
pub const MAX_MESSAGE_VALUES: usize = 100_000;
/// Paths of an update mask.
pub const MAX_MASK_PATHS: usize = 100;
/// Characters of a display name.
pub const MAX_DISPLAY_NAME_CHARS: usize = 120;
/// Characters of a description.
pub const MAX_DESCRIPTION_CHARS: usize = 2_000;
/// Characters of the reason for a suspension or a detachment.
pub const MAX_REASON_CHARS: usize = 500;
/// Bytes of an export; texts and JSON.
pub const MAX_EXPORT_BYTES: usize = 64 * 1024;
/// Bytes of a connection's properties, as JSON.
pub const MAX_PROPERTIES_BYTES: usize = 32 * 1024;
/// Bytes of a credential: its keys and values without certificates. A private key or a service account has a few KiB.
pub const MAX_CREDENTIAL_BYTES: usize = 48 * 1024;
/// Values of a credential.
pub const MAX_CREDENTIAL_VALUES: usize = 64;
/// Bytes of the certificates of a credential, which count apart: bundles of authorities, such as the one of Amazon RDS.
pub const MAX_CERTIFICATE_BYTES: usize = 256 * 1024;
/// Nesting depth of a Struct.
pub const MAX_STRUCT_DEPTH: usize = 8;
/// Tables of a payload.
pub const MAX_PAYLOAD_TABLES: usize = 100;
/// Fields of a payload, in all tables together.
pub const MAX_PAYLOAD_FIELDS: usize = 1_000;
/// Filters of a payload, in all tables together.
pub const MAX_PAYLOAD_FILTERS: usize = 1_000;
/// Values of one filter.
pub const MAX_FILTER_VALUES: usize = 1_000;
/// Values of a payload, in all filters together. More do not fit into an export.
pub const MAX_PAYLOAD_VALUES: usize = MAX_EXPORT_BYTES / 2;
/// Characters of a table or field name.
pub const MAX_FIELD_NAME_CHARS: usize = 120;
/// Labels of a resource.
pub const MAX_LABELS: usize = 64;
/// Characters of a label's key.
pub const MAX_LABEL_KEY_CHARS: usize = 63;
/// Characters of a label's value.
pub const MAX_LABEL_VALUE_CHARS: usize = 255;
/// Members that a connection is shared with.
pub const MAX_MEMBERS: usize = 1_000;
/// Bytes of the name of a member. Principals and groups of tokens have at most as many.
pub const MAX_MEMBER_NAME_BYTES: usize = 256;
/// Names in a batch request.
pub const MAX_BATCH_NAMES: usize = 1_000;
/// Exports that one call detaches when it names the whole set.
pub const MAX_BLOCKING_SET: u64 = 10_000;
/// Entries per page by default.
pub const DEFAULT_PAGE_SIZE: u32 = 50;
/// Entries per page.
pub const MAX_PAGE_SIZE: u32 = 1_000;
/// Bytes of entries per page.
pub const MAX_PAGE_BYTES: usize = 1024 * 1024;
/// Blocking exports listed in the error of a rejected deletion.
pub const MAX_NAMED_BLOCKERS: u64 = 20;
/// Occurrences in a preview.
pub const MAX_PREVIEW_OCCURRENCES: u32 = 100;
/// Occurrences in a preview by default.
pub const DEFAULT_PREVIEW_OCCURRENCES: u32 = 10;
/// Rows of each table in the preview of an export.
pub const MAX_PREVIEW_ROWS: u32 = 100;
/// Rows of each table in the preview of an export by default.
pub const DEFAULT_PREVIEW_ROWS: u32 = 10;
/// Characters of a resource name or principal in a filter.
pub const MAX_FILTER_CHARS: usize = 256;
/// Characters of a search text.
pub const MAX_SEARCH_CHARS: usize = 120;
