//! Requests about the catalog, and connection types as messages.

use super::field_spec::field;
use super::validator::RequestValidator;
use super::values::duration_to_proto;
use crate::app::CatalogEntry;
use crate::catalog::{AuthMethod, ConnectionType, DeliveredBy, DeliveryGuarantee, LaunchStage, TypeFilter};
use crate::grpc::proto as pb;
use crate::model::token::{self, TokenKind};
use crate::model::{ConnectionTypeId, Error, Invalid, limits};

/// A page of the catalog.
pub struct TypeList {
    /// The types that are listed.
    pub filter: TypeFilter,
    /// The id after which the page starts.
    pub after: Option<String>,
    /// Maximum number of types.
    pub size: usize,
}

impl TypeList {
    /// The token of the page after this id.
    pub fn next_page_token(&self, last: &str) -> String {
        // Serializing strings does not fail.
        token::encode(TokenKind::Catalog, &serde_json::to_vec(&(last, &self.filter)).unwrap_or_default())
    }
}

/// Converts a request of ListConnectionTypes.
pub fn list_connection_types(
    validator: &mut RequestValidator<'_>,
    request: &pb::ListConnectionTypesRequest,
) -> Option<TypeList> {
    let filter = TypeFilter {
        category: validator.filter("category", &request.category, limits::MAX_DISPLAY_NAME_CHARS),
        launch_stage: launch_stage(validator, request.launch_stage),
        search: validator.search(&request.search),
    };
    let size = validator.page_size(request.page_size)? as usize;
    let after = position(&request.page_token, &filter);
    if after.is_none() && !request.page_token.is_empty() {
        let description = "does not belong to this list; restart from the first page";
        validator.fail(Error::invalid_as(Invalid::PageToken, "page_token", description));
    }
    Some(TypeList { filter, after, size })
}

fn launch_stage(validator: &mut RequestValidator<'_>, value: i32) -> Option<LaunchStage> {
    use pb::connection_type::LaunchStage as Wire;
    match Wire::try_from(value) {
        Ok(Wire::Unspecified) => None,
        Ok(Wire::Preview) => Some(LaunchStage::Preview),
        Ok(Wire::Ga) => Some(LaunchStage::Ga),
        Ok(Wire::Deprecated) => Some(LaunchStage::Deprecated),
        Err(_) => {
            validator.add("launch_stage", "is not a known launch stage");
            None
        }
    }
}

/// The id in a page token of a list with this filter.
fn position(page_token: &str, filter: &TypeFilter) -> Option<String> {
    let payload = token::decode(TokenKind::Catalog, page_token)?;
    let (last, of_filter): (String, TypeFilter) = serde_json::from_slice(&payload).ok()?;
    (of_filter == *filter).then_some(last)
}

/// Converts a request of GetConnectionType.
pub fn get_connection_type(
    validator: &mut RequestValidator<'_>,
    request: &pb::GetConnectionTypeRequest,
) -> Option<ConnectionTypeId> {
    validator.connection_type("name", &request.name)
}

/// A connection type.
pub fn to_proto(entry: &CatalogEntry<'_>) -> pb::ConnectionType {
    let found = entry.connection_type;
    let stage = match found.launch_stage {
        LaunchStage::Preview => pb::connection_type::LaunchStage::Preview,
        LaunchStage::Ga => pb::connection_type::LaunchStage::Ga,
        LaunchStage::Deprecated => pb::connection_type::LaunchStage::Deprecated,
    };
    let delivered_by = match found.delivered_by {
        DeliveredBy::BuiltIn => pb::connection_type::DeliveredBy::BuiltIn,
        DeliveredBy::Runner => pb::connection_type::DeliveredBy::Runner,
    };
    pb::ConnectionType {
        name: format!("connectionTypes/{}", found.id),
        display_name: found.display_name.clone(),
        description: found.description.clone(),
        category: found.category.clone(),
        documentation_uri: found.documentation_uri.clone(),
        launch_stage: stage.into(),
        schema_version: i32::try_from(found.schema_version).unwrap_or(i32::MAX),
        property_fields: found.property_fields.iter().map(field).collect(),
        auth_methods: found.auth_methods.iter().map(auth_method).collect(),
        export_fields: found.export_fields.iter().map(field).collect(),
        delivered_by: delivered_by.into(),
        min_schedule_interval: Some(duration_to_proto(found.min_schedule_interval)),
        max_concurrent_runs: i32::try_from(found.max_concurrent_runs).unwrap_or(i32::MAX),
        article: found.article.clone(),
        capabilities: Some(capabilities(found)),
        connection_count: entry.connection_count.map(|count| i64::try_from(count).unwrap_or(i64::MAX)),
    }
}

fn capabilities(found: &ConnectionType) -> pb::connection_type::Capabilities {
    let format = found.export_fields.iter().find(|field| field.key == "file_format");
    let formats = format.iter().flat_map(|field| &field.allowed_values);
    let delivery = match found.delivery {
        DeliveryGuarantee::Atomic => pb::connection_type::Delivery::Atomic,
        DeliveryGuarantee::AtLeastOnce => pb::connection_type::Delivery::AtLeastOnce,
    };
    pb::connection_type::Capabilities {
        file_formats: formats.map(|allowed| allowed.value.clone()).collect(),
        delivery: delivery.into(),
        test: found.delivered_by == DeliveredBy::BuiltIn,
    }
}

fn auth_method(method: &AuthMethod) -> pb::AuthMethod {
    pb::AuthMethod {
        id: method.id.clone(),
        display_name: method.display_name.clone(),
        credential_fields: method.credential_fields.iter().map(field).collect(),
        required_properties: method.required_properties.clone(),
    }
}
