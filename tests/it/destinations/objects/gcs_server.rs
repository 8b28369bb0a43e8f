//! A server with the part of the XML API of Google Cloud Storage that deliveries use. No emulator has it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::Method;
use http::request::Parts;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use outflow::delivery::DeliveryError;
use outflow::delivery::destinations::object_store::gcs;
use outflow::delivery::destinations::{Destination, Target};
use outflow::dialer::Network;
use parking_lot::Mutex;
use reqwest::Url;
use serde_json::{Value, json};

use super::bucket::{Bucket, elements, target};
use super::https::{Response, error, response, serve};
use super::tls::Tls;

const EMAIL: &str = "outflow@project.iam.gserviceaccount.com";

/// Size that every part but the last must have.
const MIN_PART_BYTES: usize = 5 * 1024 * 1024;

/// Key and public key of a service account.
pub struct Account {
    private_key: String,
    public_key: Vec<u8>,
}

/// The server, with the bucket `bucket`. Writes below `denied/` are denied.
pub struct GcsServer {
    pub tls: Tls,
    pub account: Account,
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Object>,
    uploads: BTreeMap<String, Upload>,
    /// Number of objects and uploads so far.
    created: u64,
    faults: Vec<Fault>,
    requests: Vec<String>,
}

#[derive(Clone)]
struct Object {
    content: Bytes,
    headers: BTreeMap<String, String>,
    generation: u64,
}

struct Upload {
    key: String,
    headers: BTreeMap<String, String>,
    parts: BTreeMap<usize, Bytes>,
}

/// Replaces the responses to requests.
#[derive(Clone)]
pub struct Fault {
    /// The requests: `get`, `list`, `put`, `create`, `begin`, `part`, `complete`, `abort` or `delete`; empty: all.
    pub operation: &'static str,
    /// How many of them.
    pub times: usize,
    /// Whether they are carried out nevertheless.
    pub carried_out: bool,
    /// The response.
    pub response: Response,
}

impl Account {
    pub fn generate() -> Self {
        let pair = KeyPair::generate(KeySize::Rsa2048).expect("a key pair");
        let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).expect("PKCS #8");
        let encoded = BASE64_STANDARD.encode(pkcs8.as_ref());
        let private_key = format!("-----BEGIN PRIVATE KEY-----\n{encoded}\n-----END PRIVATE KEY-----\n");
        Self { private_key, public_key: pair.public_key().as_ref().to_vec() }
    }

    /// The JSON document that Google issues, with fields that must not be used.
    pub fn document(&self) -> Value {
        json!({
            "type": "service_account",
            "client_email": EMAIL,
            "private_key_id": "key-1",
            "private_key": self.private_key,
            "token_uri": "https://169.254.169.254/token",
            "gcs_base_url": "http://169.254.169.254",
            "disable_oauth": true,
        })
    }
}

impl GcsServer {
    pub async fn start() -> Self {
        let (tls, account, state) = (Tls::generate(), Account::generate(), Arc::<Mutex<State>>::default());
        let key = DecodingKey::from_rsa_der(&account.public_key);
        let shared = Arc::clone(&state);
        let address = serve(&tls, move |parts, body| {
            if is_authentic(parts, &key) {
                shared.lock().respond(parts, body)
            } else {
                error(401, "AuthenticationRequired")
            }
        });
        Self { address: address.await, tls, account, state }
    }

    /// A target with another key.
    pub fn target_with(&self, bucket: &str, key: &Value, prefix: &str) -> Target {
        Self::build_target(self.address, bucket, key, prefix)
    }

    fn build_target(address: SocketAddr, bucket: &str, key: &Value, prefix: &str) -> Target {
        let properties = json!({"endpoint": format!("https://{address}/"), "bucket": bucket, "prefix": prefix});
        target(properties, "service_account_key", &[("service_account_key", &key.to_string())])
    }

    /// Replaces responses from now on, instead of those before.
    pub fn set_faults(&self, faults: &[Fault]) {
        let mut state = self.state.lock();
        state.faults = faults.to_vec();
        state.requests.clear();
    }

    /// The operations since the last change of the faults.
    pub fn operations(&self) -> Vec<String> {
        self.state.lock().requests.clone()
    }

    /// A header of an object, such as its storage class.
    pub fn header(&self, key: &str, name: &str) -> Option<String> {
        self.state.lock().objects[key].headers.get(name).cloned()
    }
}

