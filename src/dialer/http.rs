//! HTTP requests over checked connections.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Certificate, Client, ClientBuilder, IntoUrl, Method, Request, RequestBuilder, Response, Url, redirect};

use super::certificates::Authorities;
use super::error::{DialError, io_error};
use super::network::{CONNECT_TIMEOUT, Dialer, Network};

/// Maximum number of idle connections for each host and port.
const MAX_IDLE_CONNECTIONS: usize = 8;
/// How long a connection may be idle.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum number of ports whose clients are kept.
const MAX_PORTS: usize = 4;
/// A Unix socket that never exists: a request that is not sent by [`HttpClient::execute`] fails.
const NO_SOCKET: &str = "/dev/null/requests-are-sent-by-execute";

/// Options of an HTTP client.
#[derive(Clone, Debug, Default)]
pub struct HttpOptions {
    /// Timeout of a request, including the connection and the body; `None`: only the connection has a timeout, 10 s.
    pub timeout: Option<Duration>,
    /// Certificates (PEM) that are trusted instead of the public authorities. Those that the operator configured are
    /// trusted in addition.
    pub root_certificates: Option<Vec<u8>>,
}

/// Sends HTTP requests to permitted addresses. It follows no redirects, uses no proxies, and speaks https only. Cheap to
/// clone; clones share connections.
#[derive(Clone, Debug)]
pub struct HttpClient(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    network: Network,
    timeout: Option<Duration>,
    certificates: Trusted,
    /// Whether the scheme `http` is permitted, which an operator's URL decides.
    plaintext: bool,
    /// Builds requests and cannot send them.
    unconnected: Client,
    /// The resolver of a client does not know the port, and permits depend on it. The last used client is the last.
    clients: Mutex<Vec<(u16, Client)>>,
}

#[derive(Debug)]
enum Trusted {
    /// The public authorities and these.
    AlsoPublic(Vec<Certificate>),
    /// These alone.
    Only(Vec<Certificate>),
}

/// Resolves the names of a client to checked addresses.
struct CheckedNames {
    network: Network,
    port: u16,
}

impl Network {
    /// An HTTP client. It follows no redirects, uses no proxies, and speaks https only.
    pub fn http_client(&self, options: HttpOptions) -> Result<HttpClient, DialError> {
        HttpClient::new(self.clone(), options, false)
    }
}

impl Dialer {
    /// An HTTP client for exactly the host and port of a URL that the operator configured, whatever its addresses are. The
    /// scheme may be http if that of the URL is.
    pub fn operator_client(&self, url: &Url, options: HttpOptions) -> Result<HttpClient, DialError> {
        let network =
            self.operator_network(url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(0));
        HttpClient::new(network, options, url.scheme() == "http")
    }
}

impl HttpClient {
    pub(super) fn new(network: Network, options: HttpOptions, plaintext: bool) -> Result<Self, DialError> {
        let own = network.authorities().certificates.clone();
        let certificates = match options.root_certificates {
            Some(pem) => Trusted::Only([Authorities::parse(pem)?.certificates, own].concat()),
            None => Trusted::AlsoPublic(own),
        };
        let unconnected = Client::builder().tls_certs_only([]).unix_socket(NO_SOCKET);
        Ok(Self(Arc::new(Shared {
            network,
            timeout: options.timeout,
            certificates,
            plaintext,
            unconnected: build(unconnected, "")?,
            clients: Mutex::default(),
        })))
    }

    /// Begins a request with GET. Send it with [`Self::execute`]: its own `send` fails.
    pub fn get(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::GET, url)
    }

    /// Begins a request with PUT. Send it with [`Self::execute`]: its own `send` fails.
    pub fn put(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::PUT, url)
    }

    /// Begins a request with POST. Send it with [`Self::execute`]: its own `send` fails.
    pub fn post(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::POST, url)
    }

    /// Begins a request. Send it with [`Self::execute`]: its own `send` fails.
    pub fn request(&self, method: Method, url: impl IntoUrl) -> RequestBuilder {
        self.0.unconnected.request(method, url)
    }

    /// Sends a request and returns the head of the response, whatever its status is. Errors of the body are classified by
    /// [`DialError::from_reqwest`].
    pub async fn execute(&self, request: Request) -> Result<Response, DialError> {
        let client = self.client_for(request.url())?;
        let host = request.url().host_str().unwrap_or_default().to_owned();
        client.execute(request).await.map_err(|error| DialError::from_reqwest(&host, &error))
    }

    /// Checks a URL and returns the client that may send requests to it. The resolver never sees hosts that are addresses,
    /// so they are checked here.
    pub(super) fn client_for(&self, url: &Url) -> Result<Client, DialError> {
        let host = url.host_str().unwrap_or_default();
        let Some(port) = url.port_or_known_default().filter(|_| self.permits_scheme(url.scheme())) else {
            return Err(DialError::NotHttps { host: host.to_owned() });
        };
        self.0.network.check_host(host, port)?;
        self.client_of_port(host, port)
    }

    fn permits_scheme(&self, scheme: &str) -> bool {
        scheme == "https" || (scheme == "http" && self.0.plaintext)
    }

    fn client_of_port(&self, host: &str, port: u16) -> Result<Client, DialError> {
        let mut clients = self.0.clients.lock();
        if let Some(index) = clients.iter().position(|(own, _)| *own == port) {
            let found = clients.remove(index);
            clients.push(found.clone());
            return Ok(found.1);
        }
        let client = build(self.builder(port), host)?;
        if clients.len() == MAX_PORTS {
            clients.remove(0);
        }
        clients.push((port, client.clone()));
        Ok(client)
    }

    fn builder(&self, port: u16) -> ClientBuilder {
        let builder = Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .https_only(!self.0.plaintext)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .dns_resolver(Arc::new(CheckedNames { network: self.0.network.clone(), port }));
        let builder = match &self.0.certificates {
            Trusted::AlsoPublic(certificates) => builder.tls_certs_merge(certificates.clone()),
            Trusted::Only(certificates) => builder.tls_certs_only(certificates.clone()),
        };
        match self.0.timeout {
            Some(timeout) => builder.timeout(timeout),
            None => builder,
        }
    }
}

impl Resolve for CheckedNames {
    fn resolve(&self, name: Name) -> Resolving {
        let (network, port) = (self.network.clone(), self.port);
        Box::pin(async move {
            let addresses = network.resolve(name.as_str(), port).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// Builds a client. It fails if this host has no public authorities and none are configured.
fn build(builder: ClientBuilder, host: &str) -> Result<Client, DialError> {
    builder.build().map_err(|error| DialError::Tls { host: host.to_owned(), cause: io_error(&error) })
}
