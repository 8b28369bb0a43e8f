//! Messages of any type, made from a list of numbers: every field is derived from the descriptor of the message.

use prost::Message as _;
use prost_reflect::{
    Cardinality, DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value,
};

use crate::grpc::proto::DESCRIPTOR_SET;

/// Messages below this depth are empty.
const MAX_DEPTH: usize = 12;

/// Texts of the fields of requests, most of them valid in some field.
const TEXTS: [&str; 60] = [
    "",
    "a",
    "acme",
    "weekly",
    "user:ann",
    "group:sales",
    "user:",
    "Kunden äöü 🦀",
    "display_name",
    "description",
    "properties",
    "labels",
    "payload",
    "schedule",
    "destination_settings",
    "sharing",
    "connection",
    "*",
    "name",
    "display_name.x",
    "create_time",
    "create_time desc",
    "display_name asc",
    "feed",
    "feed desc",
    "table",
    "time",
    "connectionTypes/sftp",
    "connectionTypes/webhook",
    "connectionTypes/",
    "sftp",
    "password",
    "private_key",
    "0 6 * * *",
    "*/15 9-17 * * MON-FRI",
    "0 0 L * *",
    "0 0 * * 5L",
    "0 0 30 2 *",
    "@daily",
    "Europe/Zurich",
    "UTC",
    "Europe/Nowhere",
    "{export}-{table}-{run}",
    "{export}-{",
    "a\u{0}b",
    "\n",
    "\u{1b}[31m",
    "\u{202e}",
    "%00",
    "..",
    "customers",
    "email",
    "01931f6e-7c4b-7000-8000-000000000000",
    "01931F6E-7C4B-7000-8000-000000000000",
    "not-a-uuid",
    "2026-11-24",
    "12.50",
    "99999999999999999999999999999999999999999",
    "host",
    "a.example",
];
const UUID: &str = "01931f6e-7c4b-7000-8000-000000000000";
/// Resource names, valid ones and others, for the fields that hold names.
const NAMES: [&str; 16] = [
    "organizations/acme",
    "organizations/acme/connections/warehouse",
    "organizations/acme/connections/01931f6e-7c4b-7000-8000-000000000000",
    "organizations/acme/exports/weekly",
    "organizations/acme/exports/-",
    "organizations/acme/exports/weekly/runs/01931f6e-7c4b-7000-8000-000000000000",
    "organizations/acme/exports/-/runs/01931f6e-7c4b-7000-8000-000000000000",
    "organizations/acme/datasets/crm/customers",
    "organizations/acme/auditEvents/01931f6e-7c4b-7000-8000-000000000000",
    "organizations/other/exports/weekly",
    "organizations/acm",
    "organizations/",
    "organizations//exports/",
    "organizations/acme/exports/WEEKLY",
    "connectionTypes/sftp",
    "organizations/acme/exports/weekly/",
];
const INTEGERS: [i64; 16] = [
    0,
    1,
    2,
    3,
    7,
    50,
    100,
    1_000,
    1_001,
    1_800_000_000,
    -1,
    253_402_300_800,
    -62_135_596_801,
    999_999_999,
    i64::MIN,
    i64::MAX,
];
const DOUBLES: [f64; 10] =
    [0.0, 1.0, 5_432.0, -1.0, 0.5, 1e300, 9_007_199_254_740_992.0, f64::NAN, f64::INFINITY, f64::MIN_POSITIVE];

/// Decides what a request contains. Without numbers that are left, it contains little more.
pub struct Choices {
    numbers: std::vec::IntoIter<u32>,
    /// How many of eight values are any values, instead of values that their fields accept.
    wild: usize,
    /// The name of the request.
    request: String,
}

impl Choices {
    /// Encodes a request of a type, with content that the numbers determine.
    pub fn encode(request: &MessageDescriptor, numbers: Vec<u32>) -> Vec<u8> {
        let mut choices = Self { numbers: numbers.into_iter(), wild: 0, request: request.name().to_owned() };
        choices.wild = choices.of(&[0, 1, 0, 2, 4]);
        choices.message(request, 0).encode_to_vec()
    }

    /// A number below `count`.
    fn below(&mut self, count: usize) -> usize {
        self.numbers.next().map_or(0, |number| number as usize % count)
    }

