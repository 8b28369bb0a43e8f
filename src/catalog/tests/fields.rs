//! Each field of the embedded types accepts values that work and refuses values that cannot.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::super::{Catalog, ConnectionType, FieldSpec};
use super::{checked, field_cases, map};
use crate::model::Violations;

/// The shared settings of types that write files.
const FILE_SETTINGS: &str = "local_directory";

/// Values of the required fields, to which a case adds its own.
fn required(id: &str) -> Map<String, Value> {
    let guid = "6731de76-14a6-49ae-97bc-6eba6914391e";
    let key = "SHA256:uNiVztksCsDhcc0u9e8BrFWVZTZSVlKAdYFCQlR9vvM";
    map(match id {
        "sftp" => json!({"host": "sftp.example.com", "username": "acme", "host_key": key}),
        "s3" => json!({"region": "eu-central-1", "bucket": "acme-exports"}),
        "azure_blob" => json!({"account_name": "acmeexports", "container": "segments"}),
        "gcs" => json!({"bucket": "acme-exports"}),
        "kafka" => json!({"bootstrap_servers": ["b1.example:9093"], "topic": "customers"}),
        "postgresql" => json!({"host": "db.example.com", "dbname": "crm", "user": "outflow", "table": "customers"}),
        "webhook" => json!({"url": "https://hooks.example.com/"}),
        "dynamics_365_marketing" => json!({"organization_url": "https://contoso.crm4.dynamics.com", "tenant_id": guid,
            "client_id": guid, "segment_name": "Newsletter", "member_id_field": "contact_id"}),
        _ => json!({}),
    })
}

/// Saves a value in a field, beside the required ones of the list that the field is in.
fn save(known: &ConnectionType, key: &str, value: &Value) -> Result<Map<String, Value>, Violations> {
    let is_property = known.property_fields.iter().any(|field| field.key == key);
    let fields = if is_property { &known.property_fields } else { &known.export_fields };
    let mut given = required(&known.id);
    given.retain(|key, _| fields.iter().any(|field| field.key == *key));
    given.insert(key.to_owned(), value.clone());
    if is_property {
        checked(known.check_properties(&given, "p"))
    } else {
        checked(known.check_export_settings(&given, "p"))
    }
}

#[test]
fn every_field_accepts_what_works_and_refuses_what_cannot() {
    let catalog = Catalog::load(None).unwrap();
    let mut tried: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (name, accepted, refused) in field_cases::all() {
        let (id, key) = name.split_once('.').unwrap();
        let known = catalog.get(id).unwrap();
        let counts = tried.entry(name).or_default();
        for (given, stored) in accepted {
            let completed = save(known, key, &given);
            assert_eq!(completed.as_ref().map(|completed| &completed[key]), Ok(&stored), "{name}: {given}");
            counts.0 += 1;
        }
        for (given, reason) in refused {
            let violations = save(known, key, &given).expect_err(&format!("{name}: {given}"));
            let violation = violations.iter().next().unwrap();
            assert!(violations.iter().count() == 1 || given.is_array(), "{name}: {given}: {violations}");
            let is_at_field = violation.field.split(['[', '.']).nth(1) == Some(key);
            assert!(is_at_field && violation.description.contains(reason), "{name}: {given}: {violation:?}");
            assert_sentence(&violation.description);
            counts.1 += 1;
        }
    }
    let all: BTreeSet<String> = catalog.iter().flat_map(all_fields).collect();
    let tried: BTreeSet<String> = tried
        .into_iter()
        .filter(|(_, (accepted, refused))| *accepted > 0 && *refused > 0)
        .map(|(name, _)| name.to_owned())
        .collect();
    assert_eq!(all.symmetric_difference(&tried).collect::<Vec<_>>(), Vec::<&String>::new());
}

/// The names of all properties and settings, those of files once.
fn all_fields(known: &ConnectionType) -> Vec<String> {
    let is_shared = |field: &&FieldSpec| {
        let shared = ["Files", "CSV", "File size"].contains(&field.group.as_str());
        known.id != FILE_SETTINGS && shared && !["storage_class", "access_tier"].contains(&field.key.as_str())
    };
    let settings = known.export_fields.iter().filter(|field| !is_shared(field));
    known.property_fields.iter().chain(settings).map(|field| format!("{}.{}", known.id, field.key)).collect()
}

/// Checks that a form can show a description after the name of a field.
pub(super) fn assert_sentence(description: &str) {
    let verbs = ["must ", "is ", "has ", "does ", "needs ", "lacks ", "expired ", "cannot ", "contains "];
    assert!(verbs.iter().any(|verb| description.starts_with(verb)), "{description}");
    for expression in ["[a-z", "[A-Z", "(?:", "\\s", "[^", "{1,"] {
        assert!(!description.contains(expression), "{description}");
    }
}

#[test]
fn properties_are_checked_against_each_other() {
    let catalog = Catalog::load(None).unwrap();
    let checked_of = |id: &str, mut given: Map<String, Value>| {
        let mut all = required(id);
        all.append(&mut given);
        checked(catalog.get(id).unwrap().check_properties(&all, "p")).map_err(|violations| violations.to_string())
    };
    for (id, given) in [
        ("s3", json!({"bucket": "acme.exports", "addressing_style": "path"})),
        ("s3", json!({"bucket": "Acme_Exports", "addressing_style": "path"})),
        ("s3", json!({"endpoint": "https://192.0.2.7:9000", "addressing_style": "path"})),
        ("s3", json!({"endpoint": "https://[2001:db8::1]:9000/", "addressing_style": "path"})),
        ("s3", json!({"endpoint": "https://host-7.example:9000/a/b.c"})),
        // The name of a server can be that of a bucket.
        ("s3", json!({"endpoint": "https://backup.example.com", "bucket": "backup"})),
        ("s3", json!({"endpoint": "https://localhost:9000", "bucket": "backup"})),
        (
            "azure_blob",
            json!({"endpoint": "https://azurite:10000/devstoreaccount1", "account_name": "devstoreaccount1"}),
        ),
    ] {
        assert_eq!(checked_of(id, map(given.clone())).err(), None, "{given}");
    }
    for (id, given, reason) in [
        (
            "s3",
            json!({"endpoint": "https://acme.exports.s3.amazonaws.com", "bucket": "acme.exports", "addressing_style": "path"}),
            "p.endpoint contains the bucket",
        ),
        (
            "azure_blob",
            json!({"endpoint": "https://acmeexports.blob.core.windows.net", "account_name": "acme"}),
            "p.endpoint is of another storage account",
        ),
    ] {
        let refused = checked_of(id, map(given.clone())).expect_err("refused");
        assert!(refused.contains(reason), "{given}: {refused}");
    }
}
