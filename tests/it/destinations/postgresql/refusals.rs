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

/// Checks that a delivery and a test of the connection fail with a code, the test at that step, from 0.
async fn assert_refused(options: Options<'_>, step: usize, code: FailureCode) {
    let destination = options.destination();
    let delivered = Run::new(true).attempt(&destination, 0, &[numbered(1, 1)]).await;
    let mut expected = ["+"; 5].map(ToOwned::to_owned);
    expected[step..].fill("-".to_owned());
    expected[step] = format!("{code:?}");
    assert_eq!(code_of(delivered, PASSWORD), code, "expected {expected:?}");
    assert_eq!(outcomes(&destination.test().await), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_cannot_be_reached_or_verified_are_refused() {
    let fixture = Fixture::with_target().await;
    let plain = new_database();
    let plain: u16 = plain.split([':', '/']).find_map(|part| part.parse().ok()).expect("a port");
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let silent = (silent.local_addr().expect("an address").port(), silent);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port").port();
    let other = Authority::new("other").pem();
    let base = fixture.options();
    let root = |root| vec![("password", PASSWORD), ("sslrootcert", root)];
    let no_root = || vec![("password", PASSWORD)];
    let started = Instant::now();
    join_all([
        assert_refused(Options { host: "missing.test", ..base.clone() }, 0, DestinationUnreachable),
        assert_refused(Options { permitted: "*=10.0.0.0/8", ..base.clone() }, 0, AddressForbidden),
        assert_refused(Options { port: closed, ..base.clone() }, 1, DestinationUnreachable),
        assert_refused(Options { port: silent.0, ..base.clone() }, 2, DestinationUnreachable),
        assert_refused(Options { port: plain, ..base.clone() }, 2, TlsFailed),
        assert_refused(Options { host: "other.test", ..base.clone() }, 2, TlsFailed),
        assert_refused(Options { credential: root(&other), ..base.clone() }, 2, TlsFailed),
        assert_refused(Options { credential: no_root(), ..base.clone() }, 2, TlsFailed),
        assert_refused(Options { sslmode: "require", credential: root(&other), ..base.clone() }, 2, TlsFailed),
        // Authorities other than sslrootcert do not verify a server whose name is not checked.
        assert_refused(
            Options {
                sslmode: "verify-ca",
                credential: root(&other),
                authorities: Some(&fixture.server.authority),
                ..base.clone()
            },
            2,
            TlsFailed,
        ),
        assert_refused(
            Options {
                sslmode: "verify-ca",
                credential: no_root(),
                authorities: Some(&fixture.server.authority),
                ..base.clone()
            },
            2,
            TlsFailed,
        ),
        assert_refused(
            Options { credential: root("-----BEGIN CERTIFICATE-----"), ..base.clone() },
            2,
            CredentialRequired,
        ),
    ])
    .await;
    assert!(started.elapsed().as_secs() < 120);
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_that_the_server_refuses_have_their_codes() {
    let fixture = Fixture::with_target().await;
    let base = fixture.options();
    let wrong = vec![("password", "wrong"), ("sslrootcert", fixture.server.authority.as_str())];
    assert_refused(Options { credential: wrong, ..base.clone() }, 3, AuthenticationFailed).await;
    assert_refused(Options { user: "nobody", ..base.clone() }, 3, AuthenticationFailed).await;
    assert_refused(Options { user: "secure", ..base.clone() }, 3, AuthenticationFailed).await;
    assert_refused(Options { dbname: "nothing", ..base.clone() }, 3, DestinationRefused).await;
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
    for (certificate, key, step, code) in [
        (&other.certificate, &other.key, 3, AuthenticationFailed),
        (&unknown.certificate, &unknown.key, 3, AuthenticationFailed),
        (&secure.certificate, &other.key, 2, CredentialRequired),
    ] {
        assert_refused(options(certificate, key), step, code).await;
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
