//! Spellings of values that other tools leave: quotes, names, indentation, another layer of base64, text around a key.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde_json::{Map, Value, json};

use super::super::Catalog;
use super::fields::assert_sentence;
use super::key_material::KEYS;
use super::{check_credential, map};

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| Catalog::load(None).unwrap());

/// Spellings of a fingerprint, and of a public key of which `other` is the fingerprint, with what is stored.
pub(super) fn host_keys(print: &str, key: &str, other: &str) -> Vec<(String, String)> {
    let encoded = key.split(' ').nth(1).unwrap();
    let digits: Vec<String> =
        STANDARD_NO_PAD.decode(&print[7..]).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
    let both = format!("{print},{other}");
    let sentence = format!("ED25519 key fingerprint is {print}.");
    let question = format!(
        "The authenticity of host 'sftp.example.com (192.0.2.1)' can't be established.\n{sentence}\nThis key is not known by \
         any other names.\nAre you sure you want to continue connecting (yes/no/[fingerprint])?"
    );
    let block = format!(
        "---- BEGIN SSH2 PUBLIC KEY ----\nComment: \"256-bit ED25519, converted \\\nby root\"\n{}\n{}\n---- END SSH2 PUBLIC \
         KEY ----\n",
        &encoded[..60],
        &encoded[60..]
    );
    let to_print = [
        question.replace('\n', " "),
        question,
        sentence,
        format!("sha256:{}", &print[7..]),
        digits.concat(),
        digits.join(":").to_uppercase(),
        format!("SHA256:{}", digits.concat()),
        format!("\"{print}\""),
        format!("\u{201c}{print}\u{201d}"),
        format!("sftp.example.com. IN SSHFP 4 2 {} {}", digits[..28].concat(), digits[28..].concat()),
    ];
    let to_both = [
        format!("{print}, {key}"),
        format!("{print}, {other}"),
        format!("{print} {}", &other[7..]),
        format!("{print}\n{block}"),
    ];
    let mut cases: Vec<(String, String)> = to_print.into_iter().map(|text| (text, print.to_owned())).collect();
    cases.extend(to_both.into_iter().map(|text| (text, both.clone())));
    cases.push((block, other.to_owned()));
    cases.push((format!("{key}, {print}"), format!("{other},{print}")));
    cases
}

/// Saves one value of a credential, beside others, and returns what is stored or the reason of the refusal.
fn save(method: &str, key: &str, value: &str, others: &[(&str, &str)]) -> Result<String, String> {
    let (id, method) = method.split_once('.').unwrap();
    let properties: Map<String, Value> =
        map(json!({"tenant_id": "contoso.com", "client_id": "6731de76-14a6-49ae-97bc-6eba6914391e"}));
    let values: Vec<(&str, &str)> = others.iter().copied().chain([(key, value)]).collect();
    match check_credential(CATALOG.get(id).unwrap(), method, &values, &properties) {
        Ok(stored) => Ok(stored.into_iter().find(|(found, _)| found == key).unwrap().1),
        Err(violations) => {
            let at = format!("credential.inline.values.{key}");
            let found = violations.iter().find(|found| found.field == at);
            let reason = found.unwrap_or_else(|| panic!("{violations}")).description.clone();
            assert_sentence(&reason);
            Err(reason)
        }
    }
}

fn assert_refused(saved: Result<String, String>, reason: &str) {
    let found = saved.expect_err(reason);
    assert!(found.contains(reason), "{found}, not {reason}");
}

/// A value of a credential: the auth method, the key, the value, and the values beside it.
type Given = (&'static str, &'static str, String, Vec<(&'static str, &'static str)>);

