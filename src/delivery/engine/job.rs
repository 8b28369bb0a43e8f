//! Jobs: what the engine is to do, checked before a byte is produced.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};

use super::filter::Predicate;
use super::settings::{Compression, EncodingSettings, RowFormat};
use super::types::canonical;
use crate::delivery::datasets::{PinnedTable, TableContent};
use crate::delivery::layout::Layout;
use crate::delivery::{DeliveryError, Manifest, ManifestField, OutputFile};
use crate::model::{DatasetField, FailureCode, FieldType, PayloadField, PayloadTable, Transform};

/// Tables to read and the files to make of them.
pub struct Job {
    pub(super) tables: Vec<(Arc<TablePlan>, TableContent)>,
    has_one_table: bool,
    /// How the rows are encoded: the settings, or for a preview the same without compression.
    pub(super) encoding: EncodingSettings,
    pub(super) limit: Option<PreviewLimit>,
    settings: EncodingSettings,
    layout: Layout,
}

/// The limits of a preview. Its text is not compressed, and rows of Parquet files are shown as JSON Lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreviewLimit {
    /// Rows of each table.
    pub rows: u64,
    /// Bytes in all.
    pub bytes: u64,
}

/// How a table is read and what becomes of its fields.
#[derive(Debug)]
pub struct TablePlan {
    /// The table.
    pub table: String,
    /// The fields to read: first those of the output, then those that only filters need. Types are canonical.
    pub read: Vec<ReadField>,
    /// How many of `read` the output needs.
    pub output_fields: usize,
    /// The conditions on rows, all of which must hold. None if the source applied them.
    pub predicates: Vec<Predicate>,
    /// The columns of the output.
    pub columns: Vec<OutputColumn>,
    /// Bytes of a row in memory, as the source estimates them.
    pub estimated_row_bytes: Option<u64>,
}

/// A field that is read.
#[derive(Debug)]
pub struct ReadField {
    /// Its name in the source.
    pub name: String,
    /// The canonical type of its values.
    pub data_type: DataType,
}

/// A column of the output.
#[derive(Debug)]
pub struct OutputColumn {
    /// Its name in the files.
    pub name: String,
    /// Index of the field among those that are read.
    pub field: usize,
    /// The transform of its values.
    pub transform: Transform,
    /// The type of its values after the transform, for manifests.
    pub field_type: FieldType,
    /// The type of its values after the transform.
    pub data_type: DataType,
}

impl Job {
    /// Plans the export of pinned tables. Each table comes with its part of the payload.
    ///
    /// # Errors
    /// FIELD_MISSING and FIELD_TYPE_CHANGED, with all fields that the payload cannot use.
    pub fn plan(
        tables: Vec<(PayloadTable, PinnedTable)>,
        settings: EncodingSettings,
        layout: Layout,
        limit: Option<PreviewLimit>,
    ) -> Result<Self, DeliveryError> {
        let (mut planned, mut problems) = (Vec::new(), Problems::default());
        for (payload, pinned) in tables {
            let plan = TablePlan::new(&payload, &pinned, &mut problems);
            planned.push((Arc::new(plan), pinned.content));
        }
        problems.into_result()?;
        let encoding = if limit.is_some() { as_text(settings.clone()) } else { settings.clone() };
        let has_one_table = planned.len() == 1;
        Ok(Self { tables: planned, has_one_table, encoding, limit, settings, layout })
    }

