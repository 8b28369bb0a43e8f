//! Lists, start-up and retention do not depend on how many rows there are.

mod fill;
mod gate;
mod lists;
mod pages;
