//! Successful changes by the caller's id of the request.

use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveModelTrait as _, ConnectionTrait, EntityTrait as _, Set, TryInsertResult, Unchanged};
use serde_json::Value;
use uuid::Uuid;

use super::Scope;
use super::entities::request_id;
use super::query::lookup;
use crate::model::{Abort, Error, Result};

/// Which request of whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Whose id it is: two principals' ids are two requests.
    pub principal: String,
    /// Through which method.
    pub method: &'static str,
    /// The caller's id.
    pub request_id: Uuid,
}

/// What is known of an earlier request.
#[derive(Clone, Debug, PartialEq)]
pub struct Earlier {
    /// Keyed digest of what it asked for.
    pub digest: Vec<u8>,
    /// What it made or changed.
    pub affected: Value,
}

/// Claims an id for this transaction, or gives what was done under it.
///
/// Of twins, the one that comes second waits here for the first to end: then it either finds what the first did, or
/// claims the id that the first gave up.
pub async fn claim(
    db: &impl ConnectionTrait,
    scope: &Scope<'_>,
    key: &Key,
    digest: &[u8],
    time: chrono::DateTime<chrono::Utc>,
) -> Result<Option<Earlier>> {
    use request_id::Column::{Method, Organization, Principal, RequestId};
    let row = request_id::ActiveModel {
        organization: Set(scope.organization.to_string()),
        principal: Set(key.principal.clone()),
        method: Set(key.method.to_owned()),
        request_id: Set(key.request_id),
        digest: Set(digest.to_vec()),
        effect: Set(Value::Null),
        create_time: Set(time),
    };
    let keep = OnConflict::columns([Organization, Principal, Method, RequestId]).do_nothing().to_owned();
    let inserted = request_id::Entity::insert(row).on_conflict(keep).try_insert().exec_without_returning(db).await?;
    if let TryInsertResult::Inserted(1..) = inserted {
        return Ok(None);
    }
    let earlier: Option<request_id::Model> =
        lookup::fetch_one(db, request_id::Entity::find_by_id(identity(scope, key))).await?;
    // It was there and has just been swept: begun over, the id is free.
    let earlier = earlier.ok_or(Error::Aborted(Abort::Conflict))?;
    Ok(Some(Earlier { digest: earlier.digest, affected: earlier.effect }))
}

/// Writes down what was done under a claimed id.
pub async fn record(db: &impl ConnectionTrait, scope: &Scope<'_>, key: &Key, affected: Value) -> Result<()> {
    let (organization, principal, method, request_id) = identity(scope, key);
    let row = request_id::ActiveModel {
        organization: Unchanged(organization),
        principal: Unchanged(principal),
        method: Unchanged(method),
        request_id: Unchanged(request_id),
        effect: Set(affected),
        ..Default::default()
    };
    row.update_without_returning(db).await?;
    Ok(())
}

fn identity(scope: &Scope<'_>, key: &Key) -> (String, String, String, Uuid) {
    (scope.organization.to_string(), key.principal.clone(), key.method.to_owned(), key.request_id)
}
