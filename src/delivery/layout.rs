//! Names of the files of a run.
//!
//! A payload of one table without limits per file becomes one file, named by the template of the export, with its
//! manifest beside it. Everything else becomes `<export>/<time>-<run>/<table>/part-00000.<suffix>` with the manifest
//! `<export>/<time>-<run>/_SUCCESS.json`.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::DeliveryError;
use crate::model::json::Object;
use crate::model::{ExportName, FailureCode, ResourceId, excerpt, limits};

/// The template of names if an export has none.
pub const DEFAULT_TEMPLATE: &str = "{export}-{table}-{time}-{run}";
/// Bytes of a name that a template can produce. With a suffix, `.manifest.json` and the suffix of a staged upload it
/// remains below the 255 bytes that file systems permit.
const MAX_NAME_BYTES: usize = 176;
/// Bytes of a table in a name; a longer one is cut and gets a digest.
const MAX_TABLE_BYTES: usize = 56;
/// Bytes of the digest at the end of a table that was cut, in hexadecimal.
const DIGEST_CHARS: usize = 16;
/// The placeholders and the largest number of bytes that each produces.
const PLACEHOLDERS: [(&str, usize); 5] =
    [("export", 63), ("table", MAX_TABLE_BYTES), ("date", 10), ("time", 16), ("run", 36)];

/// The names of the files of one run.
#[derive(Clone, Debug)]
pub struct Layout {
    export: ExportName,
    run: Uuid,
    time: DateTime<Utc>,
    template: String,
}

