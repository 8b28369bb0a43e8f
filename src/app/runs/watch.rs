//! WatchExportRun: a run, again and again until it has ended.

use futures_util::Stream;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::app::App;
use crate::app::streams;
use crate::fair_share::Share;
use crate::model::{Error, OpContext, ResourceKind, Result, Run, RunName, RunState};

/// The state of a stream.
struct Watch {
    name: RunName,
    last: Option<Run>,
    runs: watch::Receiver<Option<Run>>,
    interrupted: BoxFuture<'static, Error>,
    _permit: Share,
}

impl App {
    /// Streams a run at each change until it has ended.
    pub async fn watch_export_run(
        &self,
        context: &OpContext,
        name: &RunName,
    ) -> Result<impl Stream<Item = Result<Run>> + Send + use<>> {
        let permit = self.0.streams.try_acquire(context.actor.caller(), 1)?;
        let run = self.get_export_run(context, name).await?;
        let runs = self.0.run_watcher.watch(run.clone());
        let interrupted = Box::pin(streams::interrupted(context.clone(), self.now(), self.0.parts.stop.clone()));
        let watch = Watch { name: run.name.clone(), last: None, runs, interrupted, _permit: permit };
        let first = (Some(watch), Some(run));
        Ok(futures_util::stream::unfold(first, |(watch, first)| async {
            let mut watch = watch?;
            let next = match first {
                Some(run) => Ok(run),
                None => watch.next().await,
            };
            match next {
                Ok(run) => {
                    let ended = run.state.is_final();
                    watch.last = Some(run.clone());
                    Some((Ok(run), (Some(watch).filter(|_| !ended), None)))
                }
                Err(error) => Some((Err(error), (None, None))),
            }
        }))
    }

    /// Reads every run that a stream watches.
    pub async fn poll_watched_runs(&self) -> Result<()> {
        self.0.run_watcher.poll().await
    }
}

impl Watch {
    /// Waits until the run differs from the one that was sent last.
    async fn next(&mut self) -> Result<Run> {
        let not_found = || Error::NotFound(ResourceKind::ExportRun, self.name.to_string());
        loop {
            let current = self.runs.borrow_and_update().clone();
            let is_older =
                progress(current.as_ref()).is_some_and(|current| Some(current) < progress(self.last.as_ref()));
            if current != self.last && !is_older {
                return current.ok_or_else(not_found);
            }
            tokio::select! {
                error = &mut self.interrupted => return Err(error),
                changed = self.runs.changed() => changed.map_err(Error::internal)?,
            }
        }
    }
}

/// Orders the states of a run. The shared poll can be older than what this stream read first; an older state is not sent.
fn progress(run: Option<&Run>) -> Option<(u32, u8, u64)> {
    let run = run?;
    let stage = match run.state {
        RunState::Running => 0,
        RunState::Cancelling => 1,
        RunState::Queued => 2,
        RunState::Succeeded | RunState::Failed | RunState::Cancelled | RunState::Skipped => 3,
    };
    Some((run.attempt, stage, run.stats.rows_read))
}
