//! The Protobuf codec. It maps decode failures to INVALID_ARGUMENT; tonic's codec returns INTERNAL.

use tonic::Status;
use tonic::codec::DecodeBuf;
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

use crate::model::{Error, Invalid};

/// The codec of every service.
#[derive(Debug)]
pub struct Codec<T, U>(ProstCodec<T, U>);

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
    U: prost::Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = Decoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        self.0.encoder()
    }

    fn decoder(&mut self) -> Self::Decoder {
        Decoder(self.0.decoder())
    }
}

impl<U: prost::Message + Default> tonic::codec::Decoder for Decoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        self.0.decode(buffer).map_err(|cause| {
            let name = std::any::type_name::<U>().rsplit("::").next().unwrap_or_default();
            let description = format!("not a valid {name}: {}", cause.message());
            Error::invalid_as(Invalid::Undecodable, "", description).into()
        })
    }
}
