//! Whose rows: no function of the store works without an organization.

use std::sync::Arc;

use crate::model::{Clock, OrganizationId};

/// What every read needs to know besides the rows.
#[derive(Clone)]
pub struct ReadContext {
    /// The connection types of the catalog.
    pub known_types: Arc<[String]>,
    /// The clock whose offset is bound into every comparison with the database's time.
    pub clock: Clock,
}

/// One organization's rows.
#[derive(Clone)]
pub struct Scope {
    /// Whose.
    pub organization: OrganizationId,
    /// What every read needs to know.
    pub read_context: ReadContext,
}
