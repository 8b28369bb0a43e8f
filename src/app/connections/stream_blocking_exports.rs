//! StreamBlockingExports: every export that keeps a connection from being deleted.
//!
//! The attachments and releases of a connection are one sequence of revisions. The stream reads it page by page and holds
//! no database connection while its client is slow.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use futures_util::{Stream, StreamExt as _, stream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tracing::{Instrument as _, Span};

use super::watch::WatchedState;
use crate::app::App;
use crate::app::streams;
use crate::fair_share::Share;
use crate::model::token::{Etag, TokenKind};
use crate::model::{
    ConnectionName, ConnectionUid, Cursor, Error, ExportName, ExportState, OpContext, ReleaseCause, ResourceKind,
    Result,
};
use crate::store;
use crate::store::blocking_exports::{self, AttachmentSnapshot, Event, EventPage};

/// Maximum number of messages that the task of a stream passes on at once. A slow client keeps two such batches in memory: the
/// one that is sent, and the next one in the channel.
const MAX_BATCH_MESSAGES: usize = 50;
/// Number of batches in the channel.
const BATCH_CAPACITY: usize = 1;
/// Interval of heartbeats on a stream that watches. The API promises 30 s; this leaves time for delivery.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(25);
/// Maximum age of a cursor with `follow`. Releases are kept for one hour more.
const MAX_CURSOR_AGE_HOURS: i64 = 23;

/// An event of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockingEvent {
    /// An export that is attached.
    Blocking {
        /// Resource name.
        name: ExportName,
        /// Display name.
        display_name: String,
        /// The principal that created it.
        creator: String,
        /// `Active` or `Blocked`.
        state: ExportState,
        /// When it runs next.
        next_run_time: Option<DateTime<Utc>>,
    },
    /// An export that is no longer attached.
    Released(ExportName, ReleaseCause),
    /// Nothing happened for 25 s.
    Heartbeat,
    /// All attached exports were sent.
    Summary {
        /// How many exports are attached.
        blocking_export_count: u64,
        /// The etag of the set that was sent.
        blocking_set_etag: String,
    },
}

/// One message of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockingMessage {
    /// The event.
    pub event: BlockingEvent,
    /// A stream that is resumed with it continues after this message.
    pub cursor: String,
}

impl App {
    /// Streams the exports attached to a connection; with `follow`, also attachments and releases until none is
    /// attached.
    pub async fn stream_blocking_exports(
        &self,
        context: &OpContext,
        name: &ConnectionName,
        cursor: Option<Cursor>,
        follow: bool,
    ) -> Result<impl Stream<Item = Result<BlockingMessage>> + Send + use<>> {
        let permit = self.0.streams.try_acquire(context.actor.caller(), 1)?;
        let cursor = self.start_cursor(context, name, cursor, follow).await?;
        let (sender, receiver) = mpsc::channel(BATCH_CAPACITY);
        let task = StreamTask { app: self.clone(), context: context.clone(), cursor, follow, sender, _permit: permit };
        let task = self.0.parts.tasks.spawn(task.run().instrument(Span::current()));
        let interrupted = Box::pin(streams::interrupted(context.clone(), self.now(), self.0.parts.stop.clone()));
        Ok(until_interrupted(receiver, interrupted, task))
    }

    /// Where the stream starts.
    async fn start_cursor(
        &self,
        context: &OpContext,
        name: &ConnectionName,
        cursor: Option<Cursor>,
        follow: bool,
    ) -> Result<Cursor> {
        let (reader, scope) = (self.stream_reader(context), self.scope(context));
        let not_found = || Error::NotFound(ResourceKind::Connection, name.to_string());
        let found = store::connections::find_uid(&reader, &scope, &name.id).await?;
        // The connection of a follower's cursor may be deleted by now, or another may have its name. The releases that are
        // kept of it are still sent.
        if let Some(cursor) = cursor.filter(|cursor| follow && Some(cursor.connection) != found)
            && blocking_exports::is_deleted(&reader, &scope, cursor.connection).await?
        {
            return check_age(cursor, store::database_time(&reader, scope.read_context).await?);
        }
        let uid = found.ok_or_else(not_found)?;
        let current = blocking_exports::snapshot(&reader, &scope, uid).await?.ok_or_else(not_found)?;
        start(uid, current, cursor, follow)
    }
}

