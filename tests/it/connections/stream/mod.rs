//! StreamBlockingExports: everything that keeps a connection from being removed, however much that is.

mod ends;
mod follow;
mod listing;
mod million;

use outflow::grpc::proto as pb;
use pb::stream_blocking_exports_response::{Event, Released, Summary};
use tonic::{Status, Streaming};

use crate::support::Client;

/// A stream as tests read it.
struct Reader {
    stream: Streaming<pb::StreamBlockingExportsResponse>,
    /// Of the last message.
    cursor: String,
}

impl Reader {
    async fn open(client: &mut Client, connection: &str, cursor: &str, follow: bool) -> Result<Self, Status> {
        let request =
            pb::StreamBlockingExportsRequest { name: connection.to_owned(), cursor: cursor.to_owned(), follow };
        let stream = client.connections.stream_blocking_exports(request).await?.into_inner();
        Ok(Self { stream, cursor: cursor.to_owned() })
    }

    /// What the next message tells; `None`: the stream has ended well.
    async fn next(&mut self) -> Result<Option<Event>, Status> {
        let Some(message) = self.stream.message().await? else { return Ok(None) };
        assert!(!message.cursor.is_empty(), "every message has a cursor");
        self.cursor = message.cursor;
        Ok(Some(message.event.expect("an event")))
    }

    /// The next message, which must be there.
    async fn event(&mut self) -> Event {
        self.next().await.expect("a message").expect("not the end")
    }

    /// The name of the export that the next message shows.
    async fn blocking(&mut self) -> String {
        match self.event().await {
            Event::Blocking(blocking) => blocking.name,
            other => panic!("{other:?} and no export"),
        }
    }

    async fn released(&mut self) -> Released {
        match self.event().await {
            Event::Released(released) => released,
            other => panic!("{other:?} and no release"),
        }
    }

    async fn summary(&mut self) -> Summary {
        match self.event().await {
            Event::Summary(summary) => summary,
            other => panic!("{other:?} and no summary"),
        }
    }

    /// The names of all exports up to the summary, and the summary.
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

    /// The stream must be at its end.
    async fn end(mut self) {
        assert_eq!(self.next().await.expect("no error"), None);
    }
}
