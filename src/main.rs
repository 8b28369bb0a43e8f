//! The binary: subcommands, nothing else.

fn main() {}
