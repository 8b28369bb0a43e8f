//! All violations of a request are reported at once: those of its form and those that its type decides.

mod connections;
mod exports;
mod schedules;

use std::collections::BTreeSet;

use tonic::{Code, Status};

use crate::support::ErrorExt as _;

/// Checks that a request was refused because of these fields, each of which is named once.
fn assert_violations(refusal: &Status, expected: &[&str]) {
    assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::InvalidArgument, "INVALID_FIELD"));
    let fields = refusal.fields();
    let found: BTreeSet<_> = fields.iter().map(String::as_str).collect();
    assert_eq!(found, expected.iter().copied().collect(), "{}", refusal.message());
    assert_eq!(fields.len(), expected.len(), "each once: {fields:?}");
}
