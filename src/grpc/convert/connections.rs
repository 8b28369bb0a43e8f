//! Requests about connections, and connections as messages.

use std::collections::{BTreeMap, BTreeSet};

use super::checks::last_test_to_proto;
use super::field_mask::UpdateMask;
use super::lists::{List, Paging, RESOURCE_KEYS, USABLE_KEYS};
use super::validator::RequestValidator;
use super::values::{object_to_proto, properties, time, time_to_proto};
use crate::app::connections::{
    ConnectionChange, ConnectionDraft, ConnectionUpdate, CreateConnection, CredentialInput, DeleteConnection,
    ResumeConnection, RevokeConnectionCredential, RotateConnectionCredential, ShareConnection, SuspendConnection,
    UnshareConnection, UpdateConnection,
};
use crate::grpc::proto as pb;
use crate::model::{
    Availability, Connection, ConnectionFilter, ConnectionName, ConnectionState, CredentialSecret, Member, ResourceId,
    Secret, Sharing, UsableConnection, check_member_count, limits, validate,
};

/// The fields of a connection that UpdateConnection changes.
const MUTABLE: [&str; 4] = ["display_name", "description", "properties", "labels"];
/// The fields that UpdateConnection refuses as immutable, each with what to do instead.
const IMMUTABLE: [(&str, &str); 6] = [
    ("sharing", "use ShareConnection or UnshareConnection"),
    ("state", "use SuspendConnection or ResumeConnection"),
    ("suspend_reason", "use SuspendConnection"),
    ("credential_status", "use RotateConnectionCredential or RevokeConnectionCredential"),
    ("connection_type", "create another connection and move its exports there with AttachExport"),
    ("name", "names never change"),
];

/// Converts a request of CreateConnection.
pub fn create_connection(
    validator: &mut RequestValidator<'_>,
    request: pb::CreateConnectionRequest,
) -> Option<CreateConnection> {
    // The name is ignored, but one of another organization is denied.
    let given = request.connection.as_ref().map_or("", |connection| connection.name.as_str());
    validator.deny_foreign_names([request.parent.as_str(), given]);
    validator.parent(&request.parent);
    let id = validator.chosen_id("connection_id", &request.connection_id);
    let Some(connection) = request.connection else {
        validator.add("connection", "is required");
        return None;
    };
    let display_name = validator.display_name("connection.display_name", connection.display_name);
    let description =
        validator.multiline_text("connection.description", connection.description, limits::MAX_DESCRIPTION_CHARS);
    let connection_type = validator.connection_type("connection.connection_type", &connection.connection_type);
    let properties = properties(&mut validator.violations, "connection.properties", connection.properties);
    let labels = validate::labels(&mut validator.violations, "connection.labels", connection.labels);
    let sharing = connection.sharing.unwrap_or_default();
    let members = members(validator, "connection.sharing.members", &sharing.members);
    let sharing = Sharing { all_contributors: sharing.all_contributors, members };
    let credential = request.credential.map(|input| credential_input(validator, input));
    let connection_type = connection_type?;
    let draft = ConnectionDraft { display_name, description, connection_type, properties, sharing, labels };
    Some(CreateConnection { id, draft, credential })
}

/// Converts a request of GetConnection.
pub fn get_connection(
    validator: &mut RequestValidator<'_>,
    request: &pb::GetConnectionRequest,
) -> Option<ConnectionName> {
    connection_name(validator, &request.name)
}

