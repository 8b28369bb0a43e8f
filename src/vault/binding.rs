//! Computes the digest of the properties that a credential is bound to.
//!
//! The digest is authenticated with the credential, so that a credential does not open for another host than the one that
//! it was stored for.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::encoding;
use super::error::VaultError;

/// Maximum number of binding paths of an envelope.
pub const MAX_BINDING_PATHS: usize = 64;

/// The longest binding path, in bytes.
pub const MAX_BINDING_PATH_BYTES: usize = 256;

/// The prefix of every binding path. The rest is the key of a property.
const PREFIX: &str = "properties.";

const ABSENT: u8 = 0;
const NULL: u8 = 1;
const BOOL: u8 = 2;
const NUMBER: u8 = 3;
const STRING: u8 = 4;
const ARRAY: u8 = 5;
const OBJECT: u8 = 6;

/// Returns the paths sorted and without duplicates, as the header lists them.
///
/// Fails with [`VaultError::BindingPath`] if a path is not `properties.<key>` or too long, or if there are too many paths.
pub(super) fn canonical_paths(paths: &[String]) -> Result<Vec<&str>, VaultError> {
    let mut paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    paths.sort_unstable();
    paths.dedup();
    if paths.len() > MAX_BINDING_PATHS {
        return Err(VaultError::BindingPath(format!("{} paths exceed the limit of {MAX_BINDING_PATHS}", paths.len())));
    }
    for path in &paths {
        key(path)?;
    }
    Ok(paths)
}

/// Computes the SHA-256 of all paths, each with the canonical form of its value.
///
/// An absent property, `null`, `""` and `[]` have different digests; 5432 and 5432.0 have the same.
pub(super) fn digest(paths: &[&str], properties: &Map<String, Value>) -> Result<[u8; 32], VaultError> {
    let mut canonical = Vec::new();
    encoding::put_count(&mut canonical, paths.len())?;
    for path in paths {
        encoding::put_bytes(&mut canonical, path.as_bytes())?;
        match properties.get(key(path)?) {
            Some(value) => put_value(&mut canonical, value)?,
            None => canonical.push(ABSENT),
        }
    }
    Ok(Sha256::digest(&canonical).into())
}

fn key(path: &str) -> Result<&str, VaultError> {
    path.strip_prefix(PREFIX).filter(|key| !key.is_empty() && path.len() <= MAX_BINDING_PATH_BYTES).ok_or_else(|| {
        VaultError::BindingPath(format!("{path:?} must be {PREFIX}<key>, at most {MAX_BINDING_PATH_BYTES} bytes"))
    })
}

fn put_value(out: &mut Vec<u8>, value: &Value) -> Result<(), VaultError> {
    match value {
        Value::Null => out.push(NULL),
        Value::Bool(truth) => out.extend_from_slice(&[BOOL, u8::from(*truth)]),
        Value::Number(number) => {
            out.push(NUMBER);
            encoding::put_bytes(out, canonical_number(number).as_bytes())?;
        }
        Value::String(text) => {
            out.push(STRING);
            encoding::put_bytes(out, text.as_bytes())?;
        }
        Value::Array(items) => {
            out.push(ARRAY);
            encoding::put_count(out, items.len())?;
            for item in items {
                put_value(out, item)?;
            }
        }
        Value::Object(members) => {
            out.push(OBJECT);
            encoding::put_count(out, members.len())?;
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            for (name, member) in members {
                encoding::put_bytes(out, name.as_bytes())?;
                put_value(out, member)?;
            }
        }
    }
    Ok(())
}

/// Formats an integer as its exact digits, even if it was written as a float, and any other number as the shortest text
/// that parses to the same value.
///
/// `{:.0}` is exact for integral floats. `{}` would pad 2^60 with zeros and make it another integer.
fn canonical_number(number: &serde_json::Number) -> String {
    match number.as_f64() {
        _ if number.is_i64() || number.is_u64() => number.to_string(),
        Some(0.0) => "0".to_owned(),
        Some(float) if float.fract() == 0.0 => format!("{float:.0}"),
        Some(float) => float.to_string(),
        None => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn digest_of(value: &Value) -> [u8; 32] {
        let properties = value.as_object().unwrap();
        digest(&["properties.a", "properties.b"], properties).unwrap()
    }

    #[test]
    fn equal_values_have_the_same_digest() {
        for (one, other) in [
            (json!({"a": 5432}), json!({"a": 5432.0})),
            (json!({"a": -7}), json!({"a": -7.0})),
            (json!({"a": 0}), json!({"a": -0.0})),
            (json!({"a": 1_152_921_504_606_846_976_u64}), json!({"a": 1_152_921_504_606_846_976.0})),
            (json!({"a": {"x": 1, "y": 2}}), json!({"a": {"y": 2.0, "x": 1.0}})),
            (json!({"a": 1, "unlisted": 2}), json!({"a": 1})),
        ] {
            assert_eq!(digest_of(&one), digest_of(&other), "{one} {other}");
        }
    }

    #[test]
    fn different_values_have_different_digests() {
        let values = [
            json!({}),
            json!({"a": null}),
            json!({"a": ""}),
            json!({"a": []}),
            json!({"a": {}}),
            json!({"a": false}),
            json!({"a": true}),
            json!({"a": 0}),
            json!({"a": 1}),
            json!({"a": 1.5}),
            json!({"a": "1"}),
            json!({"a": "0"}),
            json!({"a": 1_152_921_504_606_847_000_u64}),
            json!({"a": 1_152_921_504_606_846_976.0}),
            json!({"a": u64::MAX}),
            json!({"a": 18_446_744_073_709_551_616.0}),
            json!({"a": 1e300}),
            json!({"a": ["x", "y"]}),
            json!({"a": ["xy"]}),
            json!({"a": ["y", "x"]}),
            json!({"a": [["x"], "y"]}),
            json!({"a": "x", "b": "y"}),
            json!({"a": "xy", "b": ""}),
            json!({"a": "", "b": "xy"}),
            json!({"b": ""}),
            json!({"a": {"x": 1, "y": 2}}),
            json!({"a": {"x": 2, "y": 1}}),
        ];
        let digests: std::collections::BTreeSet<_> = values.iter().map(digest_of).collect();
        assert_eq!(digests.len(), values.len());
    }

    #[test]
    fn paths_are_sorted_without_duplicates() {
        let paths = ["properties.port", "properties.host", "properties.port"].map(str::to_owned);
        assert_eq!(canonical_paths(&paths).unwrap(), ["properties.host", "properties.port"]);
    }

    #[test]
    fn invalid_and_excess_paths_are_refused() {
        let long = format!("properties.{}", "x".repeat(MAX_BINDING_PATH_BYTES));
        for path in ["", "host", "properties", "properties.", "Properties.host", &long] {
            assert!(canonical_paths(&[path.to_owned()]).is_err(), "{path}");
        }
        let many: Vec<String> = (0..=MAX_BINDING_PATHS).map(|number| format!("properties.p{number}")).collect();
        assert!(canonical_paths(&many).is_err());
        assert!(canonical_paths(&many[1..]).is_ok());
    }
}
