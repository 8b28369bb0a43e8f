//! Arbitrary and mutated ids, names, tokens and values of filters.

use serde_json::Value;

use super::page::{Order, OrderKey, Position, PositionKey};
use super::token::{Etag, TokenKind};
use super::*;
use crate::fuzzing;

#[test]
fn any_text_is_a_name_that_is_printed_as_it_was_parsed_or_refused() {
    let uid = "01931f6e-7c4b-7000-8000-000000000000";
    let run = format!("organizations/acme/exports/weekly/runs/{uid}");
    let samples = [uid, "acme", "a-b", "sftp_2", &run, &run.replace("weekly", "-"), &run.to_uppercase()];
    fuzzing::check("names", 2_000, &fuzzing::text(&samples), |text| {
        let organization = OrganizationId::parse(&text).map(|id| id.to_string());
        let resource = ResourceId::parse(&text).map(|id| id.to_string());
        let connection_type = ConnectionTypeId::parse(&text).map(|id| id.as_str().to_owned());
        let run = RunName::parse(&text).map(|name| name.to_string());
        for parsed in [organization, resource, connection_type, run].into_iter().flatten() {
            assert!(parsed == text && !text.contains(char::is_control) && text.is_ascii(), "{text:?}");
        }
    });
}

#[test]
fn any_text_is_a_member_a_trace_or_an_allowance_or_refused() {
    let samples = [
        "user:ann",
        "group:corp:sales",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "acme=10.0.0.0/8:443",
        "*=[2001:db8::]/32",
        "*=192.0.2.1",
        "acme=2001:db8::1",
    ];
    fuzzing::check("members, traces and allowances", 2_000, &fuzzing::text(&samples), |text| {
        let mut violations = Violations::new();
        let member = Member::parse(&mut violations, "members[0]", &text);
        assert_eq!(member.is_none(), !violations.is_empty());
        assert!(member.is_none_or(|member| text.contains(member.as_str().split_once(':').unwrap().1)));
        assert!(TraceParent::parse(&text).is_none_or(|trace| trace.as_str() == text && trace.trace_id().len() == 32));
        let _ = OutboundAllowance::parse(&text);
    });
}

#[test]
fn any_name_of_a_table_has_hints_that_exist() {
    let known = ["customers", "customer_orders", "x", "ÄÖÜ", "İstanbul", "🦀🦀🦀🦀"];
    fuzzing::check("hints", 1_500, &fuzzing::text(&known), |name| {
        let hints = close_matches(&name, known.into_iter());
        assert!(hints.len() <= 3 && hints.iter().all(|hint| known.contains(hint)));
    });
}

#[test]
fn any_token_and_position_is_decoded_as_it_was_encoded_or_refused() {
    let uid = uuid::Uuid::from_u128(7);
    let etags = [0, 1, i64::MIN].map(|revision| Etag { uid, revision }.encode(TokenKind::Etag));
    fuzzing::check("etags", 2_000, &fuzzing::text(&etags), |text| {
        let decoded = Etag::decode(TokenKind::Etag, &text);
        assert!(decoded.is_none_or(|etag| etag.encode(TokenKind::Etag) == text));
        assert_eq!(decoded.is_some(), etags.contains(&text), "the checksum");
        assert_eq!(Etag::decode(TokenKind::BlockingSet, &text), None);
    });
    let keys = [PositionKey::Uid, PositionKey::Text("Züri".into()), PositionKey::Feed(-1)];
    let positions = keys.map(|key| Position { key, uid }.encode()).to_vec();
    fuzzing::check("positions", 2_000, &fuzzing::bytes(positions), |bytes| {
        for key in [OrderKey::CreateTime, OrderKey::DisplayName, OrderKey::UpdateTime, OrderKey::Feed] {
            let decoded = Position::decode(&bytes, Order { key, descending: false });
            assert!(decoded.is_none_or(|position| position.encode() == bytes));
        }
    });
}

#[test]
fn any_value_of_a_filter_is_of_the_type_of_its_field_or_refused() {
    let types = [
        FieldType::Boolean,
        FieldType::Integer,
        FieldType::Double,
        FieldType::Decimal { precision: 38, scale: 2 },
        FieldType::Decimal { precision: 38, scale: i8::MAX },
        FieldType::Decimal { precision: 38, scale: i8::MIN },
        FieldType::String,
        FieldType::Date,
        FieldType::Time,
        FieldType::Timestamp,
        FieldType::Bytes,
        FieldType::Unsupported,
    ];
    let samples = [
        "12",
        "-0.0",
        "1e300",
        "12.50",
        "+0012.500",
        "-170141183460469231731687303715884105728",
        "9007199254740993",
        "2026-11-24",
        "-262143-01-01",
        "23:59:60.999999999",
        "2026-11-24T06:00:00+01:00",
        "9999-12-31T23:59:59Z",
        "true",
    ];
    fuzzing::check("values of filters", 3_000, &fuzzing::text(&samples), |text| {
        let as_number = text.parse().ok().and_then(serde_json::Number::from_f64).map(Value::Number);
        for value in [Some(Value::String(text)), as_number].into_iter().flatten() {
            for field_type in types {
                if let Err(problem) = FilterValue::parse(field_type, &value) {
                    assert!(problem.len() < 200 && !problem.contains(is_unsafe), "{problem}");
                }
            }
        }
    });
}
