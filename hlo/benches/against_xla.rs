//! How fast a dump is read, beside the parser of XLA in `jaxlib` on the same text, and how much memory it takes.
//!
//! Both parsers use one thread; what counts is its time on the processor, so that other programs do not. Giving the module
//! back does not count. The Python
//! environment is the one of the framework tests (`target/python`), or the interpreter that `HLO2DAE_PYTHON` names. With
//! `HLO2DAE_CORPUS` set, the models of its folder `models` are read as well.
#![allow(clippy::print_stdout, reason = "the table is the result of the run")]

mod dumps;

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use hlo2dae_hlo::{ParseErrors, parse_module};
use rustix::time::ClockId;

/// Reads the files of the command line as often as the first argument says; the median time.
const XLA: &str = "
import statistics, sys, time
from jaxlib import _hlo
repeats, *paths = sys.argv[1:]
texts = [open(path, encoding='utf-8').read() for path in paths]
def once():
    seconds = 0
    for text in texts:
        start = time.thread_time()
        module = _hlo.hlo_module_from_text(text)
        seconds += time.thread_time() - start
        del module
    return seconds
print(statistics.median(once() for _ in range(int(repeats))))
";

/// Prints the kilobytes that reading a file takes at most.
const XLA_MEMORY: &str = "
import sys
from jaxlib import _hlo
def kilobytes(what):
    return next(int(line.split()[1]) for line in open('/proc/self/status') if line.startswith(what))
text = open(sys.argv[1], encoding='utf-8').read()
before = kilobytes('VmRSS')
module = _hlo.hlo_module_from_text(text)
print(kilobytes('VmHWM') - before)
";

/// Prints the files of the command line that this release of XLA's parser takes.
const READABLE: &str = "
import sys
from jaxlib import _hlo
for path in sys.argv[1:]:
    try:
        _hlo.hlo_module_from_text(open(path, encoding='utf-8').read())
    except RuntimeError:
        continue
    print(path)
";

/// Texts that are read one after the other, as one measurement.
struct Subject {
    name: String,
    files: Vec<PathBuf>,
    texts: Vec<String>,
}

impl Subject {
    fn bytes(&self) -> usize {
        self.texts.iter().map(String::len).sum()
    }

    /// More for short texts, whose times vary.
    fn repeats(&self) -> usize {
        (100_000_000 / self.bytes().max(1)).clamp(3, 51) | 1
    }

    /// Median seconds of this parser.
    fn ours(&self) -> Result<f64, ParseErrors> {
        let mut times = Vec::new();
        for _ in 0..self.repeats() {
            let mut time = Duration::ZERO;
            for text in &self.texts {
                let start = on_processor();
                let module = parse_module(text)?;
                time += on_processor().saturating_sub(start);
                drop(module);
            }
            times.push(time);
        }
        times.sort_unstable();
        Ok(times[times.len() / 2].as_secs_f64())
    }

    /// Median seconds of XLA's.
    fn xla(&self, python: &Path) -> io::Result<f64> {
        let repeats = self.repeats().to_string();
        number(
            Command::new(python)
                .args(["-c", XLA, &repeats])
                .args(&self.files),
        )
    }

    /// The memory that a process of its own takes at most to read the longest text, in sizes of that text.
    fn memory(&self, measure: impl Fn(&Path) -> Command) -> io::Result<f64> {
        let texts = self.files.iter().zip(&self.texts);
        let Some((file, text)) = texts.max_by_key(|(_, text)| text.len()) else {
            return Ok(0.0);
        };
        Ok(number(&mut measure(file))? * 1024.0 / text.len() as f64)
    }
}

/// The number that a command prints.
fn number(command: &mut Command) -> io::Result<f64> {
    let output = command.output()?;
    let printed = String::from_utf8_lossy(&output.stdout);
    printed.trim().parse().map_err(|_| {
        let program = command.get_program().to_string_lossy();
        let why = String::from_utf8_lossy(&output.stderr);
        io::Error::other(format!("{program} prints no number: {why}"))
    })
}

