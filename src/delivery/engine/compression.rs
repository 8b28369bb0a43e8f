//! Compresses chunks. Each becomes a gzip member or a Zstandard frame of its own, so that several threads compress one
//! file: RFC 1952, section 2.2 and RFC 8878, section 3 define a file as a sequence of them.

use std::io::{self, Write as _};

use flate2::write::GzEncoder;

use super::settings::Compression;
use crate::delivery::DeliveryError;
use crate::model::FailureCode;

/// Level of Zstandard.
const ZSTD_LEVEL: i32 = 3;

/// Compresses the chunks of one thread.
pub enum Compressor {
    /// Leaves them unchanged.
    None,
    /// Makes gzip members.
    Gzip,
    /// Makes Zstandard frames with a checksum of their content.
    Zstd(zstd::bulk::Compressor<'static>),
}

impl Compressor {
    /// A compressor.
    pub fn new(compression: Compression) -> Result<Self, DeliveryError> {
        Ok(match compression {
            Compression::None => Self::None,
            Compression::Gzip => Self::Gzip,
            Compression::Zstd => Self::Zstd(zstd_compressor().map_err(|cause| failed(&cause))?),
        })
    }

    /// Compresses a chunk.
    pub fn compress(&mut self, chunk: Vec<u8>) -> Result<Vec<u8>, DeliveryError> {
        let mut compressed = match self {
            Self::None => return Ok(chunk),
            Self::Gzip => {
                let mut encoder = GzEncoder::new(Vec::with_capacity(chunk.len() / 3), flate2::Compression::default());
                encoder.write_all(&chunk).and_then(|()| encoder.finish())
            }
            Self::Zstd(compressor) => compressor.compress(&chunk),
        }
        .map_err(|cause| failed(&cause))?;
        // The buffer has the size of the worst case.
        compressed.shrink_to_fit();
        Ok(compressed)
    }
}

fn zstd_compressor() -> io::Result<zstd::bulk::Compressor<'static>> {
    let mut compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
    compressor.include_checksum(true)?;
    Ok(compressor)
}

fn failed(cause: &io::Error) -> DeliveryError {
    DeliveryError::with(FailureCode::Internal, "cannot compress", cause)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn several_chunks_are_one_file() {
        let chunks: Vec<Vec<u8>> = vec![Vec::new(), b"first\n".repeat(1_000), b"second\n".to_vec()];
        let expected = chunks.concat();
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let mut compressor = Compressor::new(compression).unwrap();
            let file: Vec<u8> = chunks.iter().flat_map(|chunk| compressor.compress(chunk.clone()).unwrap()).collect();
            let mut text = Vec::new();
            match compression {
                Compression::None => text = file,
                Compression::Gzip => {
                    flate2::read::MultiGzDecoder::new(file.as_slice()).read_to_end(&mut text).map(|_| ()).unwrap();
                }
                Compression::Zstd => text = zstd::stream::decode_all(file.as_slice()).unwrap(),
            }
            assert_eq!(text, expected);
        }
    }
}