/// The messages of the task, until the stream is interrupted. A batch that has been received is sent before that.
fn until_interrupted(
    receiver: mpsc::Receiver<Batch>,
    interrupted: BoxFuture<'static, Error>,
    task: JoinHandle<()>,
) -> impl Stream<Item = Result<BlockingMessage>> + Send + use<> {
    let batches = stream::unfold(Some((receiver, interrupted, task)), |state| async {
        let (mut receiver, mut interrupted, task) = state?;
        let next = tokio::select! {
            biased;
            error = &mut interrupted => return Some((vec![Err(error)], None)),
            next = receiver.recv() => next,
        };
        match next {
            Some(batch) => Some((batch, Some((receiver, interrupted, task)))),
            // A task that panicked has sent no error, and the listing is incomplete.
            None => task.await.err().map(|error| (vec![Err(Error::internal(error))], None)),
        }
    });
    batches.flat_map(stream::iter)
}

/// The first cursor of a stream, or the caller's cursor if it belongs to this connection and is not too old.
fn start(
    connection: ConnectionUid,
    current: AttachmentSnapshot,
    cursor: Option<Cursor>,
    follow: bool,
) -> Result<Cursor> {
    let Some(cursor) = cursor else {
        return Ok(Cursor {
            connection,
            start_revision: current.revision,
            last_revision: 0,
            released_until: current.time,
        });
    };
    let known = 0..=current.revision;
    if cursor.connection != connection
        || !known.contains(&cursor.last_revision)
        || !known.contains(&cursor.start_revision)
    {
        return Err(Cursor::invalid());
    }
    if follow { check_age(cursor, current.time) } else { Ok(cursor) }
}

/// The cursor, if all releases after it are still kept.
fn check_age(cursor: Cursor, now: DateTime<Utc>) -> Result<Cursor> {
    if cursor.released_until < now - TimeDelta::hours(MAX_CURSOR_AGE_HOURS) {
        return Err(Error::CursorExpired);
    }
    Ok(cursor)
}

/// Messages that are passed on at once; an error is the last one of the stream.
type Batch = Vec<Result<BlockingMessage>>;

/// Sends the messages of one stream.
struct StreamTask {
    app: App,
    context: OpContext,
    cursor: Cursor,
    follow: bool,
    sender: mpsc::Sender<Batch>,
    _permit: Share,
}

/// The client cancelled the stream or disconnected.
struct ClientGone;

impl StreamTask {
    async fn run(mut self) {
        if let Err(error) = self.send_all().await {
            // Fails only if the client has disconnected.
            let _ = send_batch(&self.sender, vec![Err(error)]).await;
        }
    }

    async fn send_all(&mut self) -> Result<()> {
        let mut listed = false;
        let mut watched: Option<watch::Receiver<WatchedState>> = None;
        loop {
            let page = self.next_page().await?;
            let (snapshot, last) = (page.snapshot, page.is_last());
            if self.send_page(page).await.is_err() {
                return Ok(());
            }
            if !last {
                continue;
            }
            let Some(snapshot) = snapshot else {
                // The connection was deleted, so nothing blocks it any more.
                let _ = self.send_summary(0, self.cursor.last_revision).await;
                return Ok(());
            };
            self.cursor.last_revision = snapshot.revision;
            self.cursor.released_until = snapshot.time;
            let done = !self.follow || snapshot.count == 0;
            if (done || !listed) && self.send_summary(snapshot.count, snapshot.revision).await.is_err() {
                return Ok(());
            }
            if done {
                return Ok(());
            }
            listed = true;
            let watched = watched.get_or_insert_with(|| self.watch(snapshot));
            if wait_for_change(watched, &self.sender, &mut self.cursor).await.is_err() {
                return Ok(());
            }
        }
    }

    fn watch(&self, snapshot: AttachmentSnapshot) -> watch::Receiver<WatchedState> {
        self.app.0.watcher.watch(&self.context.organization, self.cursor.connection, snapshot)
    }

    async fn next_page(&self) -> Result<EventPage> {
        let reader = self.app.stream_reader(&self.context);
        blocking_exports::page(&reader, &self.app.scope(&self.context), &self.cursor, self.follow).await
    }

