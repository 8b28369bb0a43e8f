//! The Protobuf codec. It maps decode failures to INVALID_ARGUMENT, where tonic's codec returns INTERNAL, and encodes into as
//! many bytes as a message has, where tonic's codec may allocate twice as many.

use std::marker::PhantomData;

use bytes::Buf as _;
use tonic::Status;
use tonic::codec::{DecodeBuf, EncodeBuf};
use tonic_prost::{ProstCodec, ProstDecoder};

use super::message_size::{self, MessageType};
use crate::model::{Error, Invalid};

/// The codec of every service.
#[derive(Debug)]
pub struct Codec<T, U>(ProstCodec<T, U>);

/// Encodes messages of one type.
#[derive(Debug)]
pub struct Encoder<T>(PhantomData<T>);

/// Decodes messages of one type.
#[derive(Debug)]
pub struct Decoder<U>(ProstDecoder<U>);

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Self(ProstCodec::default())
    }
}

impl<T, U> tonic::codec::Codec for Codec<T, U>
where
    T: prost::Message + Send + 'static,
    U: prost::Message + MessageType + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = Encoder<T>;
    type Decoder = Decoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        Encoder(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        Decoder(self.0.decoder())
    }
}

impl<T: prost::Message> tonic::codec::Encoder for Encoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, item: T, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(item.encoded_len());
        item.encode(buffer).map_err(|error| Error::internal(error).into())
    }
}

impl<U: prost::Message + MessageType + Default> tonic::codec::Decoder for Decoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        // The buffer is in one piece.
        message_size::check::<U>(buffer.chunk()).map_err(|cause| invalid::<U>(&cause))?;
        self.0.decode(buffer).map_err(|cause| invalid::<U>(cause.message()))
    }
}

fn invalid<U>(cause: &str) -> Status {
    let name = std::any::type_name::<U>().rsplit("::").next().unwrap_or_default();
    Error::invalid_as(Invalid::Undecodable, "", format!("not a valid {name}: {cause}")).into()
}
