//! Separate settings of the database, and variables of service links.

use super::*;
use crate::model::{DatabaseLogin, Pooler, Secret, SslMode};

#[test]
fn separate_settings_are_read_from_values_and_files() {
    let folder = tempfile::tempdir().unwrap();
    let secret = |name: &str, text: &str| file(folder.path(), name, text);
    let (host, user, password) =
        (secret("host", "db-rw\n"), secret("user", "app\n"), secret("password", " p@:/?#% \r\n"));
    let environment = [
        ("OUTFLOW_DATABASE_HOST_FILE", host.as_str()),
        ("OUTFLOW_DATABASE_USER_FILE", &user),
        ("OUTFLOW_DATABASE_PASSWORD_FILE", &password),
        ("OUTFLOW_DATABASE_NAME", "outflow"),
        ("OUTFLOW_DATABASE_PORT", "5433"),
        ("OUTFLOW_DATABASE_SSL_MODE", "verify-ca"),
        ("OUTFLOW_DATABASE_CA_FILE", "/ca"),
        ("OUTFLOW_DATABASE_POOLER", "session"),
    ];
    let values = read(&[], &environment).unwrap();
    let printed = effective(&values);
    assert!(printed.contains("database_host = \"db-rw\"") && !printed.contains("p@:/?#%"), "{printed}");
    let database = Config::parse(&values).unwrap().database;
    assert_eq!((database.ssl_mode, database.pooler), (Some(SslMode::VerifyCa), Pooler::Session));
    let Location::Login(DatabaseLogin { host, port, name, user, password }) = database.location else {
        panic!("no separate settings")
    };
    assert_eq!((host.as_str(), port, name.as_str(), user.as_str()), ("db-rw", 5433, "outflow", "app"));
    assert_eq!(password.as_ref().map(Secret::expose), Some(" p@:/?#% "));
}

#[test]
fn half_given_and_doubled_settings_of_the_database_are_refused() {
    let all = [("database_host", "db"), ("database_name", "d"), ("database_user", "u")];
    let database = parse(&all).unwrap().database;
    assert!(matches!(database.location, Location::Login(DatabaseLogin { port: 5432, password: None, .. })));
    let refused = |settings: &[(&'static str, &str)]| parse(settings).err().unwrap().to_string();
    for left_out in 0..all.len() {
        let some: Vec<_> =
            all.iter().enumerate().filter(|(index, _)| *index != left_out).map(|(_, pair)| *pair).collect();
        let error = refused(&some);
        assert!(error.contains(&format!("`{}` is missing", all[left_out].0)), "{error}");
    }
    assert!(refused(&[("database_password", "hunter2")]).contains("`database_host` is missing"));
    let both = refused(&[("database_url", "postgres://u:hunter2@db/d"), ("database_host", "db")]);
    assert!(both.contains("are both set") && !both.contains("hunter2"), "{both}");
    for (key, value, expected) in [
        ("database_host", "", "a text that is not empty"),
        ("database_port", "0", "a number from 1 to 65535"),
        ("database_port", "hunter2", "a number from 1 to 65535"),
        ("database_password", "", "a text that is not empty"),
        ("database_ssl_mode", "allow", "`verify-full`, `verify-ca`, `require`, `prefer` or `disable`"),
        (
            "database_pooler",
            "transaction",
            "`session` or `none`; transaction and statement pooling break timeouts, locks and prepared statements",
        ),
    ] {
        let error = refused(&[(key, value)]);
        assert_eq!(error, format!("configuration: `{key}` must be {expected} (from code)"));
    }
}

#[test]
fn service_links_of_neighbours_are_ignored_and_typos_are_not() {
    for (key, value) in [
        ("OUTFLOW_PORT", "tcp://10.0.0.1:50051"),
        ("OUTFLOW_SERVICE_HOST", "10.0.0.1"),
        ("OUTFLOW_SERVICE_HOST", "fd00::1"),
        ("OUTFLOW_SERVICE_PORT", "50051"),
        ("OUTFLOW_SERVICE_PORT_GRPC", "50051"),
        ("OUTFLOW_POSTGRESQL_PORT", "tcp://10.0.0.2:5432"),
        ("OUTFLOW_POSTGRESQL_PORT_5432_TCP", "tcp://10.0.0.2:5432"),
        ("OUTFLOW_POSTGRESQL_PORT_5432_TCP_ADDR", "10.0.0.2"),
        ("OUTFLOW_POSTGRESQL_PORT_5432_TCP_PORT", "5432"),
        ("OUTFLOW_POSTGRESQL_PORT_5432_TCP_PROTO", "tcp"),
        ("OUTFLOW_POSTGRESQL_SERVICE_HOST", "10.0.0.2"),
        ("OUTFLOW_POSTGRESQL_SERVICE_PORT", "5432"),
        ("OUTFLOW_POSTGRESQL_SERVICE_PORT_TCP_POSTGRESQL", "5432"),
        ("OUTFLOW_DB_UDP_PORT_53_UDP_PROTO", "udp"),
        // A Service `outflow-database`, beside the setting `database_port`.
        ("OUTFLOW_DATABASE_PORT", "tcp://10.0.0.3:5432"),
        ("OUTFLOW_DATABASE_SERVICE_HOST", "10.0.0.3"),
        ("OUTFLOW_HEADLESS_PORT", "udp://10.0.0.4:53"),
    ] {
        let values = read(&[], &[(key, value)]);
        assert!(values.is_ok_and(|values| !values.is_set("database_port")), "{key}");
    }
    for (key, value) in [
        ("OUTFLOW_PORT", "50051"),
        ("OUTFLOW_DATABSE_PORT", "5432"),
        ("OUTFLOW_DATABASE_HOSTS", "10.0.0.1"),
        ("OUTFLOW_SERVICE_HOST", "listen"),
        ("OUTFLOW_SERVICE_HOSTS", "10.0.0.1"),
        ("OUTFLOW_SERVICE_PORT", "grpc"),
        ("OUTFLOW_LISTEN_PORT", "50051"),
    ] {
        assert!(matches!(read(&[], &[(key, value)]), Err(ConfigError::UnknownKey { .. })), "{key}");
    }
}
