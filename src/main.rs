//! The binary. Its subcommands are in the library.

use std::process::ExitCode;

/// Returns freed memory to the system within a second, which the allocator of the system does not after many small messages.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    outflow::cli::run()
}
