//! Deliveries to real destinations.

mod objects;
