//! The far side has no space left: the attempt fails and says so, nothing is visible, and when there is space again the next
//! attempt delivers once.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use chrono::TimeDelta;
use outflow::grpc::proto as pb;
use pb::export_run::State;
use pb::export_run::error::Code;

use super::buckets::BucketSide;
use super::content::{Expected, FIRST_ID, Shape};
use super::directories::DirectorySide;
use super::far_side::FarSide;
use super::postgresql::PostgresqlSide;
use super::service::{Files, connect, create};
use super::webhook::WebhookSide;
use crate::destinations::objects::azurite::Azurite;
use crate::destinations::objects::gcs_server::{Fault, GcsServer};
use crate::destinations::objects::https::error;
use crate::destinations::objects::versitygw::Versitygw;
use crate::destinations::tmpfs::Tmpfs;
use crate::support::{Backend, Client, Clients as _, TestServer, own_unprivileged, with_timeout};

/// The size of file systems, in KiB: enough for the servers and for two deliveries.
const DISK_KIB: u32 = 48 * 1024;
/// The area of each shape.
const AREAS: [&str; 2] = ["one", "several"];
/// What is left of a file system, in KiB: less than a delivery.
const LEFT_KIB: u64 = 4 * 1024;

/// A service in this process.
struct Service {
    server: TestServer,
    admin: Client,
    _files: Files,
}

impl Service {
    async fn start(backend: Backend, far_side: &dyn FarSide, local_root: Option<&Path>) -> Self {
        let files = Files::new();
        std::fs::write(files.path("authorities.pem"), far_side.authorities()).expect("written");
        let path = |name: &str| files.path(name).to_str().expect("UTF-8").to_owned();
        let mut settings = vec![
            ("runs", "on".to_owned()),
            ("run_retry_delay", "1h".to_owned()),
            ("dataset_location", path("datasets")),
            ("outbound_allowed", "*=127.0.0.0/8".to_owned()),
        ];
        if let Some(root) = local_root {
            settings.push(("local_directory_root", root.to_str().expect("UTF-8").to_owned()));
        }
        if !far_side.authorities().is_empty() {
            settings.push(("outbound_ca_file", path("authorities.pem")));
        }
        let server = TestServer::start_with(backend, settings).await;
        let admin = server.admin().await;
        Self { server, admin, _files: files }
    }

