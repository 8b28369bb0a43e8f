//! Creates the dialer from the configuration.

use crate::config::OutboundConfig;
use crate::dialer::{AuthoritiesError, Dialer, DialerSettings};

/// The dialer of the process. It reads the file of additional certificate authorities.
pub fn dialer(config: &OutboundConfig) -> Result<Dialer, AuthoritiesError> {
    Dialer::new(DialerSettings { allowances: config.allowed.clone(), authorities: config.ca_file.clone() })
}
