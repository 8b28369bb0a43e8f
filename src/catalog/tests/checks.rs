//! Valid and invalid values of the sample type. Every violation is reported at its path, and no description repeats a
//! value.

use serde_json::{Map, Value, json};

use super::{check_credential, checked, fields_of, map, sample};
use crate::model::limits;

fn properties(extra: Value) -> Map<String, Value> {
    let mut properties = map(json!({"host": "example.com"}));
    properties.extend(map(extra));
    properties
}

#[test]
fn valid_properties_are_returned_in_canonical_form() {
    let given = properties(json!({"port": 22.0, "count": -5.0, "ratio": 1, "code": "abc", "note": "", "verify": false,
        "mode": "safe", "servers": ["a:1", "b:2"], "url": "https://example.com/"}));
    let completed = checked(sample().check_properties(&given, "properties")).unwrap();
    let expected = json!({"host": "example.com", "port": 22, "count": -5, "ratio": 1.0, "code": "abc",
        "verify": false, "mode": "safe", "servers": ["a:1", "b:2"], "url": "https://example.com/"});
    assert_eq!(Value::Object(completed), expected);
}

#[test]
fn defaults_are_filled_in() {
    let completed = checked(sample().check_properties(&properties(json!({})), "properties")).unwrap();
    assert_eq!(Value::Object(completed), json!({"host": "example.com", "port": 5432, "verify": true}));
}

#[test]
fn null_and_empty_values_are_not_given() {
    let given =
        properties(json!({"port": null, "code": "", "note": " \u{feff}\n", "count": null, "verify": "", "mode": null}));
    let completed = checked(sample().check_properties(&given, "properties")).unwrap();
    assert_eq!(Value::Object(completed), json!({"host": "example.com", "port": 5432, "verify": true}));
    let given = [("private_key", "k"), ("passphrase", "")];
    let checked = check_credential(&sample(), "key", &given, &Map::new()).unwrap();
    assert_eq!(checked, [("private_key".to_owned(), "k".to_owned())]);
}

#[test]
fn white_space_around_values_is_dropped() {
    let given = map(json!({"host": " Example.com.\n", "code": "\u{200b}abc\r\n", "servers": ["a:1 "], "mode": " safe",
        "url": " HTTPS://m\u{fc}ller.example:8443/a?b=c\n"}));
    let completed = checked(sample().check_properties(&given, "properties")).unwrap();
    let expected = json!({"host": "Example.com", "port": 5432, "code": "abc", "servers": ["a:1"], "mode": "safe",
        "verify": true, "url": "https://xn--mller-kva.example:8443/a?b=c"});
    assert_eq!(Value::Object(completed), expected);
    // A password may start or end with a space; only line breaks at its end are dropped.
    let values = check_credential(&sample(), "password", &[("password", " a b \r\n")], &Map::new()).unwrap();
    assert_eq!(values, [("password".to_owned(), " a b ".to_owned())]);
    for (host, stored) in [("[2001:db8::1]", "2001:db8::1"), ("m\u{fc}ller.example", "xn--mller-kva.example")] {
        let completed = checked(sample().check_properties(&map(json!({"host": host})), "properties")).unwrap();
        assert_eq!(completed["host"], stored);
    }
}

#[test]
fn numbers_in_quotes_are_refused_with_a_hint() {
    let given = properties(json!({"port": "22", "ratio": "0.5", "verify": "true"}));
    let violations = checked(sample().check_properties(&given, "p")).unwrap_err();
    let found: Vec<&str> = violations.iter().map(|violation| violation.description.as_str()).collect();
    let quotes = ["must be an integer, without quotes", "must be a number, without quotes"];
    assert_eq!(found, [quotes[0], quotes[1], "must be true or false, without quotes"]);
}

