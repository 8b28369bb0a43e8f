//! Requests about exports, and exports as messages.

#![expect(clippy::needless_pass_by_value, clippy::unnecessary_wraps, reason = "one signature for all mutations")]

use uuid::Uuid;

use super::field_mask::UpdateMask;
use super::lists::{List, Paging, RESOURCE_KEYS};
use super::payload::{payload, payload_to_proto};
use super::runs::{failure_to_proto, state_to_proto as run_state_to_proto};
use super::schedule::{schedule, schedule_to_proto};
use super::validator::RequestValidator;
use super::values::{object_to_proto, settings, time_to_proto};
use crate::app::datasets::PayloadCheck;
use crate::app::exports::{
    AttachExport, BatchAttachExports, BatchDeleteExports, BatchDetachExports, BatchOutcome, BatchResult,
    BatchUpdateExportSchedules, CreateExport, DeleteExport, DetachExport, DetachTarget, DuplicateExport, ExportDraft,
    ExportUpdate, ScheduleUpdate, UpdateExport,
};
use crate::grpc::proto as pb;
use crate::model::{
    Attachment, AttachmentState, Availability, CallerAccess, Detachment, Export, ExportFilter, ExportName, ExportState,
    LastRun, Member, ResourceId, RunName, RunState, limits, validate,
};

/// The fields of an export that UpdateExport changes.
const MUTABLE: [&str; 7] =
    ["display_name", "description", "payload", "schedule", "destination_settings", "labels", "owner"];
/// The fields that UpdateExport refuses as immutable, each with what to do instead.
const IMMUTABLE: [(&str, &str); 4] = [
    ("connection", "use AttachExport or DetachExport"),
    ("state", "use AttachExport or DetachExport"),
    ("detachment", "use AttachExport"),
    ("name", "names never change"),
];

/// Converts a request of CreateExport.
pub fn create_export(validator: &mut RequestValidator<'_>, request: pb::CreateExportRequest) -> Option<CreateExport> {
    validator.deny_foreign_names([request.parent.as_str()]);
    validator.parent(&request.parent);
    let id = validator.chosen_id("export_id", &request.export_id);
    draft(validator, request.export.unwrap_or_default(), id)
}

/// Names that are ignored are denied too if they are of another organization.
fn deny_foreign_names(validator: &mut RequestValidator<'_>, export: &pb::Export) {
    let detachment = export.detachment.as_ref().map(|detachment| detachment.connection.as_str());
    let last_run = export.last_run.as_ref().map(|run| run.name.as_str());
    let names = [export.name.as_str(), &export.connection];
    validator.deny_foreign_names(names.into_iter().chain(detachment).chain(last_run));
}

/// An export that does not exist yet.
pub fn draft(validator: &mut RequestValidator<'_>, export: pb::Export, id: Option<ResourceId>) -> Option<CreateExport> {
    deny_foreign_names(validator, &export);
    let connection = validator.connection("export.connection", &export.connection);
    let display_name = validator.display_name("export.display_name", export.display_name);
    let description = validator.multiline_text("export.description", export.description, limits::MAX_DESCRIPTION_CHARS);
    let payload = payload(validator, "export.payload", export.payload);
    let schedule = export.schedule.map(|given| schedule(validator, "export.schedule", given));
    let path = "export.destination_settings";
    let destination_settings = settings(&mut validator.violations, path, export.destination_settings);
    let labels = validate::labels(&mut validator.violations, "export.labels", export.labels);
    let owner = owner(validator, &export.owner);
    let draft = ExportDraft {
        display_name,
        description,
        connection: connection?,
        payload,
        schedule,
        destination_settings,
        labels,
        owner,
    };
    Some(CreateExport { id, draft, payload_check: PayloadCheck::default(), is_preview: false })
}

/// Converts a request of GetExport.
pub fn get_export(validator: &mut RequestValidator<'_>, request: &pb::GetExportRequest) -> Option<ExportName> {
    export_name(validator, &request.name)
}

