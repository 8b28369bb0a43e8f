//! Connections, tables and rows that are refused.

use std::time::Instant;

use futures_util::future::join_all;
use outflow::delivery::destinations::Destination as _;
use outflow::model::FailureCode::{self, *};
use tokio::net::TcpListener;

use super::fixture::{Fixture, Options, PASSWORD, numbered, rows};
use crate::destinations::certificates::Authority;
use crate::destinations::services::{Run, TableRows, code_of, outcomes};
use crate::support::new_database;

/// Delivers with options; returns the code and the outcomes of a test of the connection.
async fn refused(options: &Options<'_>) -> (FailureCode, Vec<String>) {
    let destination = options.destination();
    let code = code_of(Run::new(true).attempt(&destination, 0, &[numbered(1, 1)]).await, PASSWORD);
    (code, outcomes(&destination.test().await))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_step_of_a_connection_has_its_code() {
    let fixture = Fixture::with_target().await;
    let plain = new_database();
    let plain: u16 = plain.split([':', '/']).find_map(|part| part.parse().ok()).expect("a port");
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port").port();
    let other = Authority::new("other").pem();
    let base = fixture.options();
    let password = |password, root| vec![("password", password), ("sslrootcert", root)];
    let authority = fixture.server.authority.as_str();
    let cases: Vec<(Options<'_>, FailureCode, [&str; 5])> = vec![
        (
            Options { host: "missing.test", ..base.clone() },
            DestinationUnreachable,
            ["DestinationUnreachable", "-", "-", "-", "-"],
        ),
        (
            Options { permitted: "*=10.0.0.0/8", ..base.clone() },
            AddressForbidden,
            ["AddressForbidden", "-", "-", "-", "-"],
        ),
        (
            Options { port: closed, ..base.clone() },
            DestinationUnreachable,
            ["+", "DestinationUnreachable", "-", "-", "-"],
        ),
        (Options { port: plain, ..base.clone() }, TlsFailed, ["+", "+", "TlsFailed", "-", "-"]),
        (
            Options { credential: password(PASSWORD, &other), ..base.clone() },
            TlsFailed,
            ["+", "+", "TlsFailed", "-", "-"],
        ),
        (
            Options { credential: vec![("password", PASSWORD)], ..base.clone() },
            TlsFailed,
            ["+", "+", "TlsFailed", "-", "-"],
        ),
        (
            Options { sslmode: "verify-ca", credential: vec![("password", PASSWORD)], ..base.clone() },
            TlsFailed,
            ["+", "+", "TlsFailed", "-", "-"],
        ),
        (
            Options { sslmode: "require", credential: password(PASSWORD, &other), ..base.clone() },
            TlsFailed,
            ["+", "+", "TlsFailed", "-", "-"],
        ),
        (Options { host: "other.test", ..base.clone() }, TlsFailed, ["+", "+", "TlsFailed", "-", "-"]),
        (
            Options { credential: password(PASSWORD, "-----BEGIN CERTIFICATE-----"), ..base.clone() },
            CredentialRequired,
            ["+", "+", "CredentialRequired", "-", "-"],
        ),
        (
            Options { credential: password("wrong", authority), ..base.clone() },
            AuthenticationFailed,
            ["+", "+", "+", "AuthenticationFailed", "-"],
        ),
        (
            Options { user: "nobody", ..base.clone() },
            AuthenticationFailed,
            ["+", "+", "+", "AuthenticationFailed", "-"],
        ),
        (Options { dbname: "nothing", ..base.clone() }, DestinationRefused, ["+", "+", "+", "DestinationRefused", "-"]),
        (
            Options { port: silent.local_addr().expect("an address").port(), ..base.clone() },
            DestinationUnreachable,
            ["+", "+", "DestinationUnreachable", "-", "-"],
        ),
    ];
    let started = Instant::now();
    let outcomes = join_all(cases.iter().map(|(options, ..)| refused(options))).await;
    assert!(started.elapsed().as_secs() < 60);
    for (number, ((_, code, steps), outcome)) in cases.iter().zip(outcomes).enumerate() {
        assert_eq!(
            (outcome.0, outcome.1.as_slice()),
            (*code, steps.map(ToOwned::to_owned).as_slice()),
            "case {number}"
        );
    }
    assert_eq!(fixture.count("SELECT count(*) FROM target").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn weaker_modes_and_other_authorities_are_accepted_as_configured() {
    let fixture = Fixture::with_target().await;
    let base = fixture.options();
    let password = vec![("password", PASSWORD)];
    for options in [
        Options { host: "other.test", sslmode: "verify-ca", ..base.clone() },
        Options { host: "127.0.0.1", sslmode: "verify-ca", ..base.clone() },
        Options { host: "other.test", sslmode: "require", ..base.clone() },
        Options { host: "other.test", sslmode: "require", credential: password.clone(), ..base.clone() },
        Options { credential: password, authorities: Some(&fixture.server.authority), ..base.clone() },
    ] {
        let run = Run::new(true);
        assert!(run.attempt(&options.destination(), 0, &[numbered(0, 1)]).await.expect("delivered"));
    }
    assert_eq!(fixture.count("SELECT count(*) FROM outflow_deliveries").await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_authenticate_with_certificates() {
    let fixture = Fixture::with_target().await;
    let (secure, other) = (&fixture.server.secure, &fixture.server.other);
    let unknown = Authority::new("unknown").issue("secure");
    let options = |certificate, key| Options {
        user: "secure",
        auth_method: "client_certificate",
        credential: vec![("sslcert", certificate), ("sslkey", key), ("sslrootcert", &fixture.server.authority)],
        ..fixture.options()
    };
    let accepted = options(&secure.certificate, &secure.key).destination();
    assert!(Run::new(true).attempt(&accepted, 0, &[numbered(3, 1)]).await.expect("delivered"));
    assert_eq!(outcomes(&accepted.test().await), ["+", "+", "+", "+", "-"]);
    for (certificate, key, code) in [
        (&other.certificate, &other.key, AuthenticationFailed),
        (&unknown.certificate, &unknown.key, AuthenticationFailed),
        (&secure.certificate, &other.key, CredentialRequired),
    ] {
        assert_eq!(refused(&options(certificate, key)).await.0, code);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_and_rows_that_do_not_fit_are_refused_without_their_values() {
    const SECRET: &str = "a secret value";
    let fixture = Fixture::new(
        "CREATE TABLE target (id integer PRIMARY KEY, name text NOT NULL, size varchar(3), more text, \
         CONSTRAINT short_names CHECK (length(name) < 30)); \
         CREATE TABLE noisy (id integer, name text); CREATE TABLE readable (id integer, name text); \
         CREATE SCHEMA closed; CREATE TABLE closed.target (id integer, name text); \
         CREATE FUNCTION noise() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no %', NEW.name \
         USING COLUMN = NEW.name, CONSTRAINT = NEW.name, TABLE = NEW.name; END $$; \
         CREATE TRIGGER noise BEFORE INSERT ON noisy FOR EACH ROW EXECUTE FUNCTION noise(); \
         GRANT INSERT ON target, noisy TO writer; GRANT SELECT ON readable TO writer; \
         GRANT USAGE ON SCHEMA closed TO writer; GRANT INSERT ON closed.target TO writer",
    )
    .await;
    let two = |fields: [&str; 2], id: &str, value: Option<&'static str>| rows(fields, &[(id.to_owned(), value)], 1);
    let base = fixture.options();
    let table = |table| Options { table, ..base.clone() };
    let secret = Some(SECRET);
    let long = Some("a secret value a secret value a secret value");
    let cases: Vec<(Options<'_>, TableRows, FailureCode, &str)> = vec![
        (
            table("missing"),
            two(["id", "name"], "1", secret),
            DestinationRefused,
            "\"public\".\"missing\" does not exist",
        ),
        (table("target"), two(["id", "nome"], "1", secret), DestinationRefused, "has no column \"nome\""),
        (table("target"), two(["id", "name"], "1", None), DestinationRefused, "SQLSTATE 23502, column name"),
        (table("target"), two(["id", "more"], "1", secret), DestinationRefused, "SQLSTATE 23502, column name"),
        (table("target"), two(["id", "name"], "1", long), DestinationRefused, "23514, constraint short_names"),
        (table("target"), two(["name", "id"], "x", secret), ValueNotEncodable, "SQLSTATE 22P02, column id"),
        (table("target"), two(["id", "size"], "1", secret), ValueNotEncodable, "SQLSTATE 22001, column size"),
        (table("target"), two(["id", "name"], "1", Some("\0a secret value")), ValueNotEncodable, "SQLSTATE 22021"),
        (table("target"), two(["id", "name"], "99999999999", secret), ValueNotEncodable, "SQLSTATE 22003, column id"),
        (table("noisy"), two(["id", "name"], "1", secret), DestinationRefused, "SQLSTATE P0001"),
        (table("readable"), two(["id", "name"], "1", secret), DestinationDenied, "SQLSTATE 42501"),
        (
            Options { schema: "closed", ..base.clone() },
            two(["id", "name"], "1", secret),
            DestinationDenied,
            "\"closed\".outflow_deliveries",
        ),
        (Options { schema: "absent", ..base.clone() }, two(["id", "name"], "1", secret), DestinationRefused, "3F000"),
        (
            Options { write_mode: "replace", ..base.clone() },
            two(["id", "name"], "1", secret),
            DestinationDenied,
            "deleting the rows: SQLSTATE 42501",
        ),
    ];
    for (options, table, code, detail) in cases {
        let result = Run::new(true).attempt(&options.destination(), 0, &[table]).await;
        let error = result.expect_err(detail);
        assert_eq!(error.code, code, "{error}");
        assert!(error.detail.contains(detail), "{error}, not {detail}");
        assert!(!error.detail.contains("secret"), "{error}");
    }
    let duplicate = rows(["id", "name"], &[("7".into(), secret), ("7".into(), secret)], 2);
    let error = Run::new(true).attempt(&fixture.destination(), 0, &[duplicate]).await.expect_err("a duplicate");
    assert!(error.detail.ends_with("SQLSTATE 23505, constraint target_pkey"), "{error}");
    assert_eq!(fixture.count("SELECT count(*) FROM target").await, 0);
    assert_eq!(fixture.count("SELECT count(*) FROM outflow_deliveries").await, 0);
}
