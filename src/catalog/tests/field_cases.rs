//! Values of each field of the embedded types: those that people have at hand with what is stored for them, and those that
//! cannot work.

use serde_json::{Value, json};

use super::{endpoints, spellings};

/// A field, values that are accepted with what is stored for them, and values that are refused with a part of the reason.
pub(super) type Case = (&'static str, Vec<(Value, Value)>, Vec<(Value, &'static str)>);

fn same(values: &[Value]) -> Vec<(Value, Value)> {
    values.iter().map(|value| (value.clone(), value.clone())).collect()
}

/// Cases of texts that are stored as they are.
pub(super) fn texts(field: &'static str, accepted: &[&str], refused: &[(&str, &'static str)]) -> Case {
    let accepted: Vec<Value> = accepted.iter().map(|text| json!(text)).collect();
    (field, same(&accepted), refused.iter().map(|(text, reason)| (json!(text), *reason)).collect())
}

/// Cases of choices: each allowed value is accepted.
fn choices(field: &'static str, accepted: &[&str]) -> Case {
    texts(field, accepted, &[("other", "must be one of: ")])
}

fn numbers(field: &'static str, accepted: &[i64], refused: &[(i64, &'static str)]) -> Case {
    let accepted: Vec<Value> = accepted.iter().map(|number| json!(number)).collect();
    let mut wrong: Vec<(Value, &str)> = refused.iter().map(|(number, reason)| (json!(number), *reason)).collect();
    wrong.push((json!("7"), "without quotes"));
    (field, same(&accepted), wrong)
}

fn switch(field: &'static str) -> Case {
    (field, same(&[json!(true), json!(false)]), vec![(json!("false"), "without quotes"), (json!(1), "true or false")])
}

fn sftp() -> Vec<Case> {
    let print = "SHA256:uNiVztksCsDhcc0u9e8BrFWVZTZSVlKAdYFCQlR9vvM";
    let other = "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU";
    let ed25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
    let of = |text: String, stored: &str| (json!(text), json!(stored));
    let mut host_keys = vec![
        of(print.to_owned(), print),
        // AWS Transfer Family and FileZilla print the padding.
        of(format!("{print}="), print),
        // ssh-keygen -l
        of(format!("256 {print} root@sftp (ED25519)"), print),
        // WinSCP
        of(format!("ssh-ed25519 255 {}", &print[7..]), print),
        // Azure Storage lists the digest alone.
        of(print[7..].to_owned(), print),
        // ssh-keyscan, known_hosts with a hashed name, and the .pub file of GitHub's host key
        of(format!("# github.com:22 SSH-2.0-x\ngithub.com {ed25519}\n"), other),
        of(format!("|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg= {ed25519}"), other),
        of(format!("{ed25519} root@host"), other),
        // While a key is replaced, both are accepted.
        of(format!("{print}\n{other}\n{print}"), &format!("{print},{other}")),
        of(format!("{print}, {other}"), &format!("{print},{other}")),
    ];
    host_keys.extend(
        spellings::host_keys(print, ed25519, other).into_iter().map(|(text, stored)| (json!(text), json!(stored))),
    );
    vec![
        (
            "sftp.host",
            vec![
                (json!(" sftp.example.com. "), json!("sftp.example.com")),
                (json!("[2001:db8::7]"), json!("2001:db8::7")),
                (json!("b\u{fc}cher.example"), json!("xn--bcher-kva.example")),
            ],
            vec![
                (json!("sftp://sftp.example.com"), "without scheme or path"),
                (json!("sftp.example.com:2222"), "without port"),
                (json!("ann@sftp.example.com"), "without user information"),
                (json!("sftp.example.com/in"), "without scheme or path"),
                (json!(null), "must not be empty"),
            ],
        ),
        numbers("sftp.port", &[22, 2222], &[(0, "1 to 65535"), (65_536, "1 to 65535")]),
        texts(
            "sftp.username",
            &["acme", "ACME\\ann", "ann@example.com"],
            &[("a b", "without spaces"), ("", "must not be empty")],
        ),
        texts(
            "sftp.directory",
            &[".", "/in", "in/daily", "/C:/in", "a::b", "a:", "/in//daily"],
            &[
                ("~/in", "without ~"),
                ("in\\daily", "forward slashes"),
                ("sftp://h/in", "without sftp://"),
                ("a:/:/b", "forward"),
            ],
        ),
        (
            "sftp.host_key",
            host_keys,
            spellings::REFUSED_HOST_KEYS.iter().map(|(text, reason)| (json!(text), *reason)).collect(),
        ),
    ]
}

