//! Client certificates and the table of clients.

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, SanType};

use super::*;
use crate::identity::{ClientCertificate, ClientTable, ClientTableError};

const LOADER: &str = "spiffe://example.org/ns/data/sa/loader";

fn certificate(
    names: &[SanType],
    adjust: impl FnOnce(&mut CertificateParams),
) -> Result<ClientCertificate, AuthnError> {
    let mut params = CertificateParams::default();
    params.subject_alt_names = names.to_vec();
    params.not_after = rcgen::date_time_ymd(2027, 6, 1);
    adjust(&mut params);
    ClientCertificate::parse(params.self_signed(&KeyPair::generate().unwrap()).unwrap().der())
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

fn table(content: &str) -> Result<ClientTable, ClientTableError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), content).unwrap();
    ClientTable::open(file.path(), "workload:", &["workload:people:".to_owned()])
}

fn entry(values: &str) -> String {
    format!("[{LOADER:?}]\norganization = \"acme\"\nsubject = \"loader\"\n{values}")
}

#[test]
fn a_client_of_the_table_is_a_caller_until_its_certificate_expires() {
    let groups = "roles = [\"contributor\", \"viewer\", \"viewer\"]\ngroups = [\"b\", \"a\"]";
    let table = table(&entry(groups)).unwrap();
    let dns = SanType::DnsName("loader.example.org".try_into().unwrap());
    let loader = certificate(&[dns, uri(LOADER)], |_| {}).unwrap();
    let caller = table.caller(&loader, at(0)).unwrap();
    assert_eq!(caller.principal, "workload:loader");
    assert_eq!(caller.organization.as_str(), "acme");
    assert_eq!(caller.roles, [Role::Viewer, Role::Contributor]);
    assert_eq!(caller.groups, ["a", "b"]);
    assert_eq!(table.caller(&loader, caller.expire_time + chrono::TimeDelta::minutes(1)), Err(AuthnError::Expired));
    for other in [format!("{LOADER}2"), LOADER.to_uppercase().replace("SPIFFE", "spiffe"), format!("{LOADER}/")] {
        let other = certificate(&[uri(&other)], |_| {}).unwrap();
        assert_eq!(table.caller(&other, at(0)), Err(AuthnError::UnknownClient));
    }
}

#[test]
fn a_certificate_without_exactly_one_spiffe_id_is_refused() {
    let refused = Err(AuthnError::Certificate);
    assert_eq!(certificate(&[], |_| {}), refused);
    assert_eq!(certificate(&[SanType::DnsName(LOADER.try_into().unwrap())], |_| {}), refused);
    assert_eq!(certificate(&[uri(LOADER), uri("spiffe://example.org/other")], |_| {}), refused);
    assert_eq!(certificate(&[uri(LOADER), uri("https://example.org")], |_| {}), refused);
    assert_eq!(certificate(&[uri("https://example.org")], |_| {}), refused);
    assert_eq!(certificate(&[uri(&format!("{LOADER}{}", "x".repeat(2048)))], |_| {}), refused);
    let authority = |params: &mut CertificateParams| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    assert_eq!(certificate(&[uri(LOADER)], authority), refused, "an authority is no client");
    assert_eq!(ClientCertificate::parse(b"no certificate"), refused);
}

#[test]
fn an_entry_with_a_mistake_is_named() {
    assert!(table("").is_ok(), "no clients");
    let with = |from: &str, to: &str| entry("").replacen(from, to, 1);
    let many: Vec<_> = (0..=MAX_GROUPS).map(|number| number.to_string()).collect();
    for (content, expected) in [
        (with("spiffe:", "https:"), "SPIFFE id"),
        (with("spiffe://example.org/", "spiffe:///"), "SPIFFE id"),
        (with("acme", "Not/One"), "`organization`"),
        (with("\"loader\"", "\" \""), "`subject`"),
        (with("\"loader\"", "\"people:ann\""), "`subject`"),
        (entry("roles = [\"emperor\"]"), "`roles`"),
        (entry("groups = [\"\"]"), "`groups`"),
        (entry(&format!("groups = {many:?}")), "`groups`"),
    ] {
        let error = table(&content).err().unwrap().to_string();
        assert!(error.contains(expected) && error.contains("spiffe:") | error.contains("https:"), "{error}");
    }
    for content in [with("organization", "organisation"), entry("roles = \"viewer\""), with("subject = \"loader\"", "")]
    {
        assert!(matches!(table(&content), Err(ClientTableError::Format(..))), "{content}");
    }
    assert!(matches!(table(&"#".repeat(5 << 20)), Err(ClientTableError::TooLarge(_))));
    let missing = ClientTable::open(std::path::Path::new("/nonexistent"), "", &[]);
    assert!(matches!(missing, Err(ClientTableError::Read(..))));
}

#[test]
fn the_table_is_read_again_and_a_mistake_keeps_the_old_one() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), entry("roles = [\"viewer\"]")).unwrap();
    let table = ClientTable::open(file.path(), "", &[]).unwrap();
    let loader = certificate(&[uri(LOADER)], |_| {}).unwrap();
    let roles = || table.caller(&loader, at(0)).map(|caller| caller.roles.clone());
    std::fs::write(file.path(), entry("roles = [\"emperor\"]")).unwrap();
    table.reload();
    assert_eq!(roles(), Ok(vec![Role::Viewer]));
    std::fs::write(file.path(), entry("roles = [\"admin\"]")).unwrap();
    table.reload();
    assert_eq!(roles(), Ok(vec![Role::Admin]));
    std::fs::remove_file(file.path()).unwrap();
    table.reload();
    assert_eq!(roles(), Ok(vec![Role::Admin]));
    std::fs::write(file.path(), "").unwrap();
    table.reload();
    assert_eq!(roles(), Err(AuthnError::UnknownClient), "a client that was removed");
}
