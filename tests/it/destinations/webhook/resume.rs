//! Attempts after the first: they go on after the last acknowledged batch.

use std::collections::BTreeMap;

use outflow::model::FailureCode;
use serde_json::Value;

use super::receiver::{Received, Receiver};
use super::{settings, table, webhook};
use crate::destinations::cuts::CuttingProxy;
use crate::destinations::services::{Run, code_of, within};
use crate::support::print_line;

fn ids(requests: &[Received]) -> Vec<&str> {
    requests.iter().map(|request| request.header("webhook-id")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_goes_on_after_the_last_acknowledged_batch() {
    let receiver = Receiver::start().await;
    let webhook = webhook(&receiver, receiver.port(), settings(10));
    receiver.answer_next((0..13).map(|_| (200, Vec::new())).chain([(400, Vec::new())]));
    let run = Run::new(true);
    let tables = |rows_per_chunk| [table("customers", 95, rows_per_chunk), table("orders", 95, rows_per_chunk)];
    let code = code_of(run.attempt(&webhook, 0, &tables(7)).await, "of customers");
    assert_eq!(code, FailureCode::DestinationRefused);
    assert_eq!(receiver.requests().len(), 14);

    assert!(run.attempt(&webhook, 1, &tables(64)).await.expect("delivered"));
    let requests = receiver.requests();
    let refused = requests[13].clone();
    assert_eq!((requests[14].header("webhook-id"), &requests[14].body), (refused.header("webhook-id"), &refused.body));
    let expected: Vec<_> = (0..20).map(|batch| format!("{}-0-{}-{}", run.id, batch / 10, batch % 10)).collect();
    let accepted: Vec<_> = requests.iter().filter(|request| request.status != 400).cloned().collect();
    assert_eq!(ids(&accepted), expected);
    assert!(!run.attempt(&webhook, 2, &tables(7)).await.expect("delivered already"));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_rows_start_the_delivery_over_with_new_ids() {
    let receiver = Receiver::start().await;
    let webhook = webhook(&receiver, receiver.port(), settings(10));
    receiver.answer_next((0..3).map(|_| (200, Vec::new())).chain([(400, Vec::new())]));
    let run = Run::new(true);
    code_of(run.attempt(&webhook, 0, &[table("customers", 50, 5)]).await, "of customers");
    let code = code_of(run.attempt(&webhook, 1, &[table("orders", 50, 5)]).await, "of customers");
    assert_eq!(code, FailureCode::SourceChanged);
    assert_eq!(receiver.requests().len(), 4, "nothing was sent");
    receiver.answer_next((0..3).map(|_| (200, Vec::new())).chain([(400, Vec::new())]));
    code_of(run.attempt(&webhook, 2, &[table("orders", 50, 5)]).await, "of customers");
    assert!(run.attempt(&webhook, 3, &[table("orders", 50, 5)]).await.expect("delivered"));
    let requests = receiver.requests();
    let expected: Vec<_> = [0, 1, 2, 3, 3, 4].map(|batch| format!("{}-2-0-{batch}", run.id)).into();
    assert_eq!(ids(&requests[4..]), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn fewer_rows_than_before_are_no_success() {
    let receiver = Receiver::start().await;
    let webhook = webhook(&receiver, receiver.port(), settings(10));
    receiver.answer_next((0..3).map(|_| (200, Vec::new())).chain([(400, Vec::new())]));
    let run = Run::new(true);
    code_of(run.attempt(&webhook, 0, &[table("customers", 50, 5)]).await, "of customers");
    let code = code_of(run.attempt(&webhook, 1, &[table("customers", 15, 5)]).await, "of customers");
    assert_eq!(code, FailureCode::SourceChanged);
    assert!(run.attempt(&webhook, 2, &[table("customers", 15, 5)]).await.expect("delivered"));
    let expected: Vec<_> = ["2-0-0", "2-0-1"].map(|id| format!("{}-{id}", run.id)).into();
    assert_eq!(ids(&receiver.requests()[4..]), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_cannot_be_read_again_are_all_sent_again_with_new_ids() {
    let receiver = Receiver::start().await;
    let webhook = webhook(&receiver, receiver.port(), settings(10));
    receiver.answer_next([(200, Vec::new()), (400, Vec::new())]);
    let run = Run::new(false);
    code_of(run.attempt(&webhook, 0, &[table("customers", 20, 5)]).await, "of customers");
    assert!(run.attempt(&webhook, 1, &[table("customers", 20, 5)]).await.expect("delivered"));
    let expected: Vec<_> = ["0-0-0", "0-0-1", "1-0-0", "1-0-1"].map(|id| format!("{}-{id}", run.id)).into();
    assert_eq!(ids(&receiver.requests()), expected);
    assert!(!run.attempt(&webhook, 2, &[table("customers", 20, 5)]).await.expect("delivered already"));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_files_have_new_ids_even_if_no_batch_was_acknowledged() {
    let receiver = Receiver::start().await;
    let webhook = webhook(&receiver, receiver.port(), settings(10));
    receiver.answer_next([(400, Vec::new())]);
    let mut run = Run::new(true);
    code_of(run.attempt(&webhook, 0, &[table("customers", 10, 5)]).await, "of customers");
    receiver.answer_next([(400, Vec::new())]);
    code_of(run.attempt(&webhook, 1, &[table("customers", 10, 5)]).await, "of customers");
    run.fingerprint = Some("other files".to_owned());
    assert!(run.attempt(&webhook, 2, &[table("orders", 10, 5)]).await.expect("delivered"));
    let expected: Vec<_> = ["0-0-0", "0-0-0", "2-0-0"].map(|id| format!("{}-{id}", run.id)).into();
    assert_eq!(ids(&receiver.requests()), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_cuts_lose_and_change_no_batch() {
    let receiver = Receiver::start().await;
    // Five small budgets in a row end an attempt.
    let budget = |number: usize| rand::random_range(0..if (number / 5).is_multiple_of(2) { 30_000 } else { 1_000 });
    let budgets: Vec<_> = (0..20).map(budget).collect();
    let proxy = CuttingProxy::start(receiver.address, budgets.clone()).await;
    let webhook = webhook(&receiver, proxy.address.port(), settings(20));
    let run = Run::new(true);
    let tables = [table("customers", 3_000, 100), table("orders", 3_000, 100)];
    let delivered = async {
        for attempt in 0.. {
            match run.attempt(&webhook, attempt, &tables).await {
                Ok(delivered) => return (attempt, delivered),
                Err(error) => assert_eq!(error.code, FailureCode::DestinationUnreachable, "{error}"),
            }
        }
        unreachable!("attempts are not limited");
    };
    let (attempts, delivered) = within(delivered).await;
    assert!(delivered && attempts >= 1, "{budgets:?}");
    assert_eq!(proxy.cuts(), 20, "{budgets:?}");

    // What a receiver that drops known ids has.
    let mut batches: BTreeMap<(usize, usize), Received> = BTreeMap::new();
    let requests = receiver.requests();
    for request in &requests {
        let id = request.header("webhook-id");
        let numbers = id.strip_prefix(&format!("{}-0-", run.id)).and_then(|rest| rest.split_once('-')).expect("an id");
        let key = (numbers.0.parse().expect("a table"), numbers.1.parse().expect("a batch"));
        let first = batches.entry(key).or_insert_with(|| request.clone());
        assert_eq!(first.body, request.body, "{id}");
    }
    for (index, table) in tables.iter().enumerate() {
        let own = batches.iter().filter(|((table, _), _)| *table == index);
        let rows: Vec<Value> =
            own.flat_map(|(_, batch)| batch.json()["rows"].as_array().expect("rows").clone()).collect();
        let expected: Vec<Value> = table.rows.iter().map(|row| serde_json::from_str(row).expect("JSON")).collect();
        assert_eq!(rows, expected);
    }
    print_line(&format!("{} requests for {} batches in {} attempts", requests.len(), batches.len(), attempts + 1));
}
