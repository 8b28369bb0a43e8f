//! The embedded types: no compiler checks these files, and people read their descriptions.

use std::collections::BTreeMap;
use std::fs;

use serde_json::json;

use super::super::{Catalog, DeliveredBy, FieldSpec, ValueType};
use super::map;

/// The values of a credential.
type Values<'a> = Vec<(&'a str, &'a str)>;

fn catalog() -> Catalog {
    Catalog::load(None).unwrap()
}

#[test]
fn every_file_of_the_directory_is_embedded_under_its_id() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/src/catalog/types");
    let mut files: Vec<String> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    let ids: Vec<String> = catalog().ids().map(|id| format!("{id}.toml")).collect();
    assert_eq!(ids, files);
    assert_eq!(ids.len(), 9);
}

#[test]
fn types_are_found_by_id_and_listed_in_order() {
    let catalog = catalog();
    assert_eq!(catalog.get("sftp").unwrap().display_name, "SFTP");
    assert!(catalog.get("SFTP").is_none());
    let listed: Vec<&str> = catalog.iter().map(|connection_type| connection_type.id.as_str()).collect();
    let mut sorted = listed.clone();
    sorted.sort_unstable();
    assert_eq!(listed, sorted);
}

#[test]
fn every_field_describes_its_meaning_and_its_default() {
    for connection_type in catalog().iter() {
        let credentials = connection_type.auth_methods.iter().flat_map(|method| &method.credential_fields);
        let fields = connection_type.property_fields.iter().chain(credentials).chain(&connection_type.export_fields);
        for field in fields {
            let at = format!("{}.{}", connection_type.id, field.key);
            assert!(field.description.len() > 15 && field.description.ends_with('.'), "{at}: {}", field.description);
            assert_eq!(!field.required, field.description.contains("Default: "), "{at}: {}", field.description);
            if let Some(text) = field.default_value.as_ref().and_then(|value| value.as_str()) {
                assert!(text.is_empty() || field.description.contains(text), "{at}: {}", field.description);
            }
        }
    }
}

#[test]
fn every_article_has_the_same_five_parts() {
    let parts = ["## What it is for", "## Before you begin", "## Set up", "## What arrives", "## Known limits"];
    for connection_type in catalog().iter() {
        let headings: Vec<&str> = connection_type.article.lines().filter(|line| line.starts_with('#')).collect();
        assert_eq!(headings, parts, "{}", connection_type.id);
        for part in connection_type.article.split("\n## ") {
            assert!(part.lines().skip(1).any(|line| line.len() > 20), "{}: {part}", connection_type.id);
        }
    }
}

#[test]
fn only_local_directory_takes_no_credential_and_only_two_types_need_an_external_runner() {
    for connection_type in catalog().iter() {
        let external = ["kafka", "dynamics_365_marketing"].contains(&connection_type.id.as_str());
        assert_eq!(connection_type.delivered_by == DeliveredBy::Runner, external, "{}", connection_type.id);
        assert_eq!(connection_type.needs_credential(), connection_type.id != "local_directory");
    }
}

#[test]
fn exactly_these_properties_are_not_binding() {
    let mut not_binding = Vec::new();
    for connection_type in catalog().iter() {
        for field in connection_type.property_fields.iter().filter(|field| !field.binding) {
            not_binding.push(format!("{}.{}", connection_type.id, field.key));
        }
    }
    assert_eq!(not_binding, ["kafka.client_id", "webhook.timeout_seconds"]);
}

#[test]
fn all_types_that_write_files_have_the_same_format_fields() {
    let catalog = catalog();
    let shape = |field: &FieldSpec| {
        let pattern = field.pattern.as_ref().map(|pattern| pattern.as_str().to_owned());
        let range = (field.minimum, field.maximum);
        (field.value_type, field.allowed_values.clone(), field.default_value.clone(), range, pattern)
    };
    let shapes = |id: &str| -> BTreeMap<String, _> {
        let fields = &catalog.get(id).unwrap().export_fields;
        let own = ["storage_class", "access_tier"];
        let shared = fields.iter().filter(|field| !own.contains(&field.key.as_str()));
        shared.map(|field| (field.key.clone(), shape(field))).collect()
    };
    for id in ["sftp", "s3", "azure_blob", "gcs"] {
        assert_eq!(shapes(id), shapes("local_directory"), "{id}");
    }
    assert_eq!(shapes("sftp").len(), 14);
}

#[test]
fn file_name_templates_hold_known_placeholders_and_no_folders() {
    let catalog = catalog();
    let check = |template: &str| {
        let settings = map(json!({"file_name_template": template}));
        catalog.get("sftp").unwrap().check_export_settings(&settings, "settings").is_ok()
    };
    for template in ["customers", "{table}", "{export}-{date}", "Kunden \u{fc}bersicht {time}.{run}"] {
        assert!(check(template), "{template}");
    }
    let long = "a".repeat(121);
    for template in ["", ".", "..", ".hidden", "a/b", "a\\b", "{user}", "{table", "table}", "{ table }", &long] {
        assert!(!check(template), "{template}");
    }
}