/// Converts a request of ListConnections.
pub fn list_connections(
    validator: &mut RequestValidator<'_>,
    request: &pb::ListConnectionsRequest,
) -> Option<List<ConnectionFilter>> {
    validator.deny_foreign_names([request.parent.as_str()]);
    validator.parent(&request.parent);
    let state = match pb::connection::State::try_from(request.state) {
        Ok(pb::connection::State::Unspecified) => None,
        Ok(pb::connection::State::Active) => Some(ConnectionState::Active),
        Ok(pb::connection::State::Suspended) => Some(ConnectionState::Suspended),
        Ok(pb::connection::State::CredentialRequired) => Some(ConnectionState::CredentialRequired),
        Err(_) => {
            validator.add("state", "is not a known state");
            None
        }
    };
    let filter = ConnectionFilter {
        connection_type: validator.optional_type("connection_type", &request.connection_type),
        state,
        search: validator.search(&request.search),
    };
    let paging = Paging { page_size: request.page_size, page_token: &request.page_token, order_by: &request.order_by };
    let arguments = [request.connection_type.as_str(), &request.state.to_string(), &request.search];
    List::parse(validator, &paging, &RESOURCE_KEYS, filter, &arguments)
}

/// Converts a request of SearchUsableConnections.
pub fn search_usable_connections(
    validator: &mut RequestValidator<'_>,
    request: &pb::SearchUsableConnectionsRequest,
) -> Option<List<ConnectionFilter>> {
    validator.deny_foreign_names([request.parent.as_str()]);
    validator.parent(&request.parent);
    let filter = ConnectionFilter {
        connection_type: validator.optional_type("connection_type", &request.connection_type),
        state: None,
        search: validator.search(&request.search),
    };
    let paging = Paging { page_size: request.page_size, page_token: &request.page_token, order_by: &request.order_by };
    List::parse(validator, &paging, &USABLE_KEYS, filter, &[&request.connection_type, &request.search])
}

/// UpdateConnection: the fields that the mask names, or the populated ones.
pub fn update_connection(
    validator: &mut RequestValidator<'_>,
    request: pb::UpdateConnectionRequest,
) -> Option<UpdateConnection> {
    let connection = request.connection.unwrap_or_default();
    validator.deny_foreign_names([connection.name.as_str()]);
    let name = validator.connection("connection.name", &connection.name);
    let mask = UpdateMask::parse(validator, request.update_mask.as_ref(), &MUTABLE, &IMMUTABLE);

    let mut update = ConnectionUpdate::default();
    if mask.takes("display_name", !connection.display_name.is_empty()) {
        update.display_name = Some(validator.display_name("connection.display_name", connection.display_name));
    }
    if mask.takes("description", !connection.description.is_empty()) {
        let max_chars = limits::MAX_DESCRIPTION_CHARS;
        update.description =
            Some(validator.multiline_text("connection.description", connection.description, max_chars));
    }
    if mask.takes("properties", connection.properties.is_some()) {
        let given = properties(&mut validator.violations, "connection.properties", connection.properties);
        update.properties = Some(given);
    }
    if mask.takes("labels", !connection.labels.is_empty()) {
        let labels = validate::labels(&mut validator.violations, "connection.labels", connection.labels);
        update.labels = Some(labels);
    }
    if !mask.is_explicit() {
        update.connection_type = validator.optional_type("connection.connection_type", &connection.connection_type);
    }
    let credential = request.credential.map(|input| credential_input(validator, input));
    Some(UpdateConnection { id: name?.id, etag: connection.etag, update, credential })
}

/// Converts a request of DeleteConnection.
pub fn delete_connection(
    validator: &mut RequestValidator<'_>,
    request: pb::DeleteConnectionRequest,
) -> Option<DeleteConnection> {
    Some(DeleteConnection { id: connection_id(validator, &request.name)?, etag: request.etag })
}

/// Converts a request of ShareConnection.
pub fn share_connection(
    validator: &mut RequestValidator<'_>,
    request: pb::ShareConnectionRequest,
) -> Option<ShareConnection> {
    let all_contributors = request.all_contributors;
    let (id, members) = share_request(validator, &request.name, all_contributors, &request.members)?;
    Some(ShareConnection { id, etag: request.etag, all_contributors, members })
}

/// Converts a request of UnshareConnection.
pub fn unshare_connection(
    validator: &mut RequestValidator<'_>,
    request: pb::UnshareConnectionRequest,
) -> Option<UnshareConnection> {
    let all_contributors = request.all_contributors;
    let (id, members) = share_request(validator, &request.name, all_contributors, &request.members)?;
    Some(UnshareConnection { id, etag: request.etag, all_contributors, members })
}

