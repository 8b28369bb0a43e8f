//! Exports: find, list, insert, update and delete. Attachment is in `attachments`.

use std::collections::BTreeSet;

use sea_orm::sea_query::{Expr, ExprTrait as _, JoinType, Query, SelectStatement, SimpleExpr};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityName as _, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QueryResult, QuerySelect as _, QueryTrait as _, Set, Unchanged,
};
use serde_json::Value;
use uuid::Uuid;

use super::entities::{connection, export};
use super::query::columns::Columns;
use super::query::expressions::{self, availability, in_state, member_texts, usable};
use super::query::list::{Keys, List};
use super::query::lookup;
use super::query::paging;
use super::query::scope::ReadTexts;
use super::query::text::{self, Text};
use super::transaction::Exists;
use super::{Reader, Scope, Transaction, connections, export_rows, runs};
use crate::model::page::{Page, PageRequest};
use crate::model::{
    Actor, AttachmentState, CallerAccess, ConnectionState, ConnectionUid, Error, Export, ExportFilter, ExportState,
    ExportUid, ResourceId, ResourceKind, Result, Role,
};

/// Ids or uids per statement.
const MAX_ROWS_PER_STATEMENT: usize = 500;

static KEYS: Keys<export::Entity> = Keys {
    organization: export::Column::Organization,
    uid: export::Column::Uid,
    display_name: export::Column::DisplayName,
    update_time: export::Column::UpdateTime,
    feed: None,
};

/// Keys of an export, to lock the rows before they are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportRef {
    /// Id of the export.
    pub id: ResourceId,
    /// Uid of the export.
    pub uid: ExportUid,
    /// The connection that it is attached to.
    pub connection: Option<ConnectionUid>,
}

/// Finds an export by id, with the actor's access to it and its newest run.
pub async fn find(
    db: &impl ConnectionTrait,
    scope: &Scope<'_>,
    actor: &Actor,
    id: &ResourceId,
) -> Result<Option<Export>> {
    read_one(db, scope, actor, (export::Column::Id, id.as_str().into()), |texts| &texts.export_by_id).await
}

/// Finds an export by uid, with the actor's access to it and its newest run.
pub async fn get(
    db: &impl ConnectionTrait,
    scope: &Scope<'_>,
    actor: &Actor,
    uid: ExportUid,
) -> Result<Option<Export>> {
    read_one(db, scope, actor, (export::Column::Uid, uid.0.into()), |texts| &texts.export_by_uid).await
}

async fn read_one(
    db: &impl ConnectionTrait,
    scope: &Scope<'_>,
    actor: &Actor,
    (key, value): (export::Column, sea_orm::Value),
    text: fn(&ReadTexts) -> &Text,
) -> Result<Option<Export>> {
    let query = || runs::with_newest(select(db, scope, actor).and_where(key.eq(value.clone()))).take();
    let values = || vec![true.into(), scope.organization.as_str().into(), value.clone()];
    let texts = scope.read_context.texts().filter(|_| actor.has(Role::Admin));
    let text = texts.map(|texts| (text(texts), values()));
    let read = |row: &QueryResult| {
        let mut columns = Columns::of(row);
        let export = export_rows::read_next(&mut columns, scope)?;
        Ok(Export { last_run: runs::read_newest(&mut columns)?, ..export })
    };
    lookup::read_one(db, text, query, read).await
}

/// Finds exports by uid, with the actor's access to each, in no particular order.
pub async fn get_many(
    db: &impl ConnectionTrait,
    scope: &Scope<'_>,
    actor: &Actor,
    uids: impl IntoIterator<Item = ExportUid>,
) -> Result<Vec<Export>> {
    let uids: Vec<Uuid> = uids.into_iter().map(|uid| uid.0).collect();
    let mut exports = Vec::with_capacity(uids.len());
    for chunk in uids.chunks(MAX_ROWS_PER_STATEMENT) {
        let query = select(db, scope, actor).and_where(export::Column::Uid.is_in(chunk.iter().copied())).take();
        for row in db.query_all(&query).await? {
            exports.push(export_rows::read(&row, scope)?);
        }
    }
    Ok(exports)
}