/// Returns a value of each secret format.
fn credentials() -> Vec<Given> {
    let keys = &*KEYS;
    let id = ("access_key_id", "AKIAIOSFODNN7EXAMPLE");
    let secret = ("secret_access_key", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    let method = "postgresql.client_certificate";
    vec![
        ("sftp.private_key", "private_key", keys.openssh.trim().to_owned(), vec![]),
        ("s3.access_key", id.0, id.1.to_owned(), vec![secret]),
        ("s3.access_key", secret.0, secret.1.to_owned(), vec![id]),
        ("s3.access_key", "session_token", "IQoJb3JpZ2luX2Vj==".to_owned(), vec![id, secret]),
        ("azure_blob.account_key", "account_key", STANDARD.encode([7; 64]), vec![]),
        ("azure_blob.sas_token", "sas_token", "sv=2024-11-04&sp=rcwdl&sig=a".to_owned(), vec![]),
        ("azure_blob.client_secret", "client_secret", "abc8Q~dEfGhIjKlMnOp".to_owned(), vec![]),
        ("gcs.service_account_key", "service_account_key", keys.service_account.clone(), vec![]),
        ("webhook.signature", "signing_secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned(), vec![]),
        ("webhook.bearer_token", "token", "eyJhbGciOiJIUzI1NiJ9.e30.abc".to_owned(), vec![]),
        (method, "sslcert", keys.certificate.trim().to_owned(), vec![("sslkey", &keys.certificate_key)]),
        (method, "sslkey", keys.certificate_key.trim().to_owned(), vec![("sslcert", &keys.certificate)]),
    ]
}

#[test]
fn quotes_and_names_around_a_credential_are_dropped_or_refused() {
    for (method, key, value, others) in credentials() {
        assert_eq!(save(method, key, &value, &others).as_ref(), Ok(&value), "{method}.{key}");
        let may_be_quoted = ["secret_access_key", "token"].contains(&key);
        for quote in ["\"", "'"] {
            let saved = save(method, key, &format!("{quote}{value}{quote}\n"), &others);
            if may_be_quoted {
                assert_refused(saved, "has quotation marks around it");
            } else {
                assert_eq!(saved.as_ref(), Ok(&value), "{method}.{key}");
                assert_refused(save(method, key, &format!("{quote}{value}"), &others), "at one end");
            }
        }
        assert_refused(
            save(method, key, &format!("\u{201c}{value}\u{201d}"), &others),
            "has quotation marks around it",
        );
        let named = [
            format!("AWS_ACCESS_KEY_ID={value}"),
            format!("export SFTP_SECRET='{value}'"),
            format!("aws_secret_access_key = {value}"),
            format!("\"SecretAccessKey\": \"{value}\""),
            format!("api_token: {value}"),
        ];
        for text in named {
            assert_refused(save(method, key, &text, &others), "enter the value alone, without the name");
        }
    }
}

#[test]
fn pem_is_read_indented_and_in_base64() {
    let keys = &*KEYS;
    let indented = |text: &str| format!("    {}\n", text.trim().replace('\n', "\n    "));
    for (method, key, value, others) in
        credentials().into_iter().filter(|(.., value, _)| value.starts_with("-----BEGIN"))
    {
        let unix = value.replace("\r\n", "\n");
        let saved = |text: &str| save(method, key, text, &others).map(|stored| stored.replace("\r\n", "\n"));
        assert_eq!(saved(&indented(&value)).as_ref(), Ok(&unix), "{method}.{key}");
        assert_eq!(saved(&STANDARD.encode(&value)).as_ref(), Ok(&unix), "{method}.{key}");
        let wrapped = STANDARD.encode(indented(&value));
        let (start, end) = wrapped.split_at(76);
        assert_eq!(saved(&format!("{start}\n{end}\n")).as_ref(), Ok(&unix), "{method}.{key}");
        assert_refused(saved(&STANDARD.encode("a text")), "in PEM format");
    }
    // The pair is checked whatever the spelling of the key.
    let method = "postgresql.client_certificate";
    for key in [STANDARD.encode(&keys.certificate_key), indented(&keys.certificate_key)] {
        assert_refused(save(method, "sslcert", &keys.other_certificate, &[("sslkey", &key)]), "does not belong");
    }
    let certificate = |text: &str| save(method, "sslcert", text, &[("sslkey", &keys.certificate_key)]);
    let older = keys.certificate.replace(" CERTIFICATE", " X509 CERTIFICATE");
    assert_eq!(certificate(&older).as_deref(), Ok(keys.certificate.trim()));
    assert_refused(certificate(&keys.certificate.replace(" CERT", " TRUSTED CERT")), "openssl x509 -in FILE");
}

#[test]
fn an_encrypted_key_without_a_field_for_its_password_must_be_decrypted() {
    let keys = &*KEYS;
    let save = |method, key, certificate| save(method, key, &keys.pkcs8_encrypted, &[(certificate, &keys.certificate)]);
    let command = "openssl pkey -in key.pem -out plain.pem";
    assert_refused(save("postgresql.client_certificate", "sslkey", "sslcert"), command);
    assert_refused(save("dynamics_365_marketing.client_certificate", "private_key", "certificate"), command);
    let kafka = save("kafka.ssl_client_certificate", "ssl_keystore_key", "ssl_keystore_certificate_chain");
    assert_refused(kafka, "enter its password too");
}

#[test]
fn only_the_block_of_an_ssh_key_is_stored() {
    let keys = &*KEYS;
    let save = |text: &str| save("sftp.private_key", "private_key", text, &[]);
    let key = keys.openssh.trim();
    let public = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl ann";
    let parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    for before in [format!("{public}\n"), "# the key of ann\n\n".to_owned(), parameters.to_owned()] {
        assert_eq!(save(&format!("{before}{key}")).as_deref(), Ok(key));
    }
    assert_eq!(save(&format!("{key}\n{public}\n")).as_deref(), Ok(key));
    assert_refused(save(&format!("{key}\n{key}")), "more than one private key");
    assert_refused(save(&format!("restrict,from=\"192.0.2.1\" {public}")), "is a public key");
    assert_refused(save("---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n---- END SSH2 PUBLIC KEY ----"), "is a public key");
    assert_refused(save("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"), "is a public key");
}

#[test]
fn an_encryption_that_a_run_cannot_open_is_refused() {
    let save = |text: &str| save("sftp.private_key", "private_key", text, &[("passphrase", "correct horse")]);
    let pem = |label: &str, cipher: &str| {
        let content = STANDARD.encode([7; 48]);
        format!(
            "-----BEGIN {label}-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: {cipher}\n\n{content}\n-----END {label}-----"
        )
    };
    let iv = "0123456789ABCDEF0123456789ABCDEF";
    assert!(save(&pem("RSA PRIVATE KEY", &format!("AES-128-CBC,{iv}"))).is_ok());
    let unsupported = "convert it with ssh-keygen -p -f KEY";
    assert_refused(save(&pem("EC PRIVATE KEY", &format!("AES-128-CBC,{iv}"))), unsupported);
    assert_refused(save(&pem("RSA PRIVATE KEY", &format!("AES-256-CBC,{iv}"))), unsupported);
    assert_refused(save(&pem("RSA PRIVATE KEY", "DES-EDE3-CBC,0123456789ABCDEF")), unsupported);
    // ssh-keygen -Z 3des-cbc
    let content: String = KEYS.openssh_encrypted.lines().filter(|line| !line.starts_with('-')).collect();
    let content = STANDARD.decode(content).unwrap();
    let (magic, rest) = content.split_at(15);
    let content =
        STANDARD.encode([magic, b"\0\0\0\x083des-cbc", rest.strip_prefix(b"\0\0\0\x0aaes256-ctr").unwrap()].concat());
    let openssh = format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{content}\n-----END OPENSSH PRIVATE KEY-----");
    assert_refused(save(&openssh), unsupported);
    // A key with PBES2, changed to a scheme of PBES1, to HMAC with SHA-1, and to another cipher than AES.
    let content: String = KEYS.pkcs8_encrypted.lines().filter(|line| !line.starts_with('-')).collect();
    let changed = |from: &[u8], to: &[u8]| {
        let mut content = STANDARD.decode(&content).unwrap();
        let at = content.windows(from.len()).position(|window| window == from).unwrap();
        content[at..at + to.len()].copy_from_slice(to);
        let content = STANDARD.encode(content);
        format!("-----BEGIN ENCRYPTED PRIVATE KEY-----\n{content}\n-----END ENCRYPTED PRIVATE KEY-----")
    };
    let pkcs5 = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05];
    let hmac = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02];
    let aes = [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01];
    let with = |prefix: &[u8], end: u8| [prefix, &[end]].concat();
    for (from, to) in [(&pkcs5[..], 0x03), (&hmac[..], 0x07), (&aes[..], 0x01)] {
        assert!(save(&changed(from, from)).is_ok());
        assert_refused(save(&changed(from, &with(from, to))), unsupported);
    }
}

