//! What shells, `.env` files, JSON and word processors leave around a value: its name and quotes.

/// Words of which a name of a credential has at least one.
const WORDS: [&str; 8] = ["key", "secret", "token", "password", "passphrase", "credential", "cert", "sas"];
/// Names in the answers of AWS, which are not written with underscores.
const AWS_NAMES: [&str; 3] = ["AccessKeyId", "SecretAccessKey", "SessionToken"];
/// Quotes that no keyboard types and no format has.
const TYPOGRAPHIC: &str =
    "\u{201c}\u{201d}\u{201e}\u{201f}\u{2018}\u{2019}\u{201a}\u{201b}\u{ab}\u{bb}\u{2039}\u{203a}";

const NAMED: &str = "has its name before it; enter the value alone, without the name";
const QUOTED: &str = "has quotation marks around it; enter the value without them";

/// Returns a value without the pair of straight quotes around it. A value that `may_be_quoted`, because the format permits
/// quotes at both ends, is refused instead: whether they belong to it is not certain.
pub(super) fn unwrap(text: &str, may_be_quoted: bool) -> Result<&str, &'static str> {
    if has_name(text) {
        return Err(NAMED);
    }
    let is_typographic = |character: Option<char>| character.is_some_and(|found| TYPOGRAPHIC.contains(found));
    if is_typographic(text.chars().next()) || is_typographic(text.chars().next_back()) {
        return Err(QUOTED);
    }
    let is_quote = |byte: Option<&u8>| byte.is_some_and(|byte| matches!(byte, b'"' | b'\''));
    let bytes = text.as_bytes();
    let is_pair = bytes.len() > 1 && is_quote(bytes.first()) && bytes.first() == bytes.last();
    match (is_pair, may_be_quoted) {
        (true, true) => Err(QUOTED),
        (true, false) => Ok(text[1..text.len() - 1].trim()),
        (false, false) if is_quote(bytes.first()) || is_quote(bytes.last()) => {
            Err("has a quotation mark at one end; enter the complete value without it")
        }
        (false, _) => Ok(text),
    }
}

/// Whether a value follows its name, as in `AWS_ACCESS_KEY_ID=…` or `"SecretAccessKey": "…"`.
fn has_name(text: &str) -> bool {
    let text = ["export ", "set ", "$env:"].iter().find_map(|prefix| text.strip_prefix(prefix)).unwrap_or(text);
    let text = text.trim_start_matches([' ', '"', '\'']);
    let end = text.find(|character: char| !character.is_ascii_alphanumeric() && character != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let separated = rest.trim_start_matches([' ', '"', '\'']);
    let value = separated.strip_prefix('=').or_else(|| {
        // A colon alone is a part of some tokens.
        separated.strip_prefix(':').filter(|value| value.starts_with([' ', '"', '\'']))
    });
    let has_value = value.is_some_and(|value| !value.trim_matches(['=', ' ']).is_empty());
    has_value && is_name(name)
}

fn is_name(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let is_one_case = name == lower || name == name.to_ascii_uppercase();
    let is_variable = is_one_case && name.contains('_') && WORDS.iter().any(|word| lower.contains(word));
    is_variable || AWS_NAMES.contains(&name)
}
