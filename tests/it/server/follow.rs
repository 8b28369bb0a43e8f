//! `outflow runs follow`: against servers in processes of their own.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use outflow::grpc::proto as pb;
use outflow::model::Role;

use crate::support::{Client, Clients as _, Process, object, outflow, parent, text};

/// `outflow runs follow` in the data directory of a server.
fn follow(data_dir: &Path, run: &str, endpoint: &str) -> Command {
    let mut command = outflow(data_dir);
    command.args(["runs", "follow", run, "--endpoint", endpoint]);
    command
}

/// The exit code, standard output and standard error.
fn results(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

impl Client {
    /// Starts a run that writes the customers of the sample to a local directory.
    async fn run_customers(&mut self) -> String {
        let connection = pb::Connection {
            display_name: "Outbox".to_owned(),
            connection_type: "connectionTypes/local_directory".to_owned(),
            properties: Some(object([("directory", text("partner"))])),
            ..pb::Connection::default()
        };
        let create =
            pb::CreateConnectionRequest { parent: parent(), connection: Some(connection), ..Default::default() };
        let created = self.connections.create_connection(create).await.expect("created").into_inner();
        let table = pb::PayloadTable { table: "customers".to_owned(), ..pb::PayloadTable::default() };
        let export = pb::Export {
            display_name: "Customers".to_owned(),
            connection: created.connection.expect("answered").name,
            payload: Some(pb::Payload { tables: vec![table] }),
            ..pb::Export::default()
        };
        let create = pb::CreateExportRequest { parent: parent(), export: Some(export), ..Default::default() };
        let name =
            self.exports.create_export(create).await.expect("created").into_inner().export.expect("answered").name;
        let run = pb::RunExportRequest { name, ..pb::RunExportRequest::default() };
        self.exports.run_export(run).await.expect("queued").into_inner().run.expect("answered").name
    }
}

/// A directory, a run, an endpoint, flags, variables, and the error.
type Case<'a> = (&'a Path, &'a str, &'a str, &'a [&'a str], &'a [(&'a str, &'a str)], &'a str);

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_followed_until_it_succeeded_also_while_the_server_restarts() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Process::start(outflow(directory.path()).env("OUTFLOW_RUNS", "off"));
    let address = server.address.to_string();
    let run = server.admin().await.run_customers().await;
    let mut command = follow(directory.path(), &run, &format!("http://{address}"));
    let mut following = command.stdout(Stdio::piped()).spawn().expect("the binary starts");
    let mut lines =
        BufReader::new(following.stdout.take().expect("standard output")).lines().map(|line| line.expect("text"));
    assert_eq!(lines.next().as_deref(), Some("QUEUED"));
    drop(server);

    // Another process of the server, with the same address and database, executes the run.
    let _server = Process::start(outflow(directory.path()).env("OUTFLOW_LISTEN", &address));
    let last = lines.last().expect("lines");
    assert!(last.starts_with("SUCCEEDED, attempt 1: 5000 rows written, 5000 of 5000 rows read, "), "{last}");
    assert!(last.ends_with("files: 1"), "{last}");
    assert_eq!(following.wait().expect("it ends").code(), Some(0));
    let outbox = directory.path().join("outbox/acme/partner");
    assert!(outbox.read_dir().expect("a directory").count() >= 2, "a file and its manifest");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_fails_is_an_error_with_its_message() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Process::start(outflow(directory.path()).env("OUTFLOW_RUNS", "off"));
    let (address, run) = (server.address.to_string(), server.admin().await.run_customers().await);
    drop(server);
    // The dataset loses fields after the export was saved.
    let datasets = directory.path().join("datasets/acme");
    std::fs::rename(datasets.join("orders.parquet"), datasets.join("customers.parquet")).expect("renamed");
    let server = Process::start(outflow(directory.path()).env("OUTFLOW_LISTEN", &address));
    // Without --endpoint, the settings say where the server is.
    let mut command = outflow(directory.path());
    command.env("OUTFLOW_LISTEN", server.address.to_string()).args(["runs", "follow", &run]);
    let (code, stdout, stderr) = results(&command.output().expect("the binary runs"));
    assert_eq!(code, Some(1));
    assert!(stdout.lines().last().expect("lines").starts_with("FAILED, attempt 1"), "{stdout}");
    assert!(stderr.starts_with("outflow: FIELD_MISSING: "), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_say_what_is_wrong() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Process::start(&mut outflow(directory.path()));
    let other = tempfile::tempdir().expect("a directory");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let (endpoint, closed) = (format!("http://{}", server.address), format!("http://{closed}"));
    let run = "organizations/acme/exports/weekly/runs/01931f6e-7c4b-7000-8000-000000000000";
    let no_role = server.token("acme", "ann", &[Role::Runner], &[]);
    let file = other.path().join("ca.pem");
    std::fs::write(&file, "not a certificate").expect("written");
    let ca = format!("--ca-file={}", file.display());
    let cases: &[Case<'_>] = &[
        (directory.path(), "organizations/acme/exports/weekly", &endpoint, &[], &[], "is not the name of a run"),
        (directory.path(), run, &endpoint, &[], &[], "no such run: organizations/acme/exports/weekly/runs/01931f6e"),
        (directory.path(), run, "ftp://localhost", &[], &[], "is not an endpoint"),
        (directory.path(), run, "http://127.0.0.1:1/path", &[], &[], "is not an endpoint"),
        (directory.path(), run, &closed, &[], &[], "cannot reach http://127.0.0.1:"),
        (directory.path(), run, &endpoint, &[], &[("OUTFLOW_TOKEN", &no_role)], "not permitted: "),
        (directory.path(), run, &endpoint, &[], &[("OUTFLOW_TOKEN", "a.b.c")], "does not accept the token"),
        (
            directory.path(),
            run,
            &endpoint,
            &[],
            &[("OUTFLOW_TOKEN_FILE", "absent")],
            "cannot read the file of `token_file`",
        ),
        (directory.path(), run, "https://outflow.example", &[], &[], "no token for https://outflow.example"),
        (directory.path(), run, &endpoint, &[&ca], &[], "--ca-file is for https endpoints"),
        (directory.path(), run, "https://localhost:1", &[&ca], &[], "does not consist of certificates in PEM"),
        (other.path(), run, &endpoint, &[], &[], "does not accept the token"),
    ];
    for (data_dir, run, endpoint, arguments, variables, expected) in cases {
        let mut command = follow(data_dir, run, endpoint);
        let output = command.args(*arguments).envs(variables.iter().copied()).output().expect("the binary runs");
        let (code, stdout, stderr) = results(&output);
        assert_eq!((code, stdout.as_str(), stderr.lines().count()), (Some(1), "", 1), "{stderr}");
        assert!(stderr.starts_with("outflow: ") && stderr.contains(expected), "{expected}: {stderr}");
        assert!(!stderr.contains("a.b.c") && !stderr.contains(&no_role), "{stderr}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_tls_needs_a_trusted_certificate() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    for name in ["own", "other"] {
        let certificate = rcgen::generate_simple_self_signed(vec!["localhost".into()]).expect("a certificate");
        std::fs::write(path(&format!("{name}.crt")), certificate.cert.pem()).expect("written");
        std::fs::write(path(&format!("{name}.key")), certificate.signing_key.serialize_pem()).expect("written");
    }
    let mut command = outflow(directory.path());
    command.env("OUTFLOW_TLS_CERT_FILE", path("own.crt")).env("OUTFLOW_TLS_KEY_FILE", path("own.key"));
    let server = Process::start(&mut command);
    let run = "organizations/acme/exports/weekly/runs/01931f6e-7c4b-7000-8000-000000000000";
    let endpoint = format!("https://localhost:{}", server.address.port());
    let followed = |endpoint: &str, authorities: Option<&str>| {
        let mut command = follow(directory.path(), run, endpoint);
        if let Some(name) = authorities {
            command.arg("--ca-file").arg(path(name));
        }
        results(&command.output().expect("the binary runs")).2
    };
    // The call was answered.
    assert!(followed(&endpoint, Some("own.crt")).contains("no such run"));
    for (endpoint, authorities) in
        [(&endpoint, None), (&endpoint, Some("other.crt")), (&format!("https://{}", server.address), Some("own.crt"))]
    {
        let stderr = followed(endpoint, authorities);
        assert!(stderr.contains("invalid peer certificate") && stderr.contains("--ca-file"), "{stderr}");
    }
}