/// Finds the keys of exports by id; missing ones are omitted.
pub async fn find_references(
    db: &impl ConnectionTrait,
    scope: &Scope<'_>,
    ids: &[ResourceId],
) -> Result<Vec<ExportRef>> {
    let mut references = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(MAX_ROWS_PER_STATEMENT) {
        let rows: Vec<(String, Uuid, Option<Uuid>)> = export::Entity::find()
            .select_only()
            .columns([export::Column::Id, export::Column::Uid, export::Column::ConnectionUid])
            .filter(export::Column::Organization.eq(scope.organization.as_str()))
            .filter(export::Column::Id.is_in(chunk.iter().map(ResourceId::as_str)))
            .into_tuple()
            .all(db)
            .await?;
        references.extend(rows.into_iter().map(|(id, uid, connection)| ExportRef {
            id: ResourceId::stored(id),
            uid: ExportUid(uid),
            connection: connection.map(ConnectionUid),
        }));
    }
    Ok(references)
}

/// Ids of attached exports whose schedule is on and that the actor manages, at most `limit`.
pub async fn scheduled_ids(
    db: &impl ConnectionTrait,
    scope: &Scope<'_>,
    actor: &Actor,
    limit: u64,
) -> Result<Vec<ResourceId>> {
    let ids: Vec<String> = export::Entity::find()
        .select_only()
        .column(export::Column::Id)
        .left_join(connection::Entity)
        .filter(export::Column::Organization.eq(scope.organization.as_str()))
        .filter(export::Column::ConnectionUid.is_not_null())
        .filter(export::Column::NextDueTime.is_not_null())
        .filter(managed(actor))
        .order_by_asc(export::Column::Uid)
        .limit(limit)
        .into_tuple()
        .all(db)
        .await?;
    Ok(ids.into_iter().map(ResourceId::stored).collect())
}

/// Finds the export on a connection whose files have this name.
pub async fn find_by_file_name(
    db: &impl ConnectionTrait,
    scope: &Scope<'_>,
    connection: ConnectionUid,
    file_name: &str,
) -> Result<Option<ExportRef>> {
    let query = export::Entity::find()
        .select_only()
        .columns([export::Column::Id, export::Column::Uid])
        .filter(export::Column::Organization.eq(scope.organization.as_str()))
        .filter(export::Column::ConnectionUid.eq(connection.0))
        .filter(export::Column::FileName.eq(file_name));
    let found: Option<(String, Uuid)> = query.into_tuple().one(db).await?;
    Ok(found.map(|(id, uid)| ExportRef {
        id: ResourceId::stored(id),
        uid: ExportUid(uid),
        connection: Some(connection),
    }))
}

/// Lists a page of exports, with the newest run of each.
pub async fn list(
    db: &Reader<'_>,
    scope: &Scope<'_>,
    actor: &Actor,
    filter: &ExportFilter,
    page: &PageRequest,
) -> Result<Page<Export>> {
    let mut list = List::new(|| select(db, scope, actor).expr(runs::newest_of_export()).take(), scope, &KEYS);
    let texts = scope.read_context.texts().filter(|_| actor.has(Role::Admin));
    list.first_page = texts.map(|texts| (&texts.exports, vec![true.into(), scope.organization.as_str().into()]));
    if let Some(id) = &filter.connection {
        let Some(uid) = connections::find_uid(db, scope, id).await? else {
            return Ok(Page { items: Vec::new(), next: None });
        };
        list.values.push((export::Column::ConnectionUid, uid.0.into()));
    }
    add_filters(&mut list, db, scope, actor, filter);
    let read = |row: &QueryResult| {
        let mut columns = Columns::of(row);
        let export = export_rows::read_next(&mut columns, scope)?;
        let last_run: Option<Uuid> = columns.next()?;
        Ok((export, last_run))
    };
    let position = |(export, _): &(Export, _)| {
        paging::position(page.order, export.uid.0, &export.display_name, export.update_time)
    };
    let found = paging::page(db, list, page, read, position, |(export, _)| size(export)).await?;
    let last_runs = found.items.iter().map(|(_, last_run)| *last_run).collect();
    let mut last_runs = runs::last_runs(db, scope, last_runs).await?;
    let with_last_run =
        |(export, uid): (_, Option<Uuid>)| Export { last_run: uid.and_then(|uid| last_runs.remove(&uid)), ..export };
    Ok(Page { items: found.items.into_iter().map(with_last_run).collect(), next: found.next })
}

