//! Connections and their credentials.

use std::collections::BTreeSet;

use super::form::Form;
use super::lists::{Listing, Paging, RESOURCE_KEYS, listing, search};
use super::values::{object_to_proto, properties, time, time_to_proto};
use crate::app::{ConnectionDraft, ConnectionUpdate, CreateConnection, CredentialInput, ShareChange, UpdateConnection};
use crate::grpc::proto as pb;
use crate::model::{
    Call, Availability, Connection, ConnectionFilter, ConnectionState, Invalid, Member, ResourceId, Result, Sharing,
    UsableConnection, check_member_count, limits, text,
};
use crate::vault::{CredentialSecret, Secret};

/// Fields of a connection that UpdateConnection changes.
const MUTABLE: [&str; 4] = ["display_name", "description", "properties", "labels"];
/// Fields that another RPC changes.
const ELSEWHERE: [(&str, &str); 6] = [
    ("sharing", "use ShareConnection or UnshareConnection"),
    ("state", "use SuspendConnection or ResumeConnection"),
    ("suspend_reason", "use SuspendConnection"),
    ("credential_status", "use RotateConnectionCredential or RevokeConnectionCredential"),
    ("connection_type", "create another connection and move its exports there with AttachExport"),
    ("name", "a name never changes"),
];

/// CreateConnection.
pub fn create_connection(call: &Call, request: pb::CreateConnectionRequest) -> Result<CreateConnection> {
    // The name is ignored, unless it is none of the caller's business.
    let given = request.connection.as_ref().map_or("", |connection| connection.name.as_str());
    let mut form = Form::new(call, [request.parent.as_str(), given])?;
    form.parent(&request.parent);
    form.request_id(&request.request_id);
    let id = form.chosen_id("connection_id", &request.connection_id);
    let Some(connection) = request.connection else {
        form.add("connection", "is required");
        return form.finish(None);
    };
    let display_name = form.display_name("connection.display_name", connection.display_name);
    let description = form.text("connection.description", connection.description, limits::DESCRIPTION_CHARS);
    let connection_type = form.connection_type("connection.connection_type", &connection.connection_type);
    let properties = properties(&mut form.violations, "connection.properties", connection.properties);
    let labels = text::check_labels(&mut form.violations, "connection.labels", connection.labels);
    let sharing = connection.sharing.unwrap_or_default();
    let members = members(&mut form, "connection.sharing.members", &sharing.members);
    let sharing = Sharing { all_contributors: sharing.all_contributors, members };
    let credential = request.credential.map(|input| credential_input(&mut form, input));
    let draft = connection_type.map(|connection_type| ConnectionDraft {
        display_name,
        description,
        connection_type,
        properties,
        sharing,
        labels,
    });
    form.finish(draft.map(|draft| CreateConnection { id, draft, credential: credential.flatten() }))
}

/// A credential; its values leave the message.
pub fn credential_input(form: &mut Form<'_>, input: pb::CredentialInput) -> Option<CredentialInput> {
    if input.auth_method.is_empty() {
        form.add("credential.auth_method", "is required");
    }
    let expire_time = time(&mut form.violations, "credential.expire_time", input.expire_time);
    let Some(pb::credential_input::Source::Inline(inline)) = input.source else {
        form.add("credential.inline", "is required");
        return None;
    };
    let fields = inline.values.into_iter().map(|(key, value)| (key, Secret::new(value))).collect();
    Some(CredentialInput { secret: CredentialSecret { auth_method: input.auth_method, fields }, expire_time })
}

/// RotateConnectionCredential.
pub fn rotate_credential(
    call: &Call,
    request: pb::RotateConnectionCredentialRequest,
) -> Result<(ResourceId, String, CredentialInput)> {
    let mut form = Form::new(call, [request.name.as_str()])?;
    form.request_id(&request.request_id);
    let name = form.connection("name", &request.name);
    let Some(input) = request.credential else {
        form.add("credential", "is required");
        return form.finish(None);
    };
    let credential = credential_input(&mut form, input);
    form.finish(name.zip(credential).map(|(name, credential)| (name.id, request.etag, credential)))
}

/// UpdateConnection: what the mask names, or what is populated.
pub fn update_connection(call: &Call, request: pb::UpdateConnectionRequest) -> Result<UpdateConnection> {
    let connection = request.connection.unwrap_or_default();
    let mut form = Form::new(call, [connection.name.as_str()])?;
    form.request_id(&request.request_id);
    let name = form.connection("connection.name", &connection.name);
    let named = masked(&mut form, request.update_mask.as_ref(), &MUTABLE, &ELSEWHERE)?;
    let takes = |field: &str, populated: bool| named.takes(field, populated);

    let mut update = ConnectionUpdate::default();
    if takes("display_name", !connection.display_name.is_empty()) {
        update.display_name = Some(form.display_name("connection.display_name", connection.display_name));
    }
    if takes("description", !connection.description.is_empty()) {
        let text = form.text("connection.description", connection.description, limits::DESCRIPTION_CHARS);
        update.description = Some(text);
    }
    if takes("properties", connection.properties.is_some()) {
        let given = properties(&mut form.violations, "connection.properties", connection.properties);
        update.properties = Some(given);
    }
    if takes("labels", !connection.labels.is_empty()) {
        update.labels = Some(text::check_labels(&mut form.violations, "connection.labels", connection.labels));
    }
    if !named.is_explicit() {
        update.connection_type = form.optional_type("connection.connection_type", &connection.connection_type);
    }
    let credential = request.credential.and_then(|input| credential_input(&mut form, input));
    form.finish(name.map(|name| UpdateConnection { id: name.id, etag: connection.etag, update, credential }))
}

