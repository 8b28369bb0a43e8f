//! The embedded types: no compiler checks these files, and people read their descriptions.

use std::fs;

use serde_json::json;

use super::super::{Catalog, DeliveredBy, FieldSpec, ValueType};
use super::{checked, map};

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
fn all_types_that_write_files_have_the_same_settings() {
    for connection_type in catalog().iter() {
        let has = |key: &str| connection_type.export_fields.iter().any(|field| field.key == key);
        let writes_files =
            ["azure_blob", "gcs", "local_directory", "s3", "sftp"].contains(&connection_type.id.as_str());
        for key in ["folder", "file_format", "max_bytes_per_file"] {
            assert_eq!(has(key), writes_files, "{}.{key}", connection_type.id);
        }
    }
}

#[test]
fn file_name_templates_hold_known_placeholders_and_no_folders() {
    let catalog = catalog();
    let check = |template: &str| {
        let settings = map(json!({"file_name_template": template}));
        checked(catalog.get("sftp").unwrap().check_export_settings(&settings, "settings")).is_ok()
    };
    for template in ["customers", "{table}", "{export}-{date}", "Kunden \u{fc}bersicht {time}.{run}"] {
        assert!(check(template), "{template}");
    }
    let long = "a".repeat(121);
    for template in [".", "..", ".hidden", "a/b", "a\\b", "{user}", "{table", "table}", "{ table }", &long] {
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
