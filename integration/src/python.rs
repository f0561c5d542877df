//! The Python environment that the framework tests run in, made from `python/requirements.txt`.
//!
//! It lives under the build folder, is made once and used again as long as the requirements stay the same. Two test runs
//! that start together make it once: the second waits for the first.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use fd_lock::RwLock;
use miette::{IntoDiagnostic, Result, WrapErr, miette};

use crate::workspace;

/// Interpreters to try, the one that the packages were pinned with first.
const INTERPRETERS: [&str; 4] = ["python3.11", "python3.12", "python3.13", "python3"];

/// Says whether an interpreter will do: the pinned packages need 3.11 to 3.13, the environment needs `venv` and `pip`.
const PROBE: &str =
    "import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))";

/// Longest installation; the packages are 400 MB.
const INSTALL_LIMIT: Duration = Duration::from_secs(20 * 60);

/// The interpreter of the environment, which is made if it is not there. `build` is the build folder.
pub fn environment(build: &Path) -> Result<PathBuf> {
    let requirements = workspace::root().join("integration/python/requirements.txt");
    let wanted = workspace::read(&requirements)?;
    let folder = build.join("python");
    let stamp = folder.join("requirements.txt");
    let python = folder.join("bin/python");

    let lock = File::create(build.join("python.lock"))
        .into_diagnostic()
        .wrap_err("cannot create the lock of the Python environment")?;
    let mut lock = RwLock::new(lock);
    let _held = lock.write().into_diagnostic()?;

    if std::fs::read_to_string(&stamp).is_ok_and(|made_from| made_from == wanted) && python.exists()
    {
        return Ok(python);
    }
    let interpreter = interpreter()?;
    let made = run(
        Command::new(interpreter)
            .args(["-m", "venv", "--clear"])
            .arg(&folder),
        INSTALL_LIMIT,
    )?;
    expect_success(&made, "cannot make a Python environment")?;
    let installed = run(
        Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--no-input"])
            .args([
                "--disable-pip-version-check",
                "--timeout",
                "60",
                "--requirement",
            ])
            .arg(&requirements),
        INSTALL_LIMIT,
    )?;
    expect_success(
        &installed,
        "cannot install the packages of integration/python/requirements.txt (a network or a package index is needed once)",
    )?;
    std::fs::write(&stamp, wanted).into_diagnostic()?;
    Ok(python)
}

/// The first interpreter on the PATH that will do.
fn interpreter() -> Result<&'static str> {
    INTERPRETERS
        .into_iter()
        .find(|name| {
            Command::new(name)
                .args(["-c", PROBE])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        })
        .ok_or_else(|| {
            miette!(
                help = "install Python 3.11 with its venv module and put `python3.11` on the PATH",
                "the framework tests need Python 3.11, 3.12 or 3.13 with `venv` and `ensurepip`; none of {} on the PATH is one",
                INTERPRETERS.join(", ")
            )
        })
}

/// Runs a command to its end, or ends it after `limit`; its output is gathered.
pub fn run(command: &mut Command, limit: Duration) -> Result<Output> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .into_diagnostic()
        .wrap_err_with(|| format!("cannot start {program}"))?;
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().into_diagnostic()? {
            break Some(status);
        }
        if start.elapsed() > limit {
            child.kill().into_diagnostic()?;
            child.wait().into_diagnostic()?;
            break None;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let output = (stdout.join(), stderr.join());
    match (status, output) {
        (Some(status), (Ok(stdout), Ok(stderr))) => Ok(Output {
            status,
            stdout,
            stderr,
        }),
        (None, _) => Err(miette!("{program} did not end within {limit:?}")),
        (Some(_), _) => Err(miette!("the output of {program} was lost")),
    }
}

/// Reads a pipe to its end beside the running command, which would otherwise wait for a reader.
fn drain(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read before an error is still worth showing.
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

/// An error with the command's output, unless the command succeeded.
pub fn expect_success(output: &Output, what: &str) -> Result<()> {
    if output.status.success() {
        return Ok(());
    }
    Err(miette!(
        "{what}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_past_its_limit_is_ended() {
        let start = Instant::now();
        let error = run(Command::new("sleep").arg("30"), Duration::from_millis(100)).unwrap_err();
        assert!(error.to_string().contains("did not end"));
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_failing_command_shows_its_output() {
        let output = run(
            Command::new("sh").args(["-c", "echo why >&2; exit 3"]),
            Duration::from_secs(10),
        )
        .unwrap();
        let error = expect_success(&output, "it failed").unwrap_err();
        assert!(error.to_string().contains("why"));
    }
}
