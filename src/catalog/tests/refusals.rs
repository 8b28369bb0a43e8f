//! Invalid files are refused with their line and the reason.
//!
//! Each case changes one thing in the sample, so that nothing else can be the cause.

use std::error::Error as _;
use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::super::{Catalog, CatalogError};
use super::{SAMPLE, read_type};

/// The text to replace (its first occurrence), its replacement, and a part of the expected error. The expected line is the
/// one with the comment `# <<` in the replacement, or else the first that differs.
type Case = (&'static str, &'static str, &'static str);

const SYNTAX: &[Case] = &[
    ("id = \"sample\"", "id = sample", "string values must be quoted"),
    ("value_type = \"HOST\"", "value_type = \"HOSTNAME\"", "unknown variant `HOSTNAME`"),
    ("launch_stage = \"PREVIEW\"", "launch_stage = \"BETA\"", "unknown variant `BETA`"),
    ("delivered_by = \"RUNNER\"", "delivered_by = \"ROBOT\"", "unknown variant `ROBOT`"),
    ("delivered_by = \"RUNNER\"", "delivered_by = \"RUNNER\"\ndelivery = \"TWICE\" # <<", "unknown variant `TWICE`"),
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
    ("description = \"A field of every value type.\"", "description = \"a\\u0000b\"", "control characters"),
    ("\"https://example.com/sample\"", "\"example.com\"", "documentation_uri must be a URL that begins with"),
    ("category = \"Test\"", "article = \" \" # <<\ncategory = \"Test\"", "must not be empty"),
    ("category = \"Test\"", "article = \"a\\u0000b\" # <<\ncategory = \"Test\"", "control characters"),
    ("schema_version = 1", "schema_version = 0", "schema_version must be at least 1"),
    ("interval_seconds = 60", "interval_seconds = 0", "min_schedule_interval_seconds must be at least 1"),
    ("concurrent_runs = 1", "concurrent_runs = 0", "max_concurrent_runs must be at least 1"),
    ("id = \"key\"", "id = \"password\"", "auth method password is a duplicate"),
    ("id = \"key\"", "id = \"the key\"", "must match"),
    (
        "id = \"password\"\ndisplay_name = \"Password\"",
        "id = \"none\" # <<\ndisplay_name = \"None\"\ncredential_fields = []\n\n[[auth_methods]]\nid = \"password\"\n\
         display_name = \"Password\"",
        "auth method none must have at least one credential field",
    ),
];

const FIELDS: &[Case] = &[
    ("default_value = 5432", "draft_value = 5432", "only required properties have a draft_value, not port"),
    (
        "description = \"A host.\"\nvalue_type = \"HOST\"\nrequired = true",
        "description = \"A host.\"\nvalue_type = \"HOST\"\nrequired = true\ndraft_value = \"a b\" # <<",
        "draft_value of host",
    ),
    ("key = \"port\"", "key = \"host\"", "field host is a duplicate"),
    ("key = \"passphrase\"", "key = \"private_key\"", "field private_key is a duplicate"),
    ("key = \"batch_size\"", "key = \"folder\"", "field folder is a duplicate"),
    ("key = \"code\"", "key = \"Code\"", "must match"),
    ("description = \"A host.\"", "description = \"\"", "must not be empty"),
    (
        "key = \"note\"\ndisplay_name = \"Note\"\ndescription = \"Free text.\"\nvalue_type = \"STRING\"\nbinding = false",
        "key = \"note\" # <<\ndisplay_name = \"Note\"\ndescription = \"Free text.\"\nvalue_type = \"STRING\"",
        "property note must set binding to true or false",
    ),
    ("required = true\nbinding = true", "required = true\nbinding = false", "host is a HOST, PORT or URI and must be"),
    ("binding = true\ndefault_value = 5432", "binding = false\ndefault_value = 5432", "port is a HOST, PORT or URI"),
    ("value_type = \"URI\"\nbinding = true", "value_type = \"URI\"\nbinding = false", "url is a HOST, PORT or URI"),
    ("[a-z]+|[0-9]+", "[a-z", "pattern is not a valid regular expression: unclosed character class"),
    ("[a-z]+|[0-9]+", "a)|(b", "pattern is not a valid regular expression: unopened group"),
    (
        "pattern = \"[a-z]+|[0-9]+\"\nhint = \"letters or digits\"",
        "pattern = \"[a-z]+|[0-9]+\" # <<",
        "field code must set both pattern and hint, or neither",
    ),
    ("hint = \"letters or digits\"", "hint = \" \"", "must not be empty"),
    ("[a-z]+|[0-9]+", "(?:a{1000}){1000}", "pattern is not a valid regular expression: Compiled regex exceeds size"),
    (
        "value_type = \"ENUM\"\nbinding = true\nallowed_values = [{ value = \"fast\", display_name = \"Fast\" }, { value = \"safe\", display_name = \"Safe\" }]",
        "value_type = \"STRING\"\nbinding = true\nallowed_values = [{ value = \"fast\", display_name = \"Fast\" }, { value = \"safe\", display_name = \"Safe\" }] # <<",
        "field mode must not set allowed_values; only an ENUM or STRING_LIST can",
    ),
    (
        "allowed_values = [{ value = \"fast\", display_name = \"Fast\" }, { value = \"safe\", display_name = \"Safe\" }]",
        "allowed_values = []",
        "allowed_values of mode must not be empty",
    ),
    ("value = \"safe\"", "value = \"fast\"", "allowed_values of mode contains a duplicate"),
    ("value = \"safe\"", "value = \"\"", "allowed_values of mode must not be blank"),
    ("display_name = \"Safe\"", "display_name = \" \"", "allowed_values of mode must not be blank"),
    (
        "value_type = \"STRING\"\nbinding = false\npattern",
        "value_type = \"ENUM\" # <<\nbinding = false\npattern",
        "ENUM code",
    ),
    (
        "minimum = -5\nmaximum = 10",
        "minimum = 11\nmaximum = 10 # <<",
        "maximum of count must not be less than its minimum",
    ),
    ("maximum = 10", "maximum = inf", "minimum and maximum of count must be finite"),
    (
        "pattern = \"[a-z]+|[0-9]+\"",
        "maximum = 3",
        "field code must not set minimum or maximum; only an INTEGER, DOUBLE or PORT can",
    ),
    (
        "minimum = -5",
        "pattern = \"5\"",
        "field count must not set pattern; only a STRING, STRING_LIST, URI or HOST can",
    ),
    ("minimum = -5", "relative_path = true", "field count must not set relative_path; only a STRING can"),
    (
        "required = true\n",
        "required = true\ndefault_value = \"a\" # <<\n",
        "required field host must not have a default",
    ),
    ("default_value = 5432", "default_value = 0", "default_value of port must be a port from 1 to 65535"),
    ("default_value = 5432", "default_value = \"22\"", "default_value of port must be an integer"),
    ("default_value = true", "default_value = 2026-01-01", "default_value of verify must be true or false"),
    ("maximum = 10", "maximum = 10\ndefault_value = 11 # <<", "default_value of count must be at most 10"),
    ("[0-9]+\"", "[0-9]+\"\ndefault_value = \"A\" # <<", "default_value of code must be letters or digits"),
    ("\"Safe\" }]", "\"Safe\" }]\ndefault_value = \"slow\" # <<", "default_value of mode must be one of: fast, safe"),
    (
        "relative_path = true",
        "relative_path = true\ndefault_value = \"../a\" # <<",
        "default_value of folder must be a rel",
    ),
    ("relative_path = true", "format = \"BEARER_TOKEN\"", "field folder must not have a secret format"),
    (
        "pattern = \"[a-z]+|[0-9]+\"",
        "format = \"PAYLOAD_FIELD\" # <<",
        "field code must not name a field of the payload",
    ),
    ("maximum = 10", "format = \"GCS_ENDPOINT\"", "a URI has the format of an endpoint, or none"),
    ("maximum = 10", "format = \"GUID\"", "field count must not set format; only a STRING or STRING_LIST can"),
    ("maximum = 10", "group = \" \"", "must not be empty"),
    ("maximum = 10", "maximum = 10\nexample = 11 # <<", "example of count must be at most 10"),
    (
        "maximum = 10",
        "companion = \"note\"",
        "field count must not set companion; only fields of credentials and endpoints can",
    ),
    (
        "maximum = 10",
        "required_if = { key = \"mode\", values = [\"safe\"] }",
        "field count must not set required_if; only fields of credentials can",
    ),
    (
        "maximum = 10",
        "shown_if = { key = \"colour\", values = [1] }",
        "there is no field \"colour\" for this condition",
    ),
    ("maximum = 10", "shown_if = { key = \"mode\", values = [] }", "values must be one or more valid values of mode"),
    (
        "maximum = 10",
        "shown_if = { key = \"mode\", values = [\"x\"] }",
        "values must be one or more valid values of mode",
    ),
    (
        "binding = false\nminimum",
        "binding = false\npattern_if = { key = \"x\", values = [1], pattern = \"a\", hint = \"a\" } # <<\nminimum",
        "there is no field \"x\" for this condition",
    ),
    (
        "pattern = '[^\\n]+'\nhint = \"one line\"",
        "example = \"p\"",
        "credential field password must not have an example",
    ),
    (
        "pattern = '[^\\n]+'\nhint = \"one line\"",
        "companion = \"x\"",
        "companion of password must be the key of another field",
    ),
    (
        "required = true\npattern",
        "required = true\nrequired_if = { key = \"mode\", values = [\"safe\"] } # <<\npattern",
        "required field password must not set required_if",
    ),
    (
        "id = \"key\"\ndisplay_name = \"Key\"",
        "id = \"key\"\ndisplay_name = \"Key\"\nrequired_properties = [\"host\"] # <<",
        "host is not an optional property",
    ),
    ("relative_path = true", "binding = false", "field folder must not set binding"),
    ("value_type = \"STRING\"\nrelative_path = true", "value_type = \"URI\"", "export field folder must not be a HOST"),
    (
        "pattern = '[^\\n]+'\nhint = \"one line\"",
        "default_value = \"s3cret\"",
        "credential field password must not have a default",
    ),
    ("pattern = '[^\\n]+'\nhint = \"one line\"", "binding = true", "field password must not set binding"),
    (
        "value_type = \"STRING\"\nrequired",
        "value_type = \"URI\"\nrequired",
        "credential field password must be a STRING",
    ),
];

/// A temporary directory with files of an operator.
struct Directory(TempDir);

impl Directory {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (file, bytes) in files {
            fs::write(directory.path().join(file), bytes).unwrap();
        }
        Self(directory)
    }

    fn load(&self) -> Result<Catalog, CatalogError> {
        Catalog::load(Some(self.0.path()))
    }
}