#[test]
fn every_invalid_value_is_reported_at_its_path() {
    let cases = [
        (json!({"host": ""}), "p.host"),
        (json!({"host": "  "}), "p.host"),
        (json!({"host": "ann@example.com"}), "p.host"),
        (json!({"host": null}), "p.host"),
        (json!({"port": 0}), "p.port"),
        (json!({"port": 65536}), "p.port"),
        (json!({"port": 22.5}), "p.port"),
        (json!({"port": "22"}), "p.port"),
        (json!({"port": 1e300}), "p.port"),
        (json!({"url": "https://ann:pw@example.com/"}), "p.url"),
        (json!({"url": "ftp://example.com/"}), "p.url"),
        (json!({"code": "abc1"}), "p.code"),
        (json!({"code": "ab\nc"}), "p.code"),
        (json!({"note": "a\u{0}b"}), "p.note"),
        (json!({"note": "a\u{9f}b"}), "p.note"),
        (json!({"note": 1}), "p.note"),
        (json!({"count": -6}), "p.count"),
        (json!({"count": 11}), "p.count"),
        (json!({"count": 9_007_199_254_740_993_i64}), "p.count"),
        (json!({"count": true}), "p.count"),
        (json!({"ratio": 0.4}), "p.ratio"),
        (json!({"ratio": "1"}), "p.ratio"),
        (json!({"verify": "true"}), "p.verify"),
        (json!({"verify": 1}), "p.verify"),
        (json!({"mode": "FAST"}), "p.mode"),
        (json!({"mode": ["fast"]}), "p.mode"),
        (json!({"servers": "a:1"}), "p.servers"),
        (json!({"servers": ["a:1", "b", "c:3"]}), "p.servers[1]"),
        (json!({"servers": [7]}), "p.servers[0]"),
        (json!({"servers": [""]}), "p.servers[0]"),
        (json!({"servers": ["a:\n1"]}), "p.servers[0]"),
        (json!({"Host": "example.com"}), "p.Host"),
        (json!({"a\n": 1}), "p.a\\n"),
    ];
    let connection_type = sample();
    for (extra, path) in cases {
        let violations =
            checked(connection_type.check_properties(&properties(extra.clone()), "p")).err().unwrap_or_default();
        assert_eq!(fields_of(&violations), [path], "{extra}");
    }
}

#[test]
fn all_violations_are_reported_at_once() {
    let given = map(json!({"zzz": 1, "port": 0, "servers": ["x", "y"], "mode": "x"}));
    let violations = checked(sample().check_properties(&given, "connection.properties")).unwrap_err();
    let paths = ["zzz", "host", "port", "mode", "servers[0]", "servers[1]"];
    assert_eq!(fields_of(&violations), paths.map(|key| format!("connection.properties.{key}")));
}

#[test]
fn no_description_repeats_a_value() {
    let secret = "hunter2 hunter2";
    let given = map(json!({"host": secret, "port": secret, "url": secret, "code": secret, "count": secret,
        "ratio": secret, "verify": secret, "mode": secret, "servers": [secret], "folder": secret}));
    let properties = checked(sample().check_properties(&given, "p")).unwrap_err();
    let values = [("private_key", "hunter2\0"), ("passphrase", "hunter2\u{7}"), ("other", "hunter2")];
    let credential = check_credential(&sample(), "key", &values, &Map::new()).unwrap_err();
    let method = check_credential(&sample(), "hunter2", &values, &Map::new()).unwrap_err();
    assert_eq!((properties.len(), credential.len(), method.len()), (10, 3, 1));
    for violation in properties.iter().chain(credential.iter()).chain(method.iter()) {
        assert!(!violation.description.contains("hunter2"), "{violation:?}");
    }
}

#[test]
fn unknown_keys_are_escaped_and_truncated() {
    let violations = checked(sample().check_properties(&properties(json!({"k".repeat(5000): 1})), "p")).unwrap_err();
    assert_eq!(fields_of(&violations), [format!("p.{}…", "k".repeat(63))]);
    let violations =
        checked(sample().check_properties(&properties(json!({"a\n\u{1b}[2J\u{202e}": 1})), "p")).unwrap_err();
    assert_eq!(fields_of(&violations), [r"p.a\n\u{1b}[2J\u{202e}"]);
}