/// Which fields an update takes from the request.
pub enum Masked {
    /// Those that are populated.
    Populated,
    /// All that can be changed.
    All,
    /// These.
    Named(BTreeSet<String>),
}

impl Masked {
    /// Whether a field is taken.
    pub fn takes(&self, field: &str, populated: bool) -> bool {
        match self {
            Self::Populated => populated,
            Self::All => true,
            Self::Named(fields) => fields.contains(field),
        }
    }

    /// Whether the caller named the fields one by one.
    pub fn is_explicit(&self) -> bool {
        matches!(self, Self::Named(_))
    }
}

/// Reads a field mask. A path that is unknown, goes into a message, or names what this call cannot change is refused.
pub fn masked(
    form: &mut Form<'_>,
    mask: Option<&prost_types::FieldMask>,
    mutable: &[&str],
    elsewhere: &[(&str, &str)],
) -> Result<Masked> {
    let paths = mask.map(|mask| mask.paths.as_slice()).unwrap_or_default();
    match paths {
        [] => return Ok(Masked::Populated),
        [star] if star == "*" => return Ok(Masked::All),
        _ => {}
    }
    for path in paths {
        let head = path.split('.').next().unwrap_or(path);
        if let Some((_, instead)) = elsewhere.iter().find(|(field, _)| *field == head) {
            let description = format!("{path} cannot be changed here: {instead}");
            return Err(crate::model::Error::invalid_as(Invalid::Immutable, "update_mask", description));
        }
        if mutable.contains(&head) {
            if head != path {
                form.add("update_mask", format!("{head} is replaced whole: name it without what follows"));
            }
        } else {
            form.add("update_mask", format!("{path} cannot be changed: name any of {}", mutable.join(", ")));
        }
    }
    Ok(Masked::Named(paths.iter().cloned().collect()))
}

/// ShareConnection and UnshareConnection.
pub fn share(
    call: &Call,
    name: &str,
    etag: String,
    all_contributors: bool,
    given: &[String],
    request_id: &str,
) -> Result<ShareChange> {
    let mut form = Form::new(call, [name])?;
    form.request_id(request_id);
    let name = form.connection("name", name);
    let members = members(&mut form, "members", given);
    if !all_contributors && given.is_empty() {
        form.add("members", "name members, or set `all_contributors`");
    }
    form.finish(name.map(|name| ShareChange { id: name.id, etag, all_contributors, members }))
}

fn members(form: &mut Form<'_>, field: &str, given: &[String]) -> BTreeSet<Member> {
    if check_member_count(given.len()).is_err() {
        form.add(field, format!("must have at most {} members", limits::MEMBERS));
        return BTreeSet::new();
    }
    let parse =
        |(index, text): (usize, &String)| Member::parse(&mut form.violations, &format!("{field}[{index}]"), text);
    given.iter().enumerate().filter_map(parse).collect()
}

/// ListConnections.
pub fn list_connections(call: &Call, request: &pb::ListConnectionsRequest) -> Result<Listing<ConnectionFilter>> {
    let mut form = Form::new(call, [request.parent.as_str()])?;
    form.parent(&request.parent);
    let state = match request.state() {
        pb::connection::State::Unspecified => None,
        pb::connection::State::Active => Some(ConnectionState::Active),
        pb::connection::State::Suspended => Some(ConnectionState::Suspended),
        pb::connection::State::CredentialRequired => Some(ConnectionState::CredentialRequired),
    };
    if pb::connection::State::try_from(request.state).is_err() {
        form.add("state", "is not a known state");
    }
    let filter = ConnectionFilter {
        connection_type: form.optional_type("connection_type", &request.connection_type),
        state,
        search: search(&mut form, &request.search),
    };
    let paging = Paging { page_size: request.page_size, page_token: &request.page_token, order_by: &request.order_by };
    let arguments = [request.connection_type.as_str(), &request.state.to_string(), &request.search];
    listing(call, form, &paging, &RESOURCE_KEYS, filter, &arguments)
}

/// A connection on its way out; a rehearsed one has no uid, times and etag.
pub fn connection_to_proto(connection: Connection, rehearsed: bool) -> pb::Connection {
    let etag = connection.etag();
    let credential = connection.credential;
    let kept = |time| Some(time).filter(|_| !rehearsed).map(time_to_proto);
    pb::Connection {
        name: connection.name.to_string(),
        uid: if rehearsed { String::new() } else { connection.uid.0.to_string() },
        display_name: connection.display_name,
        description: connection.description,
        connection_type: connection.connection_type.name(),
        schema_version: i32::try_from(connection.schema_version).unwrap_or(i32::MAX),
        properties: Some(object_to_proto(&connection.properties)),
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
        etag: if rehearsed { String::new() } else { etag },
    }
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

/// What a contributor learns of a connection.
pub fn usable_to_proto(connection: UsableConnection) -> pb::UsableConnection {
    pb::UsableConnection {
        name: connection.name.to_string(),
        display_name: connection.display_name,
        connection_type: connection.connection_type.name(),
    }
}
