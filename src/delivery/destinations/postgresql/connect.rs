//! Opens connections: an approved address, TLS, and sqlx on top of it.
//!
//! sqlx connects to a relay, which forwards to the TLS connection.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio_rustls::rustls;

use super::failure::{of_io, of_sqlx};
use super::target::{Credential, Server};
use super::tls;
use crate::delivery::DeliveryError;
use crate::delivery::destinations::CheckStep;
use crate::delivery::destinations::progress::Progress;
use crate::dialer::{DialError, Network, Relay};
use crate::model::{FailureCode, Secret};

/// How long TLS and the authentication may take, each.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// How long the end of a connection may take, or the report of its failure.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// An authenticated connection. The server rolls an open transaction back when it is dropped.
pub(super) struct Connected {
    /// The connection.
    pub(super) connection: PgConnection,
    relay: Relay,
}

impl Connected {
    /// Connects and authenticates.
    pub(super) async fn open(
        network: &Network,
        server: &Server,
        credential: &Credential,
        progress: &mut Progress,
    ) -> Result<Self, DeliveryError> {
        progress.begin(CheckStep::Resolve);
        let connected = network.connect(&server.host, server.port).await;
        if matches!(connected, Ok(_) | Err(DialError::Connect { .. })) {
            progress.begin(CheckStep::Connect);
        }
        let stream = connected.map_err(|error| DeliveryError::new(error.code(), error.to_string()))?;
        progress.begin(CheckStep::Tls);
        let configuration = tls::configuration(server.sslmode, credential, network.authorities_pem())?;
        let secured = tokio::time::timeout(CONNECT_TIMEOUT, tls::establish(stream, &server.host, configuration)).await;
        let secured = secured.unwrap_or_else(|_| Err(timed_out("TLS")))?;
        progress.begin(CheckStep::Authenticate);
        let relay = Relay::to_untrusted(secured, server.port)
            .map_err(|error| DeliveryError::with(FailureCode::Internal, "a Unix socket", error))?;
        authenticate(relay, server, credential).await
    }

    /// Ends the connection in an orderly way, without waiting long for it.
    pub(super) async fn close(self) {
        self.relay.close(self.connection.close(), CLOSE_TIMEOUT).await;
    }
}

async fn authenticate(mut relay: Relay, server: &Server, credential: &Credential) -> Result<Connected, DeliveryError> {
    let options = options(relay.directory(), server, credential)?;
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await;
    match connected {
        Ok(Ok(connection)) => Ok(Connected { connection, relay }),
        Ok(Err(error)) if error.as_database_error().is_some() => Err(of_sqlx("the login", &error, &[])),
        Ok(Err(error)) => {
            Err(failure_of_tls(&mut relay, credential).await.unwrap_or_else(|| of_sqlx("the login", &error, &[])))
        }
        Err(_) => Err(timed_out("the login")),
    }
}

/// Sets every option: sqlx reads those that are left out from variables of this process, such as PGPASSWORD.
fn options(
    directory: &std::path::Path,
    server: &Server,
    credential: &Credential,
) -> Result<PgConnectOptions, DeliveryError> {
    let options = PgConnectOptions::new_without_pgpass()
        .host(&server.host)
        .port(server.port)
        .socket(directory)
        .username(&server.user)
        .password(credential.password.as_ref().map_or("", Secret::expose))
        .database(&server.dbname)
        // The socket leads to a TLS connection. Certificates and keys of the environment are not used without TLS.
        .ssl_mode(PgSslMode::Disable)
        .application_name("outflow")
        .extra_float_digits(None)
        .statement_cache_capacity(0)
        .disable_statement_logging();
    // These alone can only be added to. They are for the database of the service.
    if options.get_options().is_some() {
        let detail = "the environment of the service has PGOPTIONS; set options in the URL of its database instead";
        return Err(DeliveryError::new(FailureCode::Internal, detail));
    }
    Ok(options)
}

/// Why the TLS connection failed, if it did. In TLS 1.3 a server refuses the certificate of a client after the handshake.
async fn failure_of_tls(relay: &mut Relay, credential: &Credential) -> Option<DeliveryError> {
    let Ok(Err(error)) = tokio::time::timeout(CLOSE_TIMEOUT, relay.closed()).await else { return None };
    let alert = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let refused = matches!(alert, Some(rustls::Error::AlertReceived(_)));
    let mut failure = of_io("the login", &error);
    if refused && credential.client_certificate.is_some() {
        failure.code = FailureCode::AuthenticationFailed;
    }
    Some(failure)
}

/// The server did not respond.
pub(super) fn timed_out(doing: &str) -> DeliveryError {
    DeliveryError::new(FailureCode::DestinationUnreachable, format!("{doing}: the server did not respond in time"))
}
