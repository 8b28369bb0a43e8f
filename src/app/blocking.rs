//! StreamBlockingExports: every export that keeps a connection from being removed.
//!
//! The attachments and releases of a connection are one sequence of revisions. The stream walks along it in pages and
//! holds no database connection while its client takes its time.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::Stream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::App;
use super::follow::Seen;
use super::streams::StreamPlace;
use crate::model::token::{Etag, TokenKind};
use crate::model::{
    Call, ConnectionName, ConnectionUid, Cursor, Error, ExportName, ExportState, ResourceKind, ReleaseCause, Result, Role,
};
use crate::store::blocking::{self, Event, EventPage, AttachmentSnapshot};
use crate::store::{self, Scope};

/// Messages that wait for a slow client.
const BUFFER: usize = 32;
/// The longest silence of a stream that follows; the contract says 30 s, and messages take a while.
const HEARTBEAT: Duration = Duration::from_secs(25);
/// How old a cursor may be that is to follow; releases are kept for an hour more.
const CURSOR_HOURS: i64 = 23;

/// What a stream tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockingEvent {
    /// An export that is attached.
    Blocking {
        /// Its name.
        name: ExportName,
        /// What people call it.
        display_name: String,
        /// Who created it.
        creator: String,
        /// `Active` or `Blocked`.
        state: ExportState,
        /// When it runs next.
        next_run_time: Option<DateTime<Utc>>,
    },
    /// An export that is not attached any more.
    Released(ExportName, ReleaseCause),
    /// Nothing happened for a while.
    Heartbeat,
    /// The set as it stands; all of it was told.
    Summary {
        /// How many exports are attached.
        blocking_export_count: u64,
        /// Names the set.
        blocking_set_etag: String,
    },
}

/// One message of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockingMessage {
    /// What it tells.
    pub event: BlockingEvent,
    /// Resumes behind it.
    pub cursor: String,
}

impl App {
    /// Streams the exports attached to a connection; with `follow` also those that come and go, until none is left.
    pub async fn stream_blocking_exports(
        &self,
        call: &Call,
        name: &ConnectionName,
        cursor: Option<Cursor>,
        follow: bool,
    ) -> Result<impl Stream<Item = Result<BlockingMessage>> + Send + use<>> {
        let scope = self.read_scope(call, Role::Admin)?;
        let place = self.0.streams.enter(call)?;
        let cursor = {
            let reader = self.0.store.reader().await?;
            let absent = || Error::NotFound(ResourceKind::Connection, name.to_string());
            let found = store::connections::find_uid(&reader, &scope, &name.id).await?;
            let beyond = cursor.filter(|cursor| follow && Some(cursor.connection) != found);
            match (beyond, found) {
                // Whoever waited for the last export to go may find the connection gone with it, or another of its name:
                // the rest is still told.
                (Some(cursor), _) if blocking::is_gone(&reader, &scope, cursor.connection).await? => {
                    in_time(cursor, blocking::time(&reader, &scope).await?)?
                }
                (_, Some(uid)) => {
                    start(uid, blocking::snapshot(&reader, &scope, uid).await?.ok_or_else(absent)?, cursor, follow)?
                }
                (_, None) => return Err(absent()),
            }
        };
        let (sender, receiver) = mpsc::channel(BUFFER);
        let walk = Walk { app: self.clone(), scope, cursor, follow, sender, _place: place };
        let walk = tokio::spawn(walk.run());
        Ok(self.until_ended(call, receiver, walk))
    }

    /// What the walk sends, until something ends the stream before.
    fn until_ended(
        &self,
        call: &Call,
        receiver: mpsc::Receiver<Result<BlockingMessage>>,
        walk: JoinHandle<()>,
    ) -> impl Stream<Item = Result<BlockingMessage>> + Send + use<> {
        let (app, call) = (self.clone(), call.clone());
        let ending = Box::pin(async move { app.ending(&call).await });
        futures_util::stream::unfold(Some((receiver, ending, walk)), |state| async {
            let (mut receiver, mut ending, walk) = state?;
            let message = tokio::select! {
                biased;
                error = &mut ending => return Some((Err(error), None)),
                message = receiver.recv() => message,
            };
            match message {
                Some(message) => Some((message, Some((receiver, ending, walk)))),
                // A walk that broke off has told nobody, and what it sent was not all.
                None => walk.await.err().map(|error| (Err(Error::internal(error)), None)),
            }
        })
    }
}

/// Where a stream begins: at the start, or behind the cursor if that is its own and not too old.
fn start(connection: ConnectionUid, snapshot: AttachmentSnapshot, cursor: Option<Cursor>, follow: bool) -> Result<Cursor> {
    let Some(cursor) = cursor else {
        return Ok(Cursor {
            connection,
            start_revision: snapshot.revision,
            last_revision: 0,
            released_until: snapshot.time,
        });
    };
    let known = 0..=snapshot.revision;
    if cursor.connection != connection
        || !known.contains(&cursor.last_revision)
        || !known.contains(&cursor.start_revision)
    {
        return Err(Cursor::invalid());
    }
    if follow { in_time(cursor, snapshot.time) } else { Ok(cursor) }
}

/// The cursor, if the releases behind it are all still kept.
fn in_time(cursor: Cursor, now: DateTime<Utc>) -> Result<Cursor> {
    if cursor.released_until < now - TimeDelta::hours(CURSOR_HOURS) {
        return Err(Error::CursorExpired);
    }
    Ok(cursor)
}

