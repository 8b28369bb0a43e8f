//! Every file that must be refused, with its line and the reason.
//!
//! Each case is the sample with one thing spoilt, so that nothing else can be the cause.

use std::fs;
use std::path::PathBuf;

use super::super::{Catalog, CatalogError};
use super::{SAMPLE, read_type};

/// What is replaced (its first occurrence), by what, and what the refusal says; the line is the one with `<<`, a
/// comment put there by the case, or else the first that differs.
type Case = (&'static str, &'static str, &'static str);

const SYNTAX: &[Case] = &[
    ("id = \"sample\"", "id = sample", "string values must be quoted"),
    ("value_type = \"HOST\"", "value_type = \"HOSTNAME\"", "unknown variant `HOSTNAME`"),
    ("launch_stage = \"PREVIEW\"", "launch_stage = \"BETA\"", "unknown variant `BETA`"),
    ("delivered_by = \"RUNNER\"", "delivered_by = \"NOBODY\"", "unknown variant `NOBODY`"),
    ("schema_version = 1", "schema_version = -1", "invalid value: integer `-1`"),
    ("required = true", "mandatory = true", "unknown field `mandatory`"),
    ("category = \"Test\"", "category = \"Test\"\ncolour = \"red\" # <<", "unknown field `colour`"),
    ("key = \"host\"", "key = \"host\"\nkey = \"again\" # <<", "duplicate key"),
    ("[[property_fields]]\nkey = \"port\"", "[[property_fields]] # <<", "missing field `key`"),
    ("required = true", "required = 1", "invalid type: integer `1`, expected a boolean"),
];

const TYPES: &[Case] = &[
    ("id = \"sample\"", "id = \"Sample\"", "must match [a-z]([a-z0-9_]{0,61}[a-z0-9])?"),
    ("id = \"sample\"", "id = \"sample_\"", "must match"),
    ("id = \"sample\"", "id = \"\"", "must match"),
    ("display_name = \"Sample\"", "display_name = \" \"", "must not be empty"),
    ("description = \"One field of every kind.\"", "description = \"a\\u0000b\"", "control characters"),
    ("\"https://example.com/sample\"", "\"example.com\"", "documentation_uri must be an absolute URI"),
    ("schema_version = 1", "schema_version = 0", "schema_version must be at least 1"),
    ("interval_seconds = 60", "interval_seconds = 0", "min_schedule_interval_seconds must be at least 1"),
    ("concurrent_runs = 1", "concurrent_runs = 0", "max_concurrent_runs must be at least 1"),
    ("id = \"key\"", "id = \"password\"", "auth method password is defined twice"),
    ("id = \"key\"", "id = \"the key\"", "must match"),
    (
        "id = \"password\"\ndisplay_name = \"Password\"",
        "id = \"none\" # <<\ndisplay_name = \"None\"\ncredential_fields = []\n\n[[auth_methods]]\nid = \"password\"\n\
         display_name = \"Password\"",
        "auth method none has no credential field",
    ),
];

const FIELDS: &[Case] = &[
    ("key = \"port\"", "key = \"host\"", "field host is defined twice"),
    ("key = \"passphrase\"", "key = \"private_key\"", "field private_key is defined twice"),
    ("key = \"batch_size\"", "key = \"folder\"", "field folder is defined twice"),
    ("key = \"code\"", "key = \"Code\"", "must match"),
    ("description = \"A host.\"", "description = \"\"", "must not be empty"),
    (
        "key = \"note\"\ndisplay_name = \"Note\"\ndescription = \"A free text.\"\nvalue_type = \"STRING\"\nbinding = false",
        "key = \"note\" # <<\ndisplay_name = \"Note\"\ndescription = \"A free text.\"\nvalue_type = \"STRING\"",
        "property note must say binding = true or binding = false",
    ),
    ("required = true\nbinding = true", "required = true\nbinding = false", "host is a HOST, PORT or URI and must be"),
    ("binding = true\ndefault_value = 5432", "binding = false\ndefault_value = 5432", "port is a HOST, PORT or URI"),
    ("value_type = \"URI\"\nbinding = true", "value_type = \"URI\"\nbinding = false", "url is a HOST, PORT or URI"),
    ("[a-z]+|[0-9]+", "[a-z", "pattern is not a regular expression: unclosed character class"),
    ("[a-z]+|[0-9]+", "a)|(b", "pattern is not a regular expression: unopened group"),
    ("[a-z]+|[0-9]+", "(?:a{1000}){1000}", "pattern is not a regular expression: Compiled regex exceeds size"),
    (
        "value_type = \"ENUM\"\nbinding = true\nallowed_values = [\"fast\", \"safe\"]",
        "value_type = \"STRING\"\nbinding = true\nallowed_values = [\"fast\", \"safe\"] # <<",
        "only an ENUM or a STRING_LIST has allowed_values",
    ),
    ("allowed_values = [\"fast\", \"safe\"]", "allowed_values = []", "allowed_values of mode must not be empty"),
    ("[\"fast\", \"safe\"]", "[\"fast\", \"fast\"]", "allowed_values of mode has a value twice"),
    ("[\"fast\", \"safe\"]", "[\"fast\", \"\"]", "allowed_values of mode must not be blank"),
    (
        "value_type = \"STRING\"\nbinding = false\npattern",
        "value_type = \"ENUM\" # <<\nbinding = false\npattern",
        "ENUM code",
    ),
    ("minimum = -5\nmaximum = 10", "minimum = 11\nmaximum = 10 # <<", "the maximum of count is less than its minimum"),
    ("maximum = 10", "maximum = inf", "a bound of count must be finite"),
    ("pattern = \"[a-z]+|[0-9]+\"", "maximum = 3", "only an INTEGER, DOUBLE or PORT has bounds, not code"),
    ("minimum = -5", "pattern = \"5\"", "only a STRING, STRING_LIST, URI or HOST has a pattern, not count"),
    ("minimum = -5", "relative_path = true", "only a STRING has relative_path, not count"),
    (
        "required = true\n",
        "required = true\ndefault_value = \"a\" # <<\n",
        "required field host must not have a default",
    ),
    ("default_value = 5432", "default_value = 0", "default_value of port must be a port of 1 to 65535"),
    ("default_value = 5432", "default_value = \"22\"", "default_value of port must be a whole number"),
    ("default_value = true", "default_value = 2026-01-01", "default_value of verify must be true or false"),
    ("maximum = 10", "maximum = 10\ndefault_value = 11 # <<", "default_value of count must be at most 10"),
    ("[0-9]+\"", "[0-9]+\"\ndefault_value = \"A\" # <<", "default_value of code must match [a-z]+|[0-9]+"),
    ("\"safe\"]", "\"safe\"]\ndefault_value = \"slow\" # <<", "default_value of mode must be one of: fast, safe"),
    (
        "relative_path = true",
        "relative_path = true\ndefault_value = \"../a\" # <<",
        "default_value of folder must be a rel",
    ),
    ("relative_path = true", "binding = false", "field folder must not say binding"),
    ("value_type = \"STRING\"\nrelative_path = true", "value_type = \"URI\"", "export field folder must not be a HOST"),
    ("pattern = '[^\\n]+'", "default_value = \"s3cret\"", "credential field password must not have a default"),
    ("pattern = '[^\\n]+'", "binding = true", "field password must not say binding"),
    (
        "value_type = \"STRING\"\nrequired",
        "value_type = \"URI\"\nrequired",
        "credential field password must be a STRING",
    ),
];

/// A directory of the operator's, gone with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str, files: &[(&str, &[u8])]) -> Self {
        let path = std::env::temp_dir().join(format!("outflow-catalog-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        for (file, bytes) in files {
            fs::write(path.join(file), bytes).unwrap();
        }
        Self(path)
    }

    fn load(&self) -> Result<Catalog, CatalogError> {
        Catalog::load(Some(&self.0))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn line_of(spoilt: &str) -> usize {
    let marked = spoilt.lines().position(|line| line.contains("# <<"));
    1 + marked.unwrap_or_else(|| spoilt.lines().zip(SAMPLE.lines()).position(|(one, other)| one != other).unwrap())
}

fn refused(cases: &[Case]) {
    for (from, to, reason) in cases {
        assert!(SAMPLE.contains(from), "{from}");
        let spoilt = SAMPLE.replacen(from, to, 1);
        let fault = read_type(&spoilt).map_err(|error| error.in_file("sample.toml", spoilt.as_bytes()));
        let message = fault.err().map(|error| error.to_string()).unwrap_or_default();
        let place = format!("sample.toml:{}: ", line_of(&spoilt));
        assert!(message.starts_with(&place), "{to}: expected {place} got {message}");
        assert!(message.contains(reason), "{to}: expected {reason} got {message}");
        assert!(!message.contains('\n'), "{message}");
    }
}

#[test]
fn what_cannot_be_read_as_a_type() {
    refused(SYNTAX);
}

#[test]
fn what_a_type_cannot_be() {
    refused(TYPES);
}

#[test]
fn what_a_field_cannot_be() {
    refused(FIELDS);
}

#[test]
fn a_type_must_say_whether_it_takes_a_credential() {
    let start = SAMPLE.find("[[auth_methods]]").unwrap();
    let end = SAMPLE.find("[[export_fields]]").unwrap();
    let silent = format!("{}{}", &SAMPLE[..start], &SAMPLE[end..]);
    let directory = Directory::new("silent", &[("sample.toml", silent.as_bytes())]);
    assert!(directory.load().unwrap_err().to_string().contains("sample.toml:1: missing field `auth_methods`"));
}

#[test]
fn an_operators_types_join_the_embedded_ones() {
    let other = SAMPLE.replacen("\"sample\"", "\"other\"", 1);
    let files: &[(&str, &[u8])] =
        &[("b.toml", SAMPLE.as_bytes()), ("a.toml", other.as_bytes()), ("README.md", b"not a type")];
    let catalog = Directory::new("good", files).load().unwrap();
    assert_eq!(catalog.ids().count(), 11);
    assert!(catalog.get("sample").is_some() && catalog.get("other").is_some() && catalog.get("sftp").is_some());
}

#[test]
fn a_type_id_twice_is_refused_in_the_later_file() {
    let files: &[(&str, &[u8])] = &[("b.toml", SAMPLE.as_bytes()), ("a.toml", SAMPLE.as_bytes())];
    let directory = Directory::new("twice", files);
    let message = directory.load().unwrap_err().to_string();
    let (first, second) = (directory.0.join("a.toml"), directory.0.join("b.toml"));
    let expected = format!("{}:1: connection type sample is already defined in {}", second.display(), first.display());
    assert_eq!(message, expected);
}

#[test]
fn an_embedded_type_cannot_be_replaced() {
    let sftp = format!("# ours\n{}", SAMPLE.replacen("\"sample\"", "\"sftp\"", 1));
    let directory = Directory::new("replaced", &[("mine.toml", sftp.as_bytes())]);
    let expected = "mine.toml:2: connection type sftp is already defined in embedded:sftp.toml";
    assert!(directory.load().unwrap_err().to_string().ends_with(expected));
}

#[test]
fn unreadable_files_are_named() {
    let missing = Catalog::load(Some(&PathBuf::from("/nowhere/at/all"))).unwrap_err().to_string();
    assert!(missing.starts_with("/nowhere/at/all: cannot be read: "), "{missing}");

    let latin = Directory::new("latin", &[("a.toml", b"# caf\xc3\xa9\n# caf\xe9\n")]);
    assert!(latin.load().unwrap_err().to_string().ends_with("a.toml:2: is not UTF-8"));

    let huge = Directory::new("huge", &[("a.toml", &vec![b'\n'; 1024 * 1024 + 1])]);
    assert!(huge.load().unwrap_err().to_string().ends_with("a.toml: cannot be read: is larger than 1 MiB"));
}
