//! Requests for previews of exports, and previews as messages.

use super::exports::{draft, export_name};
use super::validator::RequestValidator;
use crate::app::exports::{ExportPreview, PreviewTarget};
use crate::grpc::proto as pb;
use crate::model::{FieldType, limits};

/// Converts a request of PreviewExport.
pub fn preview_export(
    validator: &mut RequestValidator<'_>,
    request: pb::PreviewExportRequest,
) -> Option<(PreviewTarget, u64)> {
    use pb::preview_export_request::Target;
    validator.deny_foreign_names([request.parent.as_str()]);
    validator.parent(&request.parent);
    let rows = match u32::try_from(request.rows) {
        Ok(0) => limits::DEFAULT_PREVIEW_ROWS,
        Ok(rows) if rows <= limits::MAX_PREVIEW_ROWS => rows,
        Ok(_) | Err(_) => {
            validator.add("rows", format!("must be between 0 and {}", limits::MAX_PREVIEW_ROWS));
            0
        }
    };
    let target = match request.target {
        None => {
            validator.add("name", "is required, or `export`");
            None
        }
        Some(Target::Name(name)) => export_name(validator, &name).map(PreviewTarget::Saved),
        Some(Target::Export(export)) => {
            draft(validator, export, None).map(|draft| PreviewTarget::Draft(Box::new(draft)))
        }
    };
    Some((target?, rows.into()))
}

/// A preview.
pub fn preview_to_proto(preview: ExportPreview) -> pb::PreviewExportResponse {
    use pb::preview_export_response::{Field, File};
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let files = preview.files.into_iter().map(|file| File {
        path: file.path,
        table: file.table,
        sample: String::from_utf8_lossy(&file.sample).into_owned(),
        sample_rows: i32::try_from(file.rows).unwrap_or(i32::MAX),
    });
    let fields = preview.fields.into_iter().map(|field| Field {
        table: field.table,
        name: field.name,
        r#type: type_name(field.field_type),
        transform: transform(&field.transform).into(),
    });
    pb::PreviewExportResponse {
        files: files.collect(),
        fields: fields.collect(),
        estimated_rows: preview.estimated_rows.map(number),
        estimated_bytes: preview.estimated_bytes.map(number),
    }
}

fn type_name(field_type: FieldType) -> String {
    match field_type {
        FieldType::Boolean => "boolean".to_owned(),
        FieldType::Integer => "integer".to_owned(),
        FieldType::Double => "double".to_owned(),
        FieldType::Decimal { precision, scale } => format!("decimal({precision},{scale})"),
        FieldType::String => "string".to_owned(),
        FieldType::Bytes => "bytes".to_owned(),
        FieldType::Date => "date".to_owned(),
        FieldType::Time => "time".to_owned(),
        FieldType::Timestamp => "timestamp".to_owned(),
        FieldType::Unsupported => "unsupported".to_owned(),
    }
}

fn transform(name: &str) -> pb::payload_field::Transform {
    use pb::payload_field::Transform;
    match name {
        "sha256" => Transform::Sha256,
        "sha256_normalized" => Transform::Sha256Normalized,
        _ => Transform::None,
    }
}