struct Walk {
    app: App,
    scope: Scope,
    cursor: Cursor,
    follow: bool,
    sender: mpsc::Sender<Result<BlockingMessage>>,
    _place: StreamPlace,
}

/// The client has gone; nobody is left to tell.
struct Gone;

impl Walk {
    async fn run(mut self) {
        if let Err(error) = self.walk().await {
            // If the client has gone too, nobody is left to tell.
            let _ = self.sender.send(Err(error)).await;
        }
    }

    async fn walk(&mut self) -> Result<()> {
        let mut listed = false;
        let mut seen: Option<watch::Receiver<Seen>> = None;
        loop {
            let page = self.page().await?;
            let (snapshot, last) = (page.snapshot, page.is_last());
            if self.tell(page).await.is_err() {
                return Ok(());
            }
            if !last {
                continue;
            }
            let Some(snapshot) = snapshot else {
                // Gone, and so is everything that kept it from going.
                let _ = self.summary(0, self.cursor.last_revision).await;
                return Ok(());
            };
            self.cursor.last_revision = snapshot.revision;
            self.cursor.released_until = snapshot.time;
            let done = !self.follow || snapshot.count == 0;
            if (done || !listed) && self.summary(snapshot.count, snapshot.revision).await.is_err() {
                return Ok(());
            }
            if done {
                return Ok(());
            }
            listed = true;
            let connection = self.cursor.connection;
            let watched = seen.get_or_insert_with(|| self.app.0.follow.watch(&self.scope, connection, snapshot));
            if wait(watched, &self.sender, &mut self.cursor).await.is_err() {
                return Ok(());
            }
        }
    }

    async fn page(&self) -> Result<EventPage> {
        let reader = self.app.0.store.reader().await?;
        blocking::page(&reader, &self.scope, &self.cursor, self.follow).await
    }

    async fn tell(&mut self, page: EventPage) -> Result<(), Gone> {
        let now = self.app.now();
        for (revision, event) in page.events {
            self.cursor.last_revision = revision;
            let event = match event {
                Event::Released(name, cause) => BlockingEvent::Released(name, cause),
                Event::Blocking(blocking) => BlockingEvent::Blocking {
                    next_run_time: blocking.next_run_time_after(now),
                    name: blocking.name,
                    display_name: blocking.display_name,
                    creator: blocking.creator,
                    state: blocking.state,
                },
            };
            self.send(event).await?;
        }
        Ok(())
    }

    async fn summary(&self, blocking_export_count: u64, revision: i64) -> Result<(), Gone> {
        let etag = Etag { uid: self.cursor.connection.0, revision };
        let blocking_set_etag = etag.encode(TokenKind::BlockingSet);
        self.send(BlockingEvent::Summary { blocking_export_count, blocking_set_etag }).await
    }

    async fn send(&self, event: BlockingEvent) -> Result<(), Gone> {
        send(&self.sender, event, &self.cursor).await
    }
}

async fn send(
    sender: &mpsc::Sender<Result<BlockingMessage>>,
    event: BlockingEvent,
    cursor: &Cursor,
) -> Result<(), Gone> {
    sender.send(Ok(BlockingMessage { event, cursor: cursor.encode() })).await.map_err(|_| Gone)
}

/// Waits until the connection has moved, with a heartbeat in every long silence.
async fn wait(
    watched: &mut watch::Receiver<Seen>,
    sender: &mpsc::Sender<Result<BlockingMessage>>,
    cursor: &mut Cursor,
) -> Result<(), Gone> {
    let moved = |seen: &Seen, cursor: &Cursor| seen.is_none_or(|snapshot| snapshot.revision > cursor.last_revision);
    loop {
        if moved(&watched.borrow_and_update(), cursor) {
            return Ok(());
        }
        tokio::select! {
            () = sender.closed() => return Err(Gone),
            changed = watched.changed() => changed.map_err(|_| Gone)?,
            () = tokio::time::sleep(HEARTBEAT) => {
                if let Some(snapshot) = *watched.borrow()
                    && snapshot.revision == cursor.last_revision
                {
                    cursor.released_until = snapshot.time;
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
    async fn a_long_silence_has_heartbeats_until_the_connection_moves() {
        let snapshot =
            |revision| AttachmentSnapshot { count: 1, revision, time: DateTime::UNIX_EPOCH + TimeDelta::days(revision) };
        let (moves, mut watched) = watch::channel(Some(snapshot(7)));
        let (sender, mut receiver) = mpsc::channel(BUFFER);
        let connection = ConnectionUid::new();
        let released_until = DateTime::UNIX_EPOCH;
        let mut cursor = Cursor { connection, start_revision: 3, last_revision: 7, released_until };
        let began = tokio::time::Instant::now();
        let waiting = tokio::spawn(async move {
            let waited = wait(&mut watched, &sender, &mut cursor).await;
            (waited.is_ok(), cursor)
        });
        for heartbeat in 1..=3 {
            let message = receiver.recv().await.unwrap().unwrap();
            assert_eq!(message.event, BlockingEvent::Heartbeat);
            assert_eq!(began.elapsed(), HEARTBEAT * heartbeat);
            // Resumed behind it, no release is missed and none is asked for again.
            let cursor = Cursor::decode(&message.cursor).unwrap().unwrap();
            assert_eq!((cursor.last_revision, cursor.released_until), (7, snapshot(7).time));
        }
        moves.send(Some(snapshot(8))).unwrap();
        assert!(waiting.await.unwrap().0, "it looks at what has moved");
    }
}