/// What the system says of this process's memory, in kilobytes: `VmRSS` now, `VmHWM` at most.
fn kilobytes(what: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(what))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Prints the kilobytes that reading `file` takes at most.
fn print_memory(file: &str) -> Result<(), Box<dyn std::error::Error>> {
    let text = std::fs::read_to_string(file)?;
    let before = kilobytes("VmRSS").ok_or("the system does not say how much memory is used")?;
    let module = parse_module(&text)?;
    let most = kilobytes("VmHWM").unwrap_or(before);
    drop(module);
    println!("{}", most.saturating_sub(before));
    Ok(())
}

/// Time that this thread has spent on a processor.
fn on_processor() -> Duration {
    let time = rustix::time::clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

fn generated(folder: &Path) -> io::Result<Vec<Subject>> {
    let subjects = dumps::SIZES.map(|size| {
        let file = folder.join(format!("{size}.hlo"));
        let text = dumps::dump(size);
        std::fs::write(&file, &text)?;
        Ok(Subject {
            name: format!("{:.1} MB", size as f64 / 1e6),
            files: vec![file],
            texts: vec![text],
        })
    });
    subjects.into_iter().collect()
}

fn models(folder: &Path, python: &Path) -> io::Result<Subject> {
    let entries = std::fs::read_dir(folder)?;
    let mut files = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<Vec<_>>>()?;
    files.retain(|path| path.extension().is_some_and(|e| e == "hlo"));
    files.sort();
    let output = Command::new(python)
        .args(["-c", READABLE])
        .args(&files)
        .output()?;
    let readable = String::from_utf8_lossy(&output.stdout);
    let files: Vec<PathBuf> = readable.lines().map(PathBuf::from).collect();
    let texts = files.iter().map(std::fs::read_to_string);
    let texts = texts.collect::<io::Result<Vec<String>>>()?;
    Ok(Subject {
        name: format!("{} models", files.len()),
        files,
        texts,
    })
}

/// The processor, as far as the system says.
fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{}, {cores} cores", model.map_or("unknown", |m| m.1))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().is_some_and(|first| first == "--memory") {
        return print_memory(&arguments.next().unwrap_or_default());
    }
    let this = std::env::current_exe()?;
    let python = std::env::var_os("HLO2DAE_PYTHON").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/python/bin/python"),
        PathBuf::from,
    );
    if !python.exists() {
        return Err(format!(
            "{} is not there: `cargo test -p hlo2dae-integration --test frameworks` makes it",
            python.display()
        )
        .into());
    }
    let folder = tempfile::tempdir()?;
    let mut subjects = generated(folder.path())?;
    if let Some(corpus) = std::env::var_os("HLO2DAE_CORPUS") {
        subjects.push(models(&Path::new(&corpus).join("models"), &python)?);
    }
    println!("{}\n", machine());
    println!("| text | MB/s | jaxlib, MB/s | times as fast | peak memory, texts | jaxlib, texts |");
    println!("|---|---|---|---|---|---|");
    for subject in subjects {
        let megabytes = subject.bytes() as f64 / 1e6;
        let (ours, xla) = (subject.ours()?, subject.xla(&python)?);
        let memory = subject.memory(|file| {
            let mut command = Command::new(&this);
            command.arg("--memory").arg(file);
            command
        })?;
        let xla_memory = subject.memory(|file| {
            let mut command = Command::new(&python);
            command.args(["-c", XLA_MEMORY]).arg(file);
            command
        })?;
        println!(
            "| {} | {:.0} | {:.1} | {:.1} | {memory:.1} | {xla_memory:.1} |",
            subject.name,
            megabytes / ours,
            megabytes / xla,
            xla / ours,
        );
    }
    Ok(())
}
