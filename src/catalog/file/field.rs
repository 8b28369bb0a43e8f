//! Reads the fields in the file of a connection type.
//!
//! Every property must set `binding`. With a default, a property whose author forgot it could send a stored secret to a
//! changed host.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;
use toml::Spanned;

use super::references::{ConditionFile, PatternIfFile, References};
use super::text::{check_display_name, check_id, check_prose, read_pattern};
use crate::catalog::error::SpannedError;
use crate::catalog::format::Format;
use crate::catalog::spec::{AllowedValue, FieldSpec, ValueType};
use crate::catalog::value::check_value;
use crate::model::Violations;

/// The section that a field is in. It decides which keys the field may set.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::catalog) enum Section {
    Property,
    Credential,
    Export,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::catalog) struct FieldFile {
    key: Spanned<String>,
    display_name: Spanned<String>,
    description: Spanned<String>,
    value_type: Spanned<ValueType>,
    required: Option<Spanned<bool>>,
    binding: Option<Spanned<bool>>,
    format: Option<Spanned<Format>>,
    pattern: Option<Spanned<String>>,
    hint: Option<Spanned<String>>,
    pattern_if: Option<Spanned<PatternIfFile>>,
    relative_path: Option<Spanned<bool>>,
    allowed_values: Option<Spanned<Vec<AllowedValue>>>,
    default_value: Option<Spanned<Value>>,
    draft_value: Option<Spanned<Value>>,
    minimum: Option<Spanned<f64>>,
    maximum: Option<Spanned<f64>>,
    group: Option<Spanned<String>>,
    example: Option<Spanned<Value>>,
    shown_if: Option<Spanned<ConditionFile>>,
    required_if: Option<Spanned<ConditionFile>>,
    companion: Option<Spanned<String>>,
}

/// Reads a list of fields. `properties` are those of the connection, which fields of credentials can refer to.
pub(in crate::catalog) fn read_fields(
    files: Vec<FieldFile>,
    section: Section,
    properties: &[FieldSpec],
) -> Result<Vec<FieldSpec>, SpannedError> {
    let mut keys = BTreeSet::new();
    let (mut fields, mut references) = (Vec::new(), Vec::new());
    for file in files {
        if !keys.insert(file.key.get_ref().clone()) {
            return Err(SpannedError::new(&file.key, format!("field {} is a duplicate", file.key.get_ref())));
        }
        let (field, refers_to) = read_field(file, section)?;
        fields.push(field);
        references.push(refers_to);
    }
    let all = fields.clone();
    for (field, references) in fields.iter_mut().zip(references) {
        references.resolve(field, &all, properties)?;
    }
    Ok(fields)
}

fn read_field(file: FieldFile, section: Section) -> Result<(FieldSpec, References), SpannedError> {
    check_id(&file.key)?;
    check_display_name(&file.display_name)?;
    check_prose(&file.description)?;
    file.group.as_ref().map(check_display_name).transpose()?;
    file.hint.as_ref().map(check_prose).transpose()?;
    let binding = read_binding(&file, section)?;
    check_allowed_values(&file)?;
    check_format(&file, section)?;
    check_text_rules(&file)?;
    check_bounds(&file)?;
    check_section(&file, section)?;
    let pattern = match (&file.pattern, &file.hint) {
        (Some(pattern), Some(hint)) => Some(read_pattern(pattern, hint.get_ref())?),
        (Some(at), None) | (None, Some(at)) => {
            let key = file.key.get_ref();
            return Err(SpannedError::new(at, format!("field {key} must set both pattern and hint, or neither")));
        }
        (None, None) => None,
    };
    let references = References {
        shown_if: file.shown_if,
        pattern_if: file.pattern_if,
        required_if: file.required_if,
        companion: file.companion,
    };
    let mut field = FieldSpec {
        key: file.key.into_inner(),
        display_name: file.display_name.into_inner(),
        description: file.description.into_inner(),
        value_type: file.value_type.into_inner(),
        required: file.required.is_some_and(Spanned::into_inner),
        binding,
        format: file.format.map(Spanned::into_inner),
        pattern,
        pattern_if: None,
        relative_path: file.relative_path.is_some_and(Spanned::into_inner),
        allowed_values: file.allowed_values.map(Spanned::into_inner).unwrap_or_default(),
        default_value: None,
        draft_value: None,
        minimum: file.minimum.map(Spanned::into_inner),
        maximum: file.maximum.map(Spanned::into_inner),
        group: file.group.map(Spanned::into_inner).unwrap_or_default(),
        example: None,
        shown_if: None,
        required_if: None,
        companion: None,
    };
    field.default_value = file.default_value.map(|value| read_default(&field, section, &value)).transpose()?;
    field.draft_value = file.draft_value.map(|value| read_draft(&field, section, &value)).transpose()?;
    field.example = file.example.map(|value| read_value(&field, &value, "example")).transpose()?;
    Ok((field, references))
}