/// Converts a request of ListExports.
pub fn list_exports(
    validator: &mut RequestValidator<'_>,
    request: &pb::ListExportsRequest,
) -> Option<List<ExportFilter>> {
    validator.deny_foreign_names([request.parent.as_str(), &request.connection, &request.detached_from]);
    validator.parent(&request.parent);
    let state = match pb::export::State::try_from(request.state) {
        Ok(pb::export::State::Active) => Some(ExportState::Active),
        Ok(pb::export::State::Blocked) => Some(ExportState::Blocked),
        Ok(pb::export::State::Inactive) => Some(ExportState::Inactive),
        Ok(pb::export::State::Unspecified) => None,
        Err(_) => {
            validator.add("state", "is not a known state");
            None
        }
    };
    let caller_access = match pb::export::CallerAccess::try_from(request.caller_access) {
        Ok(pb::export::CallerAccess::View) => Some(CallerAccess::View),
        Ok(pb::export::CallerAccess::Manage) => Some(CallerAccess::Manage),
        Ok(pb::export::CallerAccess::Unspecified) => None,
        Err(_) => {
            validator.add("caller_access", "is not a known value");
            None
        }
    };
    let batch_id = Uuid::try_parse(&request.batch_id).ok();
    if batch_id.is_none() && !request.batch_id.is_empty() {
        validator.add("batch_id", "must be a UUID");
    }
    let filter = ExportFilter {
        connection: validator.optional_connection("connection", &request.connection).map(|name| name.id),
        connection_type: validator.optional_type("connection_type", &request.connection_type),
        state,
        creator: validator.filter("creator", &request.creator, limits::MAX_FILTER_CHARS),
        caller_access,
        detached_from: validator.optional_connection("detached_from", &request.detached_from).map(|name| name.id),
        batch_id,
        search: validator.search(&request.search),
    };
    let paging = Paging { page_size: request.page_size, page_token: &request.page_token, order_by: &request.order_by };
    let enums = format!("{} {}", request.state, request.caller_access);
    let arguments = [
        request.connection.as_str(),
        &request.connection_type,
        &enums,
        &request.creator,
        &request.detached_from,
        &request.batch_id,
        &request.search,
    ];
    List::parse(validator, &paging, &RESOURCE_KEYS, filter, &arguments)
}

/// UpdateExport: the fields that the mask names, or the populated ones.
pub fn update_export(validator: &mut RequestValidator<'_>, request: pb::UpdateExportRequest) -> Option<UpdateExport> {
    let export = request.export.unwrap_or_default();
    deny_foreign_names(validator, &export);
    let name = validator.export("export.name", &export.name);
    let mask = UpdateMask::parse(validator, request.update_mask.as_ref(), &MUTABLE, &IMMUTABLE);

    let mut update = ExportUpdate::default();
    if mask.takes("display_name", !export.display_name.is_empty()) {
        update.display_name = Some(validator.display_name("export.display_name", export.display_name));
    }
    if mask.takes("description", !export.description.is_empty()) {
        let max_chars = limits::MAX_DESCRIPTION_CHARS;
        update.description = Some(validator.multiline_text("export.description", export.description, max_chars));
    }
    if mask.takes("payload", export.payload.is_some()) {
        update.payload = Some(payload(validator, "export.payload", export.payload));
    }
    if mask.takes("schedule", export.schedule.is_some()) {
        update.schedule = Some(export.schedule.map(|given| schedule(validator, "export.schedule", given)));
    }
    if mask.takes("destination_settings", export.destination_settings.is_some()) {
        let path = "export.destination_settings";
        update.destination_settings = Some(settings(&mut validator.violations, path, export.destination_settings));
    }
    if mask.takes("labels", !export.labels.is_empty()) {
        update.labels = Some(validate::labels(&mut validator.violations, "export.labels", export.labels));
    }
    if mask.takes("owner", !export.owner.is_empty()) {
        update.owner = Some(owner(validator, &export.owner));
    }
    if !mask.is_explicit() {
        update.connection = validator.optional_connection("export.connection", &export.connection);
    }
    Some(UpdateExport { id: name?.id, etag: export.etag, update, payload_check: PayloadCheck::default() })
}

/// An owner; `None` if it is empty.
fn owner(validator: &mut RequestValidator<'_>, owner: &str) -> Option<Member> {
    if owner.is_empty() {
        return None;
    }
    Member::parse(&mut validator.violations, "export.owner", owner)
}

/// Converts a request of DeleteExport.
pub fn delete_export(validator: &mut RequestValidator<'_>, request: pb::DeleteExportRequest) -> Option<DeleteExport> {
    Some(DeleteExport { id: export_name(validator, &request.name)?.id, etag: request.etag })
}

/// Converts a request of BatchDeleteExports.
pub fn batch_delete_exports(
    validator: &mut RequestValidator<'_>,
    request: pb::BatchDeleteExportsRequest,
) -> Option<BatchDeleteExports> {
    Some(BatchDeleteExports { ids: batch(validator, &request.parent, &request.names, "") })
}

