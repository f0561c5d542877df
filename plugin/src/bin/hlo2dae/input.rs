//! Reading what the user names, writing where he wants it, telling him what was wrong.

use std::fmt;
use std::fs;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use hlo2dae::compile::{Compilation, Options, compile};
use hlo2dae::{Error, inputs, npz};
use hlo2dae_backend::Machine;
use hlo2dae_frontend::outline;
use hlo2dae_hlo::{Literal, Shape};
use hlo2dae_ir::passes::{self, MAX_LEVEL};
use indicatif::{ProgressBar, ProgressStyle};
use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, Report,
    SourceCode,
};

/// Why a command ends with status 2.
pub enum Failure {
    /// A file cannot be read or written.
    File(PathBuf, io::Error),
    /// Standard output is gone.
    Output(io::Error),
    /// An error of the compiler about this text.
    Text {
        name: String,
        text: String,
        error: Box<Error>,
    },
    /// An error that is about no text.
    Other(Box<Error>),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Other(Box::new(error))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Output(error)
    }
}

impl Failure {
    /// Writes the error, or each of several, with place and caret to standard error.
    pub fn print(self) {
        let (report, text) = match self {
            Failure::File(path, error) => {
                (Report::msg(format!("{}: {error}", path.display())), None)
            }
            Failure::Output(error) => (Report::msg(format!("standard output: {error}")), None),
            Failure::Text { name, text, error } => {
                (Report::new(*error), Some(NamedSource::new(name, text)))
            }
            Failure::Other(error) => (Report::new(*error), None),
        };
        let stderr = io::stderr();
        let theme = if stderr.is_terminal() {
            GraphicalTheme::unicode()
        } else {
            GraphicalTheme::unicode_nocolor()
        };
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_width(100)
            .with_links(false);
        let whole: &dyn Diagnostic = report.as_ref();
        let parts: Vec<&dyn Diagnostic> = whole
            .related()
            .map_or_else(|| vec![whole], Iterator::collect);
        for part in parts {
            let mut rendered = String::new();
            let shown = InText {
                error: part,
                text: text.as_ref(),
            };
            if handler.render_report(&mut rendered, &shown).is_err() {
                rendered = format!("{part}\n");
            }
            // There is nobody left to tell if standard error is gone, too.
            let _ = stderr.lock().write_all(rendered.as_bytes());
        }
    }
}

/// An error, shown in the text that the user named.
struct InText<'a> {
    error: &'a dyn Diagnostic,
    text: Option<&'a NamedSource<String>>,
}

impl fmt::Debug for InText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.error, f)
    }
}

impl fmt::Display for InText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.error, f)
    }
}

impl std::error::Error for InText<'_> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

impl Diagnostic for InText<'_> {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.error.help()
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.text
            .map(|text| text as &dyn SourceCode)
            .or(self.error.source_code())
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.error.labels()
    }
}

/// The text of a file, or of standard input for `-`.
pub fn read(path: &Path) -> Result<String, Failure> {
    let bytes = if path == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        fs::read(path)
    };
    let bytes = bytes.map_err(|error| Failure::File(path.to_owned(), error))?;
    String::from_utf8(bytes).map_err(|error| {
        let place = error.utf8_error().valid_up_to();
        let problem = io::Error::new(
            io::ErrorKind::InvalidData,
            format!("not text: byte {place} is not UTF-8"),
        );
        Failure::File(path.to_owned(), problem)
    })
}

/// Says which text an error is about.
pub fn about<T>(path: &Path, text: &str, result: Result<T, Error>) -> Result<T, Failure> {
    result.map_err(|error| Failure::Text {
        name: if path == Path::new("-") {
            "standard input".into()
        } else {
            path.display().to_string()
        },
        text: text.to_owned(),
        error: Box::new(error),
    })
}

/// Reads and compiles a module.
pub fn compile_file(path: &Path, options: &Options) -> Result<Compilation, Failure> {
    let text = read(path)?;
    about(path, &text, compile(&text, options))
}

