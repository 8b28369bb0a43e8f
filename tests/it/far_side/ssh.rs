//! An SSH server that accepts no credential.

use std::sync::Arc;
use std::time::Duration;

use russh::keys::{Algorithm, HashAlg, PrivateKey};
use russh::server::{Auth, Config, Handler, PublicKeyOffer, VerifiedPublicKey};

use super::{Received, listen};

/// Serves on a free port. Returns the port and the fingerprint of the host key.
pub async fn serve(received: Received) -> (u16, String) {
    let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).expect("a key");
    let host_key = key.fingerprint(HashAlg::Sha256).to_string();
    let config = Arc::new(Config { auth_rejection_time: Duration::ZERO, keys: vec![key], ..Config::default() });
    let serve = move |stream| {
        let (config, login) = (Arc::clone(&config), Login(received.clone()));
        async move {
            if let Ok(session) = russh::server::run_stream(config, stream, login).await {
                let _ = session.await;
            }
        }
    };
    (listen(serve).await, host_key)
}

struct Login(Received);

impl Handler for Login {
    type Error = russh::Error;

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Self::Error> {
        self.0.add(format!("{user}: {password}").as_bytes());
        Ok(Auth::reject())
    }

    async fn auth_publickey_offered(&mut self, _: &str, _: PublicKeyOffer<'_>) -> Result<Auth, Self::Error> {
        Ok(Auth::Accept)
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        self.0.add(format!("{user} has {}", key.public_key.fingerprint(HashAlg::Sha256)).as_bytes());
        Ok(Auth::reject())
    }
}
