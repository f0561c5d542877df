//! A Python process that answers one request after the other, since most of what a script takes is the start of its frameworks.
//!
//! A request is a line. Each line of the script's output that begins with `= ` ends the answer to one; the lines before it tell how far it is. A script that XLA ends
//! is done with; who asked is told what it said last.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use miette::{IntoDiagnostic, Result, WrapErr, miette};

/// What begins the line that ends an answer.
const END: &str = "= ";

/// A running script.
pub struct Worker {
    process: Child,
    requests: ChildStdin,
    lines: Receiver<String>,
    errors: Option<JoinHandle<String>>,
}

/// What came of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// The script's last line.
    Line(String),
    /// The script ended instead.
    Ended {
        /// How.
        status: ExitStatus,
        /// The last line before.
        last: String,
        /// What it said to its end, about all requests.
        errors: String,
    },
}

impl Worker {
    /// Starts a script.
    pub fn start(command: &mut Command) -> Result<Worker> {
        let program = command.get_program().to_string_lossy().into_owned();
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .into_diagnostic()
            .wrap_err_with(|| format!("cannot start {program}"))?;
        let lost = || miette!("{program} has no pipes");
        let requests = process.stdin.take().ok_or_else(lost)?;
        let output = process.stdout.take().ok_or_else(lost)?;
        let mut errors = process.stderr.take().ok_or_else(lost)?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let errors = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            // What was read before an error is still worth showing.
            let _ = errors.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        Ok(Worker {
            process,
            requests,
            lines,
            errors: Some(errors),
        })
    }

    /// Asks, and waits for the answer for at most `limit`. A worker that has ended answers nothing more.
    pub fn ask(&mut self, request: &str, limit: Duration) -> Result<Answer> {
        // One that ended before it reads is found out below.
        let _ = writeln!(self.requests, "{request}").and_then(|()| self.requests.flush());
        let start = Instant::now();
        let mut last = String::new();
        loop {
            match self
                .lines
                .recv_timeout(limit.saturating_sub(start.elapsed()))
            {
                Ok(line) => match line.strip_prefix(END) {
                    Some(answer) => return Ok(Answer::Line(answer.to_owned())),
                    None => last = line,
                },
                Err(RecvTimeoutError::Timeout) => {
                    return Err(miette!("no answer about {request} within {limit:?}"));
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let status = self.process.wait().into_diagnostic()?;
        let errors = self.errors.take().and_then(|errors| errors.join().ok());
        Ok(Answer::Ended {
            status,
            last,
            errors: errors.unwrap_or_default(),
        })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Worker {
        Worker::start(Command::new("sh").args(["-c", script])).unwrap()
    }

    const LIMIT: Duration = Duration::from_secs(10);

    #[test]
    fn every_request_has_its_answer() {
        let mut worker = shell("while read name; do echo begins; echo \"= $name!\"; done");
        for name in ["a", "b"] {
            let answer = worker.ask(name, LIMIT).unwrap();
            assert_eq!(answer, Answer::Line(format!("{name}!")));
        }
    }

    #[test]
    fn the_end_of_a_worker_is_told_with_its_last_words() {
        let mut worker = shell("read name; echo half; echo why >&2; exit 3");
        let Answer::Ended {
            status,
            last,
            errors,
        } = worker.ask("a", LIMIT).unwrap()
        else {
            panic!("it did not answer");
        };
        assert_eq!(
            (status.code(), &*last, &*errors),
            (Some(3), "half", "why\n")
        );
    }

    #[test]
    fn a_request_past_its_limit_is_an_error() {
        let mut worker = shell("read name; exec sleep 30");
        let error = worker.ask("a", Duration::from_millis(100)).unwrap_err();
        assert!(error.to_string().contains("no answer about a"));
    }
}