fn is_authentic(parts: &Parts, key: &DecodingKey) -> bool {
    let header = parts.headers.get("authorization").and_then(|value| value.to_str().ok());
    let Some(token) = header.and_then(|value| value.strip_prefix("Bearer ")) else { return false };
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_issuer(&[EMAIL]);
    decode::<Value>(token, key, &validation).is_ok()
}

impl State {
    fn respond(&mut self, parts: &Parts, body: Bytes) -> Response {
        let path = parts.uri.path_and_query().expect("a path");
        let url = Url::parse(&format!("https://server{path}")).expect("a URL");
        let query: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        let has = |name: &str| query.contains_key(name);
        let operation = match (&parts.method, has("uploadId")) {
            (&Method::PUT, true) => "part",
            (&Method::POST, true) => "complete",
            (&Method::DELETE, true) => "abort",
            (&Method::POST, false) => "begin",
            (&Method::DELETE, false) => "delete",
            (&Method::PUT, false) if parts.headers.contains_key("x-goog-if-generation-match") => "create",
            (&Method::PUT, false) => "put",
            (&Method::GET, _) if has("list-type") => "list",
            _ => "get",
        };
        self.requests.push(operation.to_owned());
        let mut path = url.path().trim_start_matches('/').splitn(2, '/');
        if path.next() != Some("bucket") {
            return error(404, "NoSuchBucket");
        }
        let key = percent_decode(path.next().unwrap_or_default());
        let matches = |fault: &&mut Fault| fault.times > 0 && ["", operation].contains(&fault.operation);
        if let Some(fault) = self.faults.iter_mut().find(matches) {
            fault.times -= 1;
            let (carried_out, response) = (fault.carried_out, fault.response.clone());
            if carried_out {
                self.carry_out(operation, &key, parts, &query, body);
            }
            return response;
        }
        self.carry_out(operation, &key, parts, &query, body)
    }

    fn carry_out(
        &mut self,
        operation: &str,
        key: &str,
        parts: &Parts,
        query: &BTreeMap<String, String>,
        body: Bytes,
    ) -> Response {
        let id = query.get("uploadId").map(String::as_str).unwrap_or_default();
        match operation {
            "put" | "create" | "begin" if key.starts_with("denied/") => error(403, "AccessDenied"),
            "list" => self.list(query.get("prefix").map(String::as_str).unwrap_or_default()),
            "get" => self.get(key, parts),
            "create" if self.objects.contains_key(key) => error(412, "PreconditionFailed"),
            "put" | "create" => self.put(key, body, own_headers(parts)),
            "delete" if self.objects.remove(key).is_some() => response(204, &[], ""),
            "delete" => error(404, "NoSuchKey"),
            "begin" => {
                self.created += 1;
                let id = format!("upload-{}", self.created);
                let upload = Upload { key: key.to_owned(), headers: own_headers(parts), parts: BTreeMap::new() };
                self.uploads.insert(id.clone(), upload);
                let xml =
                    format!("<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>");
                response(200, &[], xml)
            }
            "part" => {
                let Some(upload) = self.uploads.get_mut(id) else { return error(404, "NoSuchUpload") };
                let number = query["partNumber"].parse().expect("a number");
                let etag = format!("\"{}-{number}-{}\"", upload.key.len(), body.len());
                upload.parts.insert(number, body);
                response(200, &[("etag", &etag)], "")
            }
            "complete" => self.complete(id, &body),
            _ if self.uploads.remove(id).is_some() => response(204, &[], ""),
            _ => error(404, "NoSuchUpload"),
        }
    }

    fn put(&mut self, key: &str, content: Bytes, headers: BTreeMap<String, String>) -> Response {
        self.created += 1;
        let generation = self.created;
        self.objects.insert(key.to_owned(), Object { content, headers, generation });
        response(200, &[("etag", &format!("\"{generation}\"")), ("x-goog-generation", &generation.to_string())], "")
    }

    fn complete(&mut self, id: &str, body: &Bytes) -> Response {
        let Some(upload) = self.uploads.get(id) else { return error(404, "NoSuchUpload") };
        let body = String::from_utf8(body.to_vec()).expect("UTF-8");
        let listed: Vec<usize> =
            elements(&body, "PartNumber").iter().map(|text| text.parse().expect("a number")).collect();
        if listed != upload.parts.keys().copied().collect::<Vec<_>>() {
            return error(400, "InvalidPart");
        }
        let before_last = upload.parts.values().rev().skip(1);
        if before_last.into_iter().any(|part| part.len() < MIN_PART_BYTES) {
            return error(400, "EntityTooSmall");
        }
        let upload = self.uploads.remove(id).expect("it exists");
        let parts: Vec<&[u8]> = upload.parts.values().map(AsRef::as_ref).collect();
        let content = parts.concat().into();
        self.put(&upload.key, content, upload.headers);
        response(200, &[], "<CompleteMultipartUploadResult><ETag>\"etag\"</ETag></CompleteMultipartUploadResult>")
    }