fn read_binding(file: &FieldFile, section: Section) -> Result<bool, SpannedError> {
    let key = file.key.get_ref();
    let address = matches!(file.value_type.get_ref(), ValueType::Host | ValueType::Port | ValueType::Uri);
    match (section, &file.binding) {
        (Section::Property, None) => {
            Err(SpannedError::new(&file.key, format!("property {key} must set binding to true or false")))
        }
        (Section::Property, Some(binding)) if address && !binding.get_ref() => {
            Err(SpannedError::new(binding, format!("property {key} is a HOST, PORT or URI and must be binding")))
        }
        (Section::Property, Some(binding)) => Ok(*binding.get_ref()),
        (Section::Credential | Section::Export, Some(binding)) => {
            Err(SpannedError::new(binding, format!("field {key} must not set binding; only properties can")))
        }
        (Section::Export, None) if address => {
            Err(SpannedError::new(&file.value_type, format!("export field {key} must not be a HOST, PORT or URI")))
        }
        (Section::Credential, None) if *file.value_type.get_ref() != ValueType::String => {
            Err(SpannedError::new(&file.value_type, format!("credential field {key} must be a STRING")))
        }
        (Section::Credential | Section::Export, None) => Ok(false),
    }
}

fn check_allowed_values(file: &FieldFile) -> Result<(), SpannedError> {
    let key = file.key.get_ref();
    let value_type = *file.value_type.get_ref();
    let Some(allowed) = &file.allowed_values else {
        if value_type == ValueType::Enum {
            return Err(SpannedError::new(&file.value_type, format!("ENUM {key} must have allowed_values")));
        }
        return Ok(());
    };
    if !matches!(value_type, ValueType::Enum | ValueType::StringList) {
        return Err(SpannedError::new(
            allowed,
            format!("field {key} must not set allowed_values; only an ENUM or STRING_LIST can"),
        ));
    }
    let values = || allowed.get_ref().iter().map(|allowed| &allowed.value);
    let names = allowed.get_ref().iter().map(|allowed| &allowed.display_name);
    if allowed.get_ref().is_empty() {
        return Err(SpannedError::new(allowed, format!("allowed_values of {key} must not be empty")));
    }
    if values().chain(names).any(|text| text.trim().is_empty() || text.contains(char::is_control)) {
        return Err(SpannedError::new(
            allowed,
            format!("allowed_values of {key} must not be blank or contain control characters"),
        ));
    }
    if values().collect::<BTreeSet<_>>().len() < allowed.get_ref().len() {
        return Err(SpannedError::new(allowed, format!("allowed_values of {key} contains a duplicate")));
    }
    Ok(())
}

fn check_format(file: &FieldFile, section: Section) -> Result<(), SpannedError> {
    let Some(format) = &file.format else { return Ok(()) };
    let key = file.key.get_ref();
    let is_uri = *file.value_type.get_ref() == ValueType::Uri;
    if is_uri != format.get_ref().is_uri() {
        let reason = format!("field {key} must not set this format; a URI has the format of an endpoint, or none");
        return Err(SpannedError::new(format, reason));
    }
    if !is_uri && !matches!(file.value_type.get_ref(), ValueType::String | ValueType::StringList) {
        let reason = format!("field {key} must not set format; only a STRING or STRING_LIST can");
        return Err(SpannedError::new(format, reason));
    }
    if format.get_ref().is_secret() && section != Section::Credential {
        let reason = format!("field {key} must not have a secret format; only fields of credentials can");
        return Err(SpannedError::new(format, reason));
    }
    let is_setting = section == Section::Export && *file.value_type.get_ref() == ValueType::String;
    if *format.get_ref() == Format::PayloadField && !is_setting {
        let reason =
            format!("field {key} must not name a field of the payload; only a STRING of the settings of exports can");
        return Err(SpannedError::new(format, reason));
    }
    Ok(())
}

