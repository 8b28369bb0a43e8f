//! Requests about the catalog, and connection types as messages.

use super::field_spec::field;
use super::validator::RequestValidator;
use super::values::duration_to_proto;
use crate::catalog::{AuthMethod, ConnectionType, DeliveredBy, DeliveryGuarantee, LaunchStage};
use crate::grpc::proto as pb;
use crate::model::token::{self, TokenKind};
use crate::model::{ConnectionTypeId, Error, Invalid};

/// ListConnectionTypes: the id after which the page starts, and its size.
pub fn list_connection_types(
    validator: &mut RequestValidator<'_>,
    request: &pb::ListConnectionTypesRequest,
) -> Option<(Option<String>, usize)> {
    let size = validator.page_size(request.page_size)? as usize;
    if request.page_token.is_empty() {
        return Some((None, size));
    }
    let after = token::decode(TokenKind::Catalog, &request.page_token).and_then(|id| String::from_utf8(id).ok());
    if after.is_none() {
        let description = "does not belong to this list; restart from the first page";
        validator.fail(Error::invalid_as(Invalid::PageToken, "page_token", description));
    }
    Some((Some(after?), size))
}

/// The token of the page of the catalog after this id.
pub fn types_page_token(last: &str) -> String {
    token::encode(TokenKind::Catalog, last.as_bytes())
}

/// Converts a request of GetConnectionType.
pub fn get_connection_type(
    validator: &mut RequestValidator<'_>,
    request: &pb::GetConnectionTypeRequest,
) -> Option<ConnectionTypeId> {
    validator.connection_type("name", &request.name)
}

/// A connection type.
pub fn to_proto(found: &ConnectionType) -> pb::ConnectionType {
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
