//! The destination `sftp` against OpenSSH, and against a server with fewer features.

mod cut;
mod deliveries;
mod failures;
mod keys;
pub mod openssh;
mod plain_server;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use outflow::delivery::destinations::sftp::Sftp;
use outflow::delivery::destinations::{Check, CheckOutcome, CheckStep};
use outflow::dialer::{Dialer, DialerSettings, Network};
use outflow::model::{AddressRange, CredentialSecret, FailureCode, OrganizationId, OutboundAllowance, Secret};
use serde_json::{Value, json};

use super::content::target;
pub use openssh::OpenSsh;

/// A network that reaches this machine.
fn network() -> Network {
    let allowance =
        OutboundAllowance { organization: None, range: AddressRange::v4(Ipv4Addr::LOCALHOST, 32), port: None };
    let settings = DialerSettings { allowances: vec![allowance], authorities: None };
    Dialer::new(settings).expect("a dialer").network(&OrganizationId::parse("acme").expect("an id"))
}

/// Where a destination connects, and as whom.
#[derive(Clone)]
pub struct Login {
    pub port: u16,
    pub username: String,
    pub directory: String,
    pub host_key: String,
    pub method: &'static str,
    pub fields: Vec<(&'static str, String)>,
}

impl Login {
    fn destination(&self, settings: &Value) -> Sftp {
        let fields: BTreeMap<String, Secret> =
            self.fields.iter().map(|(key, value)| ((*key).to_owned(), Secret::new(value.clone()))).collect();
        let credential = CredentialSecret { auth_method: self.method.to_owned(), fields };
        let properties = json!({
            "host": IpAddr::V4(Ipv4Addr::LOCALHOST).to_string(),
            "port": self.port,
            "username": self.username,
            "directory": self.directory,
            "host_key": self.host_key,
        });
        Sftp::new(network(), target(&properties, settings, Some(credential))).expect("a destination")
    }

    fn password(self, password: &str) -> Self {
        Self { method: "password", fields: vec![("password", password.to_owned())], ..self }
    }

    /// The same login with a private key.
    pub fn private_key(self, key: &str, passphrase: Option<&str>) -> Self {
        let mut fields = vec![("private_key", key.to_owned())];
        fields.extend(passphrase.map(|passphrase| ("passphrase", passphrase.to_owned())));
        Self { method: "private_key", fields, ..self }
    }
}

/// The step that failed, with its code; `None`: all checks passed.
fn failure(checks: &[Check]) -> Option<(CheckStep, FailureCode, Option<String>)> {
    let steps: Vec<CheckStep> = checks.iter().map(|check| check.step).collect();
    let expected = [CheckStep::Resolve, CheckStep::Connect, CheckStep::Tls, CheckStep::Authenticate, CheckStep::Write];
    assert_eq!(steps, expected);
    let failed = checks.iter().position(|check| matches!(check.outcome, CheckOutcome::Failed { .. }));
    let passed = failed.unwrap_or(checks.len());
    assert!(checks[..passed].iter().all(|check| check.outcome == CheckOutcome::Passed), "{checks:?}");
    let rest = &checks[checks.len().min(passed + 1)..];
    assert!(rest.iter().all(|check| check.outcome == CheckOutcome::Skipped), "{checks:?}");
    match &checks.get(passed)?.outcome {
        CheckOutcome::Failed { code, found_host_key } => Some((checks[passed].step, *code, found_host_key.clone())),
        CheckOutcome::Passed | CheckOutcome::Skipped => None,
    }
}
