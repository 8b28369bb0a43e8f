//! A changed connection, and which exports the change affects.

use chrono::{DateTime, Utc};

use crate::app::{Affected, MutationTx, ReadBack};
use crate::model::{Connection, Result};
use crate::store::attachments;

use super::stored;

/// A changed connection as it is now, also if the change is only validated.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionChange {
    /// The connection after the change.
    pub connection: Connection,
    /// Number of attached exports; 0 if nothing changed for them.
    pub affected_export_count: u64,
    /// The earliest time at which one of these exports is due; `None` if none of them is.
    pub next_run_time: Option<DateTime<Utc>>,
}

/// A change of a connection that affects its attached exports.
pub fn affecting_exports(connection: &Connection) -> Affected {
    Affected { count: connection.attached_export_count, ..stored::affected(connection) }
}

impl ReadBack for ConnectionChange {
    async fn read_back(tx: &mut MutationTx<'_>, affected: &Affected) -> Result<Self> {
        let connection = Connection::read_back(tx, affected).await?;
        let next_run_time = match affected.count {
            0 => None,
            _ => attachments::next_due_time(tx.db, &tx.scope, connection.uid).await?,
        };
        Ok(Self { connection, affected_export_count: affected.count, next_run_time })
    }
}