/// Whether the organization has at least `count` exports. Reads no more rows than that.
pub async fn has_at_least(db: &impl ConnectionTrait, scope: &Scope<'_>, count: u64) -> Result<bool> {
    let own = export::Entity::find().filter(export::Column::Organization.eq(scope.organization.as_str()));
    lookup::has_at_least(db, own, export::Column::Uid, count).await
}

/// Inserts an export; the transaction fails with `ALREADY_EXISTS` if the id is in use. The revision of its attachment is reserved
/// before.
pub async fn insert(db: &Transaction, export: &Export) -> Result<()> {
    static INSERT: Text = Text::new();
    let statement = text::insert(db.get_database_backend(), &INSERT, row_of(export)?, None)?;
    let error = Error::AlreadyExists(ResourceKind::Export, export.name.to_string());
    db.insert(statement, Some(Exists { table: export::Entity.table_name(), error })).await;
    Ok(())
}

/// Updates the fields that callers can change, and the revision; never the attachment.
pub async fn update(db: &impl ConnectionTrait, export: &Export) -> Result<()> {
    static UPDATE: Text = Text::new();
    let row = row_of(export)?;
    let row = export::ActiveModel {
        organization: Unchanged(row.organization),
        uid: Unchanged(row.uid),
        display_name: Set(row.display_name),
        display_name_search: Set(row.display_name_search),
        description: Set(row.description),
        payload: Set(row.payload),
        schedule: Set(row.schedule),
        destination_settings: Set(row.destination_settings),
        file_name: Set(row.file_name),
        next_due_time: Set(row.next_due_time),
        schedule_pause_time: Set(export.schedule_pause.map(|pause| pause.time)),
        labels: Set(row.labels),
        owner: Set(row.owner),
        updater: Set(row.updater),
        update_time: Set(row.update_time),
        revision: Set(row.revision),
        ..Default::default()
    };
    Ok(text::update(db, &UPDATE, row).await?)
}

/// Deletes exports; their releases are recorded before.
pub async fn delete(db: &impl ConnectionTrait, scope: &Scope<'_>, uids: &BTreeSet<ExportUid>) -> Result<()> {
    for chunk in uids.iter().map(|uid| uid.0).collect::<Vec<_>>().chunks(MAX_ROWS_PER_STATEMENT) {
        export::Entity::delete_many()
            .filter(export::Column::Organization.eq(scope.organization.as_str()))
            .filter(export::Column::Uid.is_in(chunk.iter().copied()))
            .exec(db)
            .await?;
    }
    Ok(())
}

fn select(db: &impl ConnectionTrait, scope: &Scope<'_>, actor: &Actor) -> SelectStatement {
    let of_connection =
        Expr::cust("connections.organization = exports.organization AND connections.uid = exports.connection_uid");
    Query::select()
        .expr(Expr::cust("connections.id, connections.display_name"))
        .expr(availability(db.get_database_backend(), scope.read_context))
        .expr(managed(actor))
        .expr(export_rows::columns())
        .from(export::Entity)
        .join(JoinType::LeftJoin, connection::Entity, of_connection)
        .and_where(export::Column::Organization.eq(scope.organization.as_str()))
        .take()
}

/// Whether the actor manages an export: an administrator every export; a contributor those on a connection that it may
/// use, and the detached ones that it owns.
fn managed(actor: &Actor) -> SimpleExpr {
    if actor.has(Role::Admin) {
        return Expr::val(true);
    }
    if !actor.has(Role::Contributor) {
        return Expr::val(false);
    }
    let detached = || Expr::col((export::Entity, export::Column::ConnectionUid)).is_null();
    let column = |column| Expr::col((export::Entity, column));
    let owner = || column(export::Column::Owner);
    let created = owner().is_null().and(column(export::Column::Creator).eq(actor.principal()));
    let members = actor.caller().map(|caller| member_texts(caller)).unwrap_or_default();
    let is_owner = owner().is_not_null().and(owner().is_in(members)).or(created);
    detached().and(is_owner).or(detached().not().and(usable(actor)))
}