#[test]
fn credentials_are_checked_against_their_auth_method() {
    let check = |method: &str, values: &[(&str, &str)]| {
        let checked = check_credential(&sample(), method, values, &Map::new());
        let violations = checked.err().unwrap_or_default();
        violations.iter().map(|violation| format!("{}: {}", violation.field, violation.description)).collect::<Vec<_>>()
    };
    assert_eq!(check("key", &[("private_key", "-----BEGIN\r\nabc\n")]), [""; 0]);
    assert_eq!(check("key", &[("private_key", "a"), ("passphrase", "b")]), [""; 0]);
    assert_eq!(check("token", &[]), ["credential.auth_method: must be one of: password, key"]);
    assert_eq!(check("key", &[]), ["credential.inline.values.private_key: is required"]);
    assert_eq!(check("key", &[("private_key", " \n")]), ["credential.inline.values.private_key: must not be empty"]);
    let found = check("key", &[("private_key", "a\0b"), ("password", "x")]);
    assert!(found[0].ends_with("password: is not a known field; the fields are: private_key, passphrase"), "{found:?}");
    assert!(
        found[1].starts_with("credential.inline.values.private_key: must not contain control characters"),
        "{found:?}"
    );
    assert_eq!(check("password", &[("password", "a\nb")]), ["credential.inline.values.password: must be one line"]);
    let long = "a".repeat(limits::MAX_CREDENTIAL_BYTES - "private_key".len());
    assert_eq!(check("key", &[("private_key", &long)]), [""; 0]);
    let found = check("key", &[("private_key", &long), ("passphrase", "b")]);
    assert!(found[0].starts_with("credential.inline.values: must not exceed 49152 bytes"), "{found:?}");
}

#[test]
fn a_type_without_auth_method_takes_no_credential() {
    let mut without = sample();
    assert!(without.needs_credential());
    without.auth_methods.clear();
    assert!(!without.needs_credential());
    let violations = check_credential(&without, "password", &[], &Map::new()).unwrap_err();
    let violation = violations.iter().next().unwrap();
    assert_eq!(violation.description, "must be absent; connections of type sample take none");
}

#[test]
fn export_settings_are_checked_and_completed() {
    let check =
        |settings: Value| checked(sample().check_export_settings(&map(settings), "export.destination_settings"));
    let completed = check(json!({"folder": "weekly/segments"})).unwrap();
    assert_eq!(Value::Object(completed), json!({"folder": "weekly/segments", "batch_size": 100}));
    for folder in ["/etc", "../up", "a/../../b", "a\\b", "a/"] {
        let violations = check(json!({"folder": folder, "batch_size": 0})).err().unwrap_or_default();
        let expected = ["export.destination_settings.folder", "export.destination_settings.batch_size"];
        assert_eq!(fields_of(&violations), expected, "{folder}");
    }
    assert!(check(json!({"host": "example.com"})).is_err());
}

#[test]
fn changed_binding_fields_are_reported() {
    let changed = |old: Value, new: Value| sample().changed_binding_fields(&map(old), &map(new), "c.p");
    assert_eq!(changed(json!({"port": 5432}), json!({"port": 5432.0})), [""; 0]);
    assert_eq!(changed(json!({"servers": ["a:1"]}), json!({"servers": ["a:1"]})), [""; 0]);
    assert_eq!(changed(json!({"note": "a", "count": 1}), json!({"note": "b", "ratio": 1})), [""; 0]);
    assert_eq!(changed(json!({"port": 5432}), json!({"port": 5433})), ["c.p.port"]);
    assert_eq!(changed(json!({"servers": ["a:1"]}), json!({"servers": ["a:1", "b:1"]})), ["c.p.servers"]);
    assert_eq!(changed(json!({"url": "https://a"}), json!({})), ["c.p.url"]);
    assert_eq!(changed(json!({}), json!({"url": "https://a"})), ["c.p.url"]);
    assert_eq!(
        changed(json!({"host": "a", "verify": true}), json!({"host": "b", "verify": false})),
        ["c.p.host", "c.p.verify"]
    );
    // A field that the type no longer declares counts as binding.
    assert_eq!(changed(json!({"proxy": "a"}), json!({})), ["c.p.proxy"]);
}

#[test]
fn binding_paths_list_every_binding_field() {
    let expected = ["host", "port", "url", "verify", "mode", "servers"].map(|key| format!("properties.{key}"));
    assert_eq!(sample().binding_paths(), expected);
}