/// Converts a request of RotateConnectionCredential.
pub fn rotate_connection_credential(
    validator: &mut RequestValidator<'_>,
    request: pb::RotateConnectionCredentialRequest,
) -> Option<RotateConnectionCredential> {
    let id = connection_id(validator, &request.name);
    if request.credential.is_none() {
        validator.add("credential", "is required");
    }
    let credential = request.credential.map(|input| credential_input(validator, input));
    Some(RotateConnectionCredential {
        id: id?,
        etag: request.etag,
        credential: credential?,
        test: request.test,
        last_test: None,
    })
}

/// Converts a request of RevokeConnectionCredential.
pub fn revoke_connection_credential(
    validator: &mut RequestValidator<'_>,
    request: pb::RevokeConnectionCredentialRequest,
) -> Option<RevokeConnectionCredential> {
    Some(RevokeConnectionCredential { id: connection_id(validator, &request.name)?, etag: request.etag })
}

/// Converts a request of SuspendConnection.
pub fn suspend_connection(
    validator: &mut RequestValidator<'_>,
    request: pb::SuspendConnectionRequest,
) -> Option<SuspendConnection> {
    let id = connection_id(validator, &request.name);
    let reason = validator.multiline_text("reason", request.reason, limits::MAX_REASON_CHARS);
    Some(SuspendConnection { id: id?, etag: request.etag, reason })
}

/// Converts a request of ResumeConnection.
pub fn resume_connection(
    validator: &mut RequestValidator<'_>,
    request: pb::ResumeConnectionRequest,
) -> Option<ResumeConnection> {
    Some(ResumeConnection { id: connection_id(validator, &request.name)?, etag: request.etag })
}

/// The connection that a request with one name is about.
pub fn connection_name(validator: &mut RequestValidator<'_>, name: &str) -> Option<ConnectionName> {
    validator.deny_foreign_names([name]);
    validator.connection("name", name)
}

fn connection_id(validator: &mut RequestValidator<'_>, name: &str) -> Option<ResourceId> {
    connection_name(validator, name).map(|name| name.id)
}

/// Takes the secret values out of a message; none of them if there are too many.
pub fn credential_input(validator: &mut RequestValidator<'_>, input: pb::CredentialInput) -> CredentialInput {
    if input.auth_method.is_empty() {
        validator.add("credential.auth_method", "is required");
    }
    let expire_time = time(&mut validator.violations, "credential.expire_time", input.expire_time);
    let values = inline_values(validator, input.source).unwrap_or_default();
    let fields = values.into_iter().map(|(key, value)| (key, Secret::new(value))).collect();
    CredentialInput { secret: CredentialSecret { auth_method: input.auth_method, fields }, expire_time }
}

fn inline_values(
    validator: &mut RequestValidator<'_>,
    source: Option<pb::credential_input::Source>,
) -> Option<BTreeMap<String, String>> {
    let Some(pb::credential_input::Source::Inline(inline)) = source else {
        validator.add("credential.inline", "is required");
        return None;
    };
    if inline.values.len() > limits::MAX_CREDENTIAL_VALUES {
        let reason = format!("must have at most {} values", limits::MAX_CREDENTIAL_VALUES);
        validator.add("credential.inline.values", reason);
        return None;
    }
    // The type, which is not known here, decides how much of it may be certificates.
    let limit = limits::MAX_CREDENTIAL_BYTES + limits::MAX_CERTIFICATE_BYTES;
    let bytes: usize = inline.values.iter().map(|(key, value)| key.len() + value.len()).sum();
    if bytes > limit {
        validator.add("credential.inline.values", format!("must not exceed {limit} bytes, keys and values together"));
        return None;
    }
    Some(inline.values)
}