#[test]
fn bearer_tokens_are_what_services_issue() {
    let save = |text: &str| save("webhook.bearer_token", "token", text, &[]);
    for token in ["1|abcDEF", "123:ABC", "key!x", "a%2Bb", "abc=def", "sk_live_4eC39==", "{\"a\"}", "tokenised"] {
        assert_eq!(save(token).as_deref(), Ok(token));
    }
    for (token, reason) in [
        ("Token abc", "the scheme Token"),
        ("basic YW5uOnB3", "the scheme Basic"),
        ("Authorization: Basic YW5uOnB3", "the scheme Basic"),
        ("ApiKey abc", "the scheme ApiKey"),
        ("Bearer", "the word Bearer alone"),
        ("Authorization: Bearer ", "the word Bearer alone"),
        ("Authorization: Bearer abc", "the token alone"),
        ("t\u{f6}ken", "printable ASCII"),
    ] {
        assert_refused(save(token), reason);
    }
}

#[test]
fn a_signing_secret_may_have_its_version_before_it() {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let save = |text: &str| save("webhook.signature", "signing_secret", text, &[]);
    assert_eq!(save(&format!("v1,{secret}")).as_deref(), Ok(secret));
    assert_refused(save(&format!("v1a,{secret}")), "must start with whsec_");
}