/// Converts a request of DuplicateExport.
pub fn duplicate_export(
    validator: &mut RequestValidator<'_>,
    request: pb::DuplicateExportRequest,
) -> Option<DuplicateExport> {
    let source = export_name(validator, &request.name);
    let id = validator.chosen_id("export_id", &request.export_id);
    let display_name = validator.text("display_name", request.display_name, limits::MAX_DISPLAY_NAME_CHARS);
    Some(DuplicateExport { source: source?.id, id, display_name })
}

/// Converts a request of AttachExport.
pub fn attach_export(validator: &mut RequestValidator<'_>, request: pb::AttachExportRequest) -> Option<AttachExport> {
    validator.deny_foreign_names([request.name.as_str(), &request.connection]);
    let name = validator.export("name", &request.name);
    let connection = validator.connection("connection", &request.connection);
    let given = request.destination_settings;
    let destination_settings =
        given.map(|given| settings(&mut validator.violations, "destination_settings", Some(given)));
    Some(AttachExport { id: name?.id, etag: request.etag, connection: connection?, destination_settings })
}

/// Converts a request of BatchAttachExports.
pub fn batch_attach_exports(
    validator: &mut RequestValidator<'_>,
    request: pb::BatchAttachExportsRequest,
) -> Option<BatchAttachExports> {
    let ids = batch(validator, &request.parent, &request.names, &request.connection);
    let connection = validator.connection("connection", &request.connection)?;
    Some(BatchAttachExports { ids, connection })
}

/// Converts a request of DetachExport.
pub fn detach_export(validator: &mut RequestValidator<'_>, request: pb::DetachExportRequest) -> Option<DetachExport> {
    let name = export_name(validator, &request.name);
    let reason = validator.multiline_text("reason", request.reason, limits::MAX_REASON_CHARS);
    Some(DetachExport { id: name?.id, etag: request.etag, reason })
}

/// BatchDetachExports: by names, or a whole set.
pub fn batch_detach_exports(
    validator: &mut RequestValidator<'_>,
    request: pb::BatchDetachExportsRequest,
) -> Option<BatchDetachExports> {
    let reason = validator.multiline_text("reason", request.reason, limits::MAX_REASON_CHARS);
    let Some(set) = request.attached_set else {
        let ids = batch(validator, &request.parent, &request.names, "");
        return Some(BatchDetachExports { target: DetachTarget::Names(ids), reason });
    };
    let names = [request.parent.as_str(), &set.connection];
    validator.deny_foreign_names(names.into_iter().chain(request.names.iter().map(String::as_str)));
    validator.parent(&request.parent);
    if !request.names.is_empty() {
        validator.add("names", "must be empty if `attached_set` is set");
    }
    if set.blocking_set_etag.is_empty() {
        validator.add("attached_set.blocking_set_etag", "is required; StreamBlockingExports returns it");
    }
    let connection = validator.connection("attached_set.connection", &set.connection)?;
    let target = DetachTarget::AttachedSet { connection, blocking_set_etag: set.blocking_set_etag };
    Some(BatchDetachExports { target, reason })
}

/// Converts a request of BatchUpdateExportSchedules.
pub fn batch_update_export_schedules(
    validator: &mut RequestValidator<'_>,
    request: pb::BatchUpdateExportSchedulesRequest,
) -> Option<BatchUpdateExportSchedules> {
    use pb::batch_update_export_schedules_request::Change;
    let ids = batch(validator, &request.parent, &request.names, "");
    let update = match request.change {
        Some(Change::Enabled(enabled)) => ScheduleUpdate::Enabled(enabled),
        Some(Change::Schedule(given)) => ScheduleUpdate::Replace(schedule(validator, "schedule", given)),
        None => {
            validator.add("enabled", "or `schedule` must be set");
            return None;
        }
    };
    Some(BatchUpdateExportSchedules { ids, update })
}

/// The export that a request with one name is about.
pub fn export_name(validator: &mut RequestValidator<'_>, name: &str) -> Option<ExportName> {
    validator.deny_foreign_names([name]);
    validator.export("name", name)
}

/// The exports that a batch is about; `other` is one more name in the request.
fn batch(validator: &mut RequestValidator<'_>, parent: &str, names: &[String], other: &str) -> Vec<ResourceId> {
    validator.deny_foreign_names([parent, other].into_iter().chain(names.iter().map(String::as_str)));
    validator.parent(parent);
    validator.export_names(names)
}