    /// A manifest of the job without files; [`Manifest::add_file`] adds them.
    pub fn manifest(&self) -> Manifest {
        let fields = self.tables.iter().flat_map(|(plan, _)| {
            plan.columns.iter().map(|column| ManifestField {
                table: plan.table.clone(),
                name: column.name.clone(),
                field_type: column.field_type,
                transform: transform_name(column.transform).to_owned(),
            })
        });
        Manifest {
            run: self.layout.run_name(),
            export: self.layout.export_name(),
            time: self.layout.time().to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true),
            format: self.settings.format_name().to_owned(),
            formula_guard: self.settings.formula_guard(),
            files: Vec::new(),
            fields: fields.collect(),
            rows: 0,
            bytes: 0,
        }
    }

    /// Path of the manifest of these tables, below the folder of the export.
    pub fn manifest_path(tables: &[PayloadTable], settings: &EncodingSettings, layout: &Layout) -> String {
        match tables {
            [single] if !settings.splits_files() => {
                Layout::single_manifest(&layout.single_file(&single.table, &settings.suffix()))
            }
            _ => layout.manifest(),
        }
    }

    /// Whether the job makes one file, whatever the number of rows.
    pub fn is_single_file(&self) -> bool {
        self.has_one_table && !self.settings.splits_files()
    }

    /// Whether the text of Parquet files is shown, which can have numbers that JSON cannot represent.
    pub(super) fn shows_parquet(&self) -> bool {
        self.limit.is_some() && matches!(self.settings.format, RowFormat::Parquet(_))
    }

    /// A file of a table; `index` counts from 0.
    pub(super) fn file(&self, plan: &TablePlan, index: u64) -> OutputFile {
        let fields = plan.columns.iter().map(|column| column.name.clone()).collect();
        OutputFile { path: self.path(&plan.table, index), table: plan.table.clone(), fields }
    }

    fn path(&self, table: &str, index: u64) -> String {
        let suffix = self.settings.suffix();
        if self.is_single_file() {
            self.layout.single_file(table, &suffix)
        } else {
            self.layout.part(table, index, &suffix)
        }
    }
}

/// The encoding of a preview.
fn as_text(settings: EncodingSettings) -> EncodingSettings {
    let format = match settings.format {
        RowFormat::Parquet(_) => RowFormat::JsonLines,
        format @ (RowFormat::Csv(_) | RowFormat::JsonLines) => format,
    };
    EncodingSettings { format, compression: Compression::None, ..settings }
}

fn transform_name(transform: Transform) -> &'static str {
    match transform {
        Transform::None => "none",
        Transform::Sha256 => "sha256",
        Transform::Sha256Normalized => "sha256_normalized",
    }
}

/// Fields that the payload cannot use.
#[derive(Default)]
struct Problems {
    missing: Vec<String>,
    changed: Vec<String>,
}

impl Problems {
    fn into_result(self) -> Result<(), DeliveryError> {
        let code = match (self.missing.is_empty(), self.changed.is_empty()) {
            (true, true) => return Ok(()),
            (false, _) => FailureCode::FieldMissing,
            (true, false) => FailureCode::FieldTypeChanged,
        };
        Err(DeliveryError::new(code, [self.missing, self.changed].concat().join("; ")))
    }
}

impl TablePlan {
    fn new(payload: &PayloadTable, pinned: &PinnedTable, problems: &mut Problems) -> Self {
        let mut planner = Planner { pinned, table: &payload.table, read: Vec::new(), problems };
        let columns = planner.columns(payload);
        let output_fields = planner.read.len();
        let predicates = match pinned.content {
            TableContent::Rows(_) => Vec::new(),
            TableContent::Parquet(_) | TableContent::Csv(_) | TableContent::JsonLines(_) => planner.predicates(payload),
        };
        let read = planner.read;
        let estimate = pinned.estimated_bytes.zip(pinned.estimated_rows);
        Self {
            table: pinned.table.clone(),
            read,
            output_fields,
            predicates,
            columns,
            estimated_row_bytes: estimate.map(|(bytes, rows)| bytes / rows.max(1)),
        }
    }

    /// Names of the columns of the output.
    pub fn names(&self) -> Vec<String> {
        self.columns.iter().map(|column| column.name.clone()).collect()
    }

    /// The Arrow schema of the output.
    pub fn output_schema(&self) -> Schema {
        let field = |column: &OutputColumn| Field::new(&column.name, column.data_type.clone(), true);
        Schema::new(self.columns.iter().map(field).collect::<Vec<_>>())
    }
}

