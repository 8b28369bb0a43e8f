//! Destinations, against real servers.

mod certificates;
mod cuts;
mod postgresql;
mod services;
mod webhook;
