//! The RPCs with their required roles. `build.rs` generates the table from the protos.

use crate::model::Role;

/// Properties of an RPC that are known before its message is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    /// `package.Service/Method`
    pub name: &'static str,
    /// The required role; `None`: every authenticated caller. The application checks permissions on resources.
    pub role: Option<Role>,
    /// Whether its response is a stream, which has no maximum duration.
    pub streams: bool,
    /// Whether its response has a field with several values: a repeated one or a map.
    pub returns_many: bool,
}

/// Resolution of a request path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// A method of this service.
    Method(&'static Method),
    /// `grpc.health.v1`
    Health,
    /// Server reflection.
    Reflection,
    /// No known method.
    Unknown,
}

/// Every method of every service, sorted by name.
pub const METHODS: &[Method] = include!(concat!(env!("OUT_DIR"), "/methods.rs"));

/// The methods that probes call.
const HEALTH: [&str; 3] =
    ["/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/List", "/grpc.health.v1.Health/Watch"];

const fn method(name: &'static str, role: Option<&str>, streams: bool, returns_many: bool) -> Method {
    let role = match role {
        Some(role) => Some(role_of(role)),
        None => None,
    };
    Method { name, role, streams, returns_many }
}

const fn role_of(name: &str) -> Role {
    match name.as_bytes() {
        b"ROLE_VIEWER" => Role::Viewer,
        b"ROLE_CONTRIBUTOR" => Role::Contributor,
        b"ROLE_ADMIN" => Role::Admin,
        b"ROLE_RUNNER" => Role::Runner,
        _ => panic!("a role of the protos that is not known here"),
    }
}

impl Route {
    /// The route of a path, `/package.Service/Method`.
    pub fn of(path: &str) -> Self {
        let name = path.strip_prefix('/').unwrap_or_default();
        if let Ok(index) = METHODS.binary_search_by(|method| method.name.cmp(name)) {
            return Self::Method(&METHODS[index]);
        }
        if HEALTH.contains(&path) {
            Self::Health
        } else if path.starts_with("/grpc.reflection.") {
            Self::Reflection
        } else {
            Self::Unknown
        }
    }

    /// The name of the method in metrics and traces. It is one of a fixed set, because any path can be called without a
    /// token: what is not a method of this service is `_OTHER`, as in OpenTelemetry's conventions.
    pub fn method_name(self) -> &'static str {
        match self {
            Self::Method(method) => method.name,
            Self::Health | Self::Reflection | Self::Unknown => "_OTHER",
        }
    }
}

/// The full names of the services.
pub fn services() -> Vec<&'static str> {
    let mut services: Vec<_> = METHODS.iter().filter_map(|method| method.name.split('/').next()).collect();
    services.dedup();
    services
}
