//! Answers other than 2xx, and receivers that do not answer.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use outflow::delivery::destinations::webhook::Webhook;
use outflow::model::{Clock, FailureCode};
use serde_json::json;

use super::receiver::Receiver;
use super::{SIGNING_SECRET, settings, table, webhook};
use crate::destinations::services::{Run, code_of, network, target};

/// Delivers one batch to a receiver that always answers with a status. Returns the code and the number of requests.
async fn deliver_to(status: u16) -> (FailureCode, usize) {
    let receiver = Receiver::start().await;
    receiver.answer_always((status, vec![("location", "/elsewhere".to_owned())]));
    let webhook = webhook(&receiver, receiver.port(), settings(10));
    let result = Run::new(true).attempt(&webhook, 0, &[table("customers", 1, 1)]).await;
    let requests = receiver.requests();
    assert!(requests.iter().all(|request| request.path.starts_with("/segments")), "a redirect was followed");
    let ids: Vec<_> = requests.iter().map(|request| request.header("webhook-id")).collect();
    assert!(ids.windows(2).all(|pair| pair[0] == pair[1]));
    (code_of(result, "text of the receiver"), requests.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_status_ends_or_repeats_the_request() {
    let cases = [
        (301, FailureCode::DestinationRefused, 1),
        (302, FailureCode::DestinationRefused, 1),
        (304, FailureCode::DestinationRefused, 1),
        (307, FailureCode::DestinationRefused, 1),
        (308, FailureCode::DestinationRefused, 1),
        (400, FailureCode::DestinationRefused, 1),
        (401, FailureCode::AuthenticationFailed, 1),
        (403, FailureCode::DestinationDenied, 1),
        (404, FailureCode::DestinationRefused, 1),
        (410, FailureCode::DestinationRefused, 1),
        (413, FailureCode::LimitExceeded, 1),
        (422, FailureCode::DestinationRefused, 1),
        (408, FailureCode::DestinationUnreachable, 5),
        (425, FailureCode::DestinationUnreachable, 5),
        (429, FailureCode::DestinationThrottled, 5),
        (500, FailureCode::DestinationUnreachable, 5),
        (502, FailureCode::DestinationUnreachable, 5),
        (503, FailureCode::DestinationUnreachable, 5),
        (507, FailureCode::DestinationFull, 5),
    ];
    let outcomes = join_all(cases.iter().map(|(status, ..)| deliver_to(*status))).await;
    for ((status, code, requests), outcome) in cases.into_iter().zip(outcomes) {
        assert_eq!(outcome, (code, requests), "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_delay_that_a_receiver_asks_for_is_kept() {
    let date = |seconds| {
        (Clock::default().now() + Duration::from_secs(seconds)).format("%a, %d %b %Y %H:%M:%S GMT").to_string()
    };
    for is_date in [false, true] {
        let (delay, at_least) =
            if is_date { (date(4), Duration::from_secs(3)) } else { ("2".to_owned(), Duration::from_secs(2)) };
        let receiver = Receiver::start().await;
        receiver.answer_next([(503, vec![("retry-after", delay)])]);
        let webhook = webhook(&receiver, receiver.port(), settings(10));
        let started = Instant::now();
        Run::new(true).attempt(&webhook, 0, &[table("customers", 1, 1)]).await.expect("delivered");
        assert!(started.elapsed() >= at_least, "{:?}", started.elapsed());
        assert!(started.elapsed() < Duration::from_secs(30));
        assert_eq!(receiver.requests().len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_does_not_answer_is_unreachable() {
    let receiver = Receiver::start().await;
    receiver.stay_silent();
    let properties = json!({ "url": format!("https://hooks.test:{}/", receiver.port()), "timeout_seconds": 1 });
    let target = target(properties, "signature", &[("signing_secret", SIGNING_SECRET)], settings(10));
    let network = network(Some(&receiver.authority), "*=127.0.0.0/8");
    let webhook = Webhook::new(target, network, Clock::default()).expect("a webhook");
    let run = Run::new(true);
    let code = code_of(run.attempt(&webhook, 0, &[table("customers", 1, 1)]).await, SIGNING_SECRET);
    assert_eq!(code, FailureCode::DestinationUnreachable);
    assert_eq!(receiver.requests().len(), 5);
}
