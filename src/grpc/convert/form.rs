//! A request on its way in: first whose names are in it, then everything about its form.

use prost::Message;
use tonic::Request;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::app::App;
use crate::model::{
    Call, ConnectionName, Error, ExportName, Mutation, OrganizationId, ResourceId, Result, ConnectionTypeId, Violations, limits,
    text,
};

/// Characters of a name that an error repeats.
const NAME_CHARS: usize = 200;

/// Takes the call that the interceptor put into the request; without one there is no caller.
pub fn open<T>(mut request: Request<T>) -> Result<(Call, T)> {
    let call = request.extensions_mut().remove::<Call>().ok_or(Error::Unauthenticated)?;
    Ok((call, request.into_inner()))
}

/// The same for a change, with the mutation that it asks for: its id and a digest of all the rest of it. `asked` gives
/// the request's `request_id` and `validate_only`.
pub fn open_change<M: Message>(
    app: &App,
    request: Request<M>,
    asked: fn(&mut M) -> (&mut String, bool),
) -> Result<(Call, Mutation, M)> {
    let (call, mut request) = open(request)?;
    let (request_id, validate_only) = asked(&mut request);
    let text = std::mem::take(request_id);
    // A malformed id is refused with everything else that is wrong.
    let id = Uuid::try_parse(&text).ok();
    let content = id.map(|_| Zeroizing::new(request.encode_to_vec()));
    let mutation = app.mutation(id, validate_only, content.as_ref().map_or(&[], |content| content.as_slice()));
    *asked(&mut request).0 = text;
    Ok((call, mutation, request))
}

/// Gathers what is wrong with a request.
pub struct Form<'a> {
    call: &'a Call,
    /// What is wrong so far.
    pub violations: Violations,
}

impl<'a> Form<'a> {
    /// Begins with the names that are anywhere in the request: one of another organization is refused before anything
    /// else is looked at.
    pub fn new<'n>(call: &'a Call, names: impl IntoIterator<Item = &'n str>) -> Result<Self> {
        let own = call.caller.organization.as_str();
        for name in names {
            let organization = name.strip_prefix("organizations/").map(|rest| rest.split('/').next().unwrap_or(rest));
            if organization.is_some_and(|organization| organization != own) {
                return Err(Error::not_permitted(name.chars().take(NAME_CHARS).collect::<String>()));
            }
        }
        Ok(Self { call, violations: Violations::new() })
    }

    /// Adds something that is wrong.
    pub fn add(&mut self, field: impl Into<String>, description: impl Into<String>) {
        self.violations.add(field, description);
    }

    /// The value, unless anything was wrong.
    pub fn finish<T>(self, value: Option<T>) -> Result<T> {
        self.violations.into_result()?;
        value.ok_or_else(|| Error::internal("a request was refused without a reason"))
    }

    /// `organizations/{organization}`
    pub fn parent(&mut self, text: &str) {
        if text.is_empty() {
            self.add("parent", "is required: `organizations/{organization}`");
        } else if text.strip_prefix("organizations/").and_then(OrganizationId::parse).is_none() {
            self.add("parent", "must be `organizations/{organization}`");
        }
    }

    /// `organizations/{organization}/connections/{connection}`
    pub fn connection(&mut self, field: &str, text: &str) -> Option<ConnectionName> {
        let id = self.resource(field, text, "connections", "connection")?;
        Some(ConnectionName { organization: self.call.caller.organization.clone(), id })
    }

    /// `organizations/{organization}/exports/{export}`
    pub fn export(&mut self, field: &str, text: &str) -> Option<ExportName> {
        let id = self.resource(field, text, "exports", "export")?;
        Some(ExportName { organization: self.call.caller.organization.clone(), id })
    }

    /// The same where it may be absent.
    pub fn optional_connection(&mut self, field: &str, text: &str) -> Option<ConnectionName> {
        if text.is_empty() { None } else { self.connection(field, text) }
    }

    /// `connectionTypes/{type}`; whether it exists is the catalog's to say.
    pub fn connection_type(&mut self, field: &str, text: &str) -> Option<ConnectionTypeId> {
        let id = text.strip_prefix("connectionTypes/").and_then(ConnectionTypeId::parse);
        if id.is_none() {
            self.add(field, "must be `connectionTypes/{type}`");
        }
        id
    }

    /// The same where it may be absent.
    pub fn optional_type(&mut self, field: &str, text: &str) -> Option<ConnectionTypeId> {
        if text.is_empty() { None } else { self.connection_type(field, text) }
    }

    /// An id that the caller chooses for a new resource; empty: the server takes one.
    pub fn chosen_id(&mut self, field: &str, text: &str) -> Option<ResourceId> {
        let id = ResourceId::parse_chosen(text);
        if id.is_none() && !text.is_empty() {
            self.add(field, "must match `[a-z]([a-z0-9-]{0,61}[a-z0-9])?`");
        }
        id
    }

    /// The names of a batch: of exports, 1 to 1,000, none twice.
    pub fn export_names(&mut self, names: &[String]) -> Vec<ResourceId> {
        if names.is_empty() || names.len() > limits::BATCH_NAMES {
            self.add("names", format!("must be 1 to {} names", limits::BATCH_NAMES));
            return Vec::new();
        }
        let mut seen = std::collections::HashSet::new();
        let mut ids = Vec::with_capacity(names.len());
        for (index, name) in names.iter().enumerate() {
            let field = format!("names[{index}]");
            if !seen.insert(name.as_str()) {
                self.add(field, "is there twice");
            } else if let Some(name) = self.export(&field, name) {
                ids.push(name.id);
            }
        }
        ids
    }

    /// A UUID, or nothing.
    pub fn request_id(&mut self, text: &str) {
        if !text.is_empty() && Uuid::try_parse(text).is_err() {
            self.add("request_id", "must be a UUID");
        }
    }

    /// A display name: 1 to 120 characters.
    pub fn display_name(&mut self, field: &str, text: String) -> String {
        text::check_required(&mut self.violations, field, text, limits::DISPLAY_NAME_CHARS)
    }

    /// A text that may be empty.
    pub fn text(&mut self, field: &str, text: String, max_chars: usize) -> String {
        text::check(&mut self.violations, field, text, max_chars)
    }

    /// A text that a list is narrowed to; blank: not narrowed.
    pub fn filter(&mut self, field: &str, text: &str, max_chars: usize) -> Option<String> {
        Some(self.text(field, text.to_owned(), max_chars)).filter(|text| !text.is_empty())
    }

    fn resource(&mut self, field: &str, text: &str, collection: &str, kind: &str) -> Option<ResourceId> {
        let own = self.call.caller.organization.as_str();
        let id = text
            .strip_prefix("organizations/")
            .and_then(|rest| rest.strip_prefix(own))
            .and_then(|rest| rest.strip_prefix('/'))
            .and_then(|rest| rest.strip_prefix(collection))
            .and_then(|rest| rest.strip_prefix('/'))
            .and_then(ResourceId::parse);
        if id.is_none() {
            let verb = if text.is_empty() { "is required" } else { "must be" };
            self.add(field, format!("{verb}: `organizations/{{organization}}/{collection}/{{{kind}}}`"));
        }
        id
    }
}
