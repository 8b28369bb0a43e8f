//! Checks what fields say about other fields: conditions and companions.

use serde::Deserialize;
use serde_json::Value;
use toml::Spanned;

use super::text::{check_prose, read_pattern};
use crate::catalog::error::SpannedError;
use crate::catalog::spec::{Condition, FieldSpec, Pattern};
use crate::catalog::value::check_value;
use crate::model::Violations;

/// Whether a field has one of some values.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConditionFile {
    key: String,
    values: Vec<Value>,
}

/// A pattern that applies while another field has one of some values.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PatternIfFile {
    key: String,
    values: Vec<Value>,
    pattern: Spanned<String>,
    hint: Spanned<String>,
}

/// The references of one field to others, with their positions in the file.
pub(super) struct References {
    pub(super) shown_if: Option<Spanned<ConditionFile>>,
    pub(super) pattern_if: Option<Spanned<PatternIfFile>>,
    pub(super) required_if: Option<Spanned<ConditionFile>>,
    pub(super) companion: Option<Spanned<String>>,
}

impl References {
    /// Checks the references of a field and adds them to it. `fields` is the list that the field is in, and `properties`
    /// those of the connection.
    pub(super) fn resolve(
        self,
        field: &mut FieldSpec,
        fields: &[FieldSpec],
        properties: &[FieldSpec],
    ) -> Result<(), SpannedError> {
        let condition = |file: Spanned<ConditionFile>, among: &[FieldSpec]| {
            let span = file.span();
            let ConditionFile { key, values } = file.into_inner();
            read_condition(&Spanned::new(span, ()), key, values, among)
        };
        field.shown_if = self.shown_if.map(|file| condition(file, fields)).transpose()?;
        if let Some(file) = &self.required_if
            && field.required
        {
            return Err(SpannedError::new(file, format!("required field {} must not set required_if", field.key)));
        }
        field.required_if = self.required_if.map(|file| condition(file, properties)).transpose()?;
        field.pattern_if = self.pattern_if.map(|file| read_pattern_if(file, fields)).transpose()?;
        if let Some(companion) = self.companion {
            let key = companion.get_ref();
            if *key == field.key || !fields.iter().any(|other| other.key == *key) {
                let reason = format!("companion of {} must be the key of another field beside it", field.key);
                return Err(SpannedError::new(&companion, reason));
            }
            field.companion = Some(companion.into_inner());
        }
        Ok(())
    }
}

fn read_pattern_if(file: Spanned<PatternIfFile>, fields: &[FieldSpec]) -> Result<(Condition, Pattern), SpannedError> {
    let at = Spanned::new(file.span(), ());
    let PatternIfFile { key, values, pattern, hint } = file.into_inner();
    check_prose(&hint)?;
    Ok((read_condition(&at, key, values, fields)?, read_pattern(&pattern, hint.get_ref())?))
}

fn read_condition(
    at: &Spanned<()>,
    key: String,
    values: Vec<Value>,
    fields: &[FieldSpec],
) -> Result<Condition, SpannedError> {
    let Some(field) = fields.iter().find(|field| field.key == key) else {
        return Err(SpannedError::new(at, format!("there is no field {key:?} for this condition")));
    };
    let is_value = |value: &Value| check_value(field, value, "", &mut Violations::new()).as_ref() == Some(value);
    if values.is_empty() || !values.iter().all(is_value) {
        return Err(SpannedError::new(at, format!("values must be one or more valid values of {key}")));
    }
    Ok(Condition { key, values })
}