/// How far programs are optimised.
#[derive(Args)]
pub struct Level {
    /// Optimisation level; `hlo2dae passes` says what each does.
    #[arg(short = 'O', value_name = "LEVEL", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=i64::from(MAX_LEVEL)))]
    pub level: u8,
    #[command(flatten)]
    pub passes: PassOptions,
    #[command(flatten)]
    pub machine: MachineName,
    /// Give every region a custom call of its own in a rewritten module, rather than one call to those that are ready together.
    #[arg(long)]
    no_batch_tables: bool,
}

/// The machine that programs are compiled for.
#[derive(Args)]
pub struct MachineName {
    /// A machine that `hlo2dae machines` lists, or a file that states one.
    #[arg(long, value_name = "NAME|FILE.toml")]
    machine: Option<String>,
}

impl MachineName {
    /// The machine; the default one if none is named.
    pub fn get(&self) -> Result<Machine, Failure> {
        let Some(name) = &self.machine else {
            return Ok(Machine::default());
        };
        let path = Path::new(name);
        let text = match Machine::built_in(name) {
            Some(text) => text.to_owned(),
            None if path.extension().is_none() && !path.exists() => {
                return Err(no_machine(name).into());
            }
            None => read(path)?,
        };
        about(path, &text, text.parse().map_err(Error::from))
    }
}

/// There is no machine of this name.
pub fn no_machine(name: &str) -> Error {
    let names: Vec<&str> = Machine::BUILT_IN.iter().map(|(name, _)| *name).collect();
    Error::Unknown {
        what: "machine",
        name: name.to_owned(),
        help: format!("machines: {}, or a file that states one", names.join(", ")),
    }
}

/// What passes are told.
#[derive(Args)]
pub struct PassOptions {
    /// Lanes of a vector.
    #[arg(long, value_name = "N", default_value_t = passes::Options::default().lanes)]
    lanes: u32,
    /// Rows read last that the access unit keeps at level 4.
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u32).range(1..))]
    reuse: Option<u32>,
    /// Verify the program after each pass, not only after the last.
    #[arg(long)]
    verify_each: bool,
}

impl PassOptions {
    /// As the passes take it.
    pub fn get(&self) -> passes::Options {
        passes::Options {
            lanes: self.lanes,
            reuse: self.reuse,
            verify_each: self.verify_each,
            ..passes::Options::default()
        }
    }
}

impl Level {
    /// As the compiler takes it.
    pub fn options(&self) -> Result<Options, Failure> {
        Ok(Options {
            level: self.level,
            passes: self.passes.get(),
            machine: self.machine.get()?,
            outline: outline::Options {
                batch: !self.no_batch_tables,
                ..outline::Options::default()
            },
            ..Options::default()
        })
    }
}

/// Where a module's arguments come from.
#[derive(Args)]
pub struct Values {
    /// Seed of the arguments that are made up.
    #[arg(long, default_value_t = 0, conflicts_with = "inputs")]
    seed: u64,
    /// Arguments: arrays arg0, arg1, ...
    #[arg(long, value_name = "FILE.npz")]
    inputs: Option<PathBuf>,
}

impl Values {
    /// The arguments of the entry computation.
    pub fn arguments(&self, compilation: &Compilation) -> Result<Vec<Literal>, Failure> {
        let module = &compilation.module;
        let Some(path) = &self.inputs else {
            return Ok(inputs::synthesise(module, &compilation.regions, self.seed));
        };
        let parameters: Vec<&Shape> = module
            .entry()
            .parameters
            .iter()
            .map(|&parameter| &*module.instructions[parameter].shape)
            .collect();
        Ok(npz::read_arguments(path, &parameters).map_err(Error::from)?)
    }
}

/// For people or for tools.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    Text,
    Json,
}

/// Writes to a file, or to standard output without one.
pub fn write(path: Option<&Path>, text: &str) -> Result<(), Failure> {
    match path {
        Some(path) => fs::write(path, text).map_err(|error| Failure::File(path.to_owned(), error)),
        None => Ok(io::stdout().lock().write_all(text.as_bytes())?),
    }
}

/// Writes a value as JSON.
pub fn write_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    serde_json::to_writer_pretty(&mut stdout, value).map_err(io::Error::from)?;
    Ok(stdout.write_all(b"\n")?)
}

/// A bar on a terminal, nothing elsewhere.
pub fn progress(length: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length as u64).with_style(style)
}