#[test]
fn sftp_has_the_fields_of_the_api_documentation() {
    let catalog = catalog();
    let sftp = catalog.get("sftp").unwrap();
    let keys = |fields: &[FieldSpec]| fields.iter().map(|field| field.key.clone()).collect::<Vec<_>>();
    assert_eq!(keys(&sftp.property_fields), ["host", "port", "username", "directory", "host_key"]);
    assert_eq!(sftp.auth_methods[0].id, "password");
    assert_eq!(keys(&sftp.auth_methods[0].credential_fields), ["password"]);
    assert_eq!(sftp.auth_methods[1].id, "private_key");
    assert_eq!(keys(&sftp.auth_methods[1].credential_fields), ["private_key", "passphrase"]);
    assert_eq!(sftp.property_fields[1].value_type, ValueType::Port);
    assert_eq!(sftp.binding_paths().len(), 5);
}

#[test]
fn each_type_accepts_realistic_properties() {
    let key = "SHA256:uNiVztksCsDhcc0u9e8BrFWVZTZSVlKAdYFCQlR9vvM";
    let samples = [
        ("local_directory", json!({"directory": "partners/acme"})),
        ("sftp", json!({"host": "sftp.example.com", "username": "acme", "directory": "/in", "host_key": key})),
        ("s3", json!({"region": "eu-central-1", "bucket": "acme-exports", "prefix": "weekly/segments"})),
        ("s3", json!({"endpoint": "https://127.0.0.1:7070", "region": "us-east-1", "bucket": "b-1"})),
        ("azure_blob", json!({"account_name": "acmeexports", "container": "segments"})),
        (
            "azure_blob",
            json!({"account_name": "devstoreaccount1", "container": "c-1",
            "endpoint": "https://127.0.0.1:10000/devstoreaccount1"}),
        ),
        ("gcs", json!({"bucket": "acme_exports.example.com"})),
        ("webhook", json!({"url": "https://hooks.example.com/v1/in?tenant=7", "timeout_seconds": 5})),
        ("postgresql", json!({"host": "2001:db8::7", "dbname": "crm", "user": "outflow"})),
        ("kafka", json!({"bootstrap_servers": ["broker-1.example.com:9093", "[2001:db8::1]:9093"]})),
        ("dynamics_365_marketing", json!({"organization_url": "https://contoso.crm4.dynamics.com"})),
    ];
    let catalog = catalog();
    for (id, properties) in samples {
        let completed = catalog.get(id).unwrap().check_properties(&map(properties), "properties");
        assert!(completed.is_ok(), "{id}: {completed:?}");
    }
    let plain = json!({"url": "http://hooks.example.com/"});
    assert!(catalog.get("webhook").unwrap().check_properties(&map(plain), "properties").is_err());
}

#[test]
fn each_type_accepts_realistic_credentials() {
    let pem = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaA==\n-----END OPENSSH PRIVATE KEY-----\n";
    let account_key = format!("{}==", "k".repeat(86));
    let guid = "6d5bd3f8-3a5e-4e0e-9d0f-0a1b2c3d4e5f";
    let samples: [(&str, &str, Values); 10] = [
        ("sftp", "private_key", vec![("private_key", pem), ("passphrase", "correct horse")]),
        ("s3", "access_key", vec![("access_key_id", "AKIAIOSFODNN7EXAMPLE"), ("secret_access_key", "wJalr/K7+E")]),
        ("azure_blob", "account_key", vec![("account_key", &account_key)]),
        ("azure_blob", "sas_token", vec![("sas_token", "sv=2024-11-04&sp=racwdl&sig=abc%3D")]),
        ("gcs", "service_account_key", vec![("service_account_key", "{\n\t\"type\": \"service_account\"\n}\n")]),
        ("webhook", "signature", vec![("signing_secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]),
        ("webhook", "basic", vec![("username", "ann"), ("password", "pass:word")]),
        ("postgresql", "password", vec![("password", "p\u{e4}ss wort")]),
        ("kafka", "sasl_scram_sha_512", vec![("username", "ann"), ("password", "pw")]),
        (
            "dynamics_365_marketing",
            "client_secret",
            vec![("tenant_id", guid), ("client_id", guid), ("client_secret", "a~b.c_d")],
        ),
    ];
    let catalog = catalog();
    for (id, method, values) in samples {
        let checked = catalog.get(id).unwrap().check_credential(method, values.into_iter(), "credential");
        assert_eq!(checked, Ok(()), "{id} {method}");
    }
    let injected = [("token", "abc\r\nx-admin: true")].into_iter();
    assert!(catalog.get("webhook").unwrap().check_credential("bearer_token", injected, "credential").is_err());
}