/// Texts that are no host keys to trust.
pub(super) const REFUSED_HOST_KEYS: &[(&str, &str)] = &[
    ("16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48", "is an MD5 fingerprint"),
    ("2048 MD5:16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48 host (RSA)", "is an MD5 fingerprint"),
    ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9", "cut off or damaged"),
    ("ssh-dss AAAAB3NzaC1kc3MAAACBAOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl", "is a DSA key"),
    ("@cert-authority * ssh-ed25519 AAAA", "certificate authority"),
    ("SHA256:abc", "SHA256: and 43 characters"),
    ("SHA256:uNiVztksCsDhcc0u9e8BrFWVZTZSVlKAdYFCQlR9vv M", "SHA256: and 43 characters"),
    ("yes", "SHA256: and 43 characters"),
    (REVOKED, "is a revoked key"),
    ("sftp IN SSHFP 4 1 62d3a9b8c1a1a5ef9ab9a6c2c8d3f4b5a6978899", "SHA-1"),
    ("sftp IN SSHFP 4 2 62d3a9b8", "64 hexadecimal digits"),
    ("---- BEGIN SSH2 PUBLIC KEY ----\nAAAAC3NzaC1lZDI1NTE5", "cut off or damaged"),
    ("uNiVztksCsDhcc0u9e8BrFWVZTZSVlKAdYFCQlR9vvM and more", "SHA256: and 43 characters"),
];

/// A line of known_hosts.
const REVOKED: &str = "@revoked * ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
