//! The binary. Its subcommands are in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    outflow::cli::run()
}
