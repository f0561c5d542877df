//! How fast a dump is read, beside the parser of XLA in `jaxlib` on the same text, and how much memory it takes.
//!
//! Both parsers use one thread; what counts is its time on the processor, so that other programs do not. The Python
//! environment is the one of the framework tests (`target/python`), or the interpreter that `HLO2DAE_PYTHON` names. With
//! `HLO2DAE_CORPUS` set, the models of its folder `models` are read as well.
#![allow(clippy::print_stdout, reason = "the table is the result of the run")]

mod dumps;

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use hlo2dae_hlo::{ParseErrors, parse_module};
use peak_alloc::PeakAlloc;
use rustix::time::ClockId;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Reads each file of the command line as often as the first argument says; a median time a line.
const XLA: &str = "
import statistics, sys, time
from jaxlib import _hlo
repeats, *paths = sys.argv[1:]
texts = [open(path, encoding='utf-8').read() for path in paths]
def once():
    start = time.thread_time()
    for text in texts:
        _hlo.hlo_module_from_text(text)
    return time.thread_time() - start
print(statistics.median(once() for _ in range(int(repeats))))
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
            let start = on_processor();
            for text in &self.texts {
                parse_module(text)?;
            }
            times.push(on_processor().saturating_sub(start));
        }
        times.sort_unstable();
        Ok(times[times.len() / 2].as_secs_f64())
    }

    /// Median seconds of XLA's.
    fn xla(&self, python: &Path) -> io::Result<f64> {
        let output = Command::new(python)
            .args(["-c", XLA, &self.repeats().to_string()])
            .args(&self.files)
            .output()?;
        let printed = String::from_utf8_lossy(&output.stdout);
        printed.trim().parse().map_err(|_| {
            io::Error::other(format!(
                "{} gave no time: {}",
                python.display(),
                String::from_utf8_lossy(&output.stderr)
            ))
        })
    }

    /// The most memory that reading any of the texts takes, in sizes of the text.
    fn memory(&self) -> f64 {
        let peaks = self.texts.iter().map(|text| {
            let before = MEMORY.current_usage();
            MEMORY.reset_peak_usage();
            let module = parse_module(text);
            let peak = MEMORY.peak_usage() - before;
            drop(module);
            peak as f64 / text.len() as f64
        });
        peaks.fold(0.0, f64::max)
    }
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

fn models(folder: &Path) -> io::Result<Subject> {
    let entries = std::fs::read_dir(folder)?;
    let mut files = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<Vec<_>>>()?;
    files.retain(|path| path.extension().is_some_and(|e| e == "hlo"));
    files.sort();
    let texts: Vec<String> = files
        .iter()
        .map(std::fs::read_to_string)
        .collect::<io::Result<_>>()?;
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
        subjects.push(models(&Path::new(&corpus).join("models"))?);
    }
    println!("{}\n", machine());
    println!("| text | here MB/s | jaxlib MB/s | times as fast | peak memory, texts |");
    println!("|---|---|---|---|---|");
    for subject in subjects {
        let megabytes = subject.bytes() as f64 / 1e6;
        let (ours, xla) = (subject.ours()?, subject.xla(&python)?);
        println!(
            "| {} | {:.0} | {:.1} | {:.1} | {:.1} |",
            subject.name,
            megabytes / ours,
            megabytes / xla,
            xla / ours,
            subject.memory()
        );
    }
    Ok(())
}
