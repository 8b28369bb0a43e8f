//! Prints settings: the effective ones with their sources, and the reference of all of them.

use super::setting::Setting;
use super::settings::SETTINGS;
use super::source::Values;

/// Replaces secrets in the output.
const REDACTED: &str = "<redacted>";

/// Every setting with its value and its source, as a TOML file: `listen = "127.0.0.1:50051" # default`.
pub fn effective(values: &Values) -> String {
    let mut lines = Vec::new();
    for (concern, settings) in SETTINGS {
        lines.push(format!("# {concern}"));
        lines.extend(settings.iter().map(|setting| line(setting, values)));
        lines.push(String::new());
    }
    lines.join("\n")
}

fn line(setting: &Setting, values: &Values) -> String {
    let key = setting.key;
    match (values.text(key), values.source(key)) {
        (Some(text), Some(source)) => {
            let text = if setting.is_secret() { REDACTED.to_owned() } else { without_query(text) };
            format!("{key} = {} # {source}", toml::Value::from(text))
        }
        _ => format!("# {key} is not set"),
    }
}

/// The query of a URL may hold a secret.
fn without_query(text: &str) -> String {
    match text.split_once('?') {
        Some((url, _)) if url.contains("://") => format!("{url}?{REDACTED}"),
        _ => text.to_owned(),
    }
}

/// The reference of all settings, in Markdown: a table per concern.
pub fn reference() -> String {
    let mut lines = Vec::new();
    for (concern, settings) in SETTINGS {
        lines.push(format!("**{concern}**\n\n| Environment variable | Default | |\n|---|---|---|"));
        for setting in settings {
            let default = setting.default.map(|default| format!("`{default}`")).unwrap_or_default();
            let flag = if setting.flag { format!(", `--{}`", setting.flag_name()) } else { String::new() };
            let file = if setting.has_file() { ", `…_FILE`" } else { "" };
            let (variable, description) = (setting.variable(), setting.description);
            lines.push(format!("| `{variable}`{file}{flag} | {default} | {description} |"));
        }
        lines.push(String::new());
    }
    lines.join("\n")
}
