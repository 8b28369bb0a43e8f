//! The binary: its subcommands are in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    outflow::commands::run()
}