    /// Waits until the first attempt of a run has failed, and returns the run.
    async fn failed(&mut self, run: &str) -> pb::ExportRun {
        with_timeout("the attempt fails", async {
            loop {
                let run = self.admin.read_run(run).await;
                if run.last_error.is_some() || run.end_time.is_some() {
                    return run;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        })
        .await
    }
}

/// What a full far side makes of a delivery: the code of the failure, and a part of the advice.
#[derive(Clone, Copy)]
struct Failure(Code, &'static str);

const FULL: Failure = Failure(Code::DestinationFull, "Free some space there");
const THROTTLED: Failure = Failure(Code::DestinationThrottled, "Run fewer exports at the same time");
const UNREACHABLE: Failure = Failure(Code::DestinationUnreachable, "Check that it is running");

impl Service {
    /// Delivers to a far side without space, and again when there is space. `set_full` changes that.
    async fn deliver(
        &mut self,
        far_side: &dyn FarSide,
        shape: Shape,
        (Failure(code, advice), set_full): (Failure, impl Fn(bool)),
    ) {
        let area = AREAS[usize::from(shape == Shape::Several)];
        let connection = connect(&mut self.admin, far_side).await;
        let export = create(&mut self.admin, far_side, (&connection, shape, area), FIRST_ID).await;
        let before = far_side.list(area).await;
        set_full(true);
        let started = self.admin.run(&export).await.expect("queued");
        let expected = Expected::new(&started, shape, far_side.tables(shape), FIRST_ID);
        let run = self.failed(&started.name).await;
        assert_eq!((run.state(), run.attempt), (State::Queued, 1), "{run:?}");
        let failure = run.last_error.as_ref().expect("an error");
        assert_eq!(failure.code(), code, "{run:?}");
        assert!(failure.retryable && run.next_attempt_time.is_some() && !run.admin_detail.is_empty(), "{run:?}");
        assert!(failure.message.contains(advice), "{}", failure.message);
        assert_eq!(far_side.list(area).await, before, "something is visible or staged");
        assert_eq!(far_side.uploads(area).await, 0);
        set_full(false);
        self.server.clock.advance(TimeDelta::hours(1));
        let run = self.admin.follow(&started.name).await;
        assert_eq!((run.state(), run.attempt), (State::Succeeded, 2), "{run:?}");
        far_side.assert_delivered(area, &expected).await;
        assert_eq!(far_side.uploads(area).await, 0);
    }

    /// Delivers both shapes.
    async fn deliver_both(&mut self, far_side: &dyn FarSide, failure: Failure, set_full: impl Fn(bool)) {
        for shape in [Shape::One, Shape::Several] {
            self.deliver(far_side, shape, (failure, &set_full)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_local_disk_delays_a_delivery() {
    let disk = Tmpfs::mount(DISK_KIB);
    let far_side = DirectorySide::local(disk.path());
    let mut service = Service::start(Backend::Sqlite, &far_side, Some(disk.path())).await;
    service.deliver_both(&far_side, FULL, |full| disk.set_full(full, LEFT_KIB)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_an_ssh_server_delays_a_delivery() {
    let disk = Tmpfs::mount(DISK_KIB);
    let directory = disk.path().join("files");
    std::fs::create_dir(&directory).expect("created");
    std::fs::set_permissions(&directory, Permissions::from_mode(0o777)).expect("permitted");
    let far_side = DirectorySide::sftp(Some(&directory)).await;
    let mut service = Service::start(Backend::Postgres, &far_side, None).await;
    service.deliver_both(&far_side, FULL, |full| disk.set_full(full, LEFT_KIB)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_an_s3_server_delays_a_delivery() {
    let disk = Tmpfs::mount(DISK_KIB);
    let server = Versitygw::start_in(tempfile::tempdir_in(disk.path()).expect("a directory")).await;
    let certificate = server.tls.certificate();
    let far_side = BucketSide::start(server, "s3", &certificate).await;
    let mut service = Service::start(Backend::Sqlite, &far_side, None).await;
    service.deliver_both(&far_side, FULL, |full| disk.set_full(full, LEFT_KIB)).await;
}

/// Azurite answers 500 when its disk is full, as if it had failed.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_an_azure_server_delays_a_delivery() {
    let disk = Tmpfs::mount(DISK_KIB);
    let server = Azurite::start_in(disk.path()).await;
    let certificate = server.tls.certificate();
    let far_side = BucketSide::start(server, "azure_blob", &certificate).await;
    let mut service = Service::start(Backend::Postgres, &far_side, None).await;
    service.deliver_both(&far_side, UNREACHABLE, |full| disk.set_full(full, LEFT_KIB)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_of_gcs_delays_a_delivery() {
    let server = GcsServer::start().await;
    let certificate = server.tls.certificate();
    let far_side = BucketSide::start(server, "gcs", &certificate).await;
    let mut service = Service::start(Backend::Sqlite, &far_side, None).await;
    let writes = ["put", "create", "part"];
    for (shape, failure, status, code) in [
        (Shape::One, FULL, 403, "QuotaExceeded"),
        (Shape::Several, FULL, 507, "InsufficientStorage"),
        (Shape::Several, THROTTLED, 429, "TooManyRequests"),
    ] {
        let fault =
            |operation| Fault { operation, times: usize::MAX, carried_out: false, response: error(status, code) };
        let faults = writes.map(fault);
        let set_full = |full| far_side.bucket.set_faults(if full { &faults } else { &[] });
        service.deliver(&far_side, shape, (failure, set_full)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_without_space_delays_a_delivery() {
    let far_side = WebhookSide::start().await;
    let mut service = Service::start(Backend::Postgres, &far_side, None).await;
    for (shape, failure, status) in
        [(Shape::One, FULL, 507), (Shape::Several, UNREACHABLE, 503), (Shape::One, THROTTLED, 429)]
    {
        let answer = |full| if full { status } else { 204 };
        let set_full = |full| far_side.receiver.answer_always((answer(full), Vec::new()));
        service.deliver(&far_side, shape, (failure, set_full)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_a_database_delays_a_delivery() {
    let disk = Tmpfs::mount(DISK_KIB);
    let directory = disk.path().join("tablespace");
    std::fs::create_dir(&directory).expect("created");
    own_unprivileged(&directory);
    let far_side = PostgresqlSide::start_in(&directory, &AREAS).await;
    let mut service = Service::start(Backend::Sqlite, &far_side, None).await;
    service.deliver_both(&far_side, FULL, |full| disk.set_full(full, LEFT_KIB)).await;
    far_side.drop_tables(&AREAS).await;
}
