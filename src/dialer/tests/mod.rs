//! The dialer against real listeners.
