//! Chooses the columns of a row group that get a dictionary.
//!
//! A dictionary pays if values repeat. The writer of Parquet gives every column one and gives it up only when it is larger
//! than 1 MiB, which a row group of unique numbers never is: looking up each value takes most of the time of encoding.

use std::collections::HashSet;

use arrow::array::ArrayRef;

use super::column::{BytesText, Column};
use crate::delivery::DeliveryError;

/// Values of a column that are looked at, at most.
const SAMPLE_VALUES: usize = 2_048;
/// A column gets no dictionary if at most one in this number of values of the sample occurred before. In a row group of
/// 131,072 rows this means more than about 50,000 different values.
const MIN_REPEATED_ONE_IN: usize = 50;

/// Whether the values of a column repeat often enough, judged by some of its first rows. The column is in several parts.
pub fn repeats(parts: &[ArrayRef]) -> Result<bool, DeliveryError> {
    let mut seen = HashSet::with_capacity(SAMPLE_VALUES);
    let mut values = 0;
    for part in parts {
        let column = Column::new(part)?;
        for row in (0..part.len()).filter(|row| !column.is_null(*row)).take(SAMPLE_VALUES - values) {
            let mut text = Vec::new();
            // A value without a text counts as empty.
            let _ = column.values.write_text(row, BytesText::Base64, &mut text);
            seen.insert(text);
            values += 1;
        }
        if values == SAMPLE_VALUES {
            break;
        }
    }
    let repeated = values - seen.len();
    Ok(values == 0 || repeated * MIN_REPEATED_ONE_IN > values)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};

    use super::*;

    #[test]
    fn unique_values_get_no_dictionary() {
        let arrays: [(ArrayRef, bool); 5] = [
            (Arc::new(Int64Array::from_iter_values(0..5_000)), false),
            (Arc::new(Int64Array::from_iter_values((0..5_000).map(|row| row % 1_500))), true),
            (Arc::new(StringArray::from(vec![Some("a"), None, Some("b")])), false),
            (Arc::new(StringArray::from(vec!["a"; 100])), true),
            (Arc::new(StringArray::from(vec![None::<&str>; 100])), true),
        ];
        for (array, expected) in arrays {
            assert_eq!(repeats(std::slice::from_ref(&array)).unwrap(), expected, "{array:?}");
        }
        let parts: Vec<ArrayRef> = (0..3_000).map(|id| Arc::new(Int64Array::from(vec![id / 2])) as ArrayRef).collect();
        assert!(repeats(&parts).unwrap() && !repeats(&parts[..1]).unwrap());
    }
}
