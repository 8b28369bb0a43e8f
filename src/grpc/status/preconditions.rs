//! The statuses of `FAILED_PRECONDITION`.

use tonic::Code;
use tonic_types::PreconditionViolation;

use super::builder::{
    MAX_DISPLAY_NAME_CHARS, MAX_MESSAGE_CHARS, MAX_NAMED_FIELDS, StatusBuilder, kind_name, take_within,
};
use crate::grpc::proto::ErrorReason;
use crate::model::{Blocker, CannotRun, Precondition, ResourceKind, excerpt, limits};

/// The status of an operation that the current state does not allow.
pub fn failed_precondition(precondition: Precondition) -> StatusBuilder {
    let new = |reason, message: String| StatusBuilder::new(Code::FailedPrecondition, reason, message);
    match precondition {
        Precondition::ConnectionInUse { connection, blocking_export_count, blocking_set_etag, first } => {
            let exports = if blocking_export_count == 1 { "export uses" } else { "exports use" };
            let message =
                format!("{blocking_export_count} {exports} this connection; list them with StreamBlockingExports");
            let mut builder = new(ErrorReason::ConnectionInUse, message)
                .with("blocking_export_count", &blocking_export_count)
                .with("blocking_set_etag", &blocking_set_etag)
                .with("violation_count", &first.len())
                .resource(kind_name(ResourceKind::Connection), &connection);
            builder.details.set_precondition_failure(blockers(&first));
            builder.details.add_help_link(
                "StreamBlockingExports lists every blocking export; BatchDetachExports detaches the listed set",
                "/outflow.v1.ConnectionService/StreamBlockingExports",
            );
            builder
        }
        Precondition::BlockingSetTooLarge { connection, blocking_export_count, limit } => {
            let message = format!(
                "{blocking_export_count} exports are attached, and one call detaches at most {limit}; detach them by \
                 name in batches of {}, as StreamBlockingExports lists them",
                limits::MAX_BATCH_NAMES
            );
            new(ErrorReason::BlockingSetTooLarge, message)
                .with("blocking_export_count", &blocking_export_count)
                .with("limit", &limit)
                .resource(kind_name(ResourceKind::Connection), &connection)
        }
        Precondition::CredentialReentryRequired { changed_binding_fields } => {
            credential_reentry_required(&changed_binding_fields)
        }
        Precondition::ConnectionTypeMismatch { export, export_type, connection_type, violations } => {
            let message = format!(
                "the destination settings of {export} are for {export_type} and are not valid for {connection_type}; set \
                 `destination_settings` in AttachExport"
            );
            new(ErrorReason::ConnectionTypeMismatch, message)
                .with("export_type", &export_type)
                .with("connection_type", &connection_type)
                .violations(&violations)
                .resource(kind_name(ResourceKind::Export), &export)
        }
        Precondition::CannotRun(cause) => cannot_run(cause),
        Precondition::CredentialTestFailed { failed_checks } => {
            let failed_checks = failed_checks.join(", ");
            let message = format!("the new credential was not stored, because checks failed: {failed_checks}");
            new(ErrorReason::CredentialTestFailed, message).with("failed_checks", &failed_checks)
        }
        Precondition::FileNameInUse { export, other } => {
            let message = format!(
                "{export} would write files of the same names as {other} on this connection; add {{export}} or {{run}} to \
                 `file_name_template`, or choose another `folder`"
            );
            new(ErrorReason::FileNameInUse, message)
                .with("export", &other)
                .resource(kind_name(ResourceKind::Export), &export)
        }
        Precondition::CredentialRequired { connection } => {
            let message = format!("{connection} has no credential; store one with RotateConnectionCredential");
            new(ErrorReason::CredentialRequired, message).resource(kind_name(ResourceKind::Connection), &connection)
        }
        Precondition::PreviewFailed { code } => {
            new(ErrorReason::PreviewFailed, code.advice().to_owned()).with("code", &code.as_str())
        }
    }
}

fn credential_reentry_required(changed_binding_fields: &[String]) -> StatusBuilder {
    let fields = excerpt(&changed_binding_fields.join(","), MAX_MESSAGE_CHARS);
    let message = format!("the binding fields {fields} change; set `credential` in the same request");
    let mut builder = StatusBuilder::new(Code::FailedPrecondition, ErrorReason::CredentialReentryRequired, message)
        .with("changed_binding_fields", &fields);
    let violation = |field: &String| {
        PreconditionViolation::new(
            "CREDENTIAL_REENTRY_REQUIRED",
            field,
            "is a binding field; set `credential` in the same request",
        )
    };
    builder.details.set_precondition_failure(
        changed_binding_fields.iter().take(MAX_NAMED_FIELDS).map(violation).collect::<Vec<_>>(),
    );
    builder
}

fn cannot_run(cause: CannotRun) -> StatusBuilder {
    let new = |reason, message: String| StatusBuilder::new(Code::FailedPrecondition, reason, message);
    match cause {
        CannotRun::ExportInactive { export } => {
            let message = format!("{export} is detached; attach it with AttachExport");
            new(ErrorReason::ExportInactive, message).resource(kind_name(ResourceKind::Export), &export)
        }
        CannotRun::ConnectionSuspended { export } => {
            let message = format!(
                "the connection of {export} is suspended; an administrator can resume it with ResumeConnection"
            );
            new(ErrorReason::ConnectionSuspended, message).resource(kind_name(ResourceKind::Export), &export)
        }
        CannotRun::CredentialRequired { export } => {
            let message = format!(
                "the connection of {export} has no valid credential, or its type is not in the catalog; an administrator \
                 can store a credential with RotateConnectionCredential"
            );
            new(ErrorReason::CredentialRequired, message).resource(kind_name(ResourceKind::Export), &export)
        }
        CannotRun::NoRunner { connection_type } => {
            let message =
                format!("no runner delivers to connections of type {connection_type}; ask the operator of the service");
            new(ErrorReason::NoRunner, message).with("connection_type", &connection_type)
        }
        CannotRun::RunInProgress { run } => {
            let message =
                format!("{run} is unfinished; wait for it with WatchExportRun, or cancel it with CancelExportRun");
            new(ErrorReason::RunInProgress, message)
                .with("run", &run)
                .resource(kind_name(ResourceKind::ExportRun), &run)
        }
    }
}

/// One violation per blocker. Display names are left out if they do not fit.
fn blockers(first: &[Blocker]) -> Vec<PreconditionViolation> {
    let kind = "CONNECTION_IN_USE";
    let with_names_of = |chars: usize| {
        let size =
            |(blocker, display_name): &(&Blocker, String)| kind.len() + blocker.name.len() + display_name.len() + 12;
        let named = first.iter().map(|blocker| (blocker, excerpt(&blocker.display_name, chars)));
        take_within(named, size)
    };
    let mut fitted = with_names_of(MAX_DISPLAY_NAME_CHARS);
    if fitted.len() < first.len() {
        fitted = with_names_of(0);
    }
    let violation =
        |(blocker, display_name): (&Blocker, String)| PreconditionViolation::new(kind, &blocker.name, display_name);
    fitted.into_iter().map(violation).collect()
}
