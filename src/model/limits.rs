//! Every limit on what a caller may send, in one place, so that none is forgotten and each has a name.

/// Characters of a display name.
pub const MAX_DISPLAY_NAME_CHARS: usize = 120;
/// Characters of a description.
pub const MAX_DESCRIPTION_CHARS: usize = 2_000;
/// Characters of the words that explain a suspension or a detachment.
pub const MAX_REASON_CHARS: usize = 500;
/// Bytes of an export, as JSON.
pub const MAX_EXPORT_BYTES: usize = 64 * 1024;
/// Bytes of a connection's properties, as JSON.
pub const MAX_PROPERTIES_BYTES: usize = 32 * 1024;
/// Bytes of a credential: its keys and values together. A private key or a service account has a few KiB.
pub const MAX_CREDENTIAL_BYTES: usize = 48 * 1024;
/// How deep a Struct may be.
pub const MAX_STRUCT_DEPTH: usize = 8;
/// Tables of a payload.
pub const MAX_PAYLOAD_TABLES: usize = 100;
/// Fields of a payload, all tables together.
pub const MAX_PAYLOAD_FIELDS: usize = 1_000;
/// Filters of a payload, all tables together.
pub const MAX_PAYLOAD_FILTERS: usize = 1_000;
/// Values of one filter.
pub const MAX_FILTER_VALUES: usize = 1_000;
/// Characters of the name of a table or field.
pub const MAX_FIELD_NAME_CHARS: usize = 120;
/// Labels of a resource.
pub const MAX_LABELS: usize = 64;
/// Characters of a label's key.
pub const MAX_LABEL_KEY_CHARS: usize = 63;
/// Characters of a label's value.
pub const MAX_LABEL_VALUE_CHARS: usize = 255;
/// Members that a connection is shared with.
pub const MAX_MEMBERS: usize = 1_000;
/// Bytes of a member.
pub const MAX_MEMBER_BYTES: usize = 256;
/// Names of a batch.
pub const MAX_BATCH_NAMES: usize = 1_000;
/// Exports that one call detaches as a set.
pub const MAX_DETACHED_SET: u64 = 10_000;
/// Entries of a page when the caller does not say.
pub const DEFAULT_PAGE_SIZE: u32 = 50;
/// Entries of a page at most.
pub const MAX_PAGE_SIZE: u32 = 1_000;
/// Bytes after which a page ends.
pub const MAX_PAGE_BYTES: usize = 2 * 1024 * 1024;
/// Blocking exports that a refused removal names.
pub const MAX_NAMED_BLOCKERS: u64 = 20;
/// Times that a preview shows at most.
pub const MAX_PREVIEW_TIMES: u32 = 100;
/// Times that a preview shows when the caller does not say.
pub const DEFAULT_PREVIEW_TIMES: u32 = 10;
/// Characters of a name or principal that a list is narrowed to.
pub const MAX_FILTER_CHARS: usize = 256;
/// Characters of a search text.
pub const MAX_SEARCH_CHARS: usize = 120;
