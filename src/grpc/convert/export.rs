//! Exports.

use uuid::Uuid;

use super::connection::masked;
use super::form::Form;
use super::lists::{Listing, Paging, RESOURCE_KEYS, listing, search};
use super::payload::{payload, payload_to_proto};
use super::schedule::{schedule, schedule_to_proto};
use super::values::{object_to_proto, settings, time_to_proto};
use crate::app::{
    AttachExport, BatchOutcome, BatchResult, CreateExport, DuplicateExport, ExportDraft, ExportUpdate, UpdateExport,
};
use crate::grpc::proto as pb;
use crate::model::{
    Attachment, Call, CallerAccess, Availability, Detachment, Export, ExportFilter, ExportState, AttachmentState, Result, limits,
    text,
};

/// Fields of an export that UpdateExport changes.
const MUTABLE: [&str; 6] = ["display_name", "description", "payload", "schedule", "destination_settings", "labels"];
/// Fields that another RPC changes.
const ELSEWHERE: [(&str, &str); 4] = [
    ("connection", "use AttachExport or DetachExport"),
    ("state", "use AttachExport or DetachExport"),
    ("detachment", "use AttachExport"),
    ("name", "a name never changes"),
];

/// CreateExport.
pub fn create_export(call: &Call, request: pb::CreateExportRequest) -> Result<CreateExport> {
    let export = request.export.unwrap_or_default();
    // The name is ignored, unless it is none of the caller's business.
    let mut form = Form::new(call, [request.parent.as_str(), export.connection.as_str(), export.name.as_str()])?;
    form.parent(&request.parent);
    form.request_id(&request.request_id);
    let id = form.chosen_id("export_id", &request.export_id);
    let connection = form.connection("export.connection", &export.connection);
    let display_name = form.display_name("export.display_name", export.display_name);
    let description = form.text("export.description", export.description, limits::DESCRIPTION_CHARS);
    let payload = payload(&mut form, "export.payload", export.payload);
    let schedule = export.schedule.and_then(|given| schedule(&mut form, "export.schedule", given));
    let destination_settings =
        settings(&mut form.violations, "export.destination_settings", export.destination_settings);
    let labels = text::check_labels(&mut form.violations, "export.labels", export.labels);
    let draft = connection.map(|connection| ExportDraft {
        display_name,
        description,
        connection,
        payload,
        schedule,
        destination_settings,
        labels,
    });
    form.finish(draft.map(|draft| CreateExport { id, draft }))
}

/// UpdateExport: what the mask names, or what is populated.
pub fn update_export(call: &Call, request: pb::UpdateExportRequest) -> Result<UpdateExport> {
    let export = request.export.unwrap_or_default();
    let mut form = Form::new(call, [export.name.as_str(), export.connection.as_str()])?;
    form.request_id(&request.request_id);
    let name = form.export("export.name", &export.name);
    let named = masked(&mut form, request.update_mask.as_ref(), &MUTABLE, &ELSEWHERE)?;
    let takes = |field: &str, populated: bool| named.takes(field, populated);

    let mut update = ExportUpdate::default();
    if takes("display_name", !export.display_name.is_empty()) {
        update.display_name = Some(form.display_name("export.display_name", export.display_name));
    }
    if takes("description", !export.description.is_empty()) {
        let text = form.text("export.description", export.description, limits::DESCRIPTION_CHARS);
        update.description = Some(text);
    }
    if takes("payload", export.payload.is_some()) {
        update.payload = Some(payload(&mut form, "export.payload", export.payload));
    }
    if takes("schedule", export.schedule.is_some()) {
        update.schedule = Some(export.schedule.and_then(|given| schedule(&mut form, "export.schedule", given)));
    }
    if takes("destination_settings", export.destination_settings.is_some()) {
        let path = "export.destination_settings";
        update.destination_settings = Some(settings(&mut form.violations, path, export.destination_settings));
    }
    if takes("labels", !export.labels.is_empty()) {
        update.labels = Some(text::check_labels(&mut form.violations, "export.labels", export.labels));
    }
    if !named.is_explicit() {
        update.connection = form.optional_connection("export.connection", &export.connection);
    }
    form.finish(name.map(|name| UpdateExport { id: name.id, etag: export.etag, update }))
}

/// AttachExport.
pub fn attach_export(call: &Call, request: pb::AttachExportRequest) -> Result<AttachExport> {
    let mut form = Form::new(call, [request.name.as_str(), request.connection.as_str()])?;
    form.request_id(&request.request_id);
    let name = form.export("name", &request.name);
    let connection = form.connection("connection", &request.connection);
    let given = request.destination_settings;
    let destination_settings = given.map(|given| settings(&mut form.violations, "destination_settings", Some(given)));
    form.finish(name.zip(connection).map(|(name, connection)| AttachExport {
        id: name.id,
        etag: request.etag,
        connection,
        destination_settings,
    }))
}

/// DuplicateExport.
pub fn duplicate_export(call: &Call, request: pb::DuplicateExportRequest) -> Result<DuplicateExport> {
    let mut form = Form::new(call, [request.name.as_str()])?;
    form.request_id(&request.request_id);
    let source = form.export("name", &request.name);
    let id = form.chosen_id("export_id", &request.export_id);
    let display_name = form.text("display_name", request.display_name, limits::DISPLAY_NAME_CHARS);
    form.finish(source.map(|source| DuplicateExport { source: source.id, id, display_name }))
}

