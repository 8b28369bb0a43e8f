//! What a delivery and a test report if the server or the connection refuses something.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use outflow::delivery::DeliveryError;
use outflow::delivery::destinations::sftp::Sftp;
use outflow::delivery::destinations::{CheckStep, Destination as _};
use outflow::dialer::Dialer;
use outflow::model::{CredentialSecret, FailureCode, OrganizationId, Secret};
use serde_json::json;
use tokio::net::TcpListener;
use uuid::Uuid;

use super::super::content::{Content, target};
use super::super::tmpfs::Tmpfs;
use super::openssh::OpenSsh;
use super::plain_server::{Disk, Password, PlainServer};
use super::{Login, failure};

/// The failure of a delivery.
async fn deliver(login: &Login) -> DeliveryError {
    let content = Content::single("customers.csv", 3_000_000, 1);
    content.deliver(&login.destination(&json!({})), Uuid::now_v7(), 0).await.expect_err("a failure")
}

/// Checks that a delivery and a test fail at this step.
async fn assert_failure(login: &Login, step: CheckStep, code: FailureCode, found_host_key: Option<String>) {
    let error = deliver(login).await;
    assert_eq!(error.code, code, "{error}");
    let checks = login.destination(&json!({})).test().await;
    assert_eq!(failure(&checks), Some((step, code, found_host_key)));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_host_key_of_a_server_can_be_configured_and_another_one_is_refused() {
    let server = OpenSsh::start();
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let login = Login { host_key: server.fingerprint(kind), ..server.login() };
        assert_eq!(failure(&login.destination(&json!({})).test().await), None, "{kind}");
    }
    let login = Login { host_key: format!("SHA256:{}", "a".repeat(43)), ..server.login() };
    let found = Some(server.fingerprint("ed25519"));
    assert_failure(&login, CheckStep::Tls, FailureCode::HostKeyMismatch, found).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_accepted_by_either_method_and_a_wrong_one_is_refused() {
    for method in [Password::Method, Password::Prompt] {
        let server = PlainServer::start(method, Disk::Unlimited).await;
        assert_eq!(failure(&server.login().destination(&json!({})).test().await), None, "{method:?}");
        let wrong = server.login().password("wrong");
        assert_failure(&wrong, CheckStep::Authenticate, FailureCode::AuthenticationFailed, None).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_passwords_that_openssh_does_not_know_are_refused() {
    let (server, other) = (OpenSsh::start(), OpenSsh::start());
    let login = Login { fields: other.login().fields, ..server.login() };
    assert_failure(&login, CheckStep::Authenticate, FailureCode::AuthenticationFailed, None).await;
    let login = server.login().password("anything");
    assert_failure(&login, CheckStep::Authenticate, FailureCode::AuthenticationFailed, None).await;
    // The server ends the connection after the first failure.
    let server = OpenSsh::start_with("MaxAuthTries 1\n");
    let login = Login { fields: other.login().fields, ..server.login() };
    assert_failure(&login, CheckStep::Authenticate, FailureCode::AuthenticationFailed, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_sftp_refuses_at_the_last_step() {
    let server = OpenSsh::start_with("Subsystem other internal-sftp\n");
    assert_failure(&server.login(), CheckStep::Write, FailureCode::DestinationRefused, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_directory_and_a_missing_permission_are_told_apart() {
    let server = OpenSsh::start();
    let missing = Login { directory: format!("{}/missing", server.login().directory), ..server.login() };
    assert_failure(&missing, CheckStep::Write, FailureCode::DestinationRefused, None).await;
    let file = server.directory().join("file");
    fs::write(&file, "").expect("written");
    let no_directory = Login { directory: file.to_str().expect("UTF-8").to_owned(), ..server.login() };
    assert_failure(&no_directory, CheckStep::Write, FailureCode::DestinationRefused, None).await;
    fs::set_permissions(server.directory(), fs::Permissions::from_mode(0o555)).expect("permissions");
    assert_failure(&server.login(), CheckStep::Write, FailureCode::DestinationDenied, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_reported_and_nothing_is_left() {
    let server = PlainServer::start(Password::Method, Disk::Bytes(1_000_000)).await;
    let error = deliver(&server.login()).await;
    assert_eq!(error.code, FailureCode::DestinationFull, "{error}");
    assert_eq!(fs::read_dir(server.directory()).expect("a directory").count(), 0);

    let disk = Tmpfs::mount(2048);
    let server = OpenSsh::start();
    let login = Login { directory: disk.path().to_str().expect("UTF-8").to_owned(), ..server.login() };
    let error = deliver(&login).await;
    assert_eq!(error.code, FailureCode::DestinationFull, "{error}");
    assert_eq!(fs::read_dir(disk.path()).expect("a directory").count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_are_refused_or_do_not_listen_fail_at_their_step() {
    let fields = vec![("password", "p".to_owned())];
    let closed = TcpListener::bind("127.0.0.1:0").await.and_then(|listener| listener.local_addr()).expect("a port");
    let login = Login {
        port: closed.port(),
        username: "u".to_owned(),
        directory: ".".to_owned(),
        host_key: format!("SHA256:{}", "a".repeat(43)),
        method: "password",
        fields,
    };
    assert_failure(&login, CheckStep::Connect, FailureCode::DestinationUnreachable, None).await;

    let properties = json!({"host": "127.0.0.1", "port": 22, "username": "u", "directory": ".", "host_key": ""});
    let fields = [("password".to_owned(), Secret::new("p".to_owned()))].into();
    let credential = CredentialSecret { auth_method: "password".to_owned(), fields };
    let public_only = Dialer::default().network(&OrganizationId::parse("acme").expect("an id"));
    let destination = Sftp::new(public_only, target(&properties, &json!({}), Some(credential))).expect("a destination");
    let forbidden = (CheckStep::Resolve, FailureCode::AddressForbidden, None);
    assert_eq!(failure(&destination.test().await), Some(forbidden));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_accepts_connections_and_stays_silent_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let login = Login {
        port: listener.local_addr().expect("an address").port(),
        username: "u".to_owned(),
        directory: ".".to_owned(),
        host_key: String::new(),
        method: "password",
        fields: vec![("password", "p".to_owned())],
    };
    let start = tokio::time::Instant::now();
    let checks = login.destination(&json!({})).test().await;
    assert_eq!(failure(&checks).map(|(_, code, _)| code), Some(FailureCode::DestinationUnreachable));
    assert!(start.elapsed() <= Duration::from_secs(21), "{:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_speak_ssh_fails_the_handshake() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let response = b"HTTP/1.1 400 Bad Request\r\nserver: secret\r\nconnection: close\r\n\r\n";
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, response).await;
        }
    });
    let login = Login {
        port,
        username: "u".to_owned(),
        directory: ".".to_owned(),
        host_key: String::new(),
        method: "password",
        fields: vec![("password", "p".to_owned())],
    };
    let error = deliver(&login).await;
    assert!(!error.detail.contains("HTTP"), "{error}");
    assert!(matches!(error.code, FailureCode::TlsFailed | FailureCode::DestinationUnreachable), "{error}");
}
