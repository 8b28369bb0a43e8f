//! The scope of a query: no function of the store reads or writes rows of an organization without it.

use std::sync::Arc;

use crate::model::{Clock, OrganizationId};

/// Parameters of every read, independent of the organization.
#[derive(Clone)]
pub struct ReadContext {
    /// Connection types of the catalog.
    pub known_types: Arc<[String]>,
    /// The clock whose offset is part of every time comparison.
    pub clock: Clock,
    /// The SQL of the availability of a connection, which needs the time to be inserted.
    pub availability: Arc<str>,
}

impl ReadContext {
    /// The same with another clock.
    #[must_use]
    pub fn with_clock(&self, clock: Clock) -> Self {
        Self { clock, ..self.clone() }
    }
}

/// The rows of one organization.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// The organization.
    pub organization: &'a OrganizationId,
    /// The clock and the known connection types.
    pub read_context: &'a ReadContext,
}
