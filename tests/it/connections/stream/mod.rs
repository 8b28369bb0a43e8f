//! StreamBlockingExports: lists and follows the exports that block the deletion of a connection.

mod ends;
mod follow;
mod listing;
mod memory;
mod slow;

use outflow::grpc::proto as pb;
use pb::stream_blocking_exports_response::{Event, Released, Summary};
use tonic::{Status, Streaming};

use crate::support::Client;

/// A stream of blocking exports, with assertions about its messages.
struct Reader {
    stream: Streaming<pb::StreamBlockingExportsResponse>,
    /// The cursor of the last message.
    cursor: String,
}

impl Reader {
    /// Opens a stream; an empty cursor starts from the beginning.
    async fn open(client: &mut Client, connection: &str, cursor: &str, follow: bool) -> Result<Self, Status> {
        let request =
            pb::StreamBlockingExportsRequest { name: connection.to_owned(), cursor: cursor.to_owned(), follow };
        let stream = client.connections.stream_blocking_exports(request).await?.into_inner();
        Ok(Self { stream, cursor: cursor.to_owned() })
    }

    /// The event of the next message; `None` if the stream has ended with OK.
    async fn next(&mut self) -> Result<Option<Event>, Status> {
        let Some(message) = self.stream.message().await? else { return Ok(None) };
        assert!(!message.cursor.is_empty(), "every message has a cursor");
        self.cursor = message.cursor;
        Ok(Some(message.event.expect("an event")))
    }

    /// The event of the next message. Panics if the stream has ended.
    async fn event(&mut self) -> Event {
        self.next().await.expect("a message").expect("not the end")
    }

    /// The name of the export in the next message, which must be a blocking export.
    async fn blocking(&mut self) -> String {
        match self.event().await {
            Event::Blocking(blocking) => blocking.name,
            other => panic!("not an export: {other:?}"),
        }
    }

    /// The release in the next message.
    async fn released(&mut self) -> Released {
        match self.event().await {
            Event::Released(released) => released,
            other => panic!("not a release: {other:?}"),
        }
    }

    /// The summary in the next message.
    async fn summary(&mut self) -> Summary {
        match self.event().await {
            Event::Summary(summary) => summary,
            other => panic!("not a summary: {other:?}"),
        }
    }

    /// Reads up to the summary; returns the names of the exports and the summary.
    async fn listing(&mut self) -> (Vec<String>, Summary) {
        let mut names = Vec::new();
        loop {
            match self.event().await {
                Event::Blocking(blocking) => names.push(blocking.name),
                Event::Summary(summary) => return (names, summary),
                other => panic!("{other:?} within the listing"),
            }
        }
    }

    /// Panics unless the stream has ended with OK.
    async fn end(mut self) {
        assert_eq!(self.next().await.expect("no error"), None);
    }
}
