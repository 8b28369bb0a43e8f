//! Tests of a connection.

use outflow::delivery::destinations::Destination as _;
use outflow::delivery::destinations::webhook::Webhook;
use outflow::model::Clock;
use serde_json::json;

use super::receiver::Receiver;
use super::{SIGNING_SECRET, settings, webhook};
use crate::destinations::services::{network, outcomes, target};

#[tokio::test(flavor = "multi_thread")]
async fn a_test_sends_one_request_without_rows() {
    let receiver = Receiver::start().await;
    let checks = webhook(&receiver, receiver.port(), json!({})).test().await;
    assert_eq!(outcomes(&checks), ["+", "+", "+", "+", "+"]);
    let requests = receiver.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].json(), json!({ "test": true, "rows": [] }));
    assert!(requests[0].header("webhook-id").starts_with("test-"));
    assert!(requests[0].header("webhook-signature").starts_with("v1,"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_names_the_step_that_failed() {
    for (status, expected) in [
        (401, ["+", "+", "+", "AuthenticationFailed", "-"]),
        (403, ["+", "+", "+", "DestinationDenied", "-"]),
        (404, ["+", "+", "+", "-", "DestinationRefused"]),
        (302, ["+", "+", "+", "-", "DestinationRefused"]),
        (500, ["+", "+", "+", "-", "DestinationUnreachable"]),
    ] {
        let receiver = Receiver::start().await;
        receiver.answer_always((status, Vec::new()));
        let checks = webhook(&receiver, receiver.port(), json!({})).test().await;
        assert_eq!(outcomes(&checks), expected, "{status}");
        assert_eq!(receiver.requests().len(), 1, "{status}");
    }
    let receiver = Receiver::start().await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port").port();
    let (own, permitted) = (Some(receiver.authority.as_str()), "*=127.0.0.0/8");
    for (host, port, authority, permitted, expected) in [
        ("missing.test", receiver.port(), own, permitted, ["DestinationUnreachable", "-", "-", "-", "-"]),
        ("hooks.test", receiver.port(), own, "*=10.0.0.0/8", ["AddressForbidden", "-", "-", "-", "-"]),
        ("127.0.0.1", receiver.port(), own, "*=10.0.0.0/8", ["AddressForbidden", "-", "-", "-", "-"]),
        ("hooks.test", closed, own, permitted, ["+", "DestinationUnreachable", "-", "-", "-"]),
        ("hooks.test", receiver.port(), None, permitted, ["+", "+", "TlsFailed", "-", "-"]),
        ("other.test", receiver.port(), own, permitted, ["+", "+", "TlsFailed", "-", "-"]),
    ] {
        let properties = json!({ "url": format!("https://{host}:{port}/"), "timeout_seconds": 5 });
        let target = target(properties, "signature", &[("signing_secret", SIGNING_SECRET)], settings(1));
        let webhook = Webhook::new(target, network(authority, permitted), Clock::default()).expect("a webhook");
        assert_eq!(outcomes(&webhook.test().await), expected, "{host}:{port}");
        assert!(receiver.requests().is_empty());
    }
}