    fn get(&self, key: &str, parts: &Parts) -> Response {
        let is_head = parts.method == Method::HEAD;
        let Some(object) = self.objects.get(key) else {
            return if is_head { response(404, &[], "") } else { error(404, "NoSuchKey") };
        };
        let generation = object.generation.to_string();
        let etag = format!("\"{generation}\"");
        let header = |name: &str| parts.headers.get(name).map(|value| value.to_str().expect("ASCII"));
        if header("if-match").is_some_and(|wanted| wanted != etag) {
            return error(412, "PreconditionFailed");
        }
        let total = object.content.len();
        let range = header("range").map(|range| requested_range(range, total));
        let content = range.clone().map_or_else(|| object.content.clone(), |range| object.content.slice(range));
        let length = content.len().to_string();
        let part = range.as_ref().map(|range| format!("bytes {}-{}/{total}", range.start, range.end - 1));
        let mut headers = vec![
            ("content-length", length.as_str()),
            ("etag", &etag),
            ("last-modified", "Tue, 24 Nov 2026 06:00:00 GMT"),
            ("x-goog-generation", &generation),
        ];
        headers.extend(object.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        headers.extend(part.as_deref().map(|part| ("content-range", part)));
        let status = if part.is_some() { 206 } else { 200 };
        response(status, &headers, if is_head { Bytes::new() } else { content })
    }

    fn list(&self, prefix: &str) -> Response {
        let entry = |(key, object): (&String, &Object)| {
            let (size, generation) = (object.content.len(), object.generation);
            format!(
                "<Contents><Key>{key}</Key><LastModified>2026-11-24T06:00:00Z</LastModified>\
                 <ETag>\"{generation}\"</ETag><Size>{size}</Size></Contents>"
            )
        };
        let entries: String = self.objects.iter().filter(|(key, _)| key.starts_with(prefix)).map(entry).collect();
        response(200, &[], format!("<ListBucketResult>{entries}</ListBucketResult>"))
    }
}

/// The content type, and the headers of Google that objects keep.
fn own_headers(parts: &Parts) -> BTreeMap<String, String> {
    let kept = ["content-type", "x-goog-storage-class"];
    let is_kept = |name: &str| kept.contains(&name) || name.starts_with("x-goog-meta-");
    let text = |value: &http::HeaderValue| value.to_str().expect("ASCII").to_owned();
    let headers = parts.headers.iter().filter(|(name, _)| is_kept(name.as_str()));
    headers.map(|(name, value)| (name.to_string(), text(value))).collect()
}

/// The range of `bytes=FIRST-LAST` in an object of that length.
fn requested_range(range: &str, length: usize) -> Range<usize> {
    let (first, last) = range.strip_prefix("bytes=").and_then(|range| range.split_once('-')).expect("a range");
    let last: usize = last.parse().expect("a number");
    first.parse().expect("a number")..length.min(last + 1)
}

fn percent_decode(text: &str) -> String {
    let url = Url::parse(&format!("https://server/?{}", text.replace('+', "%2B").replace('=', "%3D"))).expect("a URL");
    url.query_pairs().next().map(|(key, _)| key.into_owned()).unwrap_or_default()
}

#[async_trait::async_trait]
impl Bucket for GcsServer {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn target(&self, address: SocketAddr, prefix: &str) -> Target {
        Self::build_target(address, "bucket", &self.account.document(), prefix)
    }

    fn build(&self, target: &Target, network: Network) -> Result<Box<dyn Destination>, DeliveryError> {
        gcs::destination(target, network)
    }

    fn network(&self) -> Network {
        self.tls.network()
    }

    async fn keys(&self, prefix: &str) -> Vec<String> {
        self.state.lock().objects.keys().filter(|key| key.starts_with(prefix)).cloned().collect()
    }

    async fn object(&self, key: &str) -> Option<Bytes> {
        self.state.lock().objects.get(key).map(|object| object.content.clone())
    }

    async fn delete(&self, key: &str) {
        self.state.lock().objects.remove(key).expect("the object exists");
    }

    async fn uploads(&self) -> Vec<String> {
        self.state.lock().uploads.values().map(|upload| upload.key.clone()).collect()
    }
}
