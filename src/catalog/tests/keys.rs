//! Values of each field of the credentials of the embedded types: those that people have at hand, and those that cannot work.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::super::{Catalog, ConnectionType};
use super::fields::assert_sentence;
use super::key_material::{KEYS, service_account};
use super::{check_credential, map};
use crate::model::limits;

/// Values of an auth method, and a part of the reason if they are refused.
type Case = (&'static str, Vec<(&'static str, String)>, Result<(), (&'static str, &'static str)>);

fn given(method: &'static str, values: &[(&'static str, &str)]) -> Case {
    (method, values.iter().map(|(key, value)| (*key, (*value).to_owned())).collect(), Ok(()))
}

fn refused(method: &'static str, values: &[(&'static str, &str)], key: &'static str, reason: &'static str) -> Case {
    let (method, values, _) = given(method, values);
    (method, values, Err((key, reason)))
}

fn ssh() -> Vec<Case> {
    let keys = &*KEYS;
    let method = "sftp.private_key";
    let with = |key: &str| given(method, &[("private_key", key)]);
    let wrong = |key: &str, reason| refused(method, &[("private_key", key)], "private_key", reason);
    let cut = keys.openssh.lines().take(4).collect::<Vec<_>>().join("\n");
    let one_line = keys.openssh.trim().replace('\n', " ");
    let last = keys.openssh.lines().nth(1).unwrap();
    vec![
        with(&keys.openssh),
        with(&keys.pkcs8),
        with(&format!("\u{feff}\r\n{}\r\n ", keys.openssh.replace('\n', "\r\n"))),
        given(method, &[("private_key", &keys.openssh), ("passphrase", "")]),
        given(method, &[("private_key", &keys.openssh_encrypted), ("passphrase", "correct horse\n")]),
        given(method, &[("private_key", &keys.pkcs8_encrypted), ("passphrase", "correct horse")]),
        wrong(&keys.openssh_encrypted, "is encrypted; enter its passphrase"),
        wrong(&keys.pkcs8_encrypted, "is encrypted; enter its passphrase"),
        wrong(&keys.openssh.replace('\n', "\\n"), "the two characters \\n"),
        wrong(&one_line, "has lost its line breaks"),
        wrong(&keys.openssh.replace('\n', ""), "has lost its line breaks"),
        wrong(&cut, "is cut off"),
        wrong(&keys.openssh.replace(last, ""), "is damaged"),
        wrong(
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl ann",
            "is a public key",
        ),
        wrong("PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none", "puttygen"),
        wrong("~/.ssh/id_ed25519", "is the path of a file"),
        wrong("C:\\Users\\ann\\.ssh\\id_rsa", "is the path of a file"),
        wrong(&keys.certificate, "must be a private key"),
        wrong("b3BlbnNzaC1rZXktdjEAAAAABG5vbmU", "in PEM format"),
        refused(method, &[("private_key", &keys.openssh), ("passphrase", "a\nb")], "passphrase", "one line"),
        given("sftp.password", &[("password", " p\u{e4}ss wort ")]),
        refused("sftp.password", &[("password", "a\tb")], "password", "one line"),
    ]
}

