//! The users of commands. If the tests run as root, servers run as another user: PostgreSQL refuses root, and nothing would be
//! denied to it.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

/// The user of servers if the tests run as root.
const UNPRIVILEGED: &str = "nobody";
/// Its id, and the one of its group.
const UNPRIVILEGED_ID: u32 = 65_534;

/// The user of servers, if it is another one than that of the tests.
pub fn unprivileged() -> Option<&'static str> {
    is_root().then_some(UNPRIVILEGED)
}

/// Makes the user of servers the owner of a file or directory.
pub fn own_unprivileged(path: &Path) {
    if is_root() {
        chown(path, Some(UNPRIVILEGED_ID), Some(UNPRIVILEGED_ID)).expect("the owner is changed");
    }
}

/// Lets a command run as the user of servers.
pub fn run_unprivileged(command: &mut Command) -> &mut Command {
    if is_root() {
        command.uid(UNPRIVILEGED_ID).gid(UNPRIVILEGED_ID);
    }
    command
}

/// A command that runs as root, with `sudo` if the tests do not.
pub fn as_root(program: &str) -> Command {
    if is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["--non-interactive", program]);
    command
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}