fn s3() -> Vec<Case> {
    vec![
        texts(
            "s3.endpoint",
            &[
                "https://minio.example.com:9000",
                "https://abcdefgh.storage.supabase.co/storage/v1/s3",
                "https://1234.r2.cloudflarestorage.com",
                // The DNS names of an interface endpoint of AWS begin with the word bucket.
                "https://bucket.vpce-0a.s3.eu-central-1.vpce.amazonaws.com",
            ],
            &[
                ("http://minio.example.com", "https URL"),
                ("minio.example.com:9000", WITHOUT_HTTPS),
                ("https://key:secret@minio.example.com", "user information"),
                ("https://minio.example.com/?region=x", "https URL"),
                ("s3://bucket", "https URL"),
                ("https://acme-exports.s3.eu-central-1.amazonaws.com", "contains the bucket"),
                ("https://acme-exports.fra1.digitaloceanspaces.com", "contains the bucket"),
                ("https://Acme-Exports.minio.example.com:9000/", "contains the bucket"),
                ("https://1234.r2.cloudflarestorage.com/acme-exports", "contains the bucket"),
                ("https://192.0.2.7:9000", "set addressing_style to path"),
                ("https://[2001:db8::1]:9000", "set addressing_style to path"),
            ],
        ),
        texts(
            "s3.region",
            &["eu-central-1", "us-gov-west-1", "auto", "fr-par", "nyc3", "us-iso-east-1"],
            &[
                ("eu-central-1a", "is an availability zone"),
                ("EU (Frankfurt)", "code of a region"),
                ("EU-CENTRAL-1", "code"),
            ],
        ),
        texts(
            "s3.bucket",
            &["acme-exports", "3com", "acme-ap-hrzr8e3bnp9i1dcy5k3ufm3gkdnnaeuc1b-s3alias"],
            &[
                ("acme.exports", "set addressing_style to path"),
                ("s3://acme-exports", "name of the bucket alone"),
                ("acme-exports/weekly", "a path in the bucket is the prefix"),
                ("arn:aws:s3:::acme-exports", "is an ARN"),
                ("acme-exports.s3.eu-central-1.amazonaws.com", "is the host name of a bucket"),
                ("Acme-Exports", "set addressing_style to path"),
                ("192.168.5.4", "not an IP address"),
                ("acme_exports", "set addressing_style to path"),
                ("acme-exports.fra1.digitaloceanspaces.com", "is the host name of a bucket"),
                ("acme--usw2-az1--x-s3", "is a directory bucket"),
                ("acme-1a2b--ol-s3", "is the alias of an Object Lambda access point"),
                ("acme exports", "3 to 63 letters"),
            ],
        ),
        texts("s3.prefix", &["weekly", "a/b c/d"], &[("/weekly", "relative path"), ("a/../b", "relative path")]),
        choices("s3.addressing_style", &["virtual", "path"]),
        choices("s3.storage_class", &["STANDARD", "GLACIER_IR"]),
    ]
}

fn azure_blob() -> Vec<Case> {
    let guid = "6731de76-14a6-49ae-97bc-6eba6914391e";
    vec![
        texts(
            "azure_blob.account_name",
            &["acmeexports", "devstoreaccount1"],
            &[
                ("acmeexports.blob.core.windows.net", "name of the storage account alone"),
                ("https://acmeexports.blob.core.windows.net/", "name of the storage account alone"),
                ("Acme", "3 to 24 lower-case"),
            ],
        ),
        texts(
            "azure_blob.container",
            &["segments", "c-1", "$web", "$root"],
            &[
                ("$logs", "only Azure writes"),
                ("segments/weekly", "is the prefix"),
                ("a--b", "single hyphens"),
                ("Segments", "lower-case"),
            ],
        ),
        texts("azure_blob.prefix", &["weekly"], &[("weekly/", "relative path")]),
        endpoints::azure_blob(),
        texts(
            "azure_blob.authority_host",
            &["https://login.microsoftonline.us", "https://login.chinacloudapi.cn/"],
            &[("https://login.microsoftonline.com/contoso.onmicrosoft.com", "without path")],
        ),
        (
            "azure_blob.tenant_id",
            vec![
                (json!("{6731DE76-14A6-49AE-97BC-6EBA6914391E}"), json!(guid)),
                (json!("Contoso.OnMicrosoft.com"), json!("contoso.onmicrosoft.com")),
            ],
            vec![
                (json!("common"), "must name one tenant"),
                (json!("organizations"), "must name one tenant"),
                (json!(format!("https://login.microsoftonline.com/{guid}")), "not a URL"),
                (json!("contoso"), "directory (tenant) ID"),
            ],
        ),
        (
            "azure_blob.client_id",
            vec![
                (json!("6731DE76-14A6-49AE-97BC-6EBA6914391E"), json!(guid)),
                (json!(format!("{{{guid}}}")), json!(guid)),
                (json!(format!("({guid})")), json!(guid)),
            ],
            vec![(json!("outflow-app"), "must be a GUID"), (json!("api://outflow"), "must be a GUID")],
        ),
        choices("azure_blob.access_tier", &["Hot", "Cool", "Cold", "Archive"]),
    ]
}