fn aws() -> Vec<Case> {
    let method = "s3.access_key";
    let secret = ("secret_access_key", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    let id = ("access_key_id", "AKIAIOSFODNN7EXAMPLE");
    let wrong = |id: &str, reason| refused(method, &[("access_key_id", id), secret], "access_key_id", reason);
    vec![
        given(method, &[id, secret]),
        given(method, &[("access_key_id", "minioadmin"), ("secret_access_key", "minioadmin")]),
        given(method, &[("access_key_id", "ASIAIOSFODNN7EXAMPLE"), secret, ("session_token", "IQoJb3JpZ2luX2Vj")]),
        wrong("ASIAIOSFODNN7EXAMPLE", "enter the token too"),
        wrong("AIDAIOSFODNN7EXAMPLE", "is the ID of a user, role or group"),
        wrong("arn:aws:iam::123456789012:user/ann", "is an ARN"),
        refused(method, &[id, ("secret_access_key", id.1)], "secret_access_key", "is the ID of an access key"),
        refused(method, &[id, secret, ("session_token", "a b")], "session_token", "without spaces"),
    ]
}

fn azure() -> Vec<Case> {
    let key = STANDARD.encode([7; 64]);
    let connection_string =
        format!("DefaultEndpointsProtocol=https;AccountName=acme;AccountKey={key};EndpointSuffix=core.windows.net");
    let sas =
        "sv=2024-11-04&ss=b&srt=sco&sp=rwdlac&se=2027-01-31T00:00:00Z&st=2026-01-01T00:00:00Z&spr=https&sig=a%2Bb%3D";
    let delegated = "sp=rcw&sv=2024-11-04&se=2027-01-31&sr=c&sig=a&skoid=a&ske=";
    let token = |value: &str| given("azure_blob.sas_token", &[("sas_token", value)]);
    let wrong = |value: &str, reason| refused("azure_blob.sas_token", &[("sas_token", value)], "sas_token", reason);
    let key_of =
        |value: &str, reason| refused("azure_blob.account_key", &[("account_key", value)], "account_key", reason);
    let secret =
        |value: &str, reason| refused("azure_blob.client_secret", &[("client_secret", value)], "client_secret", reason);
    vec![
        given("azure_blob.account_key", &[("account_key", &key)]),
        key_of(&connection_string, "is a connection string"),
        key_of(sas, "choose the auth method sas_token"),
        key_of(&STANDARD.encode([7; 32]), "88 characters"),
        token(sas),
        token(&format!("?{sas}\n")),
        token("sv=2024-11-04&si=policy&sr=c&sig=abc%3D"),
        token("sp=racwdl&se=2027-01-31T00:00Z&sv=2024-11-04&sr=c&sig=abc%3D"),
        token("sp=racwdl&se=2027-01-31&sv=2024-11-04&sr=c&sig=abc%3D"),
        wrong(&format!("https://acme.blob.core.windows.net/segments?{sas}"), "is the URL of a shared access signature"),
        wrong(
            &format!("BlobEndpoint=https://acme.blob.core.windows.net/;SharedAccessSignature={sas}"),
            "connection string",
        ),
        wrong(&connection_string, "is a connection string"),
        wrong(&sas.replace("2027-01-31", "2026-11-23"), "expired at 2026-11-23T00:00:00Z"),
        wrong("sp=r&sv=2024-11-04&se=2027-01-31T00:00:00Z&sr=c&sig=a", "does not permit to write"),
        wrong("sp=rcw&sv=2024-11-04&se=2027-01-31T00:00:00Z&sr=b&sig=a", "is for a single blob"),
        wrong(&sas.replace("ss=b", "ss=q"), "is not for the Blob service"),
        wrong(&sas.replace("srt=sco", "srt=sc"), "is not for objects"),
        wrong(&format!("acme.blob.core.windows.net/segments?{sas}"), "enter only the part after the question mark"),
        wrong(
            &format!("{delegated}2026-11-23T00:00:00Z"),
            "has a user delegation key (ske) that expired at 2026-11-23",
        ),
        token(&format!("{delegated}2027-01-31T00:00:00Z")),
        wrong("sp=rcw&sv=2024-11-04&se=2027-01-31&sr=s&sig=a", "is for Azure Files"),
        wrong("sp=rcw&sv=2024-11-04&se=2027-01-31&sr=f&sig=a", "is for Azure Files"),
        wrong(&format!("comp=list&restype=container&{sas}"), "has parameters of a request"),
        wrong("sig=abc", "is a part of a shared access signature"),
        wrong(&sas.replace("%2B", "%252B"), "is percent-encoded twice"),
        token(&sas.replace("%2B", "+")),
        wrong("sv=2024-11-04&sp=rcwdl", "must be a shared access signature"),
        given("azure_blob.client_secret", &[("client_secret", "abc8Q~dEfGhIjKlMnOpQrStUvWxYz0123456789A")]),
        secret("6731de76-14a6-49ae-97bc-6eba6914391e", "is a GUID: the ID of the secret"),
        secret("-----BEGIN CERTIFICATE-----", "is a certificate"),
    ]
}

fn google() -> Vec<Case> {
    let keys = &*KEYS;
    let method = "gcs.service_account_key";
    let with = |text: &str| given(method, &[("service_account_key", text)]);
    let wrong = |text: &str, reason| refused(method, &[("service_account_key", text)], "service_account_key", reason);
    let broken = keys.service_account.replace("\\n", "\r\n");
    let twice = Value::String(keys.service_account.clone()).to_string();
    let answer = json!({"privateKeyType": "TYPE_GOOGLE_CREDENTIALS_FILE", "privateKeyData": "e30="}).to_string();
    let lost = service_account(&keys.certificate_key.replace('\n', "\\n")).to_string();
    vec![
        with(&keys.service_account),
        with(&format!("\u{feff}{}\n", keys.service_account)),
        with(&STANDARD.encode(&keys.service_account)),
        with(&broken),
        with(&twice),
        with(twice.trim_matches('"')),
        with(&STANDARD.encode(&broken)),
        wrong(&answer, "enter the value of its privateKeyData"),
        wrong(&lost, "has a private_key that is damaged"),
        wrong(
            r#"{"type": "authorized_user", "client_secret": "s", "refresh_token": "r"}"#,
            "is the credential of a person",
        ),
        wrong(r#"{"type": "external_account", "audience": "a"}"#, "workload identity federation"),
        wrong(r#"{"installed": {"client_id": "a", "client_secret": "s"}}"#, "is an OAuth client"),
        wrong(&keys.service_account.replace("client_email", "e-mail"), "lacks client_email"),
        wrong(&keys.certificate_key, "is the private key alone"),
        wrong("/secrets/key.json", "is the path of a file"),
        wrong("AIzaSyA-0123456789", "complete JSON file"),
    ]
}

fn tls() -> Vec<Case> {
    let keys = &*KEYS;
    let method = "postgresql.client_certificate";
    let pair = |certificate: &str, key: &str| given(method, &[("sslcert", certificate), ("sslkey", key)]);
    let wrong = |certificate: &str, key: &str, at, reason| {
        refused(method, &[("sslcert", certificate), ("sslkey", key)], at, reason)
    };
    let root = |text: &str| given("postgresql.password", &[("password", "p"), ("sslrootcert", text)]);
    let wrong_root = |text: &str, reason| {
        refused("postgresql.password", &[("password", "p"), ("sslrootcert", text)], "sslrootcert", reason)
    };
    let both = format!("{}{}", keys.certificate, keys.certificate_key);
    vec![
        pair(&keys.certificate, &keys.certificate_key),
        pair(&format!("{}{}", keys.certificate, keys.other_certificate), &keys.certificate_key),
        wrong(&keys.other_certificate, &keys.certificate_key, "sslcert", "does not belong to the private key"),
        wrong(&keys.expired_certificate, &keys.certificate_key, "sslcert", "expired at 2026-01-01T00:00:00Z"),
        wrong(&both, &keys.certificate_key, "sslcert", "has a private key in it"),
        wrong(&keys.certificate, &keys.pkcs8_encrypted, "sslkey", "is encrypted"),
        wrong(&keys.certificate, &keys.openssh, "sslkey", "is a key for SSH"),
        wrong(&keys.certificate, &keys.certificate, "sslkey", "must be a private key"),
        wrong(&keys.certificate, &keys.certificate_key.trim().replace('\n', " "), "sslkey", "has lost its line breaks"),
        root(&keys.rds_bundle),
        root(&format!("# Amazon RDS\nsubject=/CN=x\n{}{}", keys.expired_certificate, keys.certificate)),
        root(""),
        wrong_root(&keys.expired_certificate, "expired at"),
        wrong_root(&keys.certificate.replace('\n', "\\n"), "the two characters \\n"),
        wrong_root(&keys.certificate[..keys.certificate.len() - 30], "is cut off"),
        wrong_root("-----BEGIN PKCS7-----\nMIIB\n-----END PKCS7-----\n", "openssl pkcs7"),
        wrong_root("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "invalid certificate"),
        wrong_root("/etc/ssl/certs/ca-certificates.crt", "is the path of a file"),
        refused("postgresql.password", &[("password", "")], "password", "must not be empty"),
    ]
}

fn other_types() -> Vec<Case> {
    let keys = &*KEYS;
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let signature =
        |value: &str, reason| refused("webhook.signature", &[("signing_secret", value)], "signing_secret", reason);
    let mut cases = vec![
        given("webhook.signature", &[("signing_secret", secret)]),
        signature("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "must start with whsec_"),
        signature("whsec_c2hvcnQ=", "24 to 64 random bytes"),
        signature("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2La-aS_", "URL variant of base64"),
        given("webhook.bearer_token", &[("token", "eyJhbGciOiJIUzI1NiJ9.e30.abc"), ("signing_secret", "")]),
        refused("webhook.bearer_token", &[("token", "Bearer abc")], "token", "the token alone"),
        refused("webhook.bearer_token", &[("token", "abc\r\nx-admin: true")], "token", "must be a bearer token"),
        refused("webhook.bearer_token", &[("token", "a"), ("signing_secret", "x")], "signing_secret", "whsec_"),
        given("webhook.basic", &[("username", "ann"), ("password", "pass:word"), ("signing_secret", secret)]),
        given("webhook.basic", &[("username", "api-key"), ("password", "")]),
        given("webhook.basic", &[("username", "api-key")]),
        refused("webhook.basic", &[("username", "a:b"), ("password", "p")], "username", "without a colon"),
        refused("webhook.basic", &[("username", "a"), ("password", "p\nq")], "password", "one line"),
        refused("webhook.basic", &[("username", "a"), ("signing_secret", "x")], "signing_secret", "whsec_"),
        given("dynamics_365_marketing.client_secret", &[("client_secret", "a~b.c_d")]),
        refused("dynamics_365_marketing.client_secret", &[("client_secret", "a b")], "client_secret", "without spaces"),
        given("kafka.sasl_oauthbearer", &[("client_id", "outflow"), ("client_secret", "s"), ("scope", "a b")]),
        refused("kafka.sasl_oauthbearer", &[("client_id", "a b"), ("client_secret", "s")], "client_id", "spaces"),
        refused("kafka.sasl_oauthbearer", &[("client_id", "a"), ("client_secret", "s t")], "client_secret", "spaces"),
        refused(
            "kafka.sasl_oauthbearer",
            &[("client_id", "a"), ("client_secret", "s"), ("scope", "\u{e4}")],
            "scope",
            "ASCII",
        ),
    ];
    for (method, certificate, key, password) in [
        ("dynamics_365_marketing.client_certificate", "certificate", "private_key", None),
        (
            "kafka.ssl_client_certificate",
            "ssl_keystore_certificate_chain",
            "ssl_keystore_key",
            Some("ssl_key_password"),
        ),
    ] {
        cases.push(given(method, &[(certificate, &keys.certificate), (key, &keys.certificate_key)]));
        let other = [(certificate, keys.other_certificate.as_str()), (key, keys.certificate_key.as_str())];
        cases.push(refused(method, &other, certificate, "does not belong to the private key"));
        let encrypted = [(certificate, keys.certificate.as_str()), (key, keys.pkcs8_encrypted.as_str())];
        cases.push(refused(method, &encrypted, key, "is encrypted"));
        if let Some(password) = password {
            cases.push(given(method, &[encrypted[0], encrypted[1], (password, "correct horse")]));
            cases.push(refused(method, &[encrypted[0], encrypted[1], (password, "a\tb")], password, "one line"));
        }
    }
    for method in ["kafka.sasl_scram_sha_512", "kafka.sasl_scram_sha_256", "kafka.sasl_plain"] {
        let trusted = ("ssl_truststore_certificates", keys.certificate.as_str());
        cases.push(given(method, &[("username", "ann"), ("password", "pw"), trusted]));
        cases.push(refused(method, &[("username", "a\tb"), ("password", "pw")], "username", "one line"));
        cases.push(refused(method, &[("username", "a"), ("password", "p\tw")], "password", "one line"));
    }
    for method in [
        "kafka.sasl_scram_sha_512",
        "kafka.sasl_scram_sha_256",
        "kafka.sasl_plain",
        "kafka.sasl_oauthbearer",
        "kafka.ssl_client_certificate",
    ] {
        let untrusted = [("ssl_truststore_certificates", "MIIB")];
        cases.push(refused(method, &untrusted, "ssl_truststore_certificates", "in PEM format"));
    }
    cases
}

/// Properties of a connection with every optional one that an auth method needs.
fn properties() -> Map<String, Value> {
    map(
        json!({"tenant_id": "contoso.com", "client_id": "6731de76-14a6-49ae-97bc-6eba6914391e", "sslmode": "verify-full",
        "sasl_oauthbearer_token_endpoint_url": "https://login.example.com/token"}),
    )
}

#[test]
fn every_credential_accepts_what_works_and_refuses_what_cannot() {
    let catalog = Catalog::load(None).unwrap();
    let (mut accepted, mut refused) = (BTreeSet::new(), BTreeSet::new());
    let cases = [ssh(), aws(), azure(), google(), tls(), other_types()].into_iter().flatten();
    for (name, values, expected) in cases {
        let (id, method) = name.split_once('.').unwrap();
        let given: Vec<(&str, &str)> = values.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let shown = given.iter().map(|(key, value)| format!("{key}: {value:.200}")).collect::<Vec<_>>();
        let checked = check_credential(catalog.get(id).unwrap(), method, &given, &properties());
        match (checked, expected) {
            (Ok(_), Ok(())) => accepted.extend(given.iter().map(|(key, _)| format!("{name}.{key}"))),
            (Err(violations), Err((key, reason))) => {
                let at = format!("credential.inline.values.{key}");
                let found = violations.iter().find(|violation| violation.field == at);
                let description = found.map(|found| found.description.as_str()).unwrap_or_default();
                assert!(description.contains(reason), "{name} {shown:?}: {violations:?}");
                violations.iter().for_each(|violation| assert_sentence(&violation.description));
                refused.insert(format!("{name}.{key}"));
            }
            (checked, expected) => panic!("{name} {shown:?}: expected {expected:?}, found {checked:?}"),
        }
    }
    let all: BTreeSet<String> = catalog.iter().flat_map(all_fields).collect();
    assert_eq!(all.difference(&refused).collect::<Vec<_>>(), Vec::<&String>::new(), "without a refused value");
    let optional = |name: &&String| !name.ends_with("ssl_truststore_certificates") && !name.ends_with("sslrootcert");
    assert_eq!(all.difference(&accepted).filter(optional).collect::<Vec<_>>(), Vec::<&String>::new(), "not accepted");
}

fn all_fields(known: &ConnectionType) -> Vec<String> {
    let fields = known.auth_methods.iter().flat_map(|method| {
        method.credential_fields.iter().map(move |field| format!("{}.{}.{}", known.id, method.id, field.key))
    });
    fields.filter(|name| name != "postgresql.client_certificate.sslrootcert").collect()
}

#[test]
fn values_are_stored_in_their_normal_form() {
    let catalog = Catalog::load(None).unwrap();
    let stored = |id: &str, method: &str, values: &[(&str, &str)]| {
        check_credential(catalog.get(id).unwrap(), method, values, &properties()).unwrap()
    };
    let key = KEYS.openssh.trim();
    let expected = [("private_key".to_owned(), key.to_owned())];
    assert_eq!(
        stored("sftp", "private_key", &[("private_key", &format!("\n{key}\r\n")), ("passphrase", "")]),
        expected
    );
    let sas = "sv=2024-11-04&sp=rcwdl&sig=a";
    let expected = [("sas_token".to_owned(), sas.to_owned())];
    assert_eq!(stored("azure_blob", "sas_token", &[("sas_token", &format!(" ?{sas}\n"))]), expected);
    let plus = format!(" ?{sas}+b\n");
    let expected = [("sas_token".to_owned(), format!("{sas}%2Bb"))];
    assert_eq!(stored("azure_blob", "sas_token", &[("sas_token", &plus)]), expected);
    let file = &KEYS.service_account;
    let expected = [("service_account_key".to_owned(), file.clone())];
    let twice = Value::String(file.clone()).to_string();
    for given in [STANDARD.encode(file), file.replace("\\n", "\r\n"), twice[1..twice.len() - 1].to_owned(), twice] {
        assert_eq!(stored("gcs", "service_account_key", &[("service_account_key", &given)]), expected);
    }
}

#[test]
fn auth_methods_need_their_properties() {
    let catalog = Catalog::load(None).unwrap();
    let missing = |id: &str, method: &str, values: &[(&str, &str)], properties: Value| {
        let violations = check_credential(catalog.get(id).unwrap(), method, values, &map(properties)).unwrap_err();
        violations.iter().map(|found| format!("{} {}", found.field, found.description)).collect::<Vec<_>>()
    };
    assert_eq!(
        missing("azure_blob", "client_secret", &[("client_secret", "s")], json!({"tenant_id": "contoso.com"})),
        ["properties.client_id is required for the auth method client_secret"]
    );
    let url = "properties.sasl_oauthbearer_token_endpoint_url is required for the auth method sasl_oauthbearer";
    assert_eq!(missing("kafka", "sasl_oauthbearer", &[("client_id", "a"), ("client_secret", "s")], json!({})), [url]);
    let verify_ca = json!({"sslmode": "verify-ca"});
    assert_eq!(
        missing("postgresql", "password", &[("password", "p")], verify_ca),
        ["credential.inline.values.sslrootcert is required"]
    );
}

#[test]
fn certificates_count_apart_from_other_values() {
    let catalog = Catalog::load(None).unwrap();
    let check = |password: &str, certificates: &str| {
        let values = [("password", password), ("sslrootcert", certificates)];
        check_credential(catalog.get("postgresql").unwrap(), "password", &values, &properties())
    };
    let large = KEYS.certificate.repeat(limits::MAX_CERTIFICATE_BYTES / KEYS.certificate.len());
    assert!(check(&"p".repeat(40_000), &large).is_ok());
    let found = check(&"p".repeat(limits::MAX_CREDENTIAL_BYTES), &large).unwrap_err();
    assert!(found.iter().any(|violation| violation.description.contains("must not exceed 49152 bytes")), "{found}");
    let found = check("p", &format!("{large}{}", KEYS.certificate)).unwrap_err();
    assert!(found.iter().any(|violation| violation.description.contains("262144 bytes of certificates")), "{found}");
}