/// Plans one table.
struct Planner<'a> {
    pinned: &'a PinnedTable,
    table: &'a str,
    read: Vec<ReadField>,
    problems: &'a mut Problems,
}

impl Planner<'_> {
    fn columns(&mut self, payload: &PayloadTable) -> Vec<OutputColumn> {
        let mut columns = Vec::new();
        for field in &payload.fields {
            self.check_type(field);
            columns.extend(self.column(&field.field, field.output(), field.transform));
        }
        if payload.fields.is_empty() {
            let is_supported = |field: &&DatasetField| field.field_type != FieldType::Unsupported;
            for field in self.pinned.fields.iter().filter(is_supported) {
                columns.extend(self.column(&field.name, &field.name, Transform::None));
            }
        }
        let names: HashSet<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        if names.len() < columns.len() {
            self.problems.changed.push(format!("table `{}`: two columns have the same name", self.table));
        }
        if columns.is_empty() {
            self.problems.missing.push(format!("table `{}` has no field that can be exported", self.table));
        }
        columns
    }

    /// A field whose type differs from the one at the save, or whose values have no exact text to hash, is not exported.
    fn check_type(&mut self, field: &PayloadField) {
        let Some(found) = self.pinned.fields.iter().find(|found| found.name == field.field) else { return };
        let (name, found) = (&field.field, found.field_type);
        if let Some(saved) = field.field_type.filter(|saved| saved.name() != found.name()) {
            let problem =
                format!("field `{name}` of table `{}` was {} and is {}", self.table, saved.name(), found.name());
            self.problems.changed.push(problem);
        } else if field.transform != Transform::None && !found.has_exact_text() {
            let problem =
                format!("field `{name}` of table `{}` has no exact text to hash: {}", self.table, found.name());
            self.problems.changed.push(problem);
        }
    }

    fn column(&mut self, field: &str, name: &str, transform: Transform) -> Option<OutputColumn> {
        let (index, field_type) = self.field(field)?;
        let is_hashed = transform != Transform::None;
        let data_type = if is_hashed { DataType::Utf8 } else { self.read[index].data_type.clone() };
        let field_type = if is_hashed { FieldType::String } else { field_type };
        Some(OutputColumn { name: name.to_owned(), field: index, transform, field_type, data_type })
    }

    /// The index of a field among those that are read, and its type.
    fn field(&mut self, name: &str) -> Option<(usize, FieldType)> {
        let known = self.pinned.fields.iter().find(|field| field.name == name);
        let Some((field, source)) = known.zip(self.pinned.schema.column_with_name(name)) else {
            self.problems.missing.push(format!("field `{name}` of table `{}` is missing", self.table));
            return None;
        };
        let Some(data_type) = canonical(source.1.data_type()).filter(|_| field.field_type != FieldType::Unsupported)
        else {
            let problem = format!("field `{name}` of table `{}` has a type that cannot be exported", self.table);
            self.problems.changed.push(problem);
            return None;
        };
        let index = self.read.iter().position(|read| read.name == name).unwrap_or_else(|| {
            self.read.push(ReadField { name: name.to_owned(), data_type });
            self.read.len() - 1
        });
        Some((index, field.field_type))
    }

    fn predicates(&mut self, payload: &PayloadTable) -> Vec<Predicate> {
        let mut predicates = Vec::new();
        for filter in &payload.filters {
            let Some((index, field_type)) = self.field(&filter.field) else { continue };
            if let Ok(filter) = filter.typed(field_type) {
                predicates.push(Predicate::new(index, field_type, &filter));
            } else {
                let name = field_type.name();
                let problem = format!(
                    "the filter of field `{}` of table `{}` does not suit its type {name}",
                    filter.field, self.table
                );
                self.problems.changed.push(problem);
            }
        }
        predicates
    }
}
