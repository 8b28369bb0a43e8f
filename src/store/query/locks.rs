//! Row locks: what decides who goes first.
//!
//! The order is request id, connections, exports, each kind by ascending uid. What a lock guards is read by a later
//! statement: the locking one still sees other rows as they were before it waited. SQLite has no row locks and needs
//! none: its transactions are begun as the one writer.

use std::collections::BTreeSet;

use sea_orm::sea_query::LockType;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use super::scope::Scope;
use crate::model::{ConnectionUid, ExportUid, Result};
use crate::store::entities::{connection, export};

/// How many uids one statement names.
const MAX_ROWS_PER_STATEMENT: usize = 1_000;

/// Why a connection is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockMode {
    /// To change it, its sharing, its credential, or what is attached to it.
    Update,
    /// To remove it.
    Delete,
}

/// Locks connections, and says which of them are there.
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

/// Locks exports, and says which of them are there. Their connections are locked first.
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