/// ListExports.
pub fn list_exports(call: &Call, request: &pb::ListExportsRequest) -> Result<Listing<ExportFilter>> {
    let names = [request.parent.as_str(), &request.connection, &request.detached_from];
    let mut form = Form::new(call, names)?;
    form.parent(&request.parent);
    let state = match pb::export::State::try_from(request.state) {
        Ok(pb::export::State::Active) => Some(ExportState::Active),
        Ok(pb::export::State::Blocked) => Some(ExportState::Blocked),
        Ok(pb::export::State::Inactive) => Some(ExportState::Inactive),
        Ok(pb::export::State::Unspecified) => None,
        Err(_) => {
            form.add("state", "is not a known state");
            None
        }
    };
    let caller_access = match pb::export::CallerAccess::try_from(request.caller_access) {
        Ok(pb::export::CallerAccess::View) => Some(CallerAccess::View),
        Ok(pb::export::CallerAccess::Manage) => Some(CallerAccess::Manage),
        Ok(pb::export::CallerAccess::Unspecified) => None,
        Err(_) => {
            form.add("caller_access", "is not a known access");
            None
        }
    };
    let batch_id = Uuid::try_parse(&request.batch_id).ok();
    if batch_id.is_none() && !request.batch_id.is_empty() {
        form.add("batch_id", "must be a UUID");
    }
    let filter = ExportFilter {
        connection: form.optional_connection("connection", &request.connection).map(|name| name.id),
        connection_type: form.optional_type("connection_type", &request.connection_type),
        state,
        creator: form.filter("creator", &request.creator, limits::FILTER_CHARS),
        caller_access,
        detached_from: form.optional_connection("detached_from", &request.detached_from).map(|name| name.id),
        batch_id,
        search: search(&mut form, &request.search),
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
    listing(call, form, &paging, &RESOURCE_KEYS, filter, &arguments)
}

/// An export on its way out; a rehearsed one has no uid, times and etag.
pub fn export_to_proto(export: Export, rehearsed: bool) -> pb::Export {
    let (state, etag) = (export.state(), export.etag());
    let next_run_time = export.next_run_time();
    let kept = |time| Some(time).filter(|_| !rehearsed).map(time_to_proto);
    let attachment = export.attachment();
    pb::Export {
        name: export.name.to_string(),
        uid: if rehearsed { String::new() } else { export.uid.0.to_string() },
        connection: attachment.map(|attachment| attachment.name.to_string()).unwrap_or_default(),
        connection_display_name: attachment.map(|found| found.display_name.clone()).unwrap_or_default(),
        connection_type: export.connection_type.name(),
        payload: Some(payload_to_proto(&export.payload)),
        schedule: export.schedule.as_ref().map(schedule_to_proto),
        destination_settings: Some(object_to_proto(&export.destination_settings)),
        state: state_to_proto(state).into(),
        state_reason: attachment.map_or(pb::export::StateReason::Unspecified, reason_to_proto).into(),
        detachment: match &export.attachment_state {
            AttachmentState::Attached(_) => None,
            AttachmentState::Detached(detachment) => Some(detachment_to_proto(detachment, rehearsed)),
        },
        next_run_time: next_run_time.and_then(kept),
        caller_access: match export.caller_access {
            CallerAccess::View => pb::export::CallerAccess::View,
            CallerAccess::Manage => pb::export::CallerAccess::Manage,
        }
        .into(),
        create_time: kept(export.create_time),
        update_time: kept(export.update_time),
        etag: if rehearsed { String::new() } else { etag },
        display_name: export.display_name,
        description: export.description,
        labels: export.labels,
        creator: export.creator,
        updater: export.updater,
    }
}

/// A state on its way out.
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

fn detachment_to_proto(detachment: &Detachment, rehearsed: bool) -> pb::export::Detachment {
    pb::export::Detachment {
        connection: detachment.connection_name.to_string(),
        connection_display_name: detachment.connection_display_name.clone(),
        batch_id: detachment.batch_id.map(|id| id.to_string()).unwrap_or_default(),
        principal: detachment.principal.clone(),
        time: Some(detachment.time).filter(|_| !rehearsed).map(time_to_proto),
        reason: detachment.reason.clone(),
    }
}

/// What a batch did and its id, on their way out; a rehearsal has no etags and no id.
pub fn outcome_to_proto(outcome: BatchOutcome, rehearsed: bool) -> (Vec<pb::BatchResult>, String) {
    let result = |result: BatchResult| {
        let (state, etag) = result.now.map(|(state, etag)| (state_to_proto(state), etag)).unwrap_or_default();
        pb::BatchResult { name: result.name, state: state.into(), etag: if rehearsed { String::new() } else { etag } }
    };
    let batch_id = outcome.batch_id.filter(|_| !rehearsed).map(|id| id.to_string());
    (outcome.results.into_iter().map(result).collect(), batch_id.unwrap_or_default())
}