fn gcs_and_kafka() -> Vec<Case> {
    let server = |text: &str| json!([text]);
    vec![
        texts(
            "gcs.bucket",
            &["acme_exports.example.com", "acme-exports"],
            &[
                ("gs://acme-exports", "name of the bucket alone"),
                ("Acme", "lower-case"),
                ("ab", "3 to 63"),
                ("1.2.3.4", "not an IP address"),
                ("acme.storage.googleapis.com", "is the host name of a bucket"),
                ("goog-x", "must not start with goog"),
            ],
        ),
        texts("gcs.prefix", &["weekly"], &[("..", "relative path")]),
        texts(
            "gcs.endpoint",
            &["https://storage.googleapis.com", "https://storage-xyz.p.googleapis.com/"],
            &[
                ("https://storage.googleapis.com/acme", "without path"),
                ("https://acme-exports.storage.googleapis.com", "contains the bucket"),
                ("https://console.cloud.google.com", "is a page for people"),
                ("storage.googleapis.com", WITHOUT_HTTPS),
            ],
        ),
        choices("gcs.storage_class", &["STANDARD", "ARCHIVE"]),
        (
            "kafka.bootstrap_servers",
            vec![
                (json!(["b1.example:9093", "[2001:db8::1]:9093"]), json!(["b1.example:9093", "[2001:db8::1]:9093"])),
                (json!("b1.example:9093, b2.example:9093"), json!(["b1.example:9093", "b2.example:9093"])),
                (json!("b1.example:9093,b2.example:9093,"), json!(["b1.example:9093", "b2.example:9093"])),
                (json!(["b1.example:9093\nb2.example:9093 "]), json!(["b1.example:9093", "b2.example:9093"])),
                (json!("b1.example:9093 b2.example:9093;"), json!(["b1.example:9093", "b2.example:9093"])),
                (json!(["b\u{fc}cher.example.:9093"]), json!(["xn--bcher-kva.example:9093"])),
                (json!(["sasl_ssl://b1.example:9093"]), json!(["b1.example:9093"])),
                (json!(["SASL_SSL://pkc-1.confluent.cloud:9092"]), json!(["pkc-1.confluent.cloud:9092"])),
            ],
            vec![
                (server("b1.example:99999"), "a port from 1 to 65535"),
                (server("b1.example"), "must be host:port"),
                (server("PLAINTEXT://b1.example:9092"), "without TLS"),
                (server("https://b1.example:9092"), "without a scheme"),
                (json!([]), "must not be empty"),
                (server("2001:db8::1:9093"), "without brackets"),
                (server("2001:db8:0:0:0:0:0:1:9093"), "without brackets"),
                (server("b1:9093:1"), "must be host:port"),
                (server(" , "), "must not be empty"),
            ],
        ),
        texts("kafka.client_id", &["outflow-1"], &[("out flow", "letters, digits")]),
        texts(
            "kafka.sasl_oauthbearer_token_endpoint_url",
            &["https://login.example.com/oauth2/token?tenant=1"],
            &[("http://login.example.com/token", "https URL")],
        ),
        texts(
            "kafka.topic",
            &["customers", "a.b_c-1"],
            &[("..", "does not permit"), (".", "does not permit"), ("a/b", "letters, digits")],
        ),
        texts("kafka.key_field", &["customer_id"], &[("a\u{0}", "control characters")]),
        choices("kafka.acks", &["all", "1", "0"]),
        choices("kafka.compression_type", &["none", "zstd"]),
        numbers("kafka.batch_size", &[0, 16_384], &[(-1, "at least 0")]),
        numbers("kafka.linger_ms", &[5], &[(60_001, "at most 60000")]),
    ]
}

