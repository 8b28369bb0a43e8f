//! URLs as people have them: each works, or is refused with what is wrong and without a part of the password.

use std::path::PathBuf;

use super::{ConnectError, DatabaseSettings, DatabaseSource, Target};
use crate::model::{DatabaseLogin, Pooler, Secret, SslMode};
use crate::store::postgres::{Address, PostgresSettings};

fn postgres(url: &str) -> PostgresSettings {
    let settings = DatabaseSettings { allow_unverified: true, ..DatabaseSettings::of_url(url.to_owned(), 2) };
    match Target::parse(&settings) {
        Ok(Target::Postgres(target)) => target,
        Ok(Target::Sqlite(_)) => panic!("{url} is SQLite"),
        Err(error) => panic!("{url}: {error}"),
    }
}

fn refusal(url: &str) -> String {
    match DatabaseSettings::of_url(url.to_owned(), 2).check() {
        Ok(()) => panic!("{url} is accepted"),
        Err(error) => error.to_string(),
    }
}

fn password(target: &PostgresSettings) -> Option<&str> {
    target.password.as_ref().map(Secret::expose)
}

#[test]
fn urls_of_postgresql_are_parsed() {
    let tcp = |host: &str, port| Address::Tcp(host.to_owned(), port);
    let socket = |directory: &str, port| Address::Socket(PathBuf::from(directory), port);
    for (url, address, password_of, database) in [
        ("postgres://u:p@db:5433/d", tcp("db", 5433), Some("p"), Some("d")),
        ("postgresql://u:p@db/d", tcp("db", 5432), Some("p"), Some("d")),
        ("POSTGRES://u:p@DB.example.com/d", tcp("DB.example.com", 5432), Some("p"), Some("d")),
        ("postgres://u@db", tcp("db", 5432), None, None),
        ("postgres://u:@db/", tcp("db", 5432), None, None),
        ("postgres://u:p@[::1]:5432/db", tcp("::1", 5432), Some("p"), Some("db")),
        ("postgres://u:p@[2001:db8::5]/db", tcp("2001:db8::5", 5432), Some("p"), Some("db")),
        ("postgres://u:p@10.0.0.5:5432/db", tcp("10.0.0.5", 5432), Some("p"), Some("db")),
        ("postgres://u:p%40%3A%2F%3F%23%25@db/d", tcp("db", 5432), Some("p@:/?#%"), Some("d")),
        ("postgres://u:p@ss:w@db/d", tcp("db", 5432), Some("p@ss:w"), Some("d")),
        ("postgres://u:$ecr[e]t^&*()+!=~@db/d", tcp("db", 5432), Some("$ecr[e]t^&*()+!=~"), Some("d")),
        ("postgres://u:p@db/my%2Fdb", tcp("db", 5432), Some("p"), Some("my/db")),
        ("postgres://u@/d?host=/var/run/postgresql", socket("/var/run/postgresql", 5432), None, Some("d")),
        ("postgres://u@%2Fvar%2Frun/d", socket("/var/run", 5432), None, Some("d")),
        ("postgres:///d?host=/run/pg&user=u&port=5433", socket("/run/pg", 5433), None, Some("d")),
        ("postgres://db:5432/d?user=ann%40tenant&password=p%26q", tcp("db", 5432), Some("p&q"), Some("d")),
        ("postgres://db:5432/d?user=ann@tenant&password=p+q", tcp("db", 5432), Some("p+q"), Some("d")),
    ] {
        let target = postgres(url);
        assert_eq!(target.address, address, "{url}");
        assert_eq!((password(&target), target.database.as_deref()), (password_of, database), "{url}");
    }
}

