//! A connection type as its file says it, and what it must be to become one.
//!
//! Spans stay on everything that can be wrong, so that a refusal names its line.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::address::check_uri;
use super::error::Fault;
use super::field_file::{FieldFile, Section, read_fields};
use super::spec::{AuthMethod, ConnectionType, DeliveredBy, LaunchStage};
use crate::model::is_identifier;

/// As everywhere in the API.
const MAX_DISPLAY_NAME_CHARS: usize = 120;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TypeFile {
    id: Spanned<String>,
    display_name: Spanned<String>,
    description: Spanned<String>,
    category: Spanned<String>,
    documentation_uri: Spanned<String>,
    launch_stage: LaunchStage,
    schema_version: Spanned<u32>,
    delivered_by: DeliveredBy,
    min_schedule_interval_seconds: Spanned<u64>,
    max_concurrent_runs: Spanned<u32>,
    #[serde(default)]
    property_fields: Vec<FieldFile>,
    /// Not left out even when empty: it decides whether a credential is needed.
    auth_methods: Vec<AuthMethodFile>,
    #[serde(default)]
    export_fields: Vec<FieldFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthMethodFile {
    id: Spanned<String>,
    display_name: Spanned<String>,
    credential_fields: Vec<FieldFile>,
}

/// Reads one file; also answers its id with the place where it stands.
pub(super) fn read_type(text: &str) -> Result<(Spanned<String>, ConnectionType), Fault> {
    let file: TypeFile = toml::from_str(text)?;
    check_id(&file.id)?;
    check_display_name(&file.display_name)?;
    check_prose(&file.description)?;
    check_display_name(&file.category)?;
    check_documentation_uri(&file.documentation_uri)?;
    if *file.schema_version.get_ref() == 0 {
        return Err(Fault::new(&file.schema_version, "schema_version must be at least 1"));
    }
    if *file.min_schedule_interval_seconds.get_ref() == 0 {
        let reason = "min_schedule_interval_seconds must be at least 1";
        return Err(Fault::new(&file.min_schedule_interval_seconds, reason));
    }
    if *file.max_concurrent_runs.get_ref() == 0 {
        return Err(Fault::new(&file.max_concurrent_runs, "max_concurrent_runs must be at least 1"));
    }
    let connection_type = ConnectionType {
        id: file.id.get_ref().clone(),
        display_name: file.display_name.into_inner(),
        description: file.description.into_inner(),
        category: file.category.into_inner(),
        documentation_uri: file.documentation_uri.into_inner(),
        launch_stage: file.launch_stage,
        schema_version: file.schema_version.into_inner(),
        property_fields: read_fields(file.property_fields, Section::Property)?,
        auth_methods: read_auth_methods(file.auth_methods)?,
        export_fields: read_fields(file.export_fields, Section::Export)?,
        delivered_by: file.delivered_by,
        min_schedule_interval: Duration::from_secs(file.min_schedule_interval_seconds.into_inner()),
        max_concurrent_runs: file.max_concurrent_runs.into_inner(),
    };
    Ok((file.id, connection_type))
}

fn read_auth_methods(files: Vec<AuthMethodFile>) -> Result<Vec<AuthMethod>, Fault> {
    let mut ids = BTreeSet::new();
    let mut methods = Vec::new();
    for file in files {
        check_id(&file.id)?;
        check_display_name(&file.display_name)?;
        if !ids.insert(file.id.get_ref().clone()) {
            return Err(Fault::new(&file.id, format!("auth method {} is defined twice", file.id.get_ref())));
        }
        if file.credential_fields.is_empty() {
            return Err(Fault::new(&file.id, format!("auth method {} has no credential field", file.id.get_ref())));
        }
        methods.push(AuthMethod {
            id: file.id.into_inner(),
            display_name: file.display_name.into_inner(),
            credential_fields: read_fields(file.credential_fields, Section::Credential)?,
        });
    }
    Ok(methods)
}

/// Ids of types and auth methods, and keys of fields: `[a-z]([a-z0-9_]{0,61}[a-z0-9])?`.
pub(super) fn check_id(id: &Spanned<String>) -> Result<(), Fault> {
    let text = id.get_ref();
    if is_identifier(text) {
        return Ok(());
    }
    Err(Fault::new(id, format!("{text:?} must match [a-z]([a-z0-9_]{{0,61}}[a-z0-9])?")))
}

pub(super) fn check_display_name(name: &Spanned<String>) -> Result<(), Fault> {
    check_prose(name)?;
    if name.get_ref().chars().count() > MAX_DISPLAY_NAME_CHARS {
        return Err(Fault::new(name, format!("must not be longer than {MAX_DISPLAY_NAME_CHARS} characters")));
    }
    Ok(())
}

pub(super) fn check_prose(text: &Spanned<String>) -> Result<(), Fault> {
    if text.get_ref().trim().is_empty() {
        return Err(Fault::new(text, "must not be empty"));
    }
    if text.get_ref().contains(char::is_control) {
        return Err(Fault::new(text, "must not have control characters; a line break in the file is escaped with \\"));
    }
    Ok(())
}

fn check_documentation_uri(uri: &Spanned<String>) -> Result<(), Fault> {
    check_uri(uri.get_ref(), false).map_err(|reason| Fault::new(uri, format!("documentation_uri {reason}")))
}
