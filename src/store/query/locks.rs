//! Row locks and their order.
//!
//! The order is: request id, connections, exports, and by ascending uid within each. Guarded data is read in a later
//! statement, because a locking statement sees other rows as of its start, before it waited. SQLite needs no row locks:
//! a write transaction is exclusive from its start.

use std::collections::BTreeSet;

use sea_orm::sea_query::{Condition, IntoIden as _, LockType, SimpleExpr};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, JoinType, QueryFilter as _, QueryOrder as _, QueryResult,
    QuerySelect as _, QueryTrait as _, RelationTrait as _,
};
use uuid::Uuid;

use super::lookup;
use super::scope::Scope;
use super::text::Text;
use crate::model::{ConnectionUid, ExportUid, ResourceId, Result};
use crate::store::connection_rows::select_uid;
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

impl LockMode {
    fn lock_type(self) -> LockType {
        match self {
            Self::Update => LockType::NoKeyUpdate,
            Self::Delete => LockType::Update,
        }
    }
}

/// Locks the connection with an id if it fulfills a condition, which may have changed while the statement waited. Returns its
/// uid.
pub async fn connection_by_id(
    db: &impl ConnectionTrait,
    scope: &Scope<'_>,
    id: &ResourceId,
    mode: LockMode,
    condition: Option<SimpleExpr>,
) -> Result<Option<ConnectionUid>> {
    static UPDATE: Text = Text::new();
    static DELETE: Text = Text::new();
    let text = match mode {
        LockMode::Update => &UPDATE,
        LockMode::Delete => &DELETE,
    };
    let text = condition.is_none().then(|| (text, vec![scope.organization.as_str().into(), id.as_str().into()]));
    let query = || {
        let condition = Condition::all().add_option(condition.clone());
        select_uid(scope, id).filter(condition).lock(mode.lock_type()).into_query()
    };
    lookup::read_one(db, text, query, |row| Ok(ConnectionUid(row.try_get_by_index(0)?))).await
}

/// Locks an attached export and, before it, its connection. Returns the uid of the export; `None` if it is not attached, does
/// not exist, or moved to another connection while the statement waited.
pub async fn attached_export_by_id(
    db: &impl ConnectionTrait,
    scope: &Scope<'_>,
    id: &ResourceId,
) -> Result<Option<ExportUid>> {
    static LOCK: Text = Text::new();
    let query = || {
        let mut query = export::Entity::find()
            .select_only()
            .column(export::Column::Uid)
            .join(JoinType::InnerJoin, export::Relation::Connection.def())
            .filter(export::Column::Organization.eq(scope.organization.as_str()))
            .filter(export::Column::Id.eq(id.as_str()))
            .into_query();
        // PostgreSQL locks the rows of the tables in this order.
        query
            .lock_with_tables(LockType::NoKeyUpdate, [connection::Entity.into_iden(), export::Entity.into_iden()])
            .take()
    };
    let values = vec![scope.organization.as_str().into(), id.as_str().into()];
    let read = |row: &QueryResult| Ok(ExportUid(row.try_get_by_index(0)?));
    lookup::read_one(db, Some((&LOCK, values)), query, read).await
}

/// Locks connections; returns the uids of those that exist.
pub async fn connections(
    db: &impl ConnectionTrait,
    scope: &Scope<'_>,
    uids: &BTreeSet<ConnectionUid>,
    mode: LockMode,
) -> Result<BTreeSet<ConnectionUid>> {
    let mut found = BTreeSet::new();
    for chunk in uids.iter().map(|uid| uid.0).collect::<Vec<_>>().chunks(MAX_ROWS_PER_STATEMENT) {
        let rows: Vec<Uuid> = connection::Entity::find()
            .select_only()
            .column(connection::Column::Uid)
            .filter(connection::Column::Organization.eq(scope.organization.as_str()))
            .filter(connection::Column::Uid.is_in(chunk.iter().copied()))
            .order_by_asc(connection::Column::Uid)
            .lock(mode.lock_type())
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
