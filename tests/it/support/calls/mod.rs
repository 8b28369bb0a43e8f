//! One sample call of every RPC, for the tests that go through all of them. `samples.rs` holds the table.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MethodDescriptor, Value};

use super::dynamic::{DynamicResponses, method};
use super::{Client, password};

mod access;
mod names;
mod samples;

use access::Access;
pub use access::{ANYBODY, CALLERS, OK};
pub use names::{Names, Slot};
pub use samples::SAMPLES;

/// Describes one RPC: a valid request, and who may call it.
pub struct Sample {
    /// The name that the protos declare, as `package.Service/Method`.
    pub method: &'static str,
    /// The outcome that each kind of caller gets.
    pub access: Access,
    /// The request that is sent, as JSON with placeholders for [`Names`].
    request: &'static str,
}

/// Holds the values that [`Sample::call`] sets in every request that has fields for them.
#[derive(Clone, Debug, Default)]
pub struct CallOptions {
    /// The secret that the credential holds.
    pub secret: String,
    /// The id of the request, by which the server recognizes a repeated change.
    pub request_id: String,
    /// Makes the server check everything and change nothing.
    pub validate_only: bool,
}

impl Sample {
    /// Returns the slots whose names the request holds.
    pub fn slots(&self) -> Vec<Slot> {
        Slot::ALL.iter().copied().filter(|slot| self.request.contains(slot.placeholder())).collect()
    }

    /// Returns whether the method changes anything. The request of such a method has a `request_id`.
    pub fn is_change(&self) -> bool {
        self.descriptor().input().get_field_by_name("request_id").is_some()
    }

    /// Calls the method. The request is built before the future is polled: calls of one `join_all` are sent close
    /// together, and a timeout of the future limits the call alone.
    pub fn call(
        &self,
        client: &Client,
        names: &Names,
        options: &CallOptions,
    ) -> impl Future<Output = DynamicResponses> + Send + use<> {
        let (client, method, request) = (client.dynamic.clone(), self.descriptor(), self.request(names, options));
        async move { client.call(&method, request).await }
    }

    fn descriptor(&self) -> MethodDescriptor {
        method(self.method).unwrap_or_else(|| panic!("the protos do not declare {}", self.method))
    }

    fn request(&self, names: &Names, options: &CallOptions) -> DynamicMessage {
        let json = Slot::ALL
            .iter()
            .fold(self.request.to_owned(), |json, slot| json.replace(slot.placeholder(), names.get(*slot)));
        let message = self.descriptor().input();
        let mut request = DynamicMessage::deserialize(message.clone(), &mut serde_json::Deserializer::from_str(&json))
            .unwrap_or_else(|error| panic!("the sample request of {}: {error}", self.method));
        for field in message.fields() {
            match field.name() {
                "request_id" => request.set_field(&field, Value::String(options.request_id.clone())),
                "validate_only" => request.set_field(&field, Value::Bool(options.validate_only)),
                _ => {
                    if let Some(mut credential) = credential(&field) {
                        credential.transcode_from(&password(&options.secret)).expect("a credential");
                        request.set_field(&field, Value::Message(credential));
                    }
                }
            }
        }
        request
    }
}

/// Returns an empty credential if the field takes a credential.
fn credential(field: &FieldDescriptor) -> Option<DynamicMessage> {
    let Kind::Message(message) = field.kind() else { return None };
    (message.full_name() == "outflow.v1.CredentialInput").then(|| DynamicMessage::new(message))
}
