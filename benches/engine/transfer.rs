//! Exports to servers, compared with what the ordinary client of each takes to copy the finished file.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use outflow::delivery::destinations::{Delivery, Destination, Opened, StateLog};
use outflow::delivery::engine::{Engine, Progress};
use outflow::delivery::{DeliveryError, Output};
use outflow::model::ResourceId;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::servers::{BUCKET, KEY_ID, REGION, SECRET, Server};
use crate::{duckdb, export};

/// The settings of the exports: a text of about 90 bytes per row.
pub const SETTINGS: &str = r#"{"compression": "none"}"#;

const BOTO3: &str = r"
import boto3, sys, time
endpoint, region, key_id, secret, certificate, bucket, path = sys.argv[1:]
client = boto3.client('s3', endpoint_url=endpoint, region_name=region, aws_access_key_id=key_id,
                      aws_secret_access_key=secret, verify=certificate)
client.create_bucket(Bucket=bucket)
print(flush=True)
for line in sys.stdin:
    start = time.perf_counter()
    client.upload_file(path, bucket, 'copy.csv')
    print(int((time.perf_counter() - start) * 1e6), flush=True)
";

/// The ordinary client of a server, which copies one file.
pub enum Client {
    /// `sftp` of OpenSSH.
    Sftp,
    /// `boto3`, in a Python process that stays for the whole run.
    Boto3(Child),
}

impl Client {
    /// Starts boto3 and creates the bucket.
    pub fn boto3(server: &Server, file: &Path) -> Self {
        let endpoint = format!("https://127.0.0.1:{}", server.port());
        let mut command = Command::new(duckdb::python());
        command
            .args(["-c", BOTO3, &endpoint, REGION, KEY_ID, SECRET])
            .arg(server.path("tls.crt"))
            .arg(BUCKET)
            .arg(file);
        let process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("Python starts");
        let mut client = Self::Boto3(process);
        client.answer();
        client
    }

    /// Copies the file to the server, which stores it durably as for an export. Returns how long it takes.
    pub fn copy(&mut self, server: &Server, file: &Path) -> Duration {
        match self {
            Self::Sftp => {
                let start = Instant::now();
                let mut command = Command::new("sftp");
                command.args(["-q", "-b", "-", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]);
                command.arg("-i").arg(server.path("user")).args(["-P", &server.port().to_string(), "root@127.0.0.1"]);
                let quiet = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
                let mut process = quiet.spawn().expect("sftp starts");
                let put = format!("put -f {} {}\n", file.display(), server.path("files/copy.csv").display());
                process.stdin.take().expect("stdin").write_all(put.as_bytes()).expect("a command");
                assert!(process.wait().expect("sftp ends").success());
                start.elapsed()
            }
            Self::Boto3(process) => {
                process.stdin.as_mut().expect("stdin").write_all(b"copy\n").expect("a command");
                let answer = self.answer();
                Duration::from_micros(answer.trim().parse().expect("a number"))
            }
        }
    }

    fn answer(&mut self) -> String {
        let Self::Boto3(process) = self else { return String::new() };
        let mut answer = String::new();
        BufReader::new(process.stdout.as_mut().expect("stdout")).read_line(&mut answer).expect("an answer");
        assert!(!answer.is_empty(), "boto3 does not copy");
        answer
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Self::Boto3(process) = self {
            // It may have ended.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Exports the table to a destination. Returns how long it takes, from the opening to the commit.
pub fn export(source: &Path, destination: &dyn Destination, threads: usize) -> Duration {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let start = Instant::now();
    runtime.block_on(deliver(source, destination, threads)).expect("delivered");
    start.elapsed()
}

async fn deliver(source: &Path, destination: &dyn Destination, threads: usize) -> Result<(), DeliveryError> {
    let run = Uuid::now_v7();
    let job = export::job(source, SETTINGS, None, run);
    let mut manifest = job.manifest();
    let delivery = Delivery {
        run,
        attempt: 0,
        fingerprint: None,
        export: ResourceId::parse("bench").expect("an id"),
        time: chrono::DateTime::UNIX_EPOCH,
        manifest_path: export::manifest_path(SETTINGS, run),
        saved_state: None,
        state_log: Arc::new(NoStateLog),
    };
    let engine = Engine::new(threads, export::MEMORY);
    let workers = engine.reserve_run().await?;
    let Opened::Writer(mut writer) = destination.open(&delivery).await? else { panic!("the run is new") };
    let mut outputs = engine.start(job, workers, Arc::new(Progress::default()), CancellationToken::new());
    while let Some(output) = outputs.recv().await {
        match output? {
            Output::File(file) => writer.start_file(&file).await?,
            Output::Chunk(chunk) => writer.write(chunk).await?,
            Output::EndOfFile(summary) => {
                writer.finish_file(&summary).await?;
                manifest.add_file(summary);
            }
        }
    }
    writer.commit(&manifest).await
}

/// Nothing is saved: no attempt follows.
struct NoStateLog;

#[async_trait::async_trait]
impl StateLog for NoStateLog {
    async fn save(&self, _state: &str) -> Result<(), DeliveryError> {
        Ok(())
    }
}
