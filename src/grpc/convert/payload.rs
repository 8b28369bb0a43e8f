//! Converts payloads.

use super::validator::RequestValidator;
use super::values::{json, json_to_proto};
use crate::grpc::proto as pb;
use crate::model::{
    Comparison, Payload, PayloadCounts, PayloadField, PayloadFilter, PayloadTable, Transform, Violations,
};

/// A payload, with all its names and values checked. One with too many of them is not converted.
pub fn payload(validator: &mut RequestValidator<'_>, path: &str, given: Option<pb::Payload>) -> Payload {
    let Some(given) = given else {
        validator.add(path, "is required");
        return Payload::default();
    };
    let mut found = Violations::new();
    counts(&given).check(&mut found, path);
    if !found.is_empty() {
        validator.violations.extend(found);
        return Payload::default();
    }
    let tables = given.tables.into_iter().enumerate();
    let tables = tables.map(|(index, given)| table(validator, &format!("{path}.tables[{index}]"), given)).collect();
    let payload = Payload { tables };
    payload.check(&mut validator.violations, path);
    payload
}

fn counts(payload: &pb::Payload) -> PayloadCounts {
    let mut counts = PayloadCounts { tables: payload.tables.len(), ..PayloadCounts::default() };
    for table in &payload.tables {
        counts.fields += table.fields.len();
        counts.filters += table.filters.len();
        counts.values += table.filters.iter().map(|filter| filter.values.len()).sum::<usize>();
    }
    counts
}

fn table(validator: &mut RequestValidator<'_>, path: &str, given: pb::PayloadTable) -> PayloadTable {
    let fields = given.fields.into_iter().enumerate();
    let fields = fields.map(|(index, given)| {
        let transform = transform(validator, &format!("{path}.fields[{index}].transform"), given.transform);
        PayloadField { field: given.field, output_name: given.output_name, transform, field_type: None }
    });
    let fields = fields.collect();
    let filters = given.filters.into_iter().enumerate();
    let filters = filters.map(|(index, given)| filter(validator, &format!("{path}.filters[{index}]"), given)).collect();
    PayloadTable { table: given.table, fields, filters }
}

fn transform(validator: &mut RequestValidator<'_>, path: &str, given: i32) -> Transform {
    use pb::payload_field::Transform as Wire;
    match Wire::try_from(given) {
        Ok(Wire::Unspecified | Wire::None) => Transform::None,
        Ok(Wire::Sha256) => Transform::Sha256,
        Ok(Wire::Sha256Normalized) => Transform::Sha256Normalized,
        Err(_) => {
            validator.add(path, "is not a known transform");
            Transform::None
        }
    }
}

fn filter(validator: &mut RequestValidator<'_>, path: &str, given: pb::PayloadFilter) -> PayloadFilter {
    use pb::payload_filter::Comparison as Wire;
    let comparison = match Wire::try_from(given.comparison) {
        Ok(Wire::Equals) => Comparison::Equals,
        Ok(Wire::NotEquals) => Comparison::NotEquals,
        Ok(Wire::In) => Comparison::In,
        Ok(Wire::NotIn) => Comparison::NotIn,
        Ok(Wire::Less) => Comparison::Less,
        Ok(Wire::LessOrEqual) => Comparison::LessOrEqual,
        Ok(Wire::Greater) => Comparison::Greater,
        Ok(Wire::GreaterOrEqual) => Comparison::GreaterOrEqual,
        Ok(Wire::IsNull) => Comparison::IsNull,
        Ok(Wire::IsNotNull) => Comparison::IsNotNull,
        Ok(Wire::Unspecified) | Err(_) => {
            validator.add(format!("{path}.comparison"), "is required");
            Comparison::In
        }
    };
    let values = given.values.into_iter().map(|value| json(&mut validator.violations, path, value)).collect();
    PayloadFilter { field: given.field, comparison, values }
}

/// A payload as a message.
pub fn payload_to_proto(payload: Payload) -> pb::Payload {
    let field = |field: PayloadField| pb::PayloadField {
        field: field.field,
        output_name: field.output_name,
        transform: match field.transform {
            Transform::None => pb::payload_field::Transform::None,
            Transform::Sha256 => pb::payload_field::Transform::Sha256,
            Transform::Sha256Normalized => pb::payload_field::Transform::Sha256Normalized,
        }
        .into(),
    };
    let table = |table: PayloadTable| pb::PayloadTable {
        table: table.table,
        fields: table.fields.into_iter().map(field).collect(),
        filters: table.filters.into_iter().map(filter_to_proto).collect(),
    };
    pb::Payload { tables: payload.tables.into_iter().map(table).collect() }
}

fn filter_to_proto(filter: PayloadFilter) -> pb::PayloadFilter {
    use pb::payload_filter::Comparison as Wire;
    let comparison = match filter.comparison {
        Comparison::Equals => Wire::Equals,
        Comparison::NotEquals => Wire::NotEquals,
        Comparison::In => Wire::In,
        Comparison::NotIn => Wire::NotIn,
        Comparison::Less => Wire::Less,
        Comparison::LessOrEqual => Wire::LessOrEqual,
        Comparison::Greater => Wire::Greater,
        Comparison::GreaterOrEqual => Wire::GreaterOrEqual,
        Comparison::IsNull => Wire::IsNull,
        Comparison::IsNotNull => Wire::IsNotNull,
    };
    pb::PayloadFilter {
        field: filter.field,
        comparison: comparison.into(),
        values: filter.values.into_iter().map(json_to_proto).collect(),
    }
}
