//! The formats of log lines. Values can come from callers and from servers elsewhere, so an event is always one line, and
//! nothing in it acts on a terminal.
//!
//! The formats of `tracing-subscriber` leave line breaks, line separators and bidirectional controls in values that are
//! recorded by `Display`, and its JSON has characters from U+007F to U+009F.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::{DefaultFields, Writer};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::fmt::{self as log, FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::model::{Escaped, is_unsafe};

/// The layer that writes log lines, as JSON objects or as text.
pub fn layer<S>(json: bool, ansi: bool, writer: BoxMakeWriter) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let layer = log::layer().with_ansi(ansi).with_writer(writer);
    if json {
        layer.json().flatten_event(true).map_event_format(EscapedJson).boxed()
    } else {
        layer.fmt_fields(EscapedFields).boxed()
    }
}

/// Formats the message and the fields of an event, or the fields of a span, as escaped text.
struct EscapedFields;

impl<'writer> FormatFields<'writer> for EscapedFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut text = String::new();
        DefaultFields::new().format_fields(Writer::new(&mut text), fields)?;
        write!(writer, "{}", Escaped(&text))
    }
}

/// Formats events as another formatter does, which writes a line of JSON.
struct EscapedJson<F>(F);

impl<S, N, F> FormatEvent<S, N> for EscapedJson<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'writer> FormatFields<'writer> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        for character in line.trim_end().chars() {
            // Outside of strings JSON has none of these, and all of them are in the Basic Multilingual Plane.
            if is_unsafe(character) {
                write!(writer, "\\u{:04x}", u32::from(character))?;
            } else {
                writer.write_char(character)?;
            }
        }
        writeln!(writer)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use parking_lot::Mutex;
    use serde_json::Value;
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::registry;

    use super::*;

    /// Values that would fake a line, color or clear a terminal, or reverse the order of what follows.
    const HOSTILE: [&str; 10] = [
        "a\n2026-11-24T00:00:00Z  INFO audit: changed",
        "a\r\nb",
        "\u{1b}[2J\u{1b}[31mred",
        "\u{1b}]0;title\u{7}",
        "\u{9b}2J",
        "\u{8}\u{c}\u{7f}\0",
        "a\u{85}b",
        "a\u{2028}b\u{2029}c",
        "\u{202e}txt.exe\u{202c}",
        "\u{2066}a\u{2069}\u{200f}\u{61c}",
    ];

    /// What a layer writes.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[derive(Debug, thiserror::Error)]
    #[error("outer {0}")]
    struct Outer(&'static str, #[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("inner {0}")]
    struct Inner(&'static str);

    /// The log of one event with a value in every way in which a value is recorded.
    fn written(json: bool, ansi: bool, value: &'static str) -> String {
        let written = Written::default();
        let writer = written.clone();
        let layer = layer(json, ansi, BoxMakeWriter::new(move || writer.clone()));
        tracing::subscriber::with_default(registry().with(layer), || {
            let span = tracing::info_span!("call", path = %value, later = tracing::field::Empty);
            span.record("later", tracing::field::display(value));
            let _entered = span.enter();
            let error = Outer(value, Inner(value));
            let error = &error as &dyn std::error::Error;
            tracing::info!(text = value, display = %value, debug = ?value, list = ?[value], error, "message {value}");
        });
        String::from_utf8(written.0.lock().clone()).unwrap()
    }

    #[test]
    fn an_event_as_text_is_one_line_that_does_not_act_on_a_terminal() {
        for value in HOSTILE {
            let line = written(false, false, value);
            let content = line.strip_suffix('\n').unwrap();
            assert!(!content.contains(is_unsafe), "{line:?}");
            assert!(content.contains("message ") && content.contains("display=") && content.contains("later="));
            let colored = written(false, true, value);
            let content = colored.strip_suffix('\n').unwrap();
            // Only the formatter's own colors: of the time, the level, the target, and the span.
            let colors: Vec<_> = content.match_indices('\u{1b}').map(|(start, _)| &content[start..start + 3]).collect();
            assert!(colors.iter().all(|color| ["\u{1b}[0", "\u{1b}[1", "\u{1b}[2", "\u{1b}[3"].contains(color)));
            assert_eq!(colors.len(), written(false, true, "plain").matches('\u{1b}').count(), "{content:?}");
            assert!(!content.contains(|found| found != '\u{1b}' && is_unsafe(found)), "{content:?}");
        }
    }

    #[test]
    fn an_event_as_json_is_one_object_with_the_value_unchanged() {
        for value in HOSTILE {
            let line = written(true, false, value);
            let content = line.strip_suffix('\n').unwrap();
            assert!(!content.contains(is_unsafe), "{line:?}");
            let object: Value = serde_json::from_str(content).unwrap();
            assert_eq!(object["text"], value);
            assert_eq!(object["display"], value);
            assert_eq!(object["message"], format!("message {value}"));
            assert_eq!(object["span"]["later"], value);
        }
    }
}
