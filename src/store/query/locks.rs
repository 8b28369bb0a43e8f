//! Row locks and their order.
//!
//! The order is: request id, connections, exports, and by ascending uid within each. Guarded data is read in a later
//! statement, because a locking statement sees other rows as of its start, before it waited. SQLite needs no row locks:
//! a write transaction is exclusive from its start.

use std::collections::BTreeSet;

use sea_orm::sea_query::LockType;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use super::scope::Scope;
use crate::model::{ConnectionUid, ExportUid, Result};
use crate::store::entities::{connection, export};

/// Uids per statement.
const MAX_ROWS_PER_STATEMENT: usize = 1_000;

/// Purpose of a lock on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockMode {
    /// To change it, its sharing, its credential or its attachments.
    Update,
    /// To delete it.
    Delete,
}

/// Locks connections; returns the uids of those that exist.
pub async fn connections(
    db: &impl ConnectionTrait,
    scope: &Scope<'_>,
    uids: &BTreeSet<ConnectionUid>,
    mode: LockMode,
) -> Result<BTreeSet<ConnectionUid>> {
    let strength = match mode {
        LockMode::Update => LockType::NoKeyUpdate,
        LockMode::Delete => LockType::Update,
    };
    let mut found = BTreeSet::new();
    for chunk in uids.iter().map(|uid| uid.0).collect::<Vec<_>>().chunks(MAX_ROWS_PER_STATEMENT) {
        let rows: Vec<Uuid> = connection::Entity::find()
            .select_only()
            .column(connection::Column::Uid)
            .filter(connection::Column::Organization.eq(scope.organization.as_str()))
            .filter(connection::Column::Uid.is_in(chunk.iter().copied()))
            .order_by_asc(connection::Column::Uid)
            .lock(strength)
            .into_tuple()
            .all(db)
            .await?;
        found.extend(rows.into_iter().map(ConnectionUid));
    }
    Ok(found)
}

/// Locks exports; returns the uids of those that exist. Their connections are locked before.
pub async fn exports(
    db: &impl ConnectionTrait,
    scope: &Scope<'_>,
    uids: &BTreeSet<ExportUid>,
) -> Result<BTreeSet<ExportUid>> {
    let mut found = BTreeSet::new();
    for chunk in uids.iter().map(|uid| uid.0).collect::<Vec<_>>().chunks(MAX_ROWS_PER_STATEMENT) {
        let rows: Vec<Uuid> = export::Entity::find()
            .select_only()
            .column(export::Column::Uid)
            .filter(export::Column::Organization.eq(scope.organization.as_str()))
            .filter(export::Column::Uid.is_in(chunk.iter().copied()))
            .order_by_asc(export::Column::Uid)
            .lock(LockType::Update)
            .into_tuple()
            .all(db)
            .await?;
        found.extend(rows.into_iter().map(ExportUid));
    }
    Ok(found)
}