fn share_request(
    validator: &mut RequestValidator<'_>,
    name: &str,
    all_contributors: bool,
    given: &[String],
) -> Option<(ResourceId, BTreeSet<Member>)> {
    let id = connection_id(validator, name);
    let members = members(validator, "members", given);
    if !all_contributors && given.is_empty() {
        validator.add("members", "must not be empty, unless `all_contributors` is set");
    }
    Some((id?, members))
}

fn members(validator: &mut RequestValidator<'_>, field: &str, given: &[String]) -> BTreeSet<Member> {
    if check_member_count(given.len()).is_err() {
        validator.add(field, format!("must have at most {} members", limits::MAX_MEMBERS));
        return BTreeSet::new();
    }
    let violations = &mut validator.violations;
    let parse = |(index, text): (usize, &String)| Member::parse(violations, &format!("{field}[{index}]"), text);
    given.iter().enumerate().filter_map(parse).collect()
}

/// A connection. With `validate_only` uid, times and etag are left out, because nothing was stored.
pub fn to_proto(connection: Connection, validate_only: bool) -> pb::Connection {
    let etag = connection.etag();
    let credential = connection.credential;
    let kept = |time| Some(time).filter(|_| !validate_only).map(time_to_proto);
    pb::Connection {
        name: connection.name.to_string(),
        uid: if validate_only { String::new() } else { connection.uid.0.to_string() },
        display_name: connection.display_name,
        description: connection.description,
        connection_type: connection.connection_type.name(),
        schema_version: i32::try_from(connection.schema_version).unwrap_or(i32::MAX),
        properties: Some(object_to_proto(connection.properties)),
        credential_status: Some(pb::CredentialStatus {
            auth_method: credential.auth_method.unwrap_or_default(),
            set_fields: credential.set_fields,
            revision: credential.revision,
            set_time: credential.set_time.and_then(kept),
            expire_time: credential.expire_time.map(time_to_proto),
        }),
        sharing: Some(pb::Sharing {
            all_contributors: connection.sharing.all_contributors,
            members: connection.sharing.members.iter().map(|member| member.as_str().to_owned()).collect(),
        }),
        state: state_to_proto(connection.availability.state()).into(),
        state_reason: reason_to_proto(connection.availability).into(),
        suspend_reason: connection.suspend_reason,
        attached_export_count: i64::try_from(connection.attached_export_count).unwrap_or(i64::MAX),
        labels: connection.labels,
        creator: connection.creator,
        create_time: kept(connection.create_time),
        updater: connection.updater,
        update_time: kept(connection.update_time),
        etag: if validate_only { String::new() } else { etag },
        last_test: connection.last_test.map(last_test_to_proto),
    }
}

/// A changed connection, how many exports the change affects, and when the first of them is due.
pub fn change_to_proto(
    change: ConnectionChange,
    validate_only: bool,
) -> (Option<pb::Connection>, i64, Option<prost_types::Timestamp>) {
    let count = i64::try_from(change.affected_export_count).unwrap_or(i64::MAX);
    (Some(to_proto(change.connection, validate_only)), count, change.next_run_time.map(time_to_proto))
}

fn state_to_proto(state: ConnectionState) -> pb::connection::State {
    match state {
        ConnectionState::Active => pb::connection::State::Active,
        ConnectionState::Suspended => pb::connection::State::Suspended,
        ConnectionState::CredentialRequired => pb::connection::State::CredentialRequired,
    }
}

fn reason_to_proto(availability: Availability) -> pb::connection::StateReason {
    use pb::connection::StateReason;
    match availability {
        Availability::Active | Availability::Suspended => StateReason::Unspecified,
        Availability::CredentialMissing => StateReason::CredentialMissing,
        Availability::CredentialExpired => StateReason::CredentialExpired,
        Availability::TypeUnknown => StateReason::TypeUnknown,
    }
}

/// The part of a connection that a contributor may see.
pub fn usable_to_proto(connection: UsableConnection) -> pb::UsableConnection {
    pb::UsableConnection {
        name: connection.name.to_string(),
        display_name: connection.display_name,
        connection_type: connection.connection_type.name(),
        display_name_ambiguous: connection.display_name_ambiguous,
    }
}
