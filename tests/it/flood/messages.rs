//! Messages that take much more memory than they have bytes.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

/// The largest message that is received.
const MAX_BYTES: usize = 768 * 1024;

/// Requests of methods, each with a field that is repeated as often as a message can hold it.
pub fn repeated() -> Vec<(&'static str, Vec<u8>)> {
    // Fields of CreateExportRequest and Export.
    let (export, payload, settings, labels) = (3, 8, 10, 16);
    let payload = |content: Vec<u8>| nested(export, &nested(payload, &content));
    vec![
        // Tables; fields of a table; values of a filter.
        ("/outflow.v1.ExportService/CreateExport", payload(many(&nested(1, b"")))),
        ("/outflow.v1.ExportService/CreateExport", payload(nested(1, &many(&nested(2, b""))))),
        ("/outflow.v1.ExportService/CreateExport", payload(nested(1, &nested(3, &many(&nested(3, b"")))))),
        ("/outflow.v1.ExportService/CreateExport", nested(export, &many(&nested(settings, b"\x0a\x00")))),
        ("/outflow.v1.ExportService/CreateExport", nested(export, &many(&nested(labels, b"\x0a\x00")))),
        ("/outflow.v1.ExportService/UpdateExport", nested(2, &many(&nested(1, b"")))),
        ("/outflow.v1.ExportService/BatchDeleteExports", many(&nested(2, b""))),
    ]
}

/// A field with a length.
fn nested(number: usize, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A key is a varint, as a length is.
    prost::encode_length_delimiter(number << 3 | 2, &mut bytes).expect("space");
    prost::encode_length_delimiter(content.len(), &mut bytes).expect("space");
    bytes.extend_from_slice(content);
    bytes
}

/// A field as often as it fits.
fn many(field: &[u8]) -> Vec<u8> {
    field.repeat((MAX_BYTES - 64) / field.len())
}

/// Compresses a message.
pub fn gzip(message: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(message).expect("compressed");
    encoder.finish().expect("compressed")
}