fn add_filters(
    list: &mut List<'_, export::Entity>,
    db: &impl ConnectionTrait,
    scope: &Scope<'_>,
    actor: &Actor,
    filter: &ExportFilter,
) {
    use export::Column::{ConnectionType, Creator, DetachedBatchId, DetachedConnectionId, DisplayNameSearch};
    let by_value = [
        filter.batch_id.map(|id| (DetachedBatchId, id.into())),
        filter.detached_from.as_ref().map(|id| (DetachedConnectionId, id.as_str().into())),
        filter.creator.as_ref().map(|creator| (Creator, creator.as_str().into())),
    ];
    list.values.extend(by_value.into_iter().flatten());
    if let Some(connection_type) = &filter.connection_type {
        list.filters.push(ConnectionType.eq(connection_type.as_str()));
    }
    if let Some(search) = &filter.search {
        list.filters.push(expressions::contains(Expr::col((export::Entity, DisplayNameSearch)), search));
    }
    let is_detached = export::Column::ConnectionUid.is_null();
    let can_run = || in_state(availability(db.get_database_backend(), scope.read_context), ConnectionState::Active);
    match filter.state {
        None => {}
        Some(ExportState::Inactive) => {
            list.matching_uids = Some(detached_uids(scope));
            list.filters.push(is_detached);
        }
        Some(ExportState::Active) => list.filters.push(is_detached.not().and(can_run())),
        Some(ExportState::Blocked) => list.filters.push(is_detached.not().and(can_run().not())),
    }
    match filter.caller_access {
        None => {}
        Some(CallerAccess::Manage) => list.filters.push(managed(actor)),
        Some(CallerAccess::View) => list.filters.push(managed(actor).not()),
    }
}

/// Selects the uids of all detached exports, in the order of the index `exports_connection`.
fn detached_uids(scope: &Scope<'_>) -> SelectStatement {
    export::Entity::find()
        .select_only()
        .column(export::Column::Uid)
        .filter(export::Column::Organization.eq(scope.organization.as_str()))
        .filter(export::Column::ConnectionUid.is_null())
        .order_by_asc(export::Column::ConnectionUid)
        .order_by_asc(export::Column::Uid)
        .into_query()
}

/// Bytes of an export on a page: its limited size, its names and its detachment.
fn size(export: &Export) -> usize {
    let detachment = match &export.attachment_state {
        AttachmentState::Attached(attachment) => attachment.display_name.len(),
        AttachmentState::Detached(detachment) => {
            detachment.reason.len() + detachment.connection_display_name.len() + detachment.principal.len()
        }
    };
    512 + export.bytes() + export.creator.len() + export.owner.as_str().len() + export.updater.len() + detachment
}

fn row_of(export: &Export) -> Result<export::Model> {
    let (attachment, detachment) = match &export.attachment_state {
        AttachmentState::Attached(attachment) => (Some(attachment), None),
        AttachmentState::Detached(detachment) => (None, Some(detachment)),
    };
    Ok(export::Model {
        organization: export.name.organization.to_string(),
        uid: export.uid.0,
        id: export.name.id.to_string(),
        display_name: export.display_name.clone(),
        display_name_search: export.display_name.to_lowercase(),
        description: export.description.clone(),
        connection_type: export.connection_type.as_str().to_owned(),
        connection_uid: attachment.map(|attachment| attachment.uid.0),
        attached_revision: attachment.map(|attachment| attachment.revision),
        detached_connection_uid: detachment.map(|detachment| detachment.connection.0),
        detached_connection_id: detachment.map(|detachment| detachment.connection_name.id.to_string()),
        detached_connection_display_name: detachment.map(|detachment| detachment.connection_display_name.clone()),
        detached_batch_id: detachment.and_then(|detachment| detachment.batch_id),
        detached_principal: detachment.map(|detachment| detachment.principal.clone()),
        detached_time: detachment.map(|detachment| detachment.time),
        detached_reason: detachment.map(|detachment| detachment.reason.clone()),
        payload: serde_json::to_value(&export.payload).map_err(Error::internal)?,
        schedule: export.schedule.as_ref().map(serde_json::to_value).transpose().map_err(Error::internal)?,
        destination_settings: Value::Object(export.destination_settings.clone()),
        next_due_time: export.next_due_time,
        labels: serde_json::to_value(&export.labels).map_err(Error::internal)?,
        creator: export.creator.clone(),
        owner: Some(export.owner.as_str().to_owned()),
        create_time: export.create_time,
        updater: export.updater.clone(),
        update_time: export.update_time,
        revision: export.revision,
        consecutive_failures: 0,
        schedule_pause_time: None,
        file_name: export.file_name.clone(),
    })
}