fn line_of(invalid: &str) -> usize {
    let marked = invalid.lines().position(|line| line.contains("# <<"));
    1 + marked.unwrap_or_else(|| invalid.lines().zip(SAMPLE.lines()).position(|(one, other)| one != other).unwrap())
}

fn assert_refused(cases: &[Case]) {
    for (from, to, reason) in cases {
        assert!(SAMPLE.contains(from), "{from}");
        let invalid = SAMPLE.replacen(from, to, 1);
        let error = read_type(&invalid).map_err(|error| error.in_file("sample.toml", invalid.as_bytes()));
        let message = error.err().map(|error| error.to_string()).unwrap_or_default();
        let location = format!("sample.toml:{}: ", line_of(&invalid));
        assert!(message.starts_with(&location), "{to}: expected {location} got {message}");
        assert!(message.contains(reason), "{to}: expected {reason} got {message}");
        assert!(!message.contains('\n'), "{message}");
    }
}

#[test]
fn files_that_do_not_parse_are_refused() {
    assert_refused(SYNTAX);
}

#[test]
fn invalid_types_are_refused() {
    assert_refused(TYPES);
}

#[test]
fn invalid_fields_are_refused() {
    assert_refused(FIELDS);
}

#[test]
fn auth_methods_are_required_even_if_empty() {
    let start = SAMPLE.find("[[auth_methods]]").unwrap();
    let end = SAMPLE.find("[[export_fields]]").unwrap();
    let without = format!("{}{}", &SAMPLE[..start], &SAMPLE[end..]);
    let directory = Directory::new(&[("sample.toml", without.as_bytes())]);
    assert!(directory.load().unwrap_err().to_string().contains("sample.toml:1: missing field `auth_methods`"));
}

