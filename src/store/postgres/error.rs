//! Why settings of PostgreSQL cannot be used. No message has a part of the URL other than the names of its parameters.

/// Why a URL of PostgreSQL cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PostgresUrlError {
    /// A character of the password, or of the user, ends the part of the URL that it is in.
    #[error(
        "`{0}` in the user or the password must be percent-encoded, as `{1}`; or use `database_host`, `database_name`, \
         `database_user` and `database_password_file`, which need no encoding"
    )]
    Unescaped(char, &'static str),
    /// A percent sign that starts no escape.
    #[error("a `%` that is not followed by two hexadecimal digits must be percent-encoded, as `%25`")]
    Percent,
    /// A placeholder of a template or of a provider's console.
    #[error("the {0} is a placeholder; replace it by the value")]
    Placeholder(&'static str),
    /// The URL names no host.
    #[error("there is no host; a Unix socket is written `postgres://user@/database?host=/var/run/postgresql`")]
    NoHost,
    /// A malformed host.
    #[error("the host must be a name, an address, or an IPv6 address in brackets such as `[::1]`")]
    Host,
    /// The URL names several hosts, as libpq permits.
    #[error("there are several hosts; give one, such as a name that leads to the primary")]
    SeveralHosts,
    /// A malformed port.
    #[error("the port must be a number from 1 to 65535; `:`, `/`, `?` and `#` in a password must be percent-encoded")]
    Port,
    /// The URL names no user.
    #[error("there is no user; write `postgres://user:password@host:5432/database`")]
    NoUser,
    /// The path has more than a name.
    #[error("the name of the database has a `/`, which must be percent-encoded, as `%2F`")]
    DatabaseName,
    /// An unknown parameter.
    #[error("the parameter `{0}` is not known; remove it")]
    UnknownParameter(String),
    /// A part of the query that is no parameter, and may be a part of a password.
    #[error(
        "a parameter after `?` or `&` is not `name=value`; in a value, `&` must be percent-encoded as `%26` and `#` as `%23`"
    )]
    MalformedParameter,
    /// A parameter of another driver, and what to do.
    #[error("the parameter `{0}` is not supported: {1}")]
    Parameter(&'static str, &'static str),
    /// A parameter without a valid value.
    #[error("the parameter `{0}` must be {1}")]
    ParameterValue(&'static str, &'static str),
    /// A parameter that is set twice.
    #[error("the parameter `{0}` is set twice")]
    Repeated(&'static str),
}
