//! The stream of blocking exports.

use super::connections::connection_name;
use super::exports::state_to_proto;
use super::validator::RequestValidator;
use super::values::time_to_proto;
use crate::app::connections::{BlockingEvent, BlockingMessage};
use crate::grpc::proto as pb;
use crate::model::{ConnectionName, Cursor, ReleaseCause};

/// StreamBlockingExports: the connection, the cursor to resume after, and whether to follow.
pub fn stream_blocking_exports(
    validator: &mut RequestValidator<'_>,
    request: &pb::StreamBlockingExportsRequest,
) -> Option<(ConnectionName, Option<Cursor>, bool)> {
    let name = connection_name(validator, &request.name)?;
    match Cursor::decode(&request.cursor) {
        Ok(cursor) => Some((name, cursor, request.follow)),
        Err(error) => {
            validator.fail(error);
            None
        }
    }
}

/// A message of the stream.
pub fn to_proto(message: BlockingMessage) -> pb::StreamBlockingExportsResponse {
    use pb::stream_blocking_exports_response::released::Cause;
    use pb::stream_blocking_exports_response::{Blocking, Event, Heartbeat, Released, Summary};
    let event = match message.event {
        BlockingEvent::Blocking { name, display_name, creator, state, next_run_time } => Event::Blocking(Blocking {
            name: name.to_string(),
            display_name,
            creator,
            state: state_to_proto(state).into(),
            next_run_time: next_run_time.map(time_to_proto),
        }),
        BlockingEvent::Released(name, cause) => {
            let cause = match cause {
                ReleaseCause::Detached => Cause::Detached,
                ReleaseCause::Moved => Cause::Moved,
                ReleaseCause::Removed => Cause::Removed,
            };
            Event::Released(Released { name: name.to_string(), cause: cause.into() })
        }
        BlockingEvent::Heartbeat => Event::Heartbeat(Heartbeat {}),
        BlockingEvent::Summary { blocking_export_count, blocking_set_etag } => Event::Summary(Summary {
            blocking_export_count: i64::try_from(blocking_export_count).unwrap_or(i64::MAX),
            blocking_set_etag,
        }),
    };
    pb::StreamBlockingExportsResponse { event: Some(event), cursor: message.cursor }
}
