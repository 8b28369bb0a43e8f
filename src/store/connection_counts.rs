//! Numbers of connections.

use std::collections::HashMap;

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QuerySelect as _};

use super::Scope;
use super::entities::connection;
use super::query::lookup;
use crate::model::{Error, Result};

/// Whether the organization has at least `count` connections. Reads no more rows than that.
pub async fn has_at_least(db: &impl ConnectionTrait, scope: &Scope<'_>, count: u64) -> Result<bool> {
    let own = connection::Entity::find().filter(connection::Column::Organization.eq(scope.organization.as_str()));
    lookup::has_at_least(db, own, connection::Column::Uid, count).await
}

/// Number of connections of each of these types that has any.
pub async fn by_type<'t>(
    db: &impl ConnectionTrait,
    scope: &Scope<'_>,
    types: impl IntoIterator<Item = &'t str>,
) -> Result<HashMap<String, u64>> {
    use connection::Column::{ConnectionType, Organization};
    let counts: Vec<(String, i64)> = connection::Entity::find()
        .select_only()
        .column(ConnectionType)
        .expr_as(Expr::cust("COUNT(*)"), "count") // by the index alone
        .filter(Organization.eq(scope.organization.as_str()))
        .filter(ConnectionType.is_in(types))
        .group_by(ConnectionType)
        .into_tuple()
        .all(db)
        .await?;
    counts.into_iter().map(|(id, count)| Ok((id, u64::try_from(count).map_err(Error::internal)?))).collect()
}
