//! Arbitrary and mutated files of connection types, and values of their fields.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

use super::super::FieldSpec;
use super::super::file::read_type;
use super::{SAMPLE, check_credential, checked, sample};
use crate::fuzzing;
use crate::model::{Violations, is_identifier, is_unsafe};

/// The files of the embedded types.
fn files() -> Vec<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/catalog/types");
    let files = fs::read_dir(directory).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    files.chain([SAMPLE.to_owned()]).collect()
}

#[test]
fn any_file_of_a_connection_type_is_read_or_refused() {
    fuzzing::check("connection types", 50, &fuzzing::text(&files()), |text| match read_type(&text) {
        Ok((id, connection_type)) => {
            assert!(is_identifier(id.get_ref()) && connection_type.schema_version > 0);
            // Whatever the file says, checks of callers' values do not panic.
            let given = [("host".to_owned(), Value::from("a")), ("x".to_owned(), Value::Null)];
            let _ = connection_type.check_properties(&Map::from_iter(given), "p");
            let _ = check_credential(&connection_type, "password", &[("password", "x")], &Map::new());
        }
        Err(error) => {
            let error = error.in_file("own.toml", text.as_bytes()).to_string();
            assert!(error.starts_with("own.toml:"), "{error}");
        }
    });
}

#[test]
fn any_properties_are_completed_or_refused_with_safe_paths() {
    let sample = sample();
    let values = ["a.example", "https://a.example/x?y=%20", "in/daily", "5432", "a", "key"];
    let keys = |fields: &[FieldSpec]| fields.iter().map(|field| field.key.clone()).collect();
    let settings = fuzzing::object(keys(&sample.export_fields), &values);
    fuzzing::check("settings of exports", 500, &settings, |given| {
        check_twice(&given, |given| checked(sample.check_export_settings(given, "p")));
    });
    let properties = fuzzing::object(keys(&sample.property_fields), &values);
    fuzzing::check("properties", 500, &properties, |mut given| {
        check_twice(&given, |given| checked(sample.check_properties(given, "p")));
        for path in sample.changed_binding_fields(&given, &Map::new(), "p") {
            assert!(!path.contains(is_unsafe), "{path:?}");
        }
        let texts = given.iter().filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)));
        let _ = check_credential(&sample, "password", &texts.collect::<Vec<_>>(), &Map::new());
        given.insert("host".to_owned(), Value::from("a.example"));
        check_twice(&given, |given| checked(sample.check_properties(given, "p")));
    });
}

/// Checks that an object which a check completed is complete, and that paths of violations are escaped.
fn check_twice(
    given: &Map<String, Value>,
    check: impl Fn(&Map<String, Value>) -> Result<Map<String, Value>, Violations>,
) {
    match check(given) {
        Ok(completed) => assert_eq!(check(&completed).as_ref(), Ok(&completed)),
        Err(found) => assert!(found.iter().all(|found| !found.field.contains(is_unsafe)), "{found}"),
    }
}

#[test]
fn any_address_is_accepted_or_refused() {
    use super::super::address::{check_host, check_relative_path, check_uri};
    let samples = [
        "a.example",
        "[2001:db8::1]:8443",
        "https://user@a.example:443/x/../y?q=1#f",
        "spiffe://a/b",
        "10.0.0.1",
        "in/daily",
        "xn--bcher-kva.example",
        "https://[::ffff:10.0.0.1%25eth0]/",
    ];
    fuzzing::check("addresses", 2_000, &fuzzing::text(&samples), |text| {
        let _ = check_host(&text);
        let _ = check_uri(&text, true);
        if check_uri(&text, false).is_ok() {
            assert!(text.contains("://") && text.is_ascii() && !text.contains(is_unsafe), "{text:?}");
        }
        if check_relative_path(&text).is_ok() {
            assert!(!text.starts_with('/') && text.split('/').all(|part| part != ".." && part != "."), "{text:?}");
        }
    });
}
