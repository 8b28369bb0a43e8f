//! Cron expressions: the accepted grammar and the matching of wall times.
//!
//! The grammar is defined here and small, so that the meaning of a stored expression does not change with a library.
//! croner, which accepts several other dialects, gets normalized numeric fields and computes matching wall times only;
//! time zones are handled by the evaluator.

use chrono::NaiveDateTime;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

/// Maximum length of an expression in characters.
pub const MAX_EXPRESSION_CHARS: usize = 255;

/// One of the five fields of an expression.
struct Field {
    name: &'static str,
    min: usize,
    max: usize,
    /// Names of the values in order, starting with `min`.
    names: &'static [&'static str],
    kind: Kind,
}

/// Syntax that a field accepts besides values, ranges and steps.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    /// `L`: the last day of the month.
    DayOfMonth,
    /// `FRI#2` and `FRIL`: the second and the last Friday of the month.
    DayOfWeek,
}

const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

const FIELDS: [Field; 5] = [
    Field { name: "minute", min: 0, max: 59, names: &[], kind: Kind::Plain },
    Field { name: "hour", min: 0, max: 23, names: &[], kind: Kind::Plain },
    Field { name: "day of month", min: 1, max: 31, names: &[], kind: Kind::DayOfMonth },
    Field { name: "month", min: 1, max: 12, names: &MONTHS, kind: Kind::Plain },
    Field { name: "day of week", min: 0, max: 7, names: &DAYS, kind: Kind::DayOfWeek },
];

/// A parsed expression: matches wall times.
///
/// If both day fields are set, a day matches when either matches; otherwise the one that is set decides (POSIX.1-2024,
/// crontab). A field is set unless it is `*`. `*/2` counts as set; Vixie cron treats it as unset. Days of week 0 and 7
/// are both Sunday.
#[derive(Clone, Debug)]
pub(super) struct WallCron(Cron);

impl WallCron {
    /// Parses an expression of five fields.
    ///
    /// # Errors
    ///
    /// All problems of the expression, as texts for its author.
    pub(super) fn parse(expression: &str) -> Result<Self, Vec<String>> {
        let plain = to_numbers(expression)?;
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        parser.parse(&plain).map(Self).map_err(|error| vec![error.to_string()])
    }

    /// The first match after `from`, or at `from` if `inclusive`; `None` if there is none before the year 5000.
    pub(super) fn next(&self, from: NaiveDateTime, inclusive: bool) -> Option<NaiveDateTime> {
        self.0.find_next_occurrence(&from, inclusive).ok()
    }

    /// Whether a wall time in whole seconds matches.
    pub(super) fn matches(&self, wall: NaiveDateTime) -> bool {
        self.0.is_time_matching(&wall).unwrap_or(false)
    }
}

/// The expression with numbers instead of names, or its problems.
fn to_numbers(expression: &str) -> Result<String, Vec<String>> {
    if expression.chars().count() > MAX_EXPRESSION_CHARS {
        return Err(vec![format!("must have at most {MAX_EXPRESSION_CHARS} characters")]);
    }
    if expression.trim_start().starts_with('@') {
        return Err(vec![
            "must have five fields, for example `0 6 * * *`; macros such as @daily are not supported".to_owned(),
        ]);
    }
    let written: Vec<&str> = expression.split([' ', '\t']).filter(|field| !field.is_empty()).collect();
    if written.len() != FIELDS.len() {
        return Err(vec![format!(
            "must have five fields (minute, hour, day of month, month, day of week), without seconds or years; has {}",
            written.len()
        )]);
    }
    let mut fields = Vec::with_capacity(FIELDS.len());
    let mut problems = Vec::new();
    for (field, text) in FIELDS.iter().zip(written) {
        let items: Result<Vec<String>, String> =
            text.to_ascii_uppercase().split(',').map(|item| field.item(item)).collect();
        match items {
            // In a list, `*` would be redundant and would make the field count as unset.
            Ok(items) if items.len() > 1 && items.iter().any(|item| item == "*") => {
                problems.push(format!("{}: `*` must not be an item of a list", field.name));
            }
            Ok(items) => fields.push(items.join(",")),
            Err(problem) => problems.push(format!("{}: {problem}", field.name)),
        }
    }
    if problems.is_empty() { Ok(fields.join(" ")) } else { Err(problems) }
}

impl Field {
    /// One item of a list, with numbers instead of names.
    fn item(&self, item: &str) -> Result<String, String> {
        if self.kind == Kind::DayOfMonth && item == "L" {
            return Ok(item.to_owned());
        }
        if self.kind == Kind::DayOfWeek {
            if let Some(day) = item.strip_suffix('L') {
                return Ok(format!("{}L", self.value(day)?));
            }
            if let Some((day, nth)) = item.split_once('#') {
                let nth = number(nth).filter(|nth| (1..=5).contains(nth));
                let nth = nth.ok_or_else(|| format!("`{item}`: the number after # must be 1 to 5"))?;
                return Ok(format!("{}#{nth}", self.value(day)?));
            }
        }
        if let Some((range, step)) = item.split_once('/') {
            let step = number(step).filter(|step| (1..=self.max).contains(step));
            let step = step.ok_or_else(|| format!("`{item}`: the step must be 1 to {}", self.max))?;
            if range == "*" {
                return Ok(format!("*/{step}"));
            }
            let range = range.split_once('-').ok_or_else(|| format!("`{item}`: a step must follow `*` or a range"))?;
            return Ok(format!("{}/{step}", self.range(range)?));
        }
        match item.split_once('-') {
            Some(range) => self.range(range),
            None if item == "*" => Ok(item.to_owned()),
            None => self.value(item).map(|value| value.to_string()),
        }
    }

    /// A range with inclusive ends; Sunday at the end of a range of several days is 7.
    fn range(&self, (first, last): (&str, &str)) -> Result<String, String> {
        let (from, mut to) = (self.value(first)?, self.value(last)?);
        if self.kind == Kind::DayOfWeek && last == "SUN" && from > 0 {
            to = 7;
        }
        if from > to {
            return Err(format!(
                "`{first}-{last}`: the start of a range must not be greater than its end; write two ranges, for example `22-23,0-5`"
            ));
        }
        Ok(format!("{from}-{to}"))
    }

    /// A number or a name, within bounds.
    fn value(&self, text: &str) -> Result<usize, String> {
        let by_name = self.names.iter().position(|name| *name == text).map(|index| index + self.min);
        let value = by_name.or_else(|| number(text)).filter(|value| (self.min..=self.max).contains(value));
        value.ok_or_else(|| {
            let names = match (self.names.first(), self.names.last()) {
                (Some(first), Some(last)) => format!(" or {first} to {last}"),
                _ => String::new(),
            };
            format!("`{text}` must be {} to {}{names}", self.min, self.max)
        })
    }
}

/// One or two digits.
fn number(text: &str) -> Option<usize> {
    let digits = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}
