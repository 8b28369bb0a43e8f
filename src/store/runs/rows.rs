//! Rows of `runs`, and their conversion.

use sea_orm::{DbErr, FromQueryResult, QueryResult};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::model::{
    ConnectionName, ConnectionTypeId, ConnectionUid, Error, ExportUid, ResourceId, Result, Run, RunFailure, RunName,
    RunStats, TraceParent,
};
use crate::store::Scope;
use crate::store::entities::run;

/// The format of what runs store. It grows when an earlier release could not repeat an attempt of this one.
pub const FORMAT_VERSION: i32 = 1;

/// A run with the id of its export, if that still exists.
pub(super) struct Row {
    run: run::Model,
    export_id: Option<String>,
}

impl FromQueryResult for Row {
    fn from_query_result(row: &QueryResult, prefix: &str) -> Result<Self, DbErr> {
        Ok(Self { run: run::Model::from_query_result(row, prefix)?, export_id: row.try_get(prefix, "export_id")? })
    }
}

impl Row {
    pub(super) fn into_model(self, scope: &Scope<'_>) -> Result<Run> {
        let Self { run: row, export_id } = self;
        let failure = match row.failure_code {
            Some(code) => Some(RunFailure { code: decode(code)?, detail: row.failure_detail.unwrap_or_default() }),
            None => None,
        };
        Ok(Run {
            name: RunName {
                organization: scope.organization.clone(),
                export: export_id.map(ResourceId::stored),
                uid: row.uid,
            },
            export: ExportUid(row.export_uid),
            export_display_name: row.export_display_name,
            state: decode(row.state)?,
            trigger: decode(row.trigger)?,
            skip_reason: row.skip_reason.map(decode).transpose()?,
            due_count: unsigned(row.due_count),
            principal: row.principal,
            schedule_time: row.schedule_time,
            last_schedule_time: row.last_schedule_time,
            create_time: row.create_time,
            start_time: row.start_time,
            end_time: row.end_time,
            connection: ConnectionUid(row.connection_uid),
            connection_name: ConnectionName {
                organization: scope.organization.clone(),
                id: ResourceId::stored(row.connection_id),
            },
            connection_type: ConnectionTypeId::new(row.connection_type),
            export_revision: row.export_revision,
            attempt: u32::try_from(row.attempt).unwrap_or(u32::MAX),
            next_attempt_time: row.next_attempt_time,
            stats: RunStats {
                rows_read: unsigned(row.rows_read),
                rows_written: unsigned(row.rows_written),
                bytes_written: unsigned(row.bytes_written),
                files: unsigned(row.files),
                rows_estimated: row.rows_estimated.map(unsigned),
            },
            failure,
            trace_parent: row.trace_parent.as_deref().and_then(TraceParent::parse),
        })
    }
}

/// The row of a new run.
pub(super) fn row_of(run: &Run) -> Result<run::Model> {
    Ok(run::Model {
        organization: run.name.organization.to_string(),
        uid: run.name.uid,
        export_uid: run.export.0,
        export_display_name: run.export_display_name.clone(),
        connection_uid: run.connection.0,
        connection_id: run.connection_name.id.to_string(),
        connection_type: run.connection_type.as_str().to_owned(),
        state: code(&run.state)?,
        trigger: code(&run.trigger)?,
        skip_reason: run.skip_reason.as_ref().map(code).transpose()?,
        due_count: signed(run.due_count),
        principal: run.principal.clone(),
        schedule_time: run.schedule_time,
        last_schedule_time: run.last_schedule_time,
        create_time: run.create_time,
        start_time: run.start_time,
        end_time: run.end_time,
        export_revision: run.export_revision,
        attempt: i64::from(run.attempt),
        failures: 0,
        releases: 0,
        next_attempt_time: run.next_attempt_time,
        lease_owner: None,
        lease_expire_time: None,
        rows_read: 0,
        rows_written: 0,
        bytes_written: 0,
        files: 0,
        rows_estimated: None,
        failure_code: run.failure.as_ref().map(|failure| code(&failure.code)).transpose()?,
        failure_detail: run.failure.as_ref().map(|failure| failure.detail.clone()),
        delivery_state: None,
        trace_parent: run.trace_parent.as_ref().map(|parent| parent.as_str().to_owned()),
        format_version: FORMAT_VERSION,
    })
}

/// The stored text of a state, trigger, reason or code.
pub(super) fn code(value: &impl Serialize) -> Result<String> {
    let Value::String(text) = serde_json::to_value(value).map_err(Error::internal)? else {
        return Err(Error::internal("a code is not a text"));
    };
    Ok(text)
}

pub(super) fn decode<T: DeserializeOwned>(text: String) -> Result<T> {
    serde_json::from_value(Value::String(text)).map_err(Error::internal)
}

pub(super) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or_default()
}
