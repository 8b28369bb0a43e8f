//! One attempt of a run: reads, encodes and writes, and makes the result visible once the lease was renewed.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use uuid::Uuid;

use super::active::{ActiveRun, Interruption};
use super::leased::{LeasedRun, open_credential};
use super::leases;
use crate::delivery::datasets::TableContent;
use crate::delivery::destinations::{Delivery, Destination, Opened, StateLog, Target, Writer};
use crate::delivery::engine::{EncodingSettings, Job};
use crate::delivery::layout::Layout;
use crate::delivery::{DeliveryError, DeliveryParts, Manifest, Output, export_check};
use crate::model::{FailureCode, OrganizationId, RunState};
use crate::store::runs::changes;
use crate::store::runs::leases::Renewal;
use crate::store::{self, Store};
use crate::vault::Vault;

/// How long the removal of what was written may take.
pub const ABORT_TIMEOUT: Duration = Duration::from_secs(20);
/// How long it may take to make a result visible.
const COMMIT_TIMEOUT: Duration = Duration::from_mins(10);
/// How long saving the state of a delivery may take.
const SAVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Why an attempt did not succeed.
#[derive(Debug)]
pub enum AttemptError {
    /// It was interrupted.
    Interrupted(Interruption),
    /// It took too long.
    TimedOut,
    /// It failed.
    Failed(DeliveryError),
}

/// An attempt of a leased run.
pub struct Attempt<'a> {
    /// The database.
    pub store: &'a Store,
    /// Opens the credential.
    pub vault: &'a Vault,
    /// What carries it out.
    pub parts: &'a DeliveryParts,
    /// The run.
    pub leased: &'a LeasedRun,
    /// Its counts and interruptions.
    pub active: &'a ActiveRun,
    /// The replica.
    pub owner: Uuid,
    /// How long a lease is valid.
    pub lease: Duration,
    /// When it must have ended.
    pub deadline: Instant,
}

/// A delivery that is ready to write.
struct Prepared {
    writer: Box<dyn Writer>,
    job: Job,
    manifest: Manifest,
}

