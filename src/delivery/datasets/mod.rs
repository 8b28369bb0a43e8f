//! Datasets: finds the tables of an organization in the sources that the operator configured, and opens them.
