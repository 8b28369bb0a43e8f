//! Which files are which tables: `<table>.{parquet,csv,jsonl}`, `<table>/*.parquet`, and `<table>.schema.json`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::source_file::SourceFile;
use crate::model::is_dataset_name;

/// Maximum number of files in the folder of an organization.
pub const MAX_FILES: usize = 20_000;
/// Maximum number of files of one table.
const MAX_FILES_PER_TABLE: usize = 1_000;

/// A file in the folder of an organization.
pub struct FoundFile {
    /// Name of its folder below that of the organization, if it is in one.
    pub folder: Option<String>,
    /// Its name.
    pub name: String,
    /// The file.
    pub file: SourceFile,
    /// Time of its last change.
    pub modified: Option<DateTime<Utc>>,
}

/// The format of the files of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// Parquet.
    Parquet,
    /// CSV with a header.
    Csv,
    /// JSON Lines.
    JsonLines,
}

/// The files of a table.
#[derive(Clone, Debug)]
pub struct TableFiles {
    /// Their format.
    pub format: FileFormat,
    /// Name of their folder below that of the organization, if they are in one.
    pub folder: Option<String>,
    /// The files, by name.
    pub files: Vec<SourceFile>,
    /// The file that declares the fields.
    pub schema_file: Option<SourceFile>,
    /// Time of the last change of any of them.
    pub modified: Option<DateTime<Utc>>,
}

/// A table, or why it cannot be read.
pub type TableEntry = Result<TableFiles, &'static str>;

/// The tables of files, by name.
pub fn tables(mut found: Vec<FoundFile>) -> BTreeMap<String, TableEntry> {
    found.sort_by(|left, right| (&left.folder, &left.name).cmp(&(&right.folder, &right.name)));
    let mut schemas = BTreeMap::new();
    let mut tables: BTreeMap<String, TableEntry> = BTreeMap::new();
    for file in found {
        let Some((table, content)) = classify(&file) else { continue };
        match content {
            Content::Schema => {
                schemas.insert(table, (file.file, file.modified));
            }
            Content::Rows(format) => {
                if let Some(entry) = tables.get_mut(&table) {
                    add(entry, file);
                } else {
                    tables.insert(table, Ok(one(format, file)));
                }
            }
        }
    }
    for (table, (file, modified)) in schemas {
        if let Some(Ok(entry)) = tables.get_mut(&table)
            && entry.format != FileFormat::Parquet
        {
            entry.schema_file = Some(file);
            entry.modified = entry.modified.max(modified);
        }
    }
    tables
}

enum Content {
    Rows(FileFormat),
    Schema,
}

/// The table that a file belongs to. Hidden files, and those of Spark and Hive that begin with `_`, belong to none.
fn classify(file: &FoundFile) -> Option<(String, Content)> {
    if file.name.starts_with(['.', '_']) {
        return None;
    }
    let (table, content) = match &file.folder {
        Some(folder) => {
            file.name.strip_suffix(".parquet")?;
            (folder.as_str(), Content::Rows(FileFormat::Parquet))
        }
        None => match file.name.rsplit_once('.')? {
            (table, "parquet") => (table, Content::Rows(FileFormat::Parquet)),
            (table, "csv") => (table, Content::Rows(FileFormat::Csv)),
            (table, "jsonl") => (table, Content::Rows(FileFormat::JsonLines)),
            (table, "json") => (table.strip_suffix(".schema")?, Content::Schema),
            _ => return None,
        },
    };
    is_dataset_name(table).then(|| (table.to_owned(), content))
}

fn one(format: FileFormat, file: FoundFile) -> TableFiles {
    let FoundFile { folder, file, modified, .. } = file;
    TableFiles { format, folder, files: vec![file], schema_file: None, modified }
}

/// Adds a file to a table that already has one: another file of the same folder.
fn add(entry: &mut TableEntry, file: FoundFile) {
    let Ok(table) = entry else { return };
    if file.folder.is_none() || table.folder != file.folder {
        *entry = Err("several files or folders have the name of the table");
    } else if table.files.len() == MAX_FILES_PER_TABLE {
        *entry = Err("the table has more than 1,000 files");
    } else {
        table.modified = table.modified.max(file.modified);
        table.files.push(file.file);
    }
}