    fn of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }

    fn is_wild(&mut self) -> bool {
        self.below(8) + self.wild >= 8
    }

    fn message(&mut self, descriptor: &MessageDescriptor, depth: usize) -> DynamicMessage {
        let mut message = DynamicMessage::new(descriptor.clone());
        if depth >= MAX_DEPTH {
            return message;
        }
        for field in descriptor.fields() {
            if self.is_wild() || self.numbers.len() == 0 {
                continue;
            }
            // The last value of a oneof remains. Most fields of JSON accept a string.
            let is_string = field.full_name() == "google.protobuf.Value.string_value";
            if field.containing_oneof().is_some() && !is_string && self.below(2) == 0 {
                continue;
            }
            let value = if field.is_map() {
                self.map(&field, depth)
            } else if field.cardinality() == Cardinality::Repeated {
                let count = if self.is_wild() { self.of(&[0, 2, 3, 5]) } else { 1 };
                Value::List((0..count).map(|_| self.value(&field, depth)).collect())
            } else {
                self.value(&field, depth)
            };
            message.set_field(&field, value);
        }
        message
    }

    fn map(&mut self, field: &FieldDescriptor, depth: usize) -> Value {
        let Kind::Message(entry) = field.kind() else { panic!("a map has entries") };
        let value = entry.map_entry_value_field();
        let count = self.of(&[1, 1, 2, 3]);
        let mut entry = || (MapKey::String(self.text("key")), self.value(&value, depth));
        Value::Map((0..count).map(|_| entry()).collect())
    }

    fn value(&mut self, field: &FieldDescriptor, depth: usize) -> Value {
        match field.kind() {
            Kind::Bool => Value::Bool(self.below(2) == 1),
            Kind::Double => Value::F64(if self.is_wild() { self.of(&DOUBLES) } else { self.of(&DOUBLES[..5]) }),
            Kind::Float => Value::F32(0.5),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(narrow(self.integer())),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(self.integer()),
            Kind::Uint32 | Kind::Fixed32 => Value::U32(u32::try_from(self.integer()).unwrap_or(u32::MAX)),
            Kind::Uint64 | Kind::Fixed64 => Value::U64(self.integer().unsigned_abs()),
            Kind::String => Value::String(self.text(field.name())),
            Kind::Bytes => Value::Bytes(self.of(&TEXTS).as_bytes().into()),
            Kind::Message(message) => Value::Message(self.message(&message, depth + 1)),
            Kind::Enum(kind) => {
                let known = kind.values().len();
                Value::EnumNumber(if self.is_wild() {
                    narrow(self.integer())
                } else {
                    i32::try_from(self.below(known)).unwrap_or_default()
                })
            }
        }
    }

    fn integer(&mut self) -> i64 {
        if self.is_wild() { self.of(&INTEGERS) } else { self.of(&INTEGERS[..8]) }
    }

    /// A text, which a field of that name probably accepts.
    fn text(&mut self, field: &str) -> String {
        if self.is_wild() {
            return match self.below(3) {
                0 => self.of(&TEXTS).to_owned(),
                1 => self.of(&TEXTS).repeat(self.of(&[1, 2, 64, 300])),
                _ => format!("{}{}", self.of(&NAMES), self.of(&TEXTS)),
            };
        }
        let text = match field {
            "parent" if self.request == "ListExportRunsRequest" => self.of(&NAMES[3..5]),
            "parent" => NAMES[0],
            "connection" | "detached_from" => self.of(&NAMES[1..3]),
            "name" | "names" => self.name(),
            "connection_type" => "connectionTypes/sftp",
            "expression" => self.of(&["0 6 * * *", "*/15 9-17 * * MON-FRI"]),
            "time_zone" => self.of(&["Europe/Zurich", "UTC"]),
            "request_id" | "batch_id" => UUID,
            "page_token" | "cursor" => "",
            "connection_id" | "export_id" => "weekly",
            "order_by" if self.request == "ListAuditEventsRequest" => "",
            "order_by" if self.request == "ListDatasetsRequest" => "table",
            "order_by" => self.of(&["create_time", "create_time desc", "display_name asc"]),
            "paths" => self.of(&["display_name", "description", "labels"]),
            "members" => self.of(&["user:ann", "group:sales"]),
            _ => self.of(&["a", "acme", "weekly", "Kunden äöü 🦀"]),
        };
        text.to_owned()
    }

    /// The name of a resource that the request is about.
    fn name(&mut self) -> &'static str {
        let request = self.request.as_str();
        match request {
            "GetExportRunRequest" | "WatchExportRunRequest" | "CancelExportRunRequest" => self.of(&NAMES[5..7]),
            "GetDatasetRequest" => NAMES[7],
            "GetConnectionTypeRequest" => "connectionTypes/sftp",
            _ if request.contains("Connection") || request == "StreamBlockingExportsRequest" => self.of(&NAMES[1..3]),
            _ => NAMES[3],
        }
    }
}

fn narrow(integer: i64) -> i32 {
    i32::try_from(integer).unwrap_or(if integer > 0 { i32::MAX } else { i32::MIN })
}

/// The descriptors of the API.
pub fn descriptors() -> DescriptorPool {
    DescriptorPool::decode(DESCRIPTOR_SET).unwrap()
}