impl Attempt<'_> {
    /// Delivers the run.
    pub async fn run(&self) -> Result<(), AttemptError> {
        let Some(prepared) = self.unless_interrupted(Box::pin(self.prepare())).await? else { return Ok(()) };
        let Prepared { mut writer, job, mut manifest } = prepared;
        let outputs =
            self.parts.engine.start(job, Arc::clone(&self.active.counts.progress), self.active.token().clone());
        let written = self.unless_interrupted(self.write(&mut *writer, outputs, &mut manifest)).await;
        let result = match written {
            Ok(()) => self.commit(&mut *writer, &manifest).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &result {
            let removal = self.remove(&mut *writer, error);
            if tokio::time::timeout(ABORT_TIMEOUT, removal).await.is_err() {
                tracing::warn!(run = %self.leased.run.name, "could not remove what an attempt wrote in time");
            }
        }
        result
    }

    /// Removes what the attempt wrote; after its lease was lost, only what no other attempt can use.
    async fn remove(&self, writer: &mut dyn Writer, error: &AttemptError) {
        let is_lost = match error {
            AttemptError::Interrupted(Interruption::LeaseLost) => true,
            AttemptError::Interrupted(Interruption::Cancelled | Interruption::Stopping)
            | AttemptError::TimedOut
            | AttemptError::Failed(_) => !matches!(self.renew().await, Ok(Some(_))),
        };
        if is_lost || self.while_leased(writer.abort()).await.is_err() {
            writer.abandon().await;
        }
    }

    /// Checks everything that can be checked before a byte is sent. `None`: an earlier attempt delivered the result.
    async fn prepare(&self) -> Result<Option<Prepared>, DeliveryError> {
        let (run, export) = (&self.leased.run, &self.leased.export);
        let destination = self.destination()?;
        let format = destination.format();
        if let Some(refusal) = export_check::check(format, &export.destination_settings, &export.payload).pop() {
            // It was saved before the service made this check.
            return Err(refusal.into());
        }
        let tables = self.parts.datasets.open(&run.name.organization, &export.payload.tables).await?;
        let estimated: Option<u64> = tables.iter().map(|table| table.estimated_rows).sum();
        let repeatable = !tables.iter().any(|table| matches!(table.content, TableContent::Rows(_)));
        let tables = export.payload.tables.iter().cloned().zip(tables).collect();
        self.active.counts.rows_estimated.store(estimated.unwrap_or(u64::MAX), Ordering::Relaxed);
        let time = run.schedule_time.unwrap_or(run.create_time);
        let settings = EncodingSettings::new(format, &export.destination_settings)?;
        let layout = Layout::of_export(export.name.clone(), run.name.uid, time, &export.destination_settings)?;
        let job = Job::plan(tables, settings, layout, None)?;
        let delivery = Delivery {
            run: run.name.uid,
            attempt: run.attempt,
            repeatable,
            export: export.name.id.clone(),
            time,
            manifest_path: job.manifest_path(),
            saved_state: self.leased.delivery_state.clone(),
            state_log: Arc::new(SavedState {
                store: self.store.clone(),
                organization: run.name.organization.clone(),
                attempt: changes::Attempt { uid: run.name.uid, number: run.attempt },
            }),
        };
        let manifest = job.manifest();
        match destination.open(&delivery).await? {
            Opened::Writer(writer) => Ok(Some(Prepared { writer, job, manifest })),
            Opened::AlreadyDelivered(manifest) => {
                self.active.counts.set_delivered(manifest.as_deref(), &self.leased.earlier_stats);
                Ok(None)
            }
        }
    }

    /// The destination, with the credential opened for it.
    fn destination(&self) -> Result<Box<dyn Destination>, DeliveryError> {
        let LeasedRun { run, export, connection, credential, .. } = self.leased;
        let target = Target {
            organization: run.name.organization.clone(),
            properties: connection.properties.clone(),
            credential: credential
                .as_ref()
                .map(|sealed| open_credential(self.vault, connection, sealed))
                .transpose()?,
            settings: export.destination_settings.clone(),
        };
        self.parts.destinations.build(&connection.connection_type, target)
    }

    /// Writes the output of the engine.
    async fn write(
        &self,
        writer: &mut dyn Writer,
        mut outputs: mpsc::Receiver<Result<Output, DeliveryError>>,
        manifest: &mut Manifest,
    ) -> Result<(), DeliveryError> {
        while let Some(output) = outputs.recv().await {
            match output? {
                Output::File(file) => writer.start_file(&file).await?,
                Output::Chunk(chunk) => writer.write(chunk).await?,
                Output::EndOfFile(summary) => {
                    writer.finish_file(&summary).await?;
                    self.active.counts.files.fetch_add(1, Ordering::Relaxed);
                    manifest.add_file(summary);
                }
            }
        }
        Ok(())
    }

    /// Renews the lease. Returns the state of the run; `None` if the lease was lost.
    async fn renew(&self) -> Result<Option<RunState>, AttemptError> {
        let (run, begun) = (&self.leased.run, Instant::now());
        let renewal = Renewal {
            organization: run.name.organization.clone(),
            uid: run.name.uid,
            attempt: run.attempt,
            stats: self.active.counts.stats(),
        };
        let held = leases::renew(self.store, self.owner, self.lease, vec![renewal]).await;
        let state = held.map_err(|error| internal("cannot renew the lease", &error))?.first().map(|(_, state)| *state);
        if state.is_some() {
            self.active.renewed(begun);
        }
        Ok(state)
    }

    /// Renews the lease, and makes the result visible if the run was not cancelled.
    async fn commit(&self, writer: &mut dyn Writer, manifest: &Manifest) -> Result<(), AttemptError> {
        match self.renew().await? {
            Some(RunState::Running) => {}
            Some(_) => return Err(AttemptError::Interrupted(Interruption::Cancelled)),
            None => return Err(AttemptError::Interrupted(Interruption::LeaseLost)),
        }
        let committed = self.while_leased(tokio::time::timeout(COMMIT_TIMEOUT, writer.commit(manifest))).await?;
        let timed_out =
            |_| DeliveryError::new(FailureCode::DestinationUnreachable, "timed out making the result visible");
        committed.map_err(timed_out).and_then(|committed| committed).map_err(AttemptError::Failed)
    }

    /// Carries out work as long as the lease is valid: a process that was stopped for a while does not take a further step,
    /// because another replica may have taken the run and even delivered it.
    async fn while_leased<T>(&self, work: impl Future<Output = T>) -> Result<T, AttemptError> {
        let mut work = pin!(work);
        poll_fn(|context| {
            if self.active.is_leased(self.lease) {
                return work.as_mut().poll(context).map(Ok);
            }
            Poll::Ready(Err(AttemptError::Interrupted(Interruption::LeaseLost)))
        })
        .await
    }

    async fn unless_interrupted<T>(
        &self,
        work: impl Future<Output = Result<T, DeliveryError>>,
    ) -> Result<T, AttemptError> {
        tokio::select! {
            biased;
            reason = self.active.interrupted() => Err(AttemptError::Interrupted(reason)),
            () = tokio::time::sleep_until(self.deadline.into()) => Err(AttemptError::TimedOut),
            result = self.while_leased(work) => result?.map_err(AttemptError::Failed),
        }
    }
}

/// Saves the state of a delivery in the row of its run.
struct SavedState {
    store: Store,
    organization: OrganizationId,
    attempt: changes::Attempt,
}

#[async_trait::async_trait]
impl StateLog for SavedState {
    async fn save(&self, state: &str) -> Result<(), DeliveryError> {
        let (organization, attempt) = (self.organization.clone(), self.attempt);
        let saved = self.store.transact_in_background(
            Instant::now() + SAVE_TIMEOUT,
            (organization, state.to_owned()),
            move |db, (organization, state): &(OrganizationId, String)| {
                Box::pin(store::runs::leases::save_delivery_state(db, organization, attempt, state))
            },
        );
        match saved.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(DeliveryError::new(FailureCode::LeaseLost, "the lease was lost")),
            Err(error) => Err(DeliveryError::with(FailureCode::Internal, "cannot save the state of a delivery", error)),
        }
    }
}

fn internal(doing: &str, error: &crate::model::Error) -> AttemptError {
    AttemptError::Failed(DeliveryError::with(FailureCode::Internal, doing, error))
}

impl fmt::Display for AttemptError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupted(Interruption::Cancelled) => formatter.write_str("the run was cancelled"),
            Self::Interrupted(Interruption::LeaseLost) => formatter.write_str("the lease was lost"),
            Self::Interrupted(Interruption::Stopping) => formatter.write_str("the server stops"),
            Self::TimedOut => formatter.write_str("timed out"),
            Self::Failed(error) => error.fmt(formatter),
        }
    }
}
