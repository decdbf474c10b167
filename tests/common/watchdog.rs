//! Stops what a test process started, however that process ends.
//!
//! `Drop` does not run for statics, nor after SIGKILL or an abort. `PR_SET_PDEATHSIG` would need `unsafe`, and it fires
//! when the *thread* that spawned the child ends: with Cargo's runner that is the end of one test, which must not stop a
//! broker that all tests share. So there is one shell for each test process, that reads from a pipe what to stop and
//! what to remove. The kernel closes the pipe when the test process is gone, and then the shell does it.

use std::{
    io::Write,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{LazyLock, Mutex},
};

/// Ignores the terminal's Ctrl-C: that is when it is needed.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
pids=
while read -r word value; do
  case $word in
    watch) pids="$pids $value" ;;
    forget)
      rest=
      for pid in $pids; do [ "$pid" = "$value" ] || rest="$rest $pid"; done
      pids=$rest ;;
    remove) set -- "$@" "$value" ;;
  esac
done
[ -z "$pids" ] || kill -KILL $pids
# A folder can only be emptied when nobody writes to it any more.
sleep 1
rm -rf -- "$@"
"#;

static SHELL: LazyLock<Mutex<Child>> = LazyLock::new(|| {
    let shell = Command::new("sh")
        .args(["-c", SCRIPT, "watchdog"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn();
    Mutex::new(shell.expect("cannot start sh"))
});

/// Kills the process `pid` (SIGKILL) once this test process is gone.
pub fn watch(pid: u32) {
    tell("watch", &pid.to_string());
}

/// Takes [`watch`] back: the process has ended, and its id may soon be another's.
pub fn forget(pid: u32) {
    tell("forget", &pid.to_string());
}

/// Removes `folder` once this test process is gone.
pub fn remove(folder: &Path) {
    tell("remove", folder.to_str().expect("the target folder's path is not UTF-8"));
}

fn tell(word: &str, value: &str) {
    let mut shell = SHELL.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let pipe = shell.stdin.as_mut().expect("the watchdog's input is a pipe");
    writeln!(pipe, "{word} {value}").expect("the watchdog is gone");
}
