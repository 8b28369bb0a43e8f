//! Accepts requests: takes the context, checks the whole form of the request, and reports every violation at once.

use tonic::Request;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::app::{App, Mutation};
use crate::grpc::mutation_request::MutationRequest;
use crate::model::{
    ConnectionName, ConnectionTypeId, DatasetName, Error, ExportName, IdempotencyKey, Invalid, InvalidRequest,
    OpContext, OrganizationId, ResourceId, Result, Violations, excerpt, is_dataset_name, limits, page, validate,
};

/// The longest part of a name that an error repeats.
const MAX_REPEATED_NAME_CHARS: usize = 200;

/// Accepts a request of a read: returns its context, and its content as converted by `parse`.
pub fn accept<M, T>(
    app: &App,
    request: Request<M>,
    parse: impl FnOnce(&mut RequestValidator<'_>, &M) -> Option<T>,
) -> Result<(OpContext, T)> {
    let (context, parsed) = accept_draft(app, request, |validator, request| parse(validator, &request))?;
    context.invalid_form.clone().into_result()?;
    Ok((context, parsed))
}

/// Accepts a request of a read that checks values against a type, whose content `parse` takes out of it. What is invalid in its
/// form is left to the method in the context.
pub fn accept_draft<M, T>(
    app: &App,
    request: Request<M>,
    parse: impl FnOnce(&mut RequestValidator<'_>, M) -> Option<T>,
) -> Result<(OpContext, T)> {
    let (mut context, request) = take_context(request)?;
    let mut validator = RequestValidator::new(app, &context);
    let parsed = parse(&mut validator, request);
    let (parsed, invalid_form) = validator.into_parts(parsed)?;
    context.invalid_form = invalid_form;
    Ok((context, parsed))
}

/// Accepts a request of a mutation: the context also gets its idempotency key and `validate_only`.
pub fn accept_mutation<M: MutationRequest, T: Mutation>(
    app: &App,
    request: Request<M>,
    parse: impl FnOnce(&mut RequestValidator<'_>, M) -> Option<T>,
) -> Result<(OpContext, T)> {
    let (mut context, mut request) = take_context(request)?;
    let given = request.take_request_id();
    let request_id = Uuid::try_parse(&given).ok();
    context.validate_only = request.validate_only();
    context.idempotency_key = request_id.map(|request_id| {
        // The id was taken out, so that equal requests have equal digests. The bytes may hold a secret.
        let bytes = Zeroizing::new(request.encode_to_vec());
        IdempotencyKey { request_id, digest: app.digest_request(&bytes) }
    });
    let mut validator = RequestValidator::new(app, &context);
    if request_id.is_none() && !given.is_empty() {
        validator.add("request_id", "must be a UUID");
    }
    let parsed = parse(&mut validator, request);
    let (parsed, invalid_form) = validator.into_parts(parsed)?;
    if T::CHECKS_FIELDS {
        context.invalid_form = invalid_form;
    } else {
        invalid_form.into_result()?;
    }
    Ok((context, parsed))
}

/// Takes the context that the interceptor put into the request.
fn take_context<M>(mut request: Request<M>) -> Result<(OpContext, M)> {
    let context = request.extensions_mut().remove::<OpContext>().ok_or(Error::Unauthenticated)?;
    Ok((context, request.into_inner()))
}

/// Validates a request and collects all violations.
pub struct RequestValidator<'a> {
    /// The application, for its page tokens.
    pub app: &'a App,
    /// Caller and RPC of the request.
    pub context: &'a OpContext,
    /// The violations so far.
    pub violations: Violations,
    /// Violations by fields that the method does not change.
    pub immutable: Violations,
    /// An error that takes precedence over the violations.
    error: Option<Error>,
}

impl<'a> RequestValidator<'a> {
    fn new(app: &'a App, context: &'a OpContext) -> Self {
        Self { app, context, violations: Violations::new(), immutable: Violations::new(), error: None }
    }

    /// The content of the request, if it could be parsed, and what is invalid in its form.
    fn into_parts<T>(self, parsed: Option<T>) -> Result<(T, InvalidRequest)> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let mut invalid_form = InvalidRequest::default();
        invalid_form.add(Invalid::Immutable, self.immutable);
        invalid_form.add(Invalid::Field, self.violations);
        let Some(parsed) = parsed else {
            invalid_form.into_result()?;
            return Err(Error::internal("a request was refused without a violation"));
        };
        Ok((parsed, invalid_form))
    }

    /// Denies a request with a name of another organization. It takes every resource name of the request.
    pub fn deny_foreign_names<'n>(&mut self, names: impl IntoIterator<Item = &'n str>) {
        for name in names {
            let organization = name.strip_prefix("organizations/").map(|rest| rest.split('/').next().unwrap_or(rest));
            if organization.is_some_and(|organization| organization != self.context.organization.as_str()) {
                self.fail(Error::not_permitted(excerpt(name, MAX_REPEATED_NAME_CHARS)));
                return;
            }
        }
    }

    /// Adds a violation.
    pub fn add(&mut self, field: impl AsRef<str>, description: impl AsRef<str>) {
        self.violations.add(field, description);
    }

    /// Fails with an error other than INVALID_FIELD; the first one counts.
    pub fn fail(&mut self, error: Error) {
        self.error.get_or_insert(error);
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
        Some(ConnectionName { organization: self.context.organization.clone(), id })
    }

    /// `organizations/{organization}/exports/{export}`
    pub fn export(&mut self, field: &str, text: &str) -> Option<ExportName> {
        let id = self.resource(field, text, "exports", "export")?;
        Some(ExportName { organization: self.context.organization.clone(), id })
    }

    /// `organizations/{organization}/datasets/{table}`. The table is everything after the last fixed part, `/` included.
    pub fn dataset(&mut self, field: &str, text: &str) -> Option<DatasetName> {
        let table = self.last_segment(text, "datasets").filter(|table| is_dataset_name(table));
        if table.is_none() {
            self.add_name_violation(field, text, "datasets", "table");
        }
        Some(DatasetName { organization: self.context.organization.clone(), table: table?.to_owned() })
    }

    /// [`Self::connection`], or nothing.
    pub fn optional_connection(&mut self, field: &str, text: &str) -> Option<ConnectionName> {
        if text.is_empty() { None } else { self.connection(field, text) }
    }

    /// `connectionTypes/{type}`. Whether it exists is checked later.
    pub fn connection_type(&mut self, field: &str, text: &str) -> Option<ConnectionTypeId> {
        let id = text.strip_prefix("connectionTypes/").and_then(ConnectionTypeId::parse);
        if id.is_none() {
            self.add(field, "must be `connectionTypes/{type}`");
        }
        id
    }

    /// [`Self::connection_type`], or nothing.
    pub fn optional_type(&mut self, field: &str, text: &str) -> Option<ConnectionTypeId> {
        if text.is_empty() { None } else { self.connection_type(field, text) }
    }

    /// How many resources a page has. A negative size is a violation.
    pub fn page_size(&mut self, size: i32) -> Option<u32> {
        let size = page::page_size(size);
        if size.is_none() {
            self.add("page_size", "must not be negative");
        }
        size
    }

    /// The id that a caller chooses for a new resource; empty: the server chooses one.
    pub fn chosen_id(&mut self, field: &str, text: &str) -> Option<ResourceId> {
        let id = ResourceId::parse_chosen(text);
        if id.is_none() && !text.is_empty() {
            let description = "must have 1 to 63 lower-case letters, digits and hyphens, begin with a letter, and not end with \
                               a hyphen";
            self.add(field, description);
        }
        id
    }

    /// The names of a batch: 1 to 1,000 exports, without duplicates.
    pub fn export_names(&mut self, names: &[String]) -> Vec<ResourceId> {
        if names.is_empty() || names.len() > limits::MAX_BATCH_NAMES {
            self.add("names", format!("must have 1 to {} entries", limits::MAX_BATCH_NAMES));
            return Vec::new();
        }
        let mut seen = std::collections::HashSet::new();
        let mut ids = Vec::with_capacity(names.len());
        for (index, name) in names.iter().enumerate() {
            let field = format!("names[{index}]");
            if !seen.insert(name.as_str()) {
                self.add(field, "is a duplicate");
            } else if let Some(name) = self.export(&field, name) {
                ids.push(name.id);
            }
        }
        ids
    }

    /// A display name: 1 to 120 characters.
    pub fn display_name(&mut self, field: &str, text: String) -> String {
        validate::required_text(&mut self.violations, field, text, limits::MAX_DISPLAY_NAME_CHARS)
    }

    /// A text that may be empty.
    pub fn text(&mut self, field: &str, text: String, max_chars: usize) -> String {
        validate::text(&mut self.violations, field, text, max_chars)
    }

    /// A description or reason, which may be empty and have several lines.
    pub fn multiline_text(&mut self, field: &str, text: String, max_chars: usize) -> String {
        validate::multiline_text(&mut self.violations, field, text, max_chars)
    }

    /// A text to filter by; blank: no filter.
    pub fn filter(&mut self, field: &str, text: &str, max_chars: usize) -> Option<String> {
        Some(self.text(field, text.to_owned(), max_chars)).filter(|text| !text.is_empty())
    }

    /// A text to search for in display names; blank: no search.
    pub fn search(&mut self, text: &str) -> Option<String> {
        self.filter("search", text, limits::MAX_SEARCH_CHARS)
    }

    fn resource(&mut self, field: &str, text: &str, collection: &str, kind: &str) -> Option<ResourceId> {
        let id = self.last_segment(text, collection).and_then(ResourceId::parse);
        if id.is_none() {
            self.add_name_violation(field, text, collection, kind);
        }
        id
    }

    /// The rest of the name of a resource of this organization, after its collection.
    fn last_segment<'t>(&self, text: &'t str, collection: &str) -> Option<&'t str> {
        text.strip_prefix("organizations/")
            .and_then(|rest| rest.strip_prefix(self.context.organization.as_str()))
            .and_then(|rest| rest.strip_prefix('/'))
            .and_then(|rest| rest.strip_prefix(collection))
            .and_then(|rest| rest.strip_prefix('/'))
    }

    fn add_name_violation(&mut self, field: &str, text: &str, collection: &str, kind: &str) {
        let verb = if text.is_empty() { "is required" } else { "must be" };
        self.add(field, format!("{verb}: `organizations/{{organization}}/{collection}/{{{kind}}}`"));
    }
}
