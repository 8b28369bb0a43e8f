//! Transforms values before they are encoded.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, StringArray};
use arrow::buffer::OffsetBuffer;
use aws_lc_rs::digest::{SHA256, digest};

use super::column::{BytesText, Column, Values};
use super::text::{Unencodable, hexadecimal};
use crate::delivery::DeliveryError;
use crate::model::{FailureCode, Transform};

/// Characters of a SHA-256 digest in hexadecimal.
const DIGEST_CHARS: usize = 64;

/// Applies a transform to an array of a canonical type. The result of a hash is text; null stays null.
///
/// What is hashed is the UTF-8 text of the value as CSV shows it, without quotes.
pub fn transform(array: &ArrayRef, transform: Transform) -> Result<ArrayRef, Failure> {
    let is_normalized = match transform {
        Transform::None => return Ok(Arc::clone(array)),
        Transform::Sha256 => false,
        Transform::Sha256Normalized => true,
    };
    let column = Column::new(array).map_err(Failure::Fault)?;
    let mut digests = Vec::with_capacity(array.len() * DIGEST_CHARS);
    let mut text = Vec::new();
    for row in (0..array.len()).filter(|row| !column.is_null(*row)) {
        let input = if let Values::Text(values) = &column.values {
            values.value(row).as_bytes()
        } else {
            text.clear();
            column.values.write_text(row, BytesText::Base64, &mut text).map_err(Failure::Unencodable)?;
            &text
        };
        let input = if is_normalized { normalized(input) } else { Cow::Borrowed(input) };
        hexadecimal(&mut digests, digest(&SHA256, &input).as_ref());
    }
    let lengths = (0..array.len()).map(|row| if column.is_null(row) { 0 } else { DIGEST_CHARS });
    let offsets = OffsetBuffer::from_lengths(lengths);
    let hashed = StringArray::try_new(offsets, digests.into(), column.nulls().cloned());
    let fault = |cause| DeliveryError::with(FailureCode::Internal, "cannot hash", cause);
    Ok(Arc::new(hashed.map_err(|cause| Failure::Fault(fault(cause)))?))
}

/// Why a transform failed.
#[derive(Debug)]
pub enum Failure {
    /// A value has no text.
    Unencodable(Unencodable),
    /// A fault of the engine.
    Fault(DeliveryError),
}

/// The text without white space at its ends and in lower case.
fn normalized(text: &[u8]) -> Cow<'_, [u8]> {
    let text = str::from_utf8(text).unwrap_or_default().trim();
    if text.is_ascii() {
        Cow::Owned(text.as_bytes().to_ascii_lowercase())
    } else {
        Cow::Owned(text.to_lowercase().into_bytes())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::format_collect, reason = "short digests")]

    use arrow::array::{AsArray as _, Decimal128Array};
    use sha2::{Digest as _, Sha256};

    use super::*;

    fn hash(text: &str) -> String {
        Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn texts_are_hashed_and_null_stays_null() {
        let array: ArrayRef =
            Arc::new(StringArray::from(vec![Some(" Jo@Example.ORG\u{a0}"), None, Some(""), Some("ÄSS ")]));
        let plain = transform(&array, Transform::Sha256).unwrap();
        let expected = [Some(hash(" Jo@Example.ORG\u{a0}")), None, Some(hash("")), Some(hash("ÄSS "))];
        assert_eq!(plain.as_string::<i32>(), &StringArray::from_iter(expected));
        let normalized = transform(&array, Transform::Sha256Normalized).unwrap();
        let expected = [Some(hash("jo@example.org")), None, Some(hash("")), Some(hash("äss"))];
        assert_eq!(normalized.as_string::<i32>(), &StringArray::from_iter(expected));
    }

    #[test]
    fn other_values_are_hashed_as_their_text() {
        let array: ArrayRef = Arc::new(Decimal128Array::from(vec![-5]).with_precision_and_scale(5, 2).unwrap());
        let hashed = transform(&array, Transform::Sha256).unwrap();
        assert_eq!(hashed.as_string::<i32>().value(0), hash("-0.05"));
    }
}