/// A part of a template.
enum Part<'a> {
    Text(&'a str),
    Placeholder(&'a str),
}

impl Layout {
    /// The names for a run of an export: `time` is its scheduled time, or for a manual run its creation.
    ///
    /// # Errors
    /// What [`Self::check_template`] reports.
    pub fn new(export: ExportName, run: Uuid, time: DateTime<Utc>, template: &str) -> Result<Self, String> {
        Self::check_template(template)?;
        Ok(Self { export, run, time, template: template.to_owned() })
    }

    /// The names for a run of an export with these settings.
    pub fn of_export(
        export: ExportName,
        run: Uuid,
        time: DateTime<Utc>,
        settings: &Object,
    ) -> Result<Self, DeliveryError> {
        let invalid = |message| {
            DeliveryError::new(FailureCode::DestinationRefused, format!("the template of file names {message}"))
        };
        Self::new(export, run, time, template(settings)).map_err(invalid)
    }

    /// Checks the template of a name: the known placeholders, no character that a file system or URL treats specially,
    /// and names of limited length. The message completes "the template …".
    pub fn check_template(template: &str) -> Result<(), String> {
        let mut longest = 0;
        for part in parts(template)? {
            longest += match part {
                Part::Text(text) => {
                    if let Some(found) = text.chars().find(|found| !is_permitted(*found)) {
                        return Err(format!("must not contain the character {found:?}"));
                    }
                    text.len()
                }
                Part::Placeholder(name) => {
                    let known = PLACEHOLDERS.iter().find(|(known, _)| *known == name).map(|(_, bytes)| *bytes);
                    let shown = || excerpt(name, limits::MAX_REPEATED_CHARS);
                    known.ok_or_else(|| format!("has the unknown placeholder {{{}}}", shown()))?
                }
            };
        }
        if template.is_empty() || template.starts_with(['.', ' ']) || template.ends_with(['.', ' ']) {
            return Err("must not be empty, nor start or end with a period or a space".to_owned());
        }
        if longest > MAX_NAME_BYTES {
            return Err(format!("could produce a name of {longest} bytes; the limit is {MAX_NAME_BYTES}"));
        }
        Ok(())
    }

    /// Resource name of the run.
    pub fn run_name(&self) -> String {
        format!("organizations/{}/exports/{}/runs/{}", self.export.organization, self.export.id, self.run)
    }

    /// Resource name of the export.
    pub fn export_name(&self) -> String {
        format!("organizations/{}/exports/{}", self.export.organization, self.export.id)
    }

    /// The time of the run.
    pub fn time(&self) -> DateTime<Utc> {
        self.time
    }

    /// Path of the only file of a run.
    pub fn single_file(&self, table: &str, suffix: &str) -> String {
        let times = [self.time.format("%Y-%m-%d").to_string(), self.compact_time().to_string()];
        render(&self.template, &self.export.id, table, &times, &self.run.to_string()) + "." + suffix
    }

    /// Path of the manifest beside the only file of a run.
    pub fn single_manifest(path: &str) -> String {
        format!("{path}.manifest.json")
    }

    /// Path of a file of a run that has several.
    pub fn part(&self, table: &str, index: u64, suffix: &str) -> String {
        format!("{}/{}/part-{index:05}.{suffix}", self.directory(), table_segment(table))
    }

    /// Path of the manifest of a run that has several files.
    pub fn manifest(&self) -> String {
        format!("{}/_SUCCESS.json", self.directory())
    }

    /// Directory of the files of a run that has several.
    pub fn directory(&self) -> String {
        let export: &ResourceId = &self.export.id;
        format!("{}/{}-{}", export.as_str(), self.compact_time(), self.run)
    }

    fn compact_time(&self) -> impl std::fmt::Display {
        self.time.format("%Y%m%dT%H%M%SZ")
    }
}

/// The template of names in the settings of an export.
pub fn template(settings: &Object) -> &str {
    let template = settings.get("file_name_template").and_then(Value::as_str).unwrap_or_default();
    if template.is_empty() { DEFAULT_TEMPLATE } else { template }
}

/// The path of the only file of every run of an export, in which each date and each time has the same text, also one that
/// the template spells out. `None` if the name contains the run.
pub fn name_of_all_runs(template: &str, export: &ResourceId, table: &str, suffix: &str) -> Option<String> {
    let names_run = |part: &Part<'_>| matches!(part, Part::Placeholder("run"));
    if parts(template).ok()?.iter().any(names_run) {
        return None;
    }
    let times = ["0000-00-00".to_owned(), "00000000T000000Z".to_owned()];
    let name = render(template, export, table, &times, "") + "." + suffix;
    Some(with_equal_times(&name, &times))
}

/// Replaces whatever looks like one of `times`, with any digits.
fn with_equal_times(name: &str, times: &[String]) -> String {
    let looks_like = |text: &str, time: &str| {
        let mut bytes = text.bytes();
        time.bytes().all(|expected| {
            bytes.next().is_some_and(|found| if expected == b'0' { found.is_ascii_digit() } else { found == expected })
        })
    };
    let (mut equal, mut rest) = (String::with_capacity(name.len()), name);
    while let Some(first) = rest.chars().next() {
        let time = times.iter().find(|time| looks_like(rest, time));
        let length = time.map_or(first.len_utf8(), String::len);
        let (begin, end) = rest.split_at(length);
        equal.push_str(time.map_or(begin, String::as_str));
        rest = end;
    }
    equal
}

/// Fills in a template; `times` are the date and the time.
fn render(template: &str, export: &ResourceId, table: &str, times: &[String; 2], run: &str) -> String {
    let mut name = String::new();
    for part in parts(template).into_iter().flatten() {
        match part {
            Part::Text(text) => name.push_str(text),
            Part::Placeholder("export") => name.push_str(export.as_str()),
            Part::Placeholder("table") => name.push_str(&table_segment(table)),
            Part::Placeholder("date") => name.push_str(&times[0]),
            Part::Placeholder("time") => name.push_str(&times[1]),
            Part::Placeholder(_) => name.push_str(run),
        }
    }
    name
}

fn push(name: &mut String, value: impl std::fmt::Display) {
    // Writing to a string does not fail.
    let _ = write!(name, "{value}");
}

fn parts(template: &str) -> Result<Vec<Part<'_>>, String> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some(position) = rest.find(['{', '}']) {
        let (text, from) = rest.split_at(position);
        let end = from.find('}').filter(|end| *end > 0 && !from[1..*end].contains('{'));
        let Some(end) = end else { return Err("has a brace without its counterpart".to_owned()) };
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        parts.push(Part::Placeholder(&from[1..end]));
        rest = &from[end + 1..];
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    Ok(parts)
}