/// Checks the keys that only some sections permit.
fn check_section(file: &FieldFile, section: Section) -> Result<(), SpannedError> {
    let key = file.key.get_ref();
    let is_endpoint = section == Section::Property && file.format.as_ref().is_some_and(|at| at.get_ref().is_uri());
    let misplaced = |at: usize, name: &str, permitted: &str| {
        let reason = format!("field {key} must not set {name}; only {permitted} can");
        Err(SpannedError { offset: at, reason })
    };
    match (section, &file.companion, &file.required_if, &file.example) {
        (Section::Property | Section::Export, Some(at), ..) if !is_endpoint => {
            misplaced(at.span().start, "companion", "fields of credentials and endpoints")
        }
        (Section::Property | Section::Export, _, Some(at), _) => {
            misplaced(at.span().start, "required_if", "fields of credentials")
        }
        (Section::Credential, .., Some(example)) => {
            let reason = format!("credential field {key} must not have an example; people would use it");
            Err(SpannedError::new(example, reason))
        }
        _ => Ok(()),
    }
}

fn check_text_rules(file: &FieldFile) -> Result<(), SpannedError> {
    let key = file.key.get_ref();
    let value_type = *file.value_type.get_ref();
    if let Some(pattern) = &file.pattern {
        let textual = [ValueType::String, ValueType::StringList, ValueType::Uri, ValueType::Host];
        if !textual.contains(&value_type) {
            return Err(SpannedError::new(
                pattern,
                format!("field {key} must not set pattern; only a STRING, STRING_LIST, URI or HOST can"),
            ));
        }
    }
    match &file.relative_path {
        Some(flag) if value_type != ValueType::String => {
            Err(SpannedError::new(flag, format!("field {key} must not set relative_path; only a STRING can")))
        }
        _ => Ok(()),
    }
}

fn check_bounds(file: &FieldFile) -> Result<(), SpannedError> {
    let key = file.key.get_ref();
    let number = matches!(file.value_type.get_ref(), ValueType::Integer | ValueType::Double | ValueType::Port);
    for bound in file.minimum.iter().chain(&file.maximum) {
        if !number {
            let reason = format!("field {key} must not set minimum or maximum; only an INTEGER, DOUBLE or PORT can");
            return Err(SpannedError::new(bound, reason));
        }
        if !bound.get_ref().is_finite() {
            return Err(SpannedError::new(bound, format!("minimum and maximum of {key} must be finite")));
        }
    }
    match (&file.minimum, &file.maximum) {
        (Some(minimum), Some(maximum)) if minimum.get_ref() > maximum.get_ref() => {
            Err(SpannedError::new(maximum, format!("maximum of {key} must not be less than its minimum")))
        }
        _ => Ok(()),
    }
}

fn read_default(field: &FieldSpec, section: Section, value: &Spanned<Value>) -> Result<Value, SpannedError> {
    if section == Section::Credential {
        return Err(SpannedError::new(value, format!("credential field {} must not have a default", field.key)));
    }
    if field.required {
        return Err(SpannedError::new(value, format!("required field {} must not have a default", field.key)));
    }
    read_value(field, value, "default_value")
}

fn read_draft(field: &FieldSpec, section: Section, value: &Spanned<Value>) -> Result<Value, SpannedError> {
    if section != Section::Property || !field.required {
        return Err(SpannedError::new(
            value,
            format!("only required properties have a draft_value, not {}", field.key),
        ));
    }
    read_value(field, value, "draft_value")
}

fn read_value(field: &FieldSpec, value: &Spanned<Value>, name: &str) -> Result<Value, SpannedError> {
    let mut violations = Violations::new();
    if let Some(value) = check_value(field, value.get_ref(), name, &mut violations) {
        return Ok(value);
    }
    let reason = violations.iter().next().map_or("is invalid", |violation| violation.description.as_str());
    Err(SpannedError::new(value, format!("{name} of {} {reason}", field.key)))
}
