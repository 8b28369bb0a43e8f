//! Reads the file of a connection type. Values keep their spans until they are checked, so that an error names its line.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::field::{FieldFile, Section, read_fields};
use super::text::{check_article, check_display_name, check_id, check_prose};
use crate::catalog::address::check_uri;
use crate::catalog::error::SpannedError;
use crate::catalog::spec::{AuthMethod, ConnectionType, DeliveredBy, DeliveryGuarantee, FieldSpec, LaunchStage};

/// The shared fields of exports that write files.
const FILE_SETTINGS: &str = include_str!("../file_settings.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TypeFile {
    id: Spanned<String>,
    display_name: Spanned<String>,
    description: Spanned<String>,
    #[serde(default)]
    article: Option<Spanned<String>>,
    category: Spanned<String>,
    documentation_uri: Spanned<String>,
    launch_stage: LaunchStage,
    schema_version: Spanned<u32>,
    delivered_by: DeliveredBy,
    #[serde(default)]
    delivery: DeliveryGuarantee,
    min_schedule_interval_seconds: Spanned<u64>,
    max_concurrent_runs: Spanned<u32>,
    #[serde(default)]
    property_fields: Vec<FieldFile>,
    /// Required even if it is empty, because it decides whether a credential is needed.
    auth_methods: Vec<AuthMethodFile>,
    /// Whether exports write files, so that they have the fields of `file_settings.toml` before their own.
    #[serde(default)]
    file_settings: bool,
    #[serde(default)]
    export_fields: Vec<FieldFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthMethodFile {
    id: Spanned<String>,
    display_name: Spanned<String>,
    credential_fields: Vec<FieldFile>,
    #[serde(default)]
    required_properties: Vec<Spanned<String>>,
}

/// The settings of exports that write files, which all types of files have.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSettings {
    export_fields: Vec<FieldFile>,
}

/// Reads a file. Returns the id with its span, so that a duplicate can be reported at its line.
pub fn read_type(text: &str) -> Result<(Spanned<String>, ConnectionType), SpannedError> {
    let file: TypeFile = toml::from_str(text)?;
    check_id(&file.id)?;
    check_display_name(&file.display_name)?;
    check_prose(&file.description)?;
    if let Some(article) = &file.article {
        check_article(article)?;
    }
    check_display_name(&file.category)?;
    check_documentation_uri(&file.documentation_uri)?;
    if *file.schema_version.get_ref() == 0 {
        return Err(SpannedError::new(&file.schema_version, "schema_version must be at least 1"));
    }
    if *file.min_schedule_interval_seconds.get_ref() == 0 {
        let reason = "min_schedule_interval_seconds must be at least 1";
        return Err(SpannedError::new(&file.min_schedule_interval_seconds, reason));
    }
    if *file.max_concurrent_runs.get_ref() == 0 {
        return Err(SpannedError::new(&file.max_concurrent_runs, "max_concurrent_runs must be at least 1"));
    }
    let property_fields = read_fields(file.property_fields, Section::Property, &[])?;
    let auth_methods = read_auth_methods(file.auth_methods, &property_fields)?;
    let export_fields = read_export_fields(file.file_settings, file.export_fields)?;
    let connection_type = ConnectionType {
        id: file.id.get_ref().clone(),
        display_name: file.display_name.into_inner(),
        description: file.description.into_inner(),
        article: file.article.map(Spanned::into_inner).unwrap_or_default(),
        category: file.category.into_inner(),
        documentation_uri: file.documentation_uri.into_inner(),
        launch_stage: file.launch_stage,
        schema_version: file.schema_version.into_inner(),
        property_fields,
        auth_methods,
        export_fields,
        delivered_by: file.delivered_by,
        delivery: file.delivery,
        min_schedule_interval: Duration::from_secs(file.min_schedule_interval_seconds.into_inner()),
        max_concurrent_runs: file.max_concurrent_runs.into_inner(),
    };
    Ok((file.id, connection_type))
}

fn read_export_fields(with_file_settings: bool, own: Vec<FieldFile>) -> Result<Vec<FieldSpec>, SpannedError> {
    let mut files = Vec::new();
    if with_file_settings {
        let shared: FileSettings = toml::from_str(FILE_SETTINGS)?;
        files.extend(shared.export_fields);
    }
    files.extend(own);
    read_fields(files, Section::Export, &[])
}

fn read_auth_methods(files: Vec<AuthMethodFile>, properties: &[FieldSpec]) -> Result<Vec<AuthMethod>, SpannedError> {
    let mut ids = BTreeSet::new();
    let mut methods = Vec::new();
    for file in files {
        check_id(&file.id)?;
        check_display_name(&file.display_name)?;
        if !ids.insert(file.id.get_ref().clone()) {
            return Err(SpannedError::new(&file.id, format!("auth method {} is a duplicate", file.id.get_ref())));
        }
        if file.credential_fields.is_empty() {
            return Err(SpannedError::new(
                &file.id,
                format!("auth method {} must have at least one credential field", file.id.get_ref()),
            ));
        }
        let required_properties = read_required_properties(file.required_properties, properties)?;
        methods.push(AuthMethod {
            id: file.id.into_inner(),
            display_name: file.display_name.into_inner(),
            credential_fields: read_fields(file.credential_fields, Section::Credential, properties)?,
            required_properties,
        });
    }
    Ok(methods)
}

fn read_required_properties(keys: Vec<Spanned<String>>, properties: &[FieldSpec]) -> Result<Vec<String>, SpannedError> {
    let is_optional = |key: &str| properties.iter().any(|field| field.key == key && !field.required);
    match keys.iter().find(|key| !is_optional(key.get_ref())) {
        Some(key) => Err(SpannedError::new(key, format!("{} is not an optional property", key.get_ref()))),
        None => Ok(keys.into_iter().map(Spanned::into_inner).collect()),
    }
}

fn check_documentation_uri(uri: &Spanned<String>) -> Result<(), SpannedError> {
    check_uri(uri.get_ref(), false).map_err(|reason| SpannedError::new(uri, format!("documentation_uri {reason}")))
}
