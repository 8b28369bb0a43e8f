//! Connections to a far side: one for each way to authenticate of each type.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use outflow::grpc::proto as pb;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::{FarSide, TrustedAuthority};
use crate::destinations::objects::gcs_server::Account;

/// Secrets that occur nowhere else.
#[derive(Clone)]
pub struct Secrets {
    /// A text with characters that URLs and base64 encode.
    pub text: String,
    /// A text of letters and digits.
    pub token: String,
    /// A private key of SSH.
    ssh_key: String,
    /// The key file of a Google service account.
    service_account: String,
    /// A certificate, and its private key.
    client: (String, String),
}

/// The app registration of connections that use Microsoft Entra.
const CLIENT_ID: &str = "6731de76-14a6-49ae-97bc-6eba6914391e";

/// A connection to a far side.
#[derive(Clone)]
pub struct FarConnection {
    /// The id of its type.
    pub connection_type: &'static str,
    /// The id of its way to authenticate.
    pub auth_method: &'static str,
    /// Its properties.
    pub properties: Struct,
    /// The fields of its credential.
    pub credential: BTreeMap<String, String>,
    /// The settings of an export.
    pub settings: Struct,
}

impl Secrets {
    /// Generates a secret for each field.
    pub fn new(authority: &TrustedAuthority) -> Self {
        let ssh_key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).expect("a key");
        Self {
            text: format!("cAnary/{}+?&=~", Uuid::new_v4()),
            token: format!("cAnary{}", Uuid::new_v4().simple()),
            ssh_key: ssh_key.to_openssh(LineEnding::LF).expect("encoded").to_string(),
            service_account: Account::generate().document().to_string(),
            client: authority.client(),
        }
    }

    /// The same keys, with new texts.
    pub fn with_new_texts(&self) -> Self {
        Self {
            text: format!("cAnary/{}+?&=~", Uuid::new_v4()),
            token: format!("cAnary{}", Uuid::new_v4().simple()),
            ..self.clone()
        }
    }

    /// All texts that are secret: of keys, the first pieces of their encoding.
    pub fn texts(&self) -> Vec<String> {
        let mut texts = vec![self.text.clone(), self.token.clone()];
        for key in [&self.ssh_key, &self.service_account, &self.client.1] {
            let body = key.split("PRIVATE KEY-----").nth(1).expect("a key").replace("\\n", "").replace('\n', "");
            let body = body.trim_end_matches('-').as_bytes();
            let pieces = body.chunks(32).filter(|piece| piece.len() == 32).take(6);
            texts.extend(pieces.map(|piece| String::from_utf8(piece.to_vec()).expect("base64")));
        }
        texts
    }

    fn signing_secret(&self) -> String {
        format!("whsec_{}", STANDARD.encode(&self.token))
    }

    /// The token in the 64 bytes that keys of Azure have.
    fn account_key(&self) -> String {
        STANDARD.encode(format!("{:~<64}", self.token))
    }

    fn credential(&self, connection_type: &str, auth_method: &str) -> BTreeMap<String, String> {
        let (text, token) = (self.text.as_str(), self.token.as_str());
        let signing_secret = self.signing_secret();
        let fields: Vec<(&str, &str)> = match (connection_type, auth_method) {
            ("azure_blob", "account_key") => {
                return BTreeMap::from([("account_key".to_owned(), self.account_key())]);
            }
            ("azure_blob", "sas_token") => {
                let token = format!("sv=2024-11-04&sr=c&sp=racwdl&se=2030-01-01T00:00:00Z&sig={token}");
                return BTreeMap::from([("sas_token".to_owned(), token)]);
            }
            (_, "client_secret") => vec![("client_secret", token)],
            (_, "service_account_key") => vec![("service_account_key", &self.service_account)],
            ("postgresql", "client_certificate") => vec![("sslcert", &self.client.0), ("sslkey", &self.client.1)],
            ("dynamics_365_marketing", _) => vec![("certificate", &self.client.0), ("private_key", &self.client.1)],
            ("s3", _) => {
                vec![("access_key_id", "AKIAEXAMPLE"), ("secret_access_key", text), ("session_token", token)]
            }
            ("sftp", "private_key") => vec![("private_key", &self.ssh_key)],
            ("webhook", "signature") => vec![("signing_secret", &signing_secret)],
            ("webhook", "bearer_token") => vec![("token", token), ("signing_secret", &signing_secret)],
            ("kafka", "sasl_oauthbearer") => vec![("client_id", "outflow"), ("client_secret", text)],
            ("kafka", "ssl_client_certificate") => {
                vec![("ssl_keystore_certificate_chain", &self.client.0), ("ssl_keystore_key", &self.client.1)]
            }
            ("kafka" | "webhook", _) => vec![("username", "outflow"), ("password", text)],
            _ => vec![("password", text)],
        };
        fields.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }
}