/// An export. With `validate_only` uid, times and etag are left out, because nothing was stored.
pub fn to_proto(mut export: Export, validate_only: bool) -> pb::Export {
    let (state, etag) = (export.state(), export.etag());
    let next_run_time = export.next_run_time();
    let kept = |time| Some(time).filter(|_| !validate_only).map(time_to_proto);
    let payload = payload_to_proto(std::mem::take(&mut export.payload));
    let destination_settings = object_to_proto(std::mem::take(&mut export.destination_settings));
    let attachment = export.attachment();
    pb::Export {
        name: export.name.to_string(),
        uid: if validate_only { String::new() } else { export.uid.0.to_string() },
        connection: attachment.map(|attachment| attachment.name.to_string()).unwrap_or_default(),
        connection_display_name: attachment.map(|found| found.display_name.clone()).unwrap_or_default(),
        connection_type: export.connection_type.name(),
        payload: Some(payload),
        schedule: export.schedule.as_ref().map(schedule_to_proto),
        destination_settings: Some(destination_settings),
        state: state_to_proto(state).into(),
        state_reason: attachment.map_or(pb::export::StateReason::Unspecified, reason_to_proto).into(),
        detachment: match &export.attachment_state {
            AttachmentState::Attached(_) => None,
            AttachmentState::Detached(detachment) => Some(detachment_to_proto(detachment, validate_only)),
        },
        next_run_time: next_run_time.and_then(kept),
        schedule_pause: export.schedule_pause.map(|pause| pb::export::SchedulePause {
            time: kept(pause.time),
            failures: i32::try_from(pause.failures).unwrap_or(i32::MAX),
        }),
        last_run: export.last_run.map(|run| last_run_to_proto(&export.name, run)),
        caller_access: match export.caller_access {
            CallerAccess::View => pb::export::CallerAccess::View,
            CallerAccess::Manage => pb::export::CallerAccess::Manage,
        }
        .into(),
        create_time: kept(export.create_time),
        update_time: kept(export.update_time),
        etag: if validate_only { String::new() } else { etag },
        display_name: export.display_name,
        description: export.description,
        labels: export.labels,
        creator: export.creator,
        owner: export.owner.as_str().to_owned(),
        updater: export.updater,
    }
}

fn last_run_to_proto(export: &ExportName, run: LastRun) -> pb::export::LastRun {
    let name = RunName { organization: export.organization.clone(), export: Some(export.id.clone()), uid: run.uid };
    pb::export::LastRun {
        name: name.to_string(),
        state: run_state_to_proto(run.state).into(),
        create_time: Some(time_to_proto(run.create_time)),
        end_time: run.end_time.map(time_to_proto),
        error: run.failure.filter(|_| run.state == RunState::Failed).map(failure_to_proto),
    }
}

/// The state of an export.
pub fn state_to_proto(state: ExportState) -> pb::export::State {
    match state {
        ExportState::Active => pb::export::State::Active,
        ExportState::Blocked => pb::export::State::Blocked,
        ExportState::Inactive => pb::export::State::Inactive,
    }
}

fn reason_to_proto(attachment: &Attachment) -> pb::export::StateReason {
    use pb::export::StateReason;
    match attachment.availability {
        Availability::Active => StateReason::Unspecified,
        Availability::Suspended => StateReason::ConnectionSuspended,
        Availability::CredentialMissing | Availability::TypeUnknown => StateReason::CredentialRequired,
        Availability::CredentialExpired => StateReason::CredentialExpired,
    }
}

fn detachment_to_proto(detachment: &Detachment, validate_only: bool) -> pb::export::Detachment {
    pb::export::Detachment {
        connection: detachment.connection_name.to_string(),
        connection_display_name: detachment.connection_display_name.clone(),
        batch_id: detachment.batch_id.map(|id| id.to_string()).unwrap_or_default(),
        principal: detachment.principal.clone(),
        time: Some(detachment.time).filter(|_| !validate_only).map(time_to_proto),
        reason: detachment.reason.clone(),
    }
}

/// The results of a batch and its id. With `validate_only` there are no etags and no id.
pub fn outcome_to_proto(outcome: BatchOutcome, validate_only: bool) -> (Vec<pb::BatchResult>, String) {
    let result = |result: BatchResult| {
        let (state, etag) =
            result.state_and_etag.map(|(state, etag)| (state_to_proto(state), etag)).unwrap_or_default();
        pb::BatchResult {
            name: result.name,
            state: state.into(),
            etag: if validate_only { String::new() } else { etag },
        }
    };
    let batch_id = outcome.batch_id.filter(|_| !validate_only).map(|id| id.to_string());
    (outcome.results.into_iter().map(result).collect(), batch_id.unwrap_or_default())
}
