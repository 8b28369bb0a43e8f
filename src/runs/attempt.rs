//! One attempt of a run: reads, encodes and writes, and makes the result visible once the lease was renewed.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::active::{ActiveRun, Interruption};
use super::leased::{LeasedRun, open_credential};
use super::leases;
use crate::delivery::datasets::PinnedTable;
use crate::delivery::destinations::{Delivery, Destination, Opened, StateLog, Target, Writer};
use crate::delivery::engine::{EncodingSettings, Job};
use crate::delivery::layout::Layout;
use crate::delivery::{DeliveryError, DeliveryParts, Manifest, Output, export_check};
use crate::model::{Export, FailureCode, OrganizationId, RunState};
use crate::store::runs::changes;
use crate::store::runs::leases::Renewal;
use crate::store::{self, Store};
use crate::vault::Vault;

/// How long the removal of what was written may take.
pub const ABORT_TIMEOUT: Duration = Duration::from_secs(20);
/// How long it may take to make a result visible.
const COMMIT_TIMEOUT: Duration = Duration::from_mins(10);
/// How long one attempt to save the state of a delivery may take.
const SAVE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an attempt waits for a database that does not respond.
const MAX_OUTAGE: Duration = Duration::from_mins(1);
/// The pause before the database is asked again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

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
    /// Identifies the replica that holds the lease.
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
        let workers = self.unless_interrupted(self.parts.engine.reserve_run()).await?;
        let Some(prepared) = self.unless_interrupted(Box::pin(self.prepare())).await? else { return Ok(()) };
        let Prepared { mut writer, job, mut manifest } = prepared;
        let (progress, stop) = (Arc::clone(&self.active.counts.progress), self.active.token().clone());
        let outputs = self.parts.engine.start(job, workers, progress, stop);
        let written = self.unless_interrupted(self.write(&mut *writer, outputs, &mut manifest)).await;
        let result = match written {
            Ok(()) => self.commit(&mut *writer, &manifest).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &result {
            let removal = self.remove(&mut *writer, error);
            if tokio::time::timeout(ABORT_TIMEOUT, removal).await.is_err() {
                tracing::warn!(run = %self.leased.run.name, "timed out removing what an attempt wrote");
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
        let time = run.schedule_time.unwrap_or(run.create_time);
        let settings = EncodingSettings::new(format, &export.destination_settings)?;
        let layout = Layout::of_export(export.name.clone(), run.name.uid, time, &export.destination_settings)?;
        let mut delivery = Delivery {
            run: run.name.uid,
            attempt: run.attempt,
            fingerprint: None,
            export: export.name.id.clone(),
            time,
            manifest_path: Job::manifest_path(&export.payload.tables, &settings, &layout),
            saved_state: self.leased.history.delivery_state.clone(),
            state_log: Arc::new(SavedState {
                store: self.store.clone(),
                organization: run.name.organization.clone(),
                attempt: self.active.attempt(),
            }),
        };
        let planned = match self.plan(settings, layout, &mut delivery).await {
            // An earlier attempt may have delivered the result before the source changed.
            Err(error) if run.attempt == 1 || error.code.is_retryable() => return Err(error),
            planned => planned,
        };
        match (destination.open(&delivery).await?, planned) {
            (Opened::Writer(writer), Ok(job)) => Ok(Some(Prepared { writer, manifest: job.manifest(), job })),
            (Opened::Writer(mut writer), Err(error)) => {
                writer.abort().await;
                Err(error)
            }
            (Opened::AlreadyDelivered(manifest), _) => {
                self.active.counts.set_delivered(manifest.as_deref(), &self.leased.earlier_stats);
                Ok(None)
            }
        }
    }

    /// Opens the tables and plans the job. Tells the delivery what identifies the rows.
    async fn plan(
        &self,
        settings: EncodingSettings,
        layout: Layout,
        delivery: &mut Delivery,
    ) -> Result<Job, DeliveryError> {
        let export = &self.leased.export;
        let tables = self.parts.datasets.open(&export.name.organization, &export.payload.tables).await?;
        let estimated: Option<u64> = tables.iter().map(|table| table.estimated_rows).sum();
        self.active.counts.rows_estimated.store(estimated.unwrap_or(u64::MAX), Ordering::Relaxed);
        delivery.fingerprint = fingerprint(export, &tables)?;
        Job::plan(export.payload.tables.iter().cloned().zip(tables).collect(), settings, layout, None)
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
            attempt: self.active.attempt(),
            stats: self.active.counts.stats(),
        };
        let held = leases::renew(self.store, self.owner, self.lease, vec![renewal]).await;
        let state = held.map_err(|error| internal("cannot renew the lease", &error))?.first().map(|(_, state)| *state);
        if state.is_some() {
            self.active.renewed(begun);
        }
        Ok(state)
    }

    /// Like [`Self::renew`], but tries again for a while if the database does not respond and the lease is valid.
    async fn renew_while_leased(&self) -> Result<Option<RunState>, AttemptError> {
        let begun = Instant::now();
        loop {
            match self.renew().await {
                Err(error) if begun.elapsed() < MAX_OUTAGE && self.active.is_leased(self.lease) => {
                    tracing::warn!(run = %self.leased.run.name, %error, "cannot renew a lease before the commit");
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                renewed => return renewed,
            }
        }
    }

    /// Renews the lease, and makes the result visible if the run was not cancelled.
    async fn commit(&self, writer: &mut dyn Writer, manifest: &Manifest) -> Result<(), AttemptError> {
        match self.renew_while_leased().await? {
            Some(RunState::Running) => {}
            Some(_) => return Err(AttemptError::Interrupted(Interruption::Cancelled)),
            None => return Err(AttemptError::Interrupted(Interruption::LeaseLost)),
        }
        let committed = self.while_leased(tokio::time::timeout(COMMIT_TIMEOUT, writer.commit(manifest))).await?;
        let timed_out =
            |_| DeliveryError::new(FailureCode::DestinationUnreachable, "timed out making the result visible");
        committed.map_err(timed_out).and_then(|committed| committed).map_err(|error| self.failed(error))
    }

    /// Carries out work as long as the lease is valid: a process that was stopped for a while does not take a further step,
    /// because another replica may have taken the run and even delivered it.
    async fn while_leased<T>(&self, work: impl Future<Output = T>) -> Result<T, AttemptError> {
        let mut work = pin!(work);
        let work = poll_fn(|context| {
            if self.active.is_leased(self.lease) {
                return work.as_mut().poll(context).map(Ok);
            }
            Poll::Ready(Err(AttemptError::Interrupted(Interruption::LeaseLost)))
        });
        tokio::select! {
            biased;
            () = self.active.lost().cancelled() => Err(AttemptError::Interrupted(Interruption::LeaseLost)),
            result = work => result,
        }
    }

    /// A lost lease is no failure: that of this attempt, or that of an earlier one that still writes at the destination.
    fn failed(&self, error: DeliveryError) -> AttemptError {
        if error.code != FailureCode::LeaseLost {
            return AttemptError::Failed(error);
        }
        tracing::warn!(run = %self.leased.run.name, %error, "an attempt cannot go on");
        AttemptError::Interrupted(Interruption::LeaseLost)
    }

    async fn unless_interrupted<T>(
        &self,
        work: impl Future<Output = Result<T, DeliveryError>>,
    ) -> Result<T, AttemptError> {
        tokio::select! {
            biased;
            reason = self.active.interrupted() => Err(AttemptError::Interrupted(reason)),
            () = tokio::time::sleep_until(self.deadline.into()) => Err(AttemptError::TimedOut),
            result = self.while_leased(work) => result?.map_err(|error| self.failed(error)),
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
    /// Tries again for a while if the database does not respond. The attempt ends this when its lease is not valid any more.
    async fn save(&self, state: &str) -> Result<(), DeliveryError> {
        let begun = Instant::now();
        loop {
            let saved = self.store.transact_in_background(
                Instant::now() + SAVE_TIMEOUT,
                (self.organization.clone(), self.attempt, state.to_owned()),
                |db, (organization, attempt, state): &(OrganizationId, changes::Attempt, String)| {
                    Box::pin(store::runs::leases::save_delivery_state(db, organization, *attempt, state))
                },
            );
            match saved.await {
                Ok(true) => return Ok(()),
                Ok(false) => return Err(DeliveryError::new(FailureCode::LeaseLost, "the lease was lost")),
                Err(error) if begun.elapsed() < MAX_OUTAGE => {
                    tracing::warn!(%error, "cannot save the state of a delivery");
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                Err(error) => {
                    let doing = "cannot save the state of a delivery";
                    return Err(DeliveryError::with(FailureCode::Internal, doing, error));
                }
            }
        }
    }
}

/// A text that is equal for two attempts if they read the same files and encode them in the same way.
fn fingerprint(export: &Export, tables: &[PinnedTable]) -> Result<Option<String>, DeliveryError> {
    let files: Option<Vec<_>> = tables.iter().map(|table| table.content.fingerprint()).collect();
    let Some(files) = files else { return Ok(None) };
    let version = env!("CARGO_PKG_VERSION");
    let all = serde_json::to_vec(&(version, &export.payload, &export.destination_settings, files));
    let all = all.map_err(|error| DeliveryError::with(FailureCode::Internal, "the fingerprint of a run", error))?;
    Ok(Some(STANDARD.encode(Sha256::digest(all))))
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