fn postgresql_and_webhook() -> Vec<Case> {
    vec![
        texts("postgresql.host", &["db.example.com", "10.0.0.7"], &[("/var/run/postgresql", "scheme or path")]),
        numbers("postgresql.port", &[5432], &[(0, "1 to 65535")]),
        texts("postgresql.dbname", &["crm", "my db"], &[(LONG, "at most 63")]),
        texts("postgresql.user", &["outflow", "outflow@server"], &[(LONG, "at most 63")]),
        choices("postgresql.sslmode", &["verify-full", "verify-ca", "require"]),
        texts("postgresql.schema", &["public", "My Schema"], &[("a\"b", "without double quotes")]),
        texts("postgresql.table", &["customers"], &[("a\"b", "without double quotes"), (LONG, "at most 63")]),
        choices("postgresql.write_mode", &["append", "replace"]),
        texts(
            "webhook.url",
            &["https://hooks.example.com/v1/in?tenant=7", "https://hooks.example.com"],
            &[
                ("http://hooks.example.com/", "https URL"),
                ("https://ann:pw@hooks.example.com/", "put it into the credential"),
                ("https://hooks.example.com/#top", "fragment"),
                ("hooks.example.com", WITHOUT_HTTPS),
            ],
        ),
        numbers("webhook.timeout_seconds", &[1, 120], &[(0, "at least 1"), (121, "at most 120")]),
        choices("webhook.body_format", &["json", "ndjson"]),
        numbers("webhook.batch_size", &[100], &[(0, "at least 1")]),
        numbers("webhook.max_batch_bytes", &[1024], &[(1, "at least 1024")]),
        choices("webhook.compression", &["none", "gzip"]),
    ]
}

fn dynamics_and_local_directory() -> Vec<Case> {
    let guid = "6731de76-14a6-49ae-97bc-6eba6914391e";
    vec![
        texts(
            "dynamics_365_marketing.organization_url",
            &["https://contoso.crm4.dynamics.com", "https://contoso.crm.dynamics.com/"],
            &[
                ("https://contoso.crm4.dynamics.com/main.aspx?appid=1", "without path"),
                ("contoso.crm4.dynamics.com", WITHOUT_HTTPS),
            ],
        ),
        texts(
            "dynamics_365_marketing.authority_host",
            &["https://login.microsoftonline.us"],
            &[("login.microsoftonline.us", WITHOUT_HTTPS)],
        ),
        texts("dynamics_365_marketing.tenant_id", &[guid, "contoso.com"], &[("common", "must name one tenant")]),
        texts("dynamics_365_marketing.client_id", &[guid], &[("outflow", "must be a GUID")]),
        texts("dynamics_365_marketing.segment_name", &["Newsletter"], &[(LONG, "at most 100")]),
        choices("dynamics_365_marketing.base_entity", &["contact", "lead"]),
        texts("dynamics_365_marketing.member_id_field", &["contact_id"], &[("a\nb", "control characters")]),
        choices("dynamics_365_marketing.write_mode", &["replace", "append"]),
        switch("dynamics_365_marketing.publish"),
        texts("local_directory.directory", &["partners/acme"], &[("/etc", "relative path"), ("a\\b", "without \\")]),
    ]
}

pub(super) const WITHOUT_HTTPS: &str = "must be a URL that begins with https://; put it before the host";

/// A text of 101 characters.
const LONG: &str =
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn file_settings() -> Vec<Case> {
    vec![
        texts(
            "local_directory.folder",
            &["weekly/segments"],
            &[("/weekly", "relative path"), ("a//b", "relative path")],
        ),
        texts(
            "local_directory.file_name_template",
            &["{export}-{date}", "customers"],
            &[("{user}", "the placeholders"), ("a/b", "without slashes"), (".hidden", "without a period at the start")],
        ),
        choices("local_directory.file_format", &["csv", "jsonl", "parquet"]),
        choices("local_directory.compression", &["none", "gzip", "zstd"]),
        choices("local_directory.parquet_compression", &["none", "snappy", "zstd"]),
        choices("local_directory.delimiter", &["comma", "semicolon", "tab", "pipe"]),
        switch("local_directory.include_header"),
        choices("local_directory.quoting", &["necessary", "all"]),
        texts("local_directory.null_text", &["NULL", "\\N"], &[("a\nb", "control characters")]),
        choices("local_directory.line_ending", &["crlf", "lf"]),
        switch("local_directory.byte_order_mark"),
        switch("local_directory.formula_guard"),
        numbers("local_directory.max_rows_per_file", &[1, 1_000_000], &[(0, "at least 1")]),
        numbers("local_directory.max_bytes_per_file", &[1_048_576], &[(1, "at least 1048576")]),
    ]
}

/// Returns the cases of all types.
pub(super) fn all() -> Vec<Case> {
    let all = [
        sftp(),
        s3(),
        azure_blob(),
        gcs_and_kafka(),
        postgresql_and_webhook(),
        dynamics_and_local_directory(),
        file_settings(),
    ];
    all.into_iter().flatten().collect()
}
