//! The server itself: what every call gets, who is let in, how it starts and stops.

mod background;
mod binary;
mod calls;
mod catalog;
mod config;
mod identity;
mod keys;
mod retention;
mod traces;