#[test]
fn parameters_that_are_common_are_accepted() {
    let target = postgres(
        "postgresql://u:p@ep-x.eu.aws.neon.tech/neondb?sslmode=require&channel_binding=prefer&options=endpoint%3Dep-x&\
         connect_timeout=10&application_name=exports&target_session_attrs=read-write&gssencmode=disable&keepalives_idle=30",
    );
    assert_eq!((target.ssl_mode, target.application_name.as_deref()), (Some(SslMode::Require), Some("exports")));
    assert_eq!(target.options, []);
    let target = postgres("postgres://u:p@db/d?options=project%3Dx&sslrootcert=system&sslmode=verify-full");
    assert_eq!((target.options.len(), target.root_certificates), (0, None));
    let target = postgres("postgres://u:p@db/d?options=-c%20search_path%3Doutflow%20-cgeqo%3Doff+--work_mem%3D8MB");
    let expected = [("search_path", "outflow"), ("geqo", "off"), ("work_mem", "8MB")];
    assert_eq!(target.options, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let target = postgres("postgres://u:p@db/d?ssl-mode=verify-ca&ssl-ca=/ca&sslcert=/c&sslkey=/k");
    assert_eq!((target.ssl_mode, target.root_certificates), (Some(SslMode::VerifyCa), Some(PathBuf::from("/ca"))));
}

/// URLs, and a part of why each is refused.
const REFUSED: &[(&str, &str)] = &[
    // Characters of a password that must be escaped.
    ("postgres://u:hunter/2@db:5432/d", "`/` in the user or the password must be percent-encoded, as `%2F`"),
    ("postgres://u:123/hunter2@db/d", "`/` in the user or the password must be percent-encoded, as `%2F`"),
    ("postgres://u:hunter?2@db/d", "`?` in the user or the password must be percent-encoded, as `%3F`"),
    ("postgres://u:12?hunter2=x@db/d", "`?` in the user or the password must be percent-encoded, as `%3F`"),
    ("postgres://u:hunter#2@db/d", "`#` in the user or the password must be percent-encoded, as `%23`"),
    ("postgres://u:hunter2%@db/d", "a `%` that is not followed by two hexadecimal digits"),
    ("postgres://u:hunter%2x@db/d", "a `%` that is not followed by two hexadecimal digits"),
    ("postgres://u:hun@ter/2@db/d", "`/` in the user or the password"),
    ("postgres://u:hunter@a?2@db/d", "`?` in the user or the password"),
    ("postgres://u:hunter 2@db/d", "has a space or a line break"),
    ("postgres://u:hunter2\n@db/d", "has a space or a line break"),
    ("postgres://u@db/d?password=hun&ter2", "a parameter after `?` or `&` is not `name=value`"),
    ("postgres://u@db/d?password=hun&ter2=x", "a parameter after `?` or `&` is not `name=value`"),
    // Schemes and other texts.
    ("", "is empty"),
    ("\"postgres://u:hunter2@db/d\"", "has quotes around it"),
    ("'postgres://u:hunter2@db/d'", "has quotes around it"),
    ("psql 'postgresql://u:hunter2@db/d'", "begins with the command `psql`"),
    ("DATABASE_URL=postgres://u:hunter2@db/d", "begins with the name of a variable"),
    ("${DATABASE_URL}", "is a placeholder"),
    ("postgresql+asyncpg://u:hunter2@db/d", "names a driver of SQLAlchemy after `+`"),
    ("jdbc:postgresql://db:5432/d?user=u&password=hunter2", "is one of Java"),
    ("mysql://u:hunter2@db/d", "is one of another system"),
    ("pgsql://u:hunter2@db/d", "has the scheme of another tool"),
    ("host=db user=u password=hunter2", "is a list of `name=value`"),
    ("/var/lib/outflow.db", "is a path; write `sqlite:` before that of a SQLite file"),
    ("outflow.db", "is a path; write `sqlite:` before that of a SQLite file"),
    ("postgres:u:hunter2@db/d", "must begin with `postgres://`"),
    // Hosts, ports, names.
    ("postgres://u:hunter2@::1:5432/d", "an IPv6 address in brackets such as `[::1]`"),
    ("postgres://u:hunter2@[::1/d", "an IPv6 address in brackets such as `[::1]`"),
    ("postgres://u:hunter2@db:port/d", "the port must be a number from 1 to 65535"),
    ("postgres://u:hunter2@db:0/d", "the port must be a number from 1 to 65535"),
    ("postgres://u:hunter2@db:70000/d", "the port must be a number from 1 to 65535"),
    ("postgres://u:hunter2@h1,h2/d", "there are several hosts"),
    ("postgres://u:hunter2@h1:5432,h2:5432/d", "there are several hosts"),
    ("postgres:///d", "there is no host"),
    ("postgres://db/d", "there is no user"),
    ("postgres://u:hunter2@db/d/x", "the name of the database has a `/`"),
    ("postgres://u:[YOUR-PASSWORD]@db/d", "the password is a placeholder"),
    ("postgres://u:$(PGPASSWORD)@db/d", "the password is a placeholder"),
    ("postgres://u:<password>@db/d", "the password is a placeholder"),
    ("postgres://u:hunter2@${PGHOST}/d", "the host is a placeholder"),
    // Parameters.
    ("postgres://u:hunter2@db/d?sslpassword=hunter3", "the parameter `sslpassword` is not supported"),
    ("postgres://u:hunter2@db/d?supa=hunter3", "the parameter `supa` is not known; remove it"),
    ("postgres://u:hunter2@db/d?pgbouncer=true", "set `database_pooler = \"session\"`"),
    ("postgres://u:hunter2@db/d?connection_limit=1", "set `database_max_connections`"),
    ("postgres://u:hunter2@db/d?schema=public", "write `options=-c%20search_path%3D<schema>`"),
    ("postgres://u:hunter2@db/d?ssl=true", "write `sslmode=verify-full`"),
    ("postgres://u:hunter2@db/d?channel_binding=require", "`sslmode=verify-full` verifies the server"),
    ("postgres://u:hunter2@db/d?sslmode=allow", "the parameter `sslmode` must be `verify-full`"),
    ("postgres://u:hunter2@db/d?sslmode=no-verify", "the parameter `sslmode` must be `verify-full`"),
    ("postgres://u:hunter2@db/d?sslmode=require&sslmode=disable", "the parameter `sslmode` is set twice"),
    ("postgres://u:hunter2@db/d?target_session_attrs=standby", "because this service writes"),
    ("postgres://u:hunter2@db/d?connect_timeout=10s", "the parameter `connect_timeout` must be a number"),
    ("postgres://u:hunter2@db/d?options=search_path%3Dx", "the parameter `options` must be `-c name=value`"),
    ("postgres://u:hunter2@127.0.0.1/d?sslcert=/c", "`sslcert` and `sslkey` must be set together"),
    // Another host without verification.
    ("postgres://u:hunter2@db/d", "add `sslmode=verify-full`"),
    ("postgres://u:hunter2@db/d?sslmode=disable", "add `sslmode=verify-full`"),
    ("postgres://u:hunter2@db/d?sslmode=prefer", "add `sslmode=verify-full`"),
    ("postgres://u:hunter2@db/d?sslmode=require", "add `sslmode=verify-full`"),
    // SQLite.
    ("sqlite::memory:", "must be a file, not in memory"),
    ("sqlite://", "must be a file, not in memory"),
    ("sqlite:x.db?mode=memory", "must be a file, not in memory"),
    ("sqlite:C:\\data\\outflow.db", "is one of Windows"),
    ("sqlite:///C:/data/outflow.db", "is one of Windows"),
    ("sqlite:x.db?journal=wal", "SQLite has the parameters"),
];

#[test]
fn urls_that_cannot_work_are_refused_with_what_is_wrong() {
    for (url, reason) in REFUSED {
        let refusal = refusal(url);
        assert!(refusal.contains(reason), "{url}: {refusal}");
        for secret in ["hunter", "ter2", "hun@", "123"] {
            assert!(!refusal.contains(secret), "{url}: {refusal}");
        }
    }
}

#[test]
fn sqlite_files_may_be_relative() {
    let file = |url: &str| DatabaseSettings::of_url(url.to_owned(), 2).sqlite_file();
    for (url, path) in [
        ("sqlite://relative.db", "relative.db"),
        ("sqlite:relative/x.db", "relative/x.db"),
        ("sqlite:///var/lib/x.db", "/var/lib/x.db"),
        ("sqlite:/var/my data/x.db", "/var/my data/x.db"),
        ("SQLite:x.db", "x.db"),
    ] {
        assert_eq!(file(url), Some(PathBuf::from(path)), "{url}");
    }
    assert_eq!(file("postgres://u@localhost/d"), None);
}

fn with(url: &str, change: impl FnOnce(&mut DatabaseSettings)) -> Result<PostgresSettings, ConnectError> {
    let mut settings = DatabaseSettings::of_url(url.to_owned(), 2);
    change(&mut settings);
    match Target::parse(&settings)? {
        Target::Postgres(target) => Ok(target),
        Target::Sqlite(_) => panic!("{url} is SQLite"),
    }
}

#[test]
fn settings_beside_the_url_complete_it_and_never_contradict_it() {
    let verified = with("postgres://u@db/d", |settings| settings.ssl_mode = Some(SslMode::VerifyFull));
    assert!(verified.is_ok_and(|target| target.is_protected()));
    let error = with("postgres://u@db/d?sslmode=disable", |settings| settings.ssl_mode = Some(SslMode::VerifyFull));
    assert!(matches!(error, Err(ConnectError::Twice("database_ssl_mode", "sslmode"))));
    let file = |settings: &mut DatabaseSettings| settings.ca_file = Some(PathBuf::from("/ca"));
    let url = "postgres://u@db/d?sslmode=verify-full";
    let target = with(url, file).expect("settings");
    assert_eq!(target.root_certificates, Some(PathBuf::from("/ca")));
    let error = with(&format!("{url}&sslrootcert=/other"), file);
    assert!(matches!(error, Err(ConnectError::Twice("database_ca_file", "sslrootcert"))));
    let error = with("sqlite:x.db", |settings| settings.pooler = Pooler::Session);
    assert!(matches!(error, Err(ConnectError::OnlyPostgres("database_pooler"))));
    let error = with("sqlite:x.db", file);
    assert!(matches!(error, Err(ConnectError::OnlyPostgres("database_ca_file"))));
}

#[test]
fn separate_settings_are_verified_on_another_host_unless_they_say_otherwise() {
    let parse = |host: &str, ssl_mode, allow_unverified| -> Result<_, ConnectError> {
        let login = DatabaseLogin {
            host: host.to_owned(),
            port: 5432,
            name: "d".to_owned(),
            user: "u".to_owned(),
            password: Some(Secret::new("p@:/?#%".to_owned())),
        };
        let source = DatabaseSource::Login(login);
        let of_url = DatabaseSettings::of_url(String::new(), 2);
        let settings = DatabaseSettings { source, allow_unverified, ssl_mode, ..of_url };
        match Target::parse(&settings)? {
            Target::Postgres(target) => Ok(target.ssl_mode),
            Target::Sqlite(_) => panic!("SQLite"),
        }
    };
    for (host, problem) in [
        ("db.example.com:5432", "has a port; set it as `database_port`"),
        ("postgres://db.example.com", "is a URL; set `database_url`, or the host alone"),
        ("a.example.com,b.example.com", "names several hosts"),
        ("[::1]", "has brackets"),
        ("db.example.com ", "has white space"),
    ] {
        let error = parse(host, None, true).err().unwrap().to_string();
        assert!(error.starts_with(&format!("`database_host` {problem}")), "{error}");
    }
    for (host, ssl_mode, expected) in [
        ("db.example.com", None, Some(SslMode::VerifyFull)),
        ("fd00::5", None, Some(SslMode::VerifyFull)),
        ("127.0.0.1", None, None),
        ("::1", None, None),
        ("/var/run/postgresql", None, None),
        ("127.0.0.1", Some(SslMode::Disable), Some(SslMode::Disable)),
    ] {
        assert_eq!(parse(host, ssl_mode, false).ok(), Some(expected), "{host}");
    }
    assert!(matches!(parse("db", Some(SslMode::Require), false), Err(ConnectError::Unverified)));
    assert!(parse("db", Some(SslMode::Disable), true).is_ok());
}
