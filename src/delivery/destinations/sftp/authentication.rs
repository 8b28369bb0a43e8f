//! Authenticates at an SSH server by password or private key.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use russh::client::{AuthResult, KeyboardInteractiveAuthResponse};
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg};
use russh::{MethodKind, MethodSet};

use super::connection::Connection;
use super::errors;
use super::rsa::{RsaSigner, SignError};
use crate::catalog::read_ssh_private_key;
use crate::delivery::DeliveryError;
use crate::model::{CredentialSecret, FailureCode, Secret};

/// Maximum duration of the authentication.
const AUTHENTICATION_TIMEOUT: Duration = Duration::from_secs(20);
/// Maximum number of prompts that are answered with the password.
const MAX_PROMPTS: usize = 4;

/// The credential of a user.
pub enum Credential {
    /// A password.
    Password(Secret),
    /// A private key.
    PrivateKey {
        /// The key in the OpenSSH or PEM format.
        key: Secret,
        /// The passphrase that it is encrypted with.
        passphrase: Option<Secret>,
    },
}

impl Credential {
    /// The credential of a connection.
    pub fn new(mut secret: CredentialSecret) -> Result<Self, DeliveryError> {
        let mut take = |key: &str| secret.fields.remove(key);
        let credential = match secret.auth_method.as_str() {
            "password" => take("password").map(Self::Password),
            "private_key" => take("private_key").map(|key| Self::PrivateKey { key, passphrase: take("passphrase") }),
            _ => None,
        };
        credential.ok_or_else(|| {
            DeliveryError::new(FailureCode::CredentialRequired, "the connection has no valid credential")
        })
    }
}

/// Authenticates a user.
pub async fn authenticate(
    connection: &mut Connection,
    username: &str,
    credential: &Arc<Credential>,
) -> Result<(), DeliveryError> {
    let authenticating = async {
        match credential.as_ref() {
            Credential::Password(password) => by_password(connection, username, password).await,
            Credential::PrivateKey { .. } => {
                let key = read_private_key(Arc::clone(credential)).await?;
                by_private_key(connection, username, key).await
            }
        }
    };
    let authenticated = tokio::time::timeout(AUTHENTICATION_TIMEOUT, authenticating).await;
    authenticated.unwrap_or_else(|_| Err(errors::timed_out("authentication")))
}

async fn by_password(connection: &mut Connection, username: &str, password: &Secret) -> Result<(), DeliveryError> {
    let result = connection.ssh.authenticate_password(username, password.expose()).await;
    let result = result.map_err(|error| errors::handshake(&error))?;
    if let AuthResult::Failure { remaining_methods, .. } = &result
        && remaining_methods.contains(&MethodKind::KeyboardInteractive)
        && !remaining_methods.contains(&MethodKind::Password)
    {
        // The server asks for the password with a prompt.
        return by_prompts(connection, username, password).await;
    }
    verify(connection, &result, "the password")
}

async fn by_prompts(connection: &mut Connection, username: &str, password: &Secret) -> Result<(), DeliveryError> {
    let mut answered = 0;
    let started = connection.ssh.authenticate_keyboard_interactive_start(username, None).await;
    let mut response = started.map_err(|error| errors::handshake(&error))?;
    loop {
        let prompts = match response {
            KeyboardInteractiveAuthResponse::Success => return Ok(()),
            KeyboardInteractiveAuthResponse::Failure { remaining_methods, partial_success } => {
                let result = AuthResult::Failure { remaining_methods, partial_success };
                return verify(connection, &result, "the password");
            }
            KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => prompts,
        };
        answered += prompts.len().max(1);
        // What is echoed is not the password.
        if answered > MAX_PROMPTS || prompts.iter().any(|prompt| prompt.echo) {
            return Err(refused("the server asks for more than a password"));
        }
        let answers = prompts.iter().map(|_| password.expose().to_owned()).collect();
        let responded = connection.ssh.authenticate_keyboard_interactive_respond(answers).await;
        response = responded.map_err(|error| errors::handshake(&error))?;
    }
}

/// Decrypts the private key on a blocking thread: key derivation takes up to seconds.
async fn read_private_key(credential: Arc<Credential>) -> Result<PrivateKey, DeliveryError> {
    let read = move || match credential.as_ref() {
        Credential::PrivateKey { key, passphrase } => {
            read_ssh_private_key(key.expose(), passphrase.as_ref().map(Secret::expose))
                .map_err(|reason| refused(&format!("the private key {reason}")))
        }
        Credential::Password(_) => Err(refused("there is no private key")),
    };
    let read = tokio::task::spawn_blocking(read).await;
    read.unwrap_or_else(|error| Err(DeliveryError::with(FailureCode::Internal, "reading a private key", error)))
}

async fn by_private_key(connection: &mut Connection, username: &str, key: PrivateKey) -> Result<(), DeliveryError> {
    let result = if key.algorithm().is_rsa() {
        let hash = match connection.ssh.best_supported_rsa_hash().await.map_err(|error| errors::handshake(&error))? {
            Some(Some(hash)) => hash,
            Some(None) => return Err(refused("the server accepts RSA keys with SHA-1 signatures only")),
            // The server does not tell; those that support one hash support this one.
            None => HashAlg::Sha512,
        };
        let mut signer = RsaSigner::new(&key).map_err(refused)?;
        let public_key = key.public_key().clone();
        let result = connection.ssh.authenticate_publickey_with(username, public_key, Some(hash), &mut signer).await;
        result.map_err(|error| match error {
            SignError::Send => errors::lost("authentication"),
            SignError::Sign => refused("the RSA key cannot sign"),
        })?
    } else {
        let key = PrivateKeyWithHashAlg::new(Arc::new(key), None);
        let result = connection.ssh.authenticate_publickey(username, key).await;
        result.map_err(|error| errors::handshake(&error))?
    };
    verify(connection, &result, "the private key")
}

fn verify(connection: &Connection, result: &AuthResult, what: &str) -> Result<(), DeliveryError> {
    let AuthResult::Failure { remaining_methods, partial_success } = result else { return Ok(()) };
    // The session ended before the server responded.
    let is_end = *remaining_methods == MethodSet::empty() && connection.ssh.is_closed();
    if is_end && !connection.ended_by_server.load(Ordering::Acquire) {
        return Err(errors::lost("authentication"));
    }
    if *partial_success {
        return Err(refused("the server asks for a second credential"));
    }
    Err(DeliveryError::new(FailureCode::AuthenticationFailed, format!("the server does not accept {what}")))
}

fn refused(detail: &str) -> DeliveryError {
    DeliveryError::new(FailureCode::AuthenticationFailed, detail)
}
