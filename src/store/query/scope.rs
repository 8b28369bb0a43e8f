//! The scope of a query: no function of the store reads or writes rows of an organization without it.

use std::sync::Arc;

use crate::model::{Clock, OrganizationId};

/// Parameters of every read, independent of the organization.
#[derive(Clone)]
pub struct ReadContext {
    /// Connection types of the catalog.
    pub known_types: Arc<[String]>,
    /// The clock whose offset is bound into every time comparison.
    pub clock: Clock,
}

/// The rows of one organization.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// The organization.
    pub organization: &'a OrganizationId,
    /// The clock and the known connection types.
    pub read_context: &'a ReadContext,
}
