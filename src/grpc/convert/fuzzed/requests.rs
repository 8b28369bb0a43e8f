//! Every request: whatever its bytes are, the conversion returns a value, or an error that the caller can act on.

use std::cell::Cell;
use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;
use prost_reflect::MessageDescriptor;
use tonic::{Code, Request, Status};

use super::messages::{Choices, descriptors};
use super::{app, context};
use crate::app::{App, Mutation};
use crate::fuzzing;
use crate::grpc::convert::validator::RequestValidator;
use crate::grpc::convert::{
    accept, accept_draft, accept_mutation, audit_events, blocking_exports, callers, connection_tests, connection_types,
    connections, datasets, exports, previews, runs, schedule,
};
use crate::grpc::message_size::{self, MessageType};
use crate::grpc::mutation_request::MutationRequest;
use crate::grpc::proto as pb;
use crate::model::{Error, OpContext, Result, is_unsafe, limits};

/// Cases for all requests together.
const CASES: u32 = 1_500;

/// An encoded request; `None` is the result of one that cannot be decoded.
struct Call<'a> {
    app: &'a App,
    context: &'a OpContext,
    bytes: &'a [u8],
}

type Outcome = Option<Result<()>>;
type Convert = fn(&Call<'_>) -> Outcome;

impl Call<'_> {
    fn request<M: Message + MessageType + Default>(&self) -> Option<Request<M>> {
        let counted = message_size::check::<M>(self.bytes);
        let mut request = Request::new(M::decode(self.bytes).ok()?);
        counted.ok()?;
        request.extensions_mut().insert(self.context.clone());
        Some(request)
    }

    fn read<M, T>(&self, parse: impl FnOnce(&mut RequestValidator<'_>, &M) -> Option<T>) -> Outcome
    where
        M: Message + MessageType + Default,
    {
        Some(accept(self.app, self.request()?, parse).map(drop))
    }

    fn draft<M, T>(&self, parse: impl FnOnce(&mut RequestValidator<'_>, M) -> Option<T>) -> Outcome
    where
        M: Message + MessageType + Default,
    {
        Some(accept_draft(self.app, self.request()?, parse).and_then(form))
    }

    fn mutation<M, T: Mutation>(&self, parse: impl FnOnce(&mut RequestValidator<'_>, M) -> Option<T>) -> Outcome
    where
        M: MutationRequest + MessageType + Default,
    {
        Some(accept_mutation(self.app, self.request()?, parse).and_then(form))
    }
}

/// The violations of the form of an accepted request, if there are any.
fn form<T>((context, _): (OpContext, T)) -> Result<()> {
    context.invalid_form.into_result()
}

/// The name of a request, and its conversion.
type Target = (&'static str, Convert);

const TARGETS: [Target; 40] = [
    ("ListConnectionTypesRequest", |call| call.read(connection_types::list_connection_types)),
    ("GetConnectionTypeRequest", |call| call.read(connection_types::get_connection_type)),
    ("CreateConnectionRequest", |call| call.mutation(connections::create_connection)),
    ("GetConnectionRequest", |call| call.read(connections::get_connection)),
    ("ListConnectionsRequest", |call| call.read(connections::list_connections)),
    ("UpdateConnectionRequest", |call| call.mutation(connections::update_connection)),
    ("DeleteConnectionRequest", |call| call.mutation(connections::delete_connection)),
    ("StreamBlockingExportsRequest", |call| call.read(blocking_exports::stream_blocking_exports)),
    ("SearchUsableConnectionsRequest", |call| call.read(connections::search_usable_connections)),
    ("ShareConnectionRequest", |call| call.mutation(connections::share_connection)),
    ("UnshareConnectionRequest", |call| call.mutation(connections::unshare_connection)),
    ("TestConnectionRequest", |call| call.draft(connection_tests::test_connection)),
    ("RotateConnectionCredentialRequest", |call| call.mutation(connections::rotate_connection_credential)),
    ("RevokeConnectionCredentialRequest", |call| call.mutation(connections::revoke_connection_credential)),
    ("SuspendConnectionRequest", |call| call.mutation(connections::suspend_connection)),
    ("ResumeConnectionRequest", |call| call.mutation(connections::resume_connection)),
    ("ListDatasetsRequest", |call| call.read(datasets::list_datasets)),
    ("GetDatasetRequest", |call| call.read(datasets::get_dataset)),
    ("CreateExportRequest", |call| call.mutation(exports::create_export)),
    ("GetExportRequest", |call| call.read(exports::get_export)),
    ("ListExportsRequest", |call| call.read(exports::list_exports)),
    ("UpdateExportRequest", |call| call.mutation(exports::update_export)),
    ("DeleteExportRequest", |call| call.mutation(exports::delete_export)),
    ("BatchDeleteExportsRequest", |call| call.mutation(exports::batch_delete_exports)),
    ("DuplicateExportRequest", |call| call.mutation(exports::duplicate_export)),
    ("AttachExportRequest", |call| call.mutation(exports::attach_export)),
    ("BatchAttachExportsRequest", |call| call.mutation(exports::batch_attach_exports)),
    ("DetachExportRequest", |call| call.mutation(exports::detach_export)),
    ("BatchDetachExportsRequest", |call| call.mutation(exports::batch_detach_exports)),
    ("BatchUpdateExportSchedulesRequest", |call| call.mutation(exports::batch_update_export_schedules)),
    ("PreviewScheduleRequest", |call| call.draft(schedule::preview_schedule)),
    ("PreviewExportRequest", |call| call.draft(previews::preview_export)),
    ("RunExportRequest", |call| call.mutation(runs::run_export)),
    ("BatchRunExportsRequest", |call| call.mutation(runs::batch_run_exports)),
    ("GetExportRunRequest", |call| call.read(runs::get_export_run)),
    ("ListExportRunsRequest", |call| call.read(runs::list_export_runs)),
    ("CancelExportRunRequest", |call| call.mutation(runs::cancel_export_run)),
    ("WatchExportRunRequest", |call| call.read(runs::watch_export_run)),
    ("ListAuditEventsRequest", |call| call.read(audit_events::list_audit_events)),
    ("GetCallerRequest", |call| call.read::<pb::GetCallerRequest, _>(|validator, _| callers::get_caller(validator))),
];

/// The requests of the API with the conversion of each.
fn requests() -> Vec<(MessageDescriptor, Convert)> {
    let pool = descriptors();
    let message = |name: &str| pool.get_message_by_name(&format!("outflow.v1.{name}")).unwrap();
    TARGETS.into_iter().map(|(name, convert)| (message(name), convert)).collect()
}

#[test]
fn every_request_of_the_api_is_fuzzed() {
    let pool = descriptors();
    let services = pool.services().filter(|service| service.package_name() == "outflow.v1");
    let inputs: BTreeSet<String> = services
        .flat_map(|service| service.methods().map(|method| method.input().name().to_owned()).collect::<Vec<_>>())
        .collect();
    let targets: BTreeSet<String> = TARGETS.into_iter().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(inputs, targets);
}

#[tokio::test]
async fn no_request_makes_a_conversion_panic_or_fail_internally() {
    let (app, context, requests) = (app(), context(), requests());
    let accepted = Cell::new(0);
    let numbers = || vec(any::<u32>(), 0..400);
    let count = requests.len();
    let input = (0..count, numbers(), numbers()).prop_flat_map({
        let requests = requests.clone();
        move |(request, numbers, others)| {
            let valid = Choices::encode(&requests[request].0, numbers);
            let other = Choices::encode(&requests[request].0, others);
            let mutated = fuzzing::bytes(vec![valid.clone(), other]);
            (Just(request), prop_oneof![Just(valid), mutated])
        }
    });
    fuzzing::check("requests", CASES, &input, |(request, bytes)| {
        let call = Call { app: &app, context: &context, bytes: &bytes };
        match (requests[request].1)(&call) {
            None => {}
            Some(Ok(())) => accepted.set(accepted.get() + 1),
            Some(Err(error)) => check_error(error),
        }
    });
    assert!(accepted.get() > CASES / 10, "{} requests were accepted", accepted.get());
}

/// Checks that an error is one of the caller, that it repeats no more than an excerpt of the request, and that its status
/// is small enough for every client.
fn check_error(error: Error) {
    if let Error::Invalid(_, violations) = &error {
        for found in violations.iter() {
            assert!(found.field.chars().count() <= limits::MAX_VIOLATION_FIELD_CHARS, "{found:?}");
            assert!(found.description.chars().count() <= limits::MAX_VIOLATION_CHARS, "{found:?}");
            assert!(!found.field.contains(is_unsafe) && !found.description.contains(is_unsafe), "{found:?}");
        }
    }
    let status = Status::from(error);
    assert!(matches!(status.code(), Code::InvalidArgument | Code::PermissionDenied), "{status:?}");
    assert!(!status.message().contains(is_unsafe), "{status:?}");
    assert!(status.message().len() + status.details().len() * 4 / 3 < 6 * 1024, "{status:?}");
}

#[tokio::test]
async fn an_error_repeats_an_excerpt_of_the_request() {
    let (app, context) = (app(), context());
    let name = "organizations/acme/connections/warehouse".to_owned();
    let status = |paths: Vec<String>| {
        let connection = Some(pb::Connection { name: name.clone(), ..Default::default() });
        let update_mask = Some(prost_types::FieldMask { paths });
        let mut request = Request::new(pb::UpdateConnectionRequest { connection, update_mask, ..Default::default() });
        request.extensions_mut().insert(context.clone());
        let accepted = accept_mutation(&app, request, connections::update_connection);
        Status::from(accepted.and_then(form).unwrap_err())
    };
    let hostile = "a\n\u{1b}[31m\u{2028}\u{202e}".repeat(50_000);
    let shown = r"a\n\u{1b}[31m\u{2028}\u{202e}".repeat(3);
    for (path, expected) in [
        (hostile.clone(), format!("update_mask must not contain {shown}a\\n\\u{{1b}}[31…; it may contain ")),
        (format!("name.{hostile}"), format!("update_mask must not contain name.{shown}a\\n…; names never change")),
    ] {
        let message = status(vec![path]).message().to_owned();
        assert!(message.starts_with(&expected), "{message}");
    }
}
