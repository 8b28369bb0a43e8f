//! Results of successful mutations by `request_id`.

use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveModelTrait as _, ConnectionTrait, EntityTrait as _, Set, TryInsertResult, Unchanged};
use serde_json::Value;
use uuid::Uuid;

use super::Scope;
use super::entities::request_id;
use super::query::lookup;
use crate::model::{Abort, Error, Result};

/// A request id with its scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Principal of the caller; request ids are scoped to it.
    pub principal: String,
    /// Full name of the RPC.
    pub method: &'static str,
    /// The request id.
    pub request_id: Uuid,
}

/// A recorded earlier request.
#[derive(Clone, Debug, PartialEq)]
pub struct Earlier {
    /// Keyed digest of the request.
    pub digest: Vec<u8>,
    /// The resources that it affected, as JSON.
    pub affected: Value,
}

/// Claims a request id for this transaction, or returns the request recorded under it.
///
/// Of two concurrent requests with the same id, the second waits here for the first to end. It then finds the record of
/// the first, or claims the id if the first was rolled back.
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
    // The record existed and was just deleted by the retention job: after a retry of the transaction, the id is free.
    let earlier = earlier.ok_or(Error::Aborted(Abort::Conflict))?;
    Ok(Some(Earlier { digest: earlier.digest, affected: earlier.effect }))
}

/// Records the result of a request under its claimed id.
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
