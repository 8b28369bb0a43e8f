//! Display names of connections: they need not be unique.

use std::collections::HashSet;

use sea_orm::sea_query::ExprTrait as _;
use sea_orm::{ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QuerySelect as _};

use super::Scope;
use super::entities::connection;
use super::query::expressions::usable;
use crate::model::{Actor, Result};

/// Returns those of some display names that several connections have which the caller may use.
pub async fn ambiguous(
    db: &impl ConnectionTrait,
    scope: &Scope<'_>,
    actor: &Actor,
    names: impl Iterator<Item = &'_ str>,
) -> Result<HashSet<String>> {
    use connection::Column::{DisplayName, Organization, Uid};
    let names: HashSet<&str> = names.collect();
    if names.is_empty() {
        return Ok(HashSet::new());
    }
    let query = connection::Entity::find()
        .select_only()
        .column(DisplayName)
        .filter(Organization.eq(scope.organization.as_str()))
        .filter(DisplayName.is_in(names))
        .filter(usable(actor))
        .group_by(DisplayName)
        .having(Uid.count().gt(1));
    Ok(query.into_tuple::<String>().all(db).await?.into_iter().collect())
}
