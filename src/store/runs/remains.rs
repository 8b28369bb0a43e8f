//! What ended runs left at their destinations, as their attempts saved it.

use std::time::Duration;

use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use super::in_states;
use super::rows::FORMAT_VERSION;
use crate::model::{ConnectionUid, Error, OrganizationId, Result, RunState};
use crate::store::ReadContext;
use crate::store::entities::run;
use crate::store::query::expressions::now;

/// How long removals are tried after the end of a run.
const MAX_AGE: Duration = Duration::from_hours(24);

/// What a run left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remains {
    /// The organization of the run.
    pub organization: OrganizationId,
    /// The run.
    pub uid: Uuid,
    /// The connection that it delivered to.
    pub connection: ConnectionUid,
    /// What its attempts saved.
    pub state: String,
}

/// Runs of all organizations that ended without a result in the last 24 hours and left something, by their ids, at most
/// `limit` after the given one.
pub async fn find(
    db: &impl ConnectionTrait,
    read_context: &ReadContext,
    after: Uuid,
    limit: u64,
) -> Result<Vec<Remains>> {
    use run::Column::{ConnectionUid as Connection, DeliveryState, EndTime, FormatVersion, Organization, Uid};
    let clock = read_context.clock.moved_back(MAX_AGE);
    let oldest = now(db.get_database_backend(), &read_context.with_clock(clock));
    let query = run::Entity::find()
        .select_only()
        .columns([Organization, Uid, Connection, DeliveryState])
        .filter(DeliveryState.is_not_null())
        .filter(FormatVersion.lte(FORMAT_VERSION))
        .filter(in_states(&[RunState::Failed, RunState::Cancelled, RunState::Skipped])?)
        .filter(EndTime.into_expr().gt(oldest))
        .filter(Uid.gt(after))
        .order_by_asc(Uid)
        .limit(limit);
    let rows: Vec<(String, Uuid, Uuid, String)> = query.into_tuple().all(db).await?;
    let remains = |(organization, uid, connection, state): (String, Uuid, Uuid, String)| {
        let organization = OrganizationId::parse(&organization);
        let organization = organization.ok_or_else(|| Error::internal("a stored organization id"))?;
        Ok(Remains { organization, uid, connection: ConnectionUid(connection), state })
    };
    rows.into_iter().map(remains).collect()
}

/// Clears what a run saved.
pub async fn forget(db: &impl ConnectionTrait, remains: &Remains) -> Result<()> {
    run::Entity::update_many()
        .col_expr(run::Column::DeliveryState, Expr::val(None::<String>))
        .filter(run::Column::Organization.eq(remains.organization.as_str()))
        .filter(run::Column::Uid.eq(remains.uid))
        .exec(db)
        .await?;
    Ok(())
}
