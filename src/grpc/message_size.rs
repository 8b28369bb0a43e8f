//! Counts the values of an encoded message before it is decoded: an empty value has two bytes, and as part of a decoded message
//! up to a hundred.

use prost::decode_length_delimiter;

use crate::model::limits;

/// The deepest nesting that prost decodes.
const MAX_DEPTH: usize = 100;

/// A message that is sent or received as a whole.
pub trait MessageType {
    /// The index of a request in the table of messages; `None`: it is no request.
    const REQUEST: Option<usize>;
}

/// For each message, the numbers of its fields that are messages, each with the index of its type.
static MESSAGES: &[&[(i32, usize)]] = include!(concat!(env!("OUT_DIR"), "/message_fields.rs"));

/// Refuses an encoded request with more than 100,000 values, at any depth. Returns what is wrong.
pub fn check<M: MessageType>(encoded: &[u8]) -> Result<(), String> {
    let Some(request) = M::REQUEST else { return Ok(()) };
    count(encoded, request, MAX_DEPTH, &mut 0)
}

fn count(mut bytes: &[u8], message: usize, depth: usize, values: &mut usize) -> Result<(), String> {
    while !bytes.is_empty() {
        *values += 1;
        if *values > limits::MAX_MESSAGE_VALUES {
            return Err(format!("a request must have at most {} values", limits::MAX_MESSAGE_VALUES));
        }
        let key = varint(&mut bytes)?;
        match key & 7 {
            0 => drop(varint(&mut bytes)?),
            1 => drop(take(&mut bytes, 8)?),
            5 => drop(take(&mut bytes, 4)?),
            2 => {
                let length = varint(&mut bytes)?;
                let value = take(&mut bytes, length)?;
                let fields = MESSAGES.get(message).copied().unwrap_or_default();
                if let Some((_, nested)) = fields.iter().find(|(number, _)| usize::try_from(*number) == Ok(key >> 3)) {
                    let depth = depth.checked_sub(1).ok_or("it is nested too deeply")?;
                    count(value, *nested, depth, values)?;
                }
            }
            // Groups, which no message has.
            _ => return Err(malformed()),
        }
    }
    Ok(())
}

fn varint(bytes: &mut &[u8]) -> Result<usize, String> {
    decode_length_delimiter(bytes).map_err(|_| malformed())
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8], String> {
    let (value, rest) = bytes.split_at_checked(length).ok_or_else(malformed)?;
    *bytes = rest;
    Ok(value)
}

fn malformed() -> String {
    "it is truncated, or no Protobuf".to_owned()
}
