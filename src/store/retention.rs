//! What is kept for a time only goes in small batches, by one replica at a time.

use std::time::Duration;

use sea_orm::sea_query::{Expr, ExprTrait as _, Query, SimpleExpr};
use sea_orm::{ColumnTrait as _, Condition, ConnectionTrait, DbBackend, EntityTrait, QueryFilter as _, Statement};

use super::ReadContext;
use super::entities::{attachment_release, audit_event, request_id};
use super::expressions::now;
use crate::model::Result;

/// Rows that one statement removes.
const BATCH: u64 = 1_000;
/// Names the janitor among PostgreSQL's advisory locks.
const LOCK: i64 = 0x6f75_7466_6c6f_7701;

/// How long things are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Request ids.
    pub request_ids: Duration,
    /// Releases; cursors of streams that follow are good for an hour less.
    pub releases: Duration,
    /// Denied attempts.
    pub denied: Duration,
    /// Every other audit event.
    pub audit: Duration,
}

/// Removes a batch of everything that is past its time; gives how many rows went. `None`: another replica is at it.
pub async fn sweep(db: &impl ConnectionTrait, read_context: &ReadContext, retention: &Retention) -> Result<Option<u64>> {
    let backend = db.get_database_backend();
    if backend == DbBackend::Postgres {
        let sql = format!("SELECT pg_try_advisory_xact_lock({LOCK}) AS locked");
        let row = db.query_one_raw(Statement::from_string(backend, sql)).await?;
        if !row.is_some_and(|row| row.try_get("", "locked").unwrap_or(false)) {
            return Ok(None);
        }
    }
    let before = |age: Duration| expired_before(backend, read_context, age);
    let denied = audit_event::Column::DeniedCode
        .is_not_null()
        .and(audit_event::Column::Time.into_expr().lt(before(retention.denied)));
    let requests = request_id::Column::CreateTime.into_expr().lt(before(retention.request_ids));
    let releases = attachment_release::Column::ReleaseTime.into_expr().lt(before(retention.releases));
    let audit = audit_event::Column::Time.into_expr().lt(before(retention.audit));
    let mut removed = 0;
    removed += remove::<request_id::Entity>(db, requests).await?;
    removed += remove::<attachment_release::Entity>(db, releases).await?;
    removed += remove::<audit_event::Entity>(db, denied).await?;
    removed += remove::<audit_event::Entity>(db, audit).await?;
    Ok(Some(removed))
}

/// The database's time less an age.
fn expired_before(backend: DbBackend, read_context: &ReadContext, age: Duration) -> SimpleExpr {
    let read_context = ReadContext { known_types: read_context.known_types.clone(), clock: read_context.clock.moved_back(age) };
    now(backend, &read_context)
}

async fn remove<E: EntityTrait>(db: &impl ConnectionTrait, expired: SimpleExpr) -> Result<u64> {
    // The row's own address: a small batch of any table, whatever its key.
    let address = if db.get_database_backend() == DbBackend::Postgres { "ctid" } else { "rowid" };
    let batch = Query::select().column(address).from(E::default()).and_where(expired).limit(BATCH).take();
    let condition = Condition::all().add(Expr::col(address).in_subquery(batch));
    Ok(E::delete_many().filter(condition).exec(db).await?.rows_affected)
}
