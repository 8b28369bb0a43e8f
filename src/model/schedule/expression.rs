//! Cron expressions: the accepted grammar.
//!
//! The grammar is defined here and small, so that the meaning of a stored expression does not change with a library.

use std::sync::OnceLock;

use super::cron::{Cron, DaysOfMonth, DaysOfWeek};
use crate::model::{excerpt, limits};

/// Maximum length of an expression in characters.
pub const MAX_EXPRESSION_CHARS: usize = 255;

/// One of the five fields of an expression.
struct Field {
    name: &'static str,
    min: u32,
    max: u32,
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

/// One item of the list in a field.
enum Item {
    /// A bit for each value that matches.
    Values(u64),
    /// The last day of the month.
    LastDay,
    /// A weekday, and 1 to 5: the first to the fifth of a month.
    NthWeekday(u32, u32),
    /// The last of a month's days with this weekday.
    LastWeekday(u32),
}

/// A parsed field.
struct ParsedField {
    items: Vec<Item>,
    /// The field is `*`.
    any: bool,
    /// An item is `*` or `*/n`.
    star: bool,
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

/// Parses an expression of five fields.
///
/// # Errors
///
/// All problems of the expression, as texts for its author.
pub(super) fn parse(expression: &str) -> Result<Cron, Vec<String>> {
    if expression.chars().count() > MAX_EXPRESSION_CHARS {
        return Err(vec![format!("must have at most {MAX_EXPRESSION_CHARS} characters")]);
    }
    if expression.trim_start().starts_with('@') {
        return Err(vec![
            "must have five fields, for example `0 6 * * *`; macros such as @daily are not supported".to_owned(),
        ]);
    }
    let texts: Vec<&str> = expression.split([' ', '\t']).filter(|field| !field.is_empty()).collect();
    if texts.len() != FIELDS.len() {
        return Err(vec![format!(
            "must have five fields (minute, hour, day of month, month, day of week), without seconds or years; has {}",
            texts.len()
        )]);
    }
    let mut fields = Vec::with_capacity(FIELDS.len());
    let mut problems = Vec::new();
    for (field, text) in FIELDS.iter().zip(texts) {
        match field.parse(text) {
            Ok(items) => fields.push(items),
            Err(problem) => problems.push(format!("{}: {problem}", field.name)),
        }
    }
    match <[ParsedField; 5]>::try_from(fields) {
        Ok([minutes, hours, days_of_month, months, days_of_week]) => Ok(Cron {
            minutes: minutes.values(),
            hours: hours.values(),
            days_of_month: (!days_of_month.any).then(|| days_of_month.days_of_month()),
            months: months.values(),
            days_of_week: (!days_of_week.any).then(|| days_of_week.days_of_week()),
            star_hour: hours.star,
            shortest_distance: OnceLock::new(),
        }),
        Err(_) => Err(problems),
    }
}

impl ParsedField {
    fn values(&self) -> u64 {
        let values = self.items.iter().map(|item| match item {
            Item::Values(values) => *values,
            Item::LastDay | Item::NthWeekday(..) | Item::LastWeekday(_) => 0,
        });
        values.fold(0, |all, values| all | values)
    }

    fn days_of_month(&self) -> DaysOfMonth {
        let last = self.items.iter().any(|item| matches!(item, Item::LastDay));
        DaysOfMonth { days: self.values(), last }
    }

    fn days_of_week(&self) -> DaysOfWeek {
        let mut days = DaysOfWeek::default();
        for item in &self.items {
            match *item {
                // Days of week 0 and 7 are both Sunday.
                Item::Values(values) => days.every |= (values | values >> 7) & 0x7f,
                Item::NthWeekday(day, nth) => days.nth.push((day % 7, nth)),
                Item::LastWeekday(day) => days.last |= 1 << (day % 7),
                Item::LastDay => {}
            }
        }
        days
    }
}

impl Field {
    fn parse(&self, text: &str) -> Result<ParsedField, String> {
        let text = text.to_ascii_uppercase();
        let items = text.split(',').map(|item| self.item(item)).collect::<Result<Vec<_>, _>>()?;
        // In a list, `*` would be redundant and would make the field count as unset.
        if items.len() > 1 && text.split(',').any(|item| item == "*") {
            return Err("`*` must not be an item of a list".to_owned());
        }
        Ok(ParsedField { items, any: text == "*", star: text.split(',').any(|item| item.starts_with('*')) })
    }

    fn item(&self, item: &str) -> Result<Item, String> {
        if self.kind == Kind::DayOfMonth && item == "L" {
            return Ok(Item::LastDay);
        }
        if self.kind == Kind::DayOfWeek {
            if let Some(day) = item.strip_suffix('L') {
                return Ok(Item::LastWeekday(self.value(day)?));
            }
            if let Some((day, nth)) = item.split_once('#') {
                let nth = number(nth).filter(|nth| (1..=5).contains(nth));
                let nth = nth.ok_or_else(|| format!("`{}`: the number after # must be 1 to 5", shown(item)))?;
                return Ok(Item::NthWeekday(self.value(day)?, nth));
            }
        }
        let (range, step) = match item.split_once('/') {
            None => (item, 1),
            Some((range, step)) => {
                let step = number(step).filter(|step| (1..=self.max).contains(step));
                let step = step.ok_or_else(|| format!("`{}`: the step must be 1 to {}", shown(item), self.max))?;
                if range != "*" && !range.contains('-') {
                    return Err(format!("`{}`: a step must follow `*` or a range", shown(item)));
                }
                (range, step)
            }
        };
        let (from, to) = match range.split_once('-') {
            Some(range) => self.range(range)?,
            None if range == "*" => (self.min, self.max),
            None => self.value(range).map(|value| (value, value))?,
        };
        let values = (from..=to).step_by(usize::try_from(step).unwrap_or(usize::MAX));
        Ok(Item::Values(values.fold(0, |bits, value| bits | 1 << value)))
    }

    /// A range with inclusive ends; Sunday at the end of a range of several days is 7.
    fn range(&self, (first, last): (&str, &str)) -> Result<(u32, u32), String> {
        let (from, mut to) = (self.value(first)?, self.value(last)?);
        if self.kind == Kind::DayOfWeek && last == "SUN" && from > 0 {
            to = 7;
        }
        if from > to {
            return Err(format!(
                "`{first}-{last}`: the start of a range must not be greater than its end; write two ranges, for example `22-23,0-5`"
            ));
        }
        Ok((from, to))
    }

    /// A number or a name, within bounds.
    fn value(&self, text: &str) -> Result<u32, String> {
        let by_name = (self.min..).zip(self.names).find(|(_, name)| **name == text).map(|(value, _)| value);
        let value = by_name.or_else(|| number(text)).filter(|value| (self.min..=self.max).contains(value));
        value.ok_or_else(|| {
            let names = match (self.names.first(), self.names.last()) {
                (Some(first), Some(last)) => format!(" or {first} to {last}"),
                _ => String::new(),
            };
            format!("`{}` must be {} to {}{names}", shown(text), self.min, self.max)
        })
    }
}

/// A part of the expression in a text about a problem.
fn shown(part: &str) -> String {
    excerpt(part, limits::MAX_REPEATED_CHARS)
}

/// One or two digits.
fn number(text: &str) -> Option<u32> {
    let digits = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}