#[test]
fn types_of_an_operator_are_added_to_the_embedded_ones() {
    let other = SAMPLE.replacen("\"sample\"", "\"other\"", 1);
    let files: &[(&str, &[u8])] =
        &[("b.toml", SAMPLE.as_bytes()), ("a.toml", other.as_bytes()), ("README.md", b"not a type")];
    let catalog = Directory::new(files).load().unwrap();
    assert_eq!(catalog.ids().count(), 11);
    assert!(catalog.get("sample").is_some() && catalog.get("other").is_some() && catalog.get("sftp").is_some());
}

#[test]
fn a_duplicate_type_id_is_refused_in_the_later_file() {
    let files: &[(&str, &[u8])] = &[("b.toml", SAMPLE.as_bytes()), ("a.toml", SAMPLE.as_bytes())];
    let directory = Directory::new(files);
    let message = directory.load().unwrap_err().to_string();
    let (first, second) = (directory.0.path().join("a.toml"), directory.0.path().join("b.toml"));
    let expected = format!("{}:1: connection type sample is already defined in {}", second.display(), first.display());
    assert_eq!(message, expected);
}

#[test]
fn an_embedded_type_cannot_be_replaced() {
    let sftp = format!("# ours\n{}", SAMPLE.replacen("\"sample\"", "\"sftp\"", 1));
    let directory = Directory::new(&[("mine.toml", sftp.as_bytes())]);
    let expected = "mine.toml:2: connection type sftp is already defined in embedded:sftp.toml";
    assert!(directory.load().unwrap_err().to_string().ends_with(expected));
}

#[test]
fn errors_name_the_file_that_cannot_be_read() {
    let missing = Catalog::load(Some(Path::new("/nowhere/at/all"))).unwrap_err();
    assert_eq!(missing.to_string(), "cannot read /nowhere/at/all");
    assert!(missing.source().is_some());

    let latin = Directory::new(&[("a.toml", b"# caf\xc3\xa9\n# caf\xe9\n")]);
    assert!(latin.load().unwrap_err().to_string().ends_with("a.toml:2: the file is not UTF-8"));

    let huge = Directory::new(&[("a.toml", &vec![b'\n'; 1024 * 1024 + 1])]);
    let error = huge.load().unwrap_err();
    assert!(error.to_string().ends_with("a.toml"), "{error}");
    assert_eq!(error.source().unwrap().to_string(), "the file is larger than 1 MiB");
}
