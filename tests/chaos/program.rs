//! The program with fail points: a copy, so that a build for other tests does not take it away while scenarios run.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, process::Command, sync::LazyLock};

use crate::common::scratch;

static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = scratch("program").keep();
    // Scenarios may start it as another user.
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    let copy = folder.join("streams-to-parquet");
    fs::copy(env!("CARGO_BIN_EXE_streams-to-parquet"), &copy).unwrap();
    copy
});

/// A command that starts the program, with no environment variable that could be taken for a flag.
pub(crate) fn command() -> Command {
    let mut command = Command::new(&*PROGRAM);
    command.env_clear();
    for name in ["PATH", "HOME", "RUST_BACKTRACE"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    command
}