impl FarConnection {
    /// A connection for each way to authenticate of each type that has secrets. Those over HTTPS use HTTP/2 or HTTP/1.1.
    pub fn all(far: &FarSide, secrets: &Secrets, use_http2: bool) -> Vec<Self> {
        let https = format!("https://127.0.0.1:{}", if use_http2 { far.http2 } else { far.http1 });
        let files = json!({ "folder": "weekly" });
        let azure = json!({
            "account_name": "partner", "container": "exports", "prefix": "in", "endpoint": format!("{https}/partner"),
            "authority_host": https, "tenant_id": "partner.example", "client_id": CLIENT_ID,
        });
        let gcs = json!({ "bucket": "exports", "prefix": "in", "endpoint": https });
        let s3 = json!({
            "endpoint": https, "region": "eu-central-1", "bucket": "exports", "prefix": "in",
            "addressing_style": "path",
        });
        let sftp = json!({
            "host": "127.0.0.1", "port": far.ssh, "username": "outflow", "directory": "in", "host_key": far.host_key,
        });
        let postgresql = json!({
            "host": "127.0.0.1", "port": far.postgres, "dbname": "warehouse", "user": "outflow", "sslmode": "require",
        });
        let webhook = json!({ "url": format!("{https}/in?from=outflow") });
        let kafka = json!({
            "bootstrap_servers": [format!("127.0.0.1:{}", far.http1)],
            "sasl_oauthbearer_token_endpoint_url": format!("{https}/oauth2/v2.0/token"),
        });
        let dynamics = json!({
            "organization_url": https, "authority_host": https, "tenant_id": "partner.example", "client_id": CLIENT_ID,
        });
        let segment = json!({ "segment_name": "Customers", "member_id_field": "email" });
        let types = [
            ("azure_blob", &["account_key", "sas_token", "client_secret"][..], azure, files.clone()),
            ("gcs", &["service_account_key"], gcs, files.clone()),
            ("s3", &["access_key"], s3, files.clone()),
            ("sftp", &["password", "private_key"], sftp, files),
            ("postgresql", &["password", "client_certificate"], postgresql, json!({ "table": "customers" })),
            ("webhook", &["signature", "bearer_token", "basic"], webhook, json!({})),
            (
                "kafka",
                &[
                    "sasl_scram_sha_512",
                    "sasl_scram_sha_256",
                    "sasl_plain",
                    "sasl_oauthbearer",
                    "ssl_client_certificate",
                ],
                kafka,
                json!({ "topic": "customers" }),
            ),
            ("dynamics_365_marketing", &["client_secret", "client_certificate"], dynamics, segment),
        ];
        let mut all = Vec::new();
        for (connection_type, auth_methods, properties, settings) in types {
            for auth_method in auth_methods {
                let credential = secrets.credential(connection_type, auth_method);
                let (properties, settings) = (to_struct(&properties), to_struct(&settings));
                all.push(Self { connection_type, auth_method, properties, credential, settings });
            }
        }
        all
    }

    /// Whether the service delivers to its type.
    pub fn is_delivered(&self) -> bool {
        !matches!(self.connection_type, "kafka" | "dynamics_365_marketing")
    }

    /// Its credential in a request.
    pub fn credential_input(&self) -> pb::CredentialInput {
        let inline = pb::credential_input::Inline { values: self.credential.clone() };
        pb::CredentialInput {
            auth_method: self.auth_method.to_owned(),
            source: Some(pb::credential_input::Source::Inline(inline)),
            expire_time: None,
        }
    }

    /// The connection without its credential.
    pub fn connection(&self) -> pb::Connection {
        pb::Connection {
            display_name: format!("{} by {}", self.connection_type, self.auth_method),
            connection_type: format!("connectionTypes/{}", self.connection_type),
            properties: Some(self.properties.clone()),
            ..pb::Connection::default()
        }
    }

    /// A request that creates it in an organization.
    pub fn create(&self, parent: &str) -> pb::CreateConnectionRequest {
        pb::CreateConnectionRequest {
            parent: parent.to_owned(),
            connection: Some(self.connection()),
            credential: Some(self.credential_input()),
            ..pb::CreateConnectionRequest::default()
        }
    }
}

/// A JSON object as a message.
pub fn to_struct(object: &Json) -> Struct {
    let fields = object.as_object().expect("an object").iter();
    Struct { fields: fields.map(|(key, value)| (key.clone(), to_value(value))).collect() }
}

fn to_value(value: &Json) -> Value {
    let kind = match value {
        Json::String(text) => Kind::StringValue(text.clone()),
        Json::Number(number) => Kind::NumberValue(number.as_f64().expect("a number")),
        Json::Array(values) => Kind::ListValue(ListValue { values: values.iter().map(to_value).collect() }),
        other => panic!("{other} in the properties of a connection"),
    };
    Value { kind: Some(kind) }
}
