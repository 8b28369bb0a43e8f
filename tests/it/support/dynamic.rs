//! A client that calls any method by its descriptor, with messages of which no type is generated.

use std::sync::LazyLock;

use http::uri::PathAndQuery;
use outflow::grpc::proto::DESCRIPTOR_SET;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, MethodDescriptor};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder};
use tonic::{Request, Status};
use tonic_prost::ProstEncoder;

use super::client::AuthenticatedChannel;

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(DESCRIPTOR_SET).expect("a descriptor set"));

/// Holds the messages that a method answered, one unless it streams, or the status that ended the call.
pub type DynamicResponses = Result<Vec<DynamicMessage>, Status>;

/// Calls methods by their descriptors.
#[derive(Clone)]
pub struct DynamicClient(AuthenticatedChannel);

/// Encodes requests and decodes responses of one method.
struct DynamicCodec {
    output: MessageDescriptor,
}

/// Decodes messages of one type.
struct DynamicDecoder(MessageDescriptor);

/// Lists every method that the protos declare, as `package.Service/Method`.
pub fn declared_methods() -> impl Iterator<Item = String> {
    let services = POOL.services().filter(|service| service.package_name() == "outflow.v1");
    services.flat_map(|service| service.methods().map(|method| name(&method)).collect::<Vec<_>>())
}

/// Finds the descriptor of `package.Service/Method`.
pub fn method(name: &str) -> Option<MethodDescriptor> {
    let (service, method) = name.split_once('/')?;
    POOL.get_service_by_name(service)?.methods().find(|declared| declared.name() == method)
}

fn name(method: &MethodDescriptor) -> String {
    format!("{}/{}", method.parent_service().full_name(), method.name())
}

impl DynamicClient {
    /// Creates a client that calls over `channel`.
    pub fn new(channel: AuthenticatedChannel) -> Self {
        Self(channel)
    }

    /// Calls a method and reads its responses to the end.
    pub async fn call(self, method: &MethodDescriptor, request: DynamicMessage) -> DynamicResponses {
        let mut grpc = Grpc::new(self.0);
        grpc.ready().await.map_err(|error| Status::unknown(format!("the channel failed: {error}")))?;
        let path = format!("/{}", name(method)).parse::<PathAndQuery>().expect("a path");
        let (request, codec) = (Request::new(request), DynamicCodec { output: method.output() });
        if !method.is_server_streaming() {
            return Ok(vec![grpc.unary(request, path, codec).await?.into_inner()]);
        }
        let mut stream = grpc.server_streaming(request, path, codec).await?.into_inner();
        let mut messages = Vec::new();
        while let Some(message) = stream.message().await? {
            messages.push(message);
        }
        Ok(messages)
    }
}

impl Codec for DynamicCodec {
    type Encode = DynamicMessage;
    type Decode = DynamicMessage;
    type Encoder = ProstEncoder<DynamicMessage>;
    type Decoder = DynamicDecoder;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> Self::Decoder {
        DynamicDecoder(self.output.clone())
    }
}

impl Decoder for DynamicDecoder {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
        let message = DynamicMessage::decode(self.0.clone(), buffer);
        message.map(Some).map_err(|error| Status::internal(format!("not a valid {}: {error}", self.0.full_name())))
    }
}
