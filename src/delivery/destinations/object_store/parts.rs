//! Sizes of the parts of an upload, and the buffer that they are cut from.

use bytes::Bytes;
use object_store::PutPayload;

const MIB: usize = 1024 * 1024;

/// Size of the first [`SMALL_PARTS`] parts. Stores require at least 5 MiB of every part but the last, and some require
/// equal sizes, which holds for files of up to 31 GiB.
pub(super) const PART_BYTES: usize = 8 * MIB;

/// Number of parts after which parts are larger.
const SMALL_PARTS: usize = 4_000;

/// Size of the parts after the first [`SMALL_PARTS`].
const LARGE_PART_BYTES: usize = 64 * MIB;

/// Maximum number of parts of an upload, as Amazon S3 and Google Cloud Storage limit it. The largest file has 406 GiB.
pub(super) const MAX_PARTS: usize = 10_000;

/// Maximum number of parts of [`PART_BYTES`] that are sent at once.
const MAX_PARTS_IN_FLIGHT: usize = 4;

/// Size of the part with an index.
pub(super) fn part_bytes(index: usize) -> usize {
    if index < SMALL_PARTS { PART_BYTES } else { LARGE_PART_BYTES }
}

/// Maximum number of parts that are sent at once when the part with an index is. With the part that is being filled, an
/// upload holds at most 40 MiB, and 128 MiB after the first [`SMALL_PARTS`] parts.
pub(super) fn parts_in_flight(index: usize) -> usize {
    if index < SMALL_PARTS { MAX_PARTS_IN_FLIGHT } else { 1 }
}

/// Bytes that are not yet part of an upload.
#[derive(Default)]
pub(super) struct Buffer {
    chunks: Vec<Bytes>,
    bytes: usize,
}

impl Buffer {
    /// Appends without copying.
    pub(super) fn push(&mut self, chunk: Bytes) {
        self.bytes += chunk.len();
        self.chunks.push(chunk);
    }

    /// Number of bytes.
    pub(super) fn len(&self) -> usize {
        self.bytes
    }

    /// Removes the first `length` bytes, or all if there are fewer, without copying.
    pub(super) fn take(&mut self, length: usize) -> PutPayload {
        let rest = self.bytes.saturating_sub(length);
        let mut taken = std::mem::take(&mut self.chunks);
        let mut excess = rest;
        while excess > 0 {
            let Some(mut last) = taken.pop() else { break };
            if last.len() > excess {
                let tail = last.split_off(last.len() - excess);
                taken.push(last);
                last = tail;
            }
            excess -= last.len();
            self.chunks.push(last);
        }
        self.chunks.reverse();
        self.bytes = rest;
        taken.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(payload: PutPayload) -> Vec<u8> {
        Bytes::from(payload).to_vec()
    }

    #[test]
    fn parts_have_exact_sizes_and_all_bytes_in_order() {
        let mut buffer = Buffer::default();
        for chunk in ["abc", "", "defg", "h", "ijklm"] {
            buffer.push(Bytes::from_static(chunk.as_bytes()));
        }
        assert_eq!(contents(buffer.take(5)), b"abcde");
        assert_eq!(buffer.len(), 8);
        assert_eq!(contents(buffer.take(3)), b"fgh");
        buffer.push(Bytes::from_static(b"no"));
        assert_eq!(contents(buffer.take(100)), b"ijklmno");
        assert_eq!((buffer.len(), contents(buffer.take(1))), (0, Vec::new()));
    }

    #[test]
    fn the_largest_file_has_406_gib_and_the_parts_in_flight_fit_their_budget() {
        let bytes: u64 = (0..MAX_PARTS).map(|index| part_bytes(index) as u64).sum();
        assert_eq!(bytes / (1 << 30), 406);
        let held = |index| part_bytes(index) * (parts_in_flight(index) + 1);
        assert_eq!((held(0), held(MAX_PARTS - 1)), (40 * MIB, 128 * MIB));
    }
}
