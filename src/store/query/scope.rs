//! The scope of a query: no function of the store reads or writes rows without an organization.

use std::sync::Arc;

use crate::model::{Clock, OrganizationId};

/// What every read needs besides the rows.
#[derive(Clone)]
pub struct ReadContext {
    /// The connection types of the catalog.
    pub known_types: Arc<[String]>,
    /// The clock whose offset is bound into every comparison with the database's time.
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
