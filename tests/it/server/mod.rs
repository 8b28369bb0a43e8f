//! Tests of the server: middleware, authentication, settings, keys, start and shutdown.

mod background;
mod binary;
mod budgets;
mod calls;
mod catalog;
mod client_certificates;
mod config;
mod database;
mod follow;
mod identity;
mod issuers;
mod keys;
mod providers;
mod quotas;
mod retention;
mod rewrap;
mod traces;
mod violations;
