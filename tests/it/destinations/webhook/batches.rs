//! The requests of a delivery: batches, headers, signatures.

use std::collections::HashSet;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::receiver::{Received, Receiver};
use super::{SIGNING_SECRET, settings, table, webhook, with_credential};
use crate::destinations::services::{Run, code_of};
use outflow::model::FailureCode;

/// Verifies a signature without the code that made it.
fn assert_signed(request: &Received) {
    let secret = BASE64.decode(SIGNING_SECRET.trim_start_matches("whsec_")).expect("base64");
    let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
    let signed = [request.header("webhook-id"), request.header("webhook-timestamp"), ""].join(".");
    let signature = request.header("webhook-signature").strip_prefix("v1,").expect("a signature");
    let signature = BASE64.decode(signature).expect("base64");
    hmac::verify(&key, &[signed.as_bytes(), &request.body].concat(), &signature).expect("a valid signature");
    let other = [signed.as_bytes(), &request.body, b" "].concat();
    hmac::verify(&key, &other, &signature).expect_err("the signature covers the body");
}

fn rows_of(request: &Received, body_format: &str) -> Vec<Value> {
    if body_format == "ndjson" {
        let body = std::str::from_utf8(&request.body).expect("UTF-8");
        assert!(body.ends_with('\n'));
        return body.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    }
    let body = request.json();
    assert_eq!(body["table"], json!(request.header("x-outflow-table")));
    assert_eq!(body["run"], json!(request.header("x-outflow-run")));
    assert_eq!(body["export"], json!("nightly"));
    body["rows"].as_array().expect("rows").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_hold_all_rows_in_order_and_are_signed() {
    for (body_format, compression) in [("json", "none"), ("json", "gzip"), ("ndjson", "none"), ("ndjson", "gzip")] {
        let receiver = Receiver::start().await;
        let mut settings = settings(7);
        (settings["body_format"], settings["compression"]) = (json!(body_format), json!(compression));
        let webhook = webhook(&receiver, receiver.port(), settings);
        let tables = [table("customers", 50, 11), table("orders", 3, 2), table("empty", 0, 1)];
        let run = Run::new(true);
        assert!(run.attempt(&webhook, 0, &tables).await.expect("delivered"));

        let requests = receiver.requests();
        let ids: Vec<_> = requests.iter().map(|request| request.header("webhook-id").to_owned()).collect();
        let customers = (0..8).map(|batch| format!("{}-0-0-{batch}", run.id));
        assert_eq!(ids, customers.chain([format!("{}-0-1-0", run.id)]).collect::<Vec<_>>());
        for request in &requests {
            assert_signed(request);
            assert_eq!(request.path, "/segments?from=outflow");
            assert_eq!(request.header("content-encoding"), if compression == "gzip" { "gzip" } else { "" });
            let content_type = if body_format == "json" { "application/json" } else { "application/x-ndjson" };
            assert_eq!(request.header("content-type"), content_type);
            assert!(!request.headers.contains_key("authorization"));
        }
        for table in &tables {
            let own = requests.iter().filter(|request| request.header("x-outflow-table") == table.table);
            let batches: Vec<_> = own.map(|request| rows_of(request, body_format)).collect();
            assert!(batches.iter().rev().skip(1).all(|rows| rows.len() == 7));
            let expected: Vec<Value> = table.rows.iter().map(|row| serde_json::from_str(row).expect("JSON")).collect();
            assert_eq!(batches.concat(), expected, "{}", table.table);
        }
        assert!(!run.attempt(&webhook, 1, &tables).await.expect("delivered already"));
        assert_eq!(receiver.requests().len(), requests.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_stay_below_the_maximum_size() {
    let receiver = Receiver::start().await;
    let mut settings = settings(10_000);
    settings["max_batch_bytes"] = json!(1024);
    let webhook = webhook(&receiver, receiver.port(), settings);
    let tables = [table("customers", 200, 50)];
    Run::new(true).attempt(&webhook, 0, &tables).await.expect("delivered");
    let requests = receiver.requests();
    let sizes: Vec<_> = requests.iter().map(|request| request.body.len()).collect();
    assert!(sizes.iter().all(|size| *size <= 1024), "{sizes:?}");
    assert!(sizes.iter().rev().skip(1).all(|size| *size > 900), "{sizes:?}");
    let rows: usize = requests.iter().map(|request| rows_of(request, "json").len()).sum();
    assert_eq!(rows, 200);

    let mut tables = [table("customers", 3, 1)];
    tables[0].rows[1] = json!({ "secret": "x".repeat(1024) }).to_string();
    let code = code_of(Run::new(true).attempt(&webhook, 0, &tables).await, "xxx");
    assert_eq!(code, FailureCode::LimitExceeded);
    assert_eq!(receiver.requests().len(), requests.len(), "the rows before the large one were not sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_rows_nothing_is_sent() {
    let receiver = Receiver::start().await;
    let webhook = webhook(&receiver, receiver.port(), settings(10));
    let run = Run::new(true);
    assert!(run.attempt(&webhook, 0, &[table("customers", 0, 1)]).await.expect("delivered"));
    assert!(receiver.requests().is_empty());
    assert_eq!(run.saves(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_sent_and_signatures_are_optional() {
    for (auth_method, fields, expected) in [
        ("bearer_token", vec![("token", "abc.DEF_123==")], "Bearer abc.DEF_123=="),
        ("basic", vec![("username", "ann"), ("password", "pä:ss")], "Basic YW5uOnDDpDpzcw=="),
    ] {
        for signed in [false, true] {
            let receiver = Receiver::start().await;
            let mut fields = fields.clone();
            fields.extend(signed.then_some(("signing_secret", SIGNING_SECRET)));
            let webhook = with_credential(&receiver, receiver.port(), auth_method, &fields, settings(10));
            Run::new(true).attempt(&webhook, 0, &[table("customers", 1, 1)]).await.expect("delivered");
            let requests = receiver.requests();
            assert_eq!(requests.len(), 1);
            assert_eq!(requests[0].header("authorization"), expected);
            assert_eq!(requests[0].headers.contains_key("webhook-signature"), signed);
            if signed {
                assert_signed(&requests[0]);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_tables_are_encoded_in_headers_alone() {
    let receiver = Receiver::start().await;
    let webhook = webhook(&receiver, receiver.port(), settings(1));
    let tables = [table("Bücher \"neu\"", 2, 1)];
    Run::new(true).attempt(&webhook, 0, &tables).await.expect("delivered");
    let requests = receiver.requests();
    let ids: HashSet<_> = requests.iter().map(|request| request.header("webhook-id")).collect();
    assert_eq!((requests.len(), ids.len()), (2, 2));
    for request in &requests {
        assert_eq!(request.header("x-outflow-table"), "B%C3%BCcher%20\"neu\"");
        assert_eq!(request.json()["table"], json!("Bücher \"neu\""));
        assert_signed(request);
    }
}
