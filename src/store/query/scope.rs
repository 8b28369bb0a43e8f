//! The scope of a query: no function of the store reads or writes rows of an organization without it.

use std::sync::Arc;

use super::text::Text;
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
    /// Texts of statements that read resources.
    pub texts: Arc<ReadTexts>,
}

/// Texts of statements that return one resource or a first page, as to an administrator where that matters. They contain the
/// availability of connections at the time of a clock that was not moved.
#[derive(Default)]
pub struct ReadTexts {
    /// A connection by its id.
    pub connection_by_id: Text,
    /// A connection by its uid.
    pub connection_by_uid: Text,
    /// The first page of connections.
    pub connections: Text,
    /// A revision of a connection is reserved for an attachment.
    pub reserve_connection: Text,
    /// An export by its id.
    pub export_by_id: Text,
    /// An export by its uid.
    pub export_by_uid: Text,
    /// The first page of exports.
    pub exports: Text,
}

impl ReadContext {
    /// Texts that can be used now.
    pub fn texts(&self) -> Option<&ReadTexts> {
        Some(&*self.texts).filter(|_| self.clock.offset_ms() == 0)
    }

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
