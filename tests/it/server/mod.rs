//! Tests of the server: middleware, authentication, settings, keys, start and shutdown.

mod binary;
mod calls;
mod catalog;
mod identity;
mod keys;