/// Whether a character of a template is safe in a file name on all systems and in a URL path.
fn is_permitted(character: char) -> bool {
    !character.is_control() && !r#"/\:*?"<>|%#~^`[]{}"#.contains(character)
}

/// A table as a segment of a path. Letters, digits, `_`, `-` and inner periods are kept, other bytes become `!XX`, so
/// that different tables get different segments. A segment that is too long is cut and gets a digest of the table.
/// Names with `%` or `~` would be encoded once more by object stores.
fn table_segment(table: &str) -> String {
    let mut segment = String::with_capacity(table.len());
    for (index, byte) in table.bytes().enumerate() {
        let is_inner = index > 0 && index + 1 < table.len();
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') || byte == b'.' && is_inner {
            segment.push(char::from(byte));
        } else {
            push(&mut segment, format_args!("!{byte:02X}"));
        }
    }
    if segment.len() > MAX_TABLE_BYTES {
        segment.truncate(MAX_TABLE_BYTES - DIGEST_CHARS - 1);
        segment.push('!');
        for byte in &Sha256::digest(table)[..DIGEST_CHARS / 2] {
            push(&mut segment, format_args!("{byte:02x}"));
        }
    }
    segment
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use chrono::TimeZone as _;

    use super::*;
    use crate::model::OrganizationId;

    fn layout(template: &str) -> Layout {
        let export = ExportName {
            organization: OrganizationId::parse("acme").unwrap(),
            id: ResourceId::parse("weekly").unwrap(),
        };
        let time = Utc.with_ymd_and_hms(2026, 11, 24, 6, 0, 0).unwrap();
        Layout::new(export, Uuid::nil(), time, template).unwrap()
    }

    #[test]
    fn names_are_rendered_from_templates() {
        assert_eq!(
            layout(DEFAULT_TEMPLATE).single_file("customers", "csv.zst"),
            "weekly-customers-20261124T060000Z-00000000-0000-0000-0000-000000000000.csv.zst"
        );
        assert_eq!(layout("{table} {date}_v1").single_file("a/b", "csv"), "a!2Fb 2026-11-24_v1.csv");
        assert_eq!(Layout::single_manifest("a.csv"), "a.csv.manifest.json");
        let parts = layout(DEFAULT_TEMPLATE);
        let directory = "weekly/20261124T060000Z-00000000-0000-0000-0000-000000000000";
        assert_eq!(parts.part("..", 12, "parquet"), format!("{directory}/!2E!2E/part-00012.parquet"));
        assert_eq!(parts.manifest(), format!("{directory}/_SUCCESS.json"));
        assert_eq!(parts.run_name(), "organizations/acme/exports/weekly/runs/00000000-0000-0000-0000-000000000000");
    }

    #[test]
    fn templates_that_produce_unsafe_names_are_refused() {
        for template in [
            "", ".", "..", ".hidden", "a.", " a", "a/{run}", "a\\b", "a\n", "{", "}", "{run", "run}", "{{run}}",
            "{user}", "a:b", "a~",
        ] {
            assert!(Layout::check_template(template).is_err(), "{template:?}");
        }
        for template in [DEFAULT_TEMPLATE, "a", "{table}", "Kunden äöü {date}", "{run}{run}{run}"] {
            assert_eq!(Layout::check_template(template), Ok(()), "{template:?}");
        }
        let long = "x".repeat(MAX_NAME_BYTES - 36) + "{run}";
        assert_eq!(Layout::check_template(&long), Ok(()));
        assert!(Layout::check_template(&(long + "y")).unwrap_err().contains("177 bytes"));
    }

    #[test]
    fn tables_get_different_and_safe_segments() {
        let long = |end: &str| "é".repeat(60) + end;
        let tables =
            ["a", "A", "a b", "a!20b", "a_b", ".", "..", "!2E", "a.b", "ä", "a\u{308}", &long("1"), &long("2")];
        let segments: HashSet<String> = tables.iter().map(|table| table_segment(table)).collect();
        assert_eq!(segments.len(), tables.len());
        for segment in &segments {
            assert!(segment.len() <= MAX_TABLE_BYTES && !segment.starts_with('.'), "{segment}");
            assert!(segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.!".contains(&byte)), "{segment}");
        }
    }
}
