//! Every failure of the first connection is one line that tells what to do.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use super::{ENCODED, PASSWORD, accept, refusal, server};
use crate::support::start_cluster;

/// Accepts connections, and answers the first bytes of each.
fn listen(answer: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            // The startup message; the answer of a broken server does not depend on it.
            let _ = stream.read(&mut [0; 1024]).and_then(|_| stream.write(answer));
        }
    });
    port
}

/// An ErrorResponse of PostgreSQL: its length, severity, SQLSTATE and message.
const STARTING: &[u8] = b"E\0\0\0\x3ESFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0";

fn url_refusal(url: &str) -> String {
    refusal(&[("OUTFLOW_DATABASE_URL", url)])
}

#[test]
fn a_server_that_cannot_be_reached_is_reported() {
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    let error = url_refusal(&format!("postgres://u:hunter2@127.0.0.1:{closed}/d"));
    assert!(error.contains(&format!("connection refused by 127.0.0.1:{closed}: nothing listens there")), "{error}");
    let error = url_refusal(&format!("postgres://u:hunter2@[::1]:{closed}/d"));
    assert!(error.contains(&format!("by [::1]:{closed}")) || error.contains("no route to [::1]"), "{error}");
    // A label of more than 63 characters is refused without a query.
    let name = "a".repeat(64);
    let error = url_refusal(&format!("postgres://u:hunter2@{name}/d?sslmode=verify-full"));
    assert!(error.contains(&format!("the host name {name} cannot be resolved")), "{error}");
    let error = url_refusal("postgres://u:hunter2@/d?host=/nowhere");
    assert!(error.contains("no socket of PostgreSQL at /nowhere/.s.PGSQL.5432"), "{error}");
    let mysql = listen(b"J\0\0\0\n8.4.0\0");
    let error = url_refusal(&format!("postgres://u:hunter2@127.0.0.1:{mysql}/d?sslmode=disable"));
    assert!(error.contains("does not respond as PostgreSQL does"), "{error}");
    let silent = listen(b"");
    let error = url_refusal(&format!("postgres://u:hunter2@127.0.0.1:{silent}/d?sslmode=disable"));
    assert!(error.contains("closed the connection without a response"), "{error}");
    let starting = listen(STARTING);
    let error = url_refusal(&format!("postgres://u:hunter2@127.0.0.1:{starting}/d?sslmode=disable"));
    assert!(error.contains("the database system is starting up; the server is starting"), "{error}");
}

#[test]
fn a_server_that_refuses_the_login_is_reported() {
    let (server, database) = (server(), server().new_database());
    let port = server.port;
    let url = |user: &str, name: &str| format!("postgres://{user}@127.0.0.1:{port}/{name}");
    for (url, reason) in [
        (url("app:hunter2", &database), "check user and password of the role app"),
        (url("app", &database), "set the password of the role app"),
        (url("absent:hunter2", &database), "check user and password of the role absent"),
        (url(&format!("app:{ENCODED}"), "absent"), "create the database absent"),
        (url("stranger", &database), "pg_hba.conf of the server has no entry for this host, the role stranger"),
        (url("nobody", &database), "pg_hba.conf of the server has no entry for this host, the role nobody"),
        (url("busy:x", &database), "raise max_connections of the server"),
        (url("alone:x", &database), "or the limits of the role alone"),
    ] {
        let error = url_refusal(&url);
        assert!(error.contains(reason) && error.contains("database: "), "{url}: {error}");
    }
    let error = url_refusal(&url("guest:x", &database));
    assert!(error.contains("permission denied for schema public; let the role create tables there"), "{error}");
}

#[test]
fn a_server_that_accepts_no_changes_is_reported() {
    let (server, database) = (server(), server().new_database());
    server.sql(&format!("ALTER DATABASE {database} SET default_transaction_read_only = on"));
    let error = url_refusal(&format!("postgres://app:{ENCODED}@127.0.0.1:{}/{database}", server.port));
    assert!(error.contains("read-only transaction; the database accepts no changes"), "{error}");
    let standby = start_cluster("standby", &[("standby.signal", "")], "-c shared_buffers=32MB");
    let error = url_refusal(&format!("{}/postgres", standby.base));
    assert!(error.contains("is a read replica, which accepts no changes; use the address of the primary"), "{error}");
}

#[test]
fn tls_that_fails_is_reported() {
    let (server, database) = (server(), server().new_database());
    let directory = tempfile::tempdir().expect("a directory");
    let authority = directory.path().join("ca.crt");
    std::fs::write(&authority, &server.authority).expect("written");
    let ca = authority.to_str().expect("a path");
    let url = |host: &str, more: &str| {
        format!("postgres://app:{ENCODED}@{host}:{}/{database}?sslmode=verify-full{more}", server.port)
    };
    let error = url_refusal(&url("localhost", ""));
    assert!(error.contains("not issued by a trusted authority; set `database_ca_file`"), "{error}");
    let error = url_refusal(&url("127.0.0.1", &format!("&sslrootcert={ca}")));
    assert!(error.contains("its certificate is for another name"), "{error}");
    let error = url_refusal(&url("localhost", "&sslrootcert=/nowhere/ca.crt"));
    assert!(error.contains("cannot read /nowhere/ca.crt"), "{error}");
    accept(&[("OUTFLOW_DATABASE_URL", &url("localhost", &format!("&sslrootcert={ca}")))]);
    accept(&[("OUTFLOW_DATABASE_URL", &url("localhost", "")), ("OUTFLOW_DATABASE_CA_FILE", ca)]);

    let plain = crate::support::new_database();
    let error = url_refusal(&format!("{plain}?sslmode=verify-full"));
    assert!(error.contains("has no TLS; enable `ssl` there, or set `sslmode=disable` with"), "{error}");
}

#[test]
fn separate_settings_need_no_encoding() {
    let (server, database) = (server(), server().new_database());
    let directory = tempfile::tempdir().expect("a directory");
    let password = directory.path().join("password");
    std::fs::write(&password, format!("{PASSWORD}\n")).expect("written");
    let port = server.port.to_string();
    let mut settings = vec![
        ("OUTFLOW_DATABASE_HOST", "127.0.0.1"),
        ("OUTFLOW_DATABASE_PORT", &port),
        ("OUTFLOW_DATABASE_NAME", &database),
        ("OUTFLOW_DATABASE_USER", "app"),
        ("OUTFLOW_DATABASE_PASSWORD_FILE", password.to_str().expect("a path")),
    ];
    accept(&settings);
    // Variables of libpq and service links change nothing.
    settings.extend([
        ("PGHOST", "elsewhere"),
        ("PGPASSWORD", "hunter2"),
        ("OUTFLOW_DATABASE_SERVICE_HOST", "10.0.0.1"),
        ("OUTFLOW_POSTGRESQL_PORT", "tcp://10.0.0.2:5432"),
    ]);
    accept(&settings);
    settings.retain(|(key, _)| *key != "OUTFLOW_DATABASE_NAME");
    assert!(refusal(&settings).contains("`database_name` is missing"));
}