    async fn send_page(&mut self, page: EventPage) -> Result<(), ClientGone> {
        let now = self.app.now();
        let mut batch = Vec::with_capacity(MAX_BATCH_MESSAGES);
        for (revision, event) in page.events {
            self.cursor.last_revision = revision;
            let event = match event {
                Event::Released(name, cause) => BlockingEvent::Released(name, cause),
                Event::Blocking(blocking) => BlockingEvent::Blocking {
                    next_run_time: blocking.next_run_time_after(self.app.schedules(), now),
                    name: blocking.name,
                    display_name: blocking.display_name,
                    creator: blocking.creator,
                    state: blocking.state,
                },
            };
            batch.push(Ok(BlockingMessage { event, cursor: self.cursor.encode() }));
            if batch.len() == MAX_BATCH_MESSAGES {
                let next = Vec::with_capacity(MAX_BATCH_MESSAGES);
                send_batch(&self.sender, std::mem::replace(&mut batch, next)).await?;
            }
        }
        if batch.is_empty() { Ok(()) } else { send_batch(&self.sender, batch).await }
    }

    async fn send_summary(&self, blocking_export_count: u64, revision: i64) -> Result<(), ClientGone> {
        let etag = Etag { uid: self.cursor.connection.0, revision };
        let blocking_set_etag = etag.encode(TokenKind::BlockingSet);
        send(&self.sender, BlockingEvent::Summary { blocking_export_count, blocking_set_etag }, &self.cursor).await
    }
}

async fn send(sender: &mpsc::Sender<Batch>, event: BlockingEvent, cursor: &Cursor) -> Result<(), ClientGone> {
    send_batch(sender, vec![Ok(BlockingMessage { event, cursor: cursor.encode() })]).await
}

async fn send_batch(sender: &mpsc::Sender<Batch>, batch: Batch) -> Result<(), ClientGone> {
    sender.send(batch).await.map_err(|_| ClientGone)
}

/// Waits until the connection has changed since the cursor, with a heartbeat in every long silence.
async fn wait_for_change(
    watched: &mut watch::Receiver<WatchedState>,
    sender: &mpsc::Sender<Batch>,
    cursor: &mut Cursor,
) -> Result<(), ClientGone> {
    let changed =
        |state: &WatchedState, cursor: &Cursor| state.is_none_or(|current| current.revision > cursor.last_revision);
    loop {
        if changed(&watched.borrow_and_update(), cursor) {
            return Ok(());
        }
        tokio::select! {
            () = sender.closed() => return Err(ClientGone),
            changed = watched.changed() => changed.map_err(|_| ClientGone)?,
            () = tokio::time::sleep(HEARTBEAT_INTERVAL) => {
                if let Some(current) = *watched.borrow()
                    && current.revision == cursor.last_revision
                {
                    cursor.released_until = current.time;
                }
                send(sender, BlockingEvent::Heartbeat, cursor).await?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_long_silence_has_heartbeats_until_the_connection_changes() {
        let snapshot = |revision| AttachmentSnapshot {
            count: 1,
            revision,
            time: DateTime::UNIX_EPOCH + TimeDelta::days(revision),
        };
        let (changes, mut watched) = watch::channel(Some(snapshot(7)));
        let (sender, mut receiver) = mpsc::channel(BATCH_CAPACITY);
        let connection = ConnectionUid::new();
        let released_until = DateTime::UNIX_EPOCH;
        let mut cursor = Cursor { connection, start_revision: 3, last_revision: 7, released_until };
        let started = tokio::time::Instant::now();
        let waiting = tokio::spawn(async move {
            let waited = wait_for_change(&mut watched, &sender, &mut cursor).await;
            (waited.is_ok(), cursor)
        });
        for heartbeat in 1..=3 {
            let [message] = <[_; 1]>::try_from(receiver.recv().await.unwrap()).unwrap();
            let message = message.unwrap();
            assert_eq!(message.event, BlockingEvent::Heartbeat);
            assert_eq!(started.elapsed(), HEARTBEAT_INTERVAL * heartbeat);
            // A stream resumed after it misses no release and repeats none.
            let cursor = Cursor::decode(&message.cursor).unwrap().unwrap();
            assert_eq!((cursor.last_revision, cursor.released_until), (7, snapshot(7).time));
        }
        changes.send(Some(snapshot(8))).unwrap();
        assert!(waiting.await.unwrap().0, "the change ends the wait");
    }
}
