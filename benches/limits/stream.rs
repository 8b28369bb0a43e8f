//! Benchmark of StreamBlockingExports: 200,000 exports, read without pauses.

use outflow::grpc::proto as pb;
use pb::stream_blocking_exports_response::Event;

use crate::bare::Contenders;
use crate::rounds::{CONTENDERS, compare};
use crate::support::{Clients as _, TestServer};

/// The number of exports of the stream.
const EXPORTS: u64 = 200_000;

/// Runs the benchmark.
pub async fn run(server: &TestServer, contenders: &Contenders) {
    let mut admin = server.admin().await;
    let connection = admin.connection("Large").await.name;
    let template = admin.export(&connection, "First").await;
    server.database().await.attach_copies(&template, EXPORTS - 1).await;
    let stream = async |contender: usize| {
        let mut client = contenders.admins[contender][0].clone();
        let request = pb::StreamBlockingExportsRequest { name: connection.clone(), ..Default::default() };
        let mut stream = client.connections.stream_blocking_exports(request).await.expect("streamed").into_inner();
        let (mut seen, mut first, mut last) = (0, None, None);
        while let Some(message) = stream.message().await.expect("a message") {
            match message.event.as_ref().expect("an event") {
                Event::Blocking(_) => seen += 1,
                Event::Summary(summary) => {
                    assert_eq!(summary.blocking_export_count.cast_unsigned(), EXPORTS);
                }
                other => panic!("not an event of a listing: {other:?}"),
            }
            first.get_or_insert_with(|| message.event.clone());
            last = message.event;
        }
        assert_eq!(seen, EXPORTS);
        [first.flatten(), last]
    };
    let expected = stream(0).await;
    for contender in 1..contenders.admins.len() {
        assert_eq!(stream(contender).await, expected, "the first messages or the summaries differ");
    }
    compare("StreamBlockingExports", EXPORTS, &CONTENDERS, async |contender| {
        stream(contender).await;
    })
    .await;
}
