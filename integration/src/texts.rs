//! What XLA's parser is asked about: the HLO crate's own texts and, where there is one, a larger collection.
//!
//! `texts.jsonl` has a line for each text: its name, where it is from, the text, whether we accept it, and its StableHLO or why it
//! has none. `prints.jsonl` has one for each text that we accept, with our prints of it.

use std::io::{BufWriter, Read, Write};
use std::path::Path;

use hlo2dae_hlo::{Literal, Module, Payload, PrintOptions, Shape, parse_module, stablehlo, verify};
use miette::{IntoDiagnostic, Result, WrapErr, miette};
use serde::Serialize;

use crate::workspace;

#[path = "../../hlo/tests/text/snippets.rs"]
mod snippets;

#[derive(Serialize)]
struct Text<'t> {
    source: &'t str,
    name: &'t str,
    text: &'t str,
    accepted: bool,
    /// None of a text that does not verify.
    stablehlo: Option<Stablehlo>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Stablehlo {
    Text(String),
    /// What StableHLO cannot say: an opcode and a reason each.
    Refused(Vec<String>),
}

impl Stablehlo {
    fn new(module: &Module) -> Option<Stablehlo> {
        Some(match stablehlo::print(verify(module).ok()?) {
            Ok(text) => Stablehlo::Text(text),
            Err(errors) => {
                let reasons = errors.errors().iter();
                Stablehlo::Refused(
                    reasons
                        .map(|e| format!("{}: {}", e.opcode, e.reason))
                        .collect(),
                )
            }
        })
    }
}

#[derive(Serialize)]
struct Printed<'t> {
    source: &'t str,
    name: &'t str,
    text: &'t str,
    /// Elements of the largest constant.
    largest_constant: usize,
    /// Our print in each form.
    prints: Prints,
}

#[derive(Serialize)]
struct Prints {
    long: String,
    short: String,
    operand_shapes: String,
    no_layouts: String,
    elided: String,
}

impl Prints {
    fn new(module: &Module) -> Prints {
        let long = PrintOptions::long();
        let print = |options: PrintOptions| module.print(&options).to_string();
        Prints {
            short: print(PrintOptions::short()),
            operand_shapes: print(PrintOptions {
                operand_shapes: true,
                ..long.clone()
            }),
            no_layouts: print(PrintOptions {
                layouts: false,
                ..long.clone()
            }),
            elided: print(PrintOptions {
                large_constants: false,
                ..long.clone()
            }),
            long: print(long),
        }
    }
}

/// Elements of the largest constant.
fn largest_constant(module: &Module) -> usize {
    let constants = module.instructions.values().map(|i| &i.payload);
    let arrays = constants.flat_map(|payload| match payload {
        Payload::Constant(literal) => literal.leaves(),
        Payload::None | Payload::Parameter(_) => Vec::new(),
    });
    let counts = arrays.filter_map(|literal: &Literal| match literal.shape() {
        Shape::Array(array) => array.element_count(),
        Shape::Tuple(_) | Shape::Token | Shape::Opaque | Shape::Buffer(_) => None,
    });
    counts.max().unwrap_or(0)
}

/// Writes `texts.jsonl` and `prints.jsonl` into `folder`. `collection` is a folder of XLA's own texts.
pub fn write(folder: &Path, collection: Option<&Path>) -> Result<()> {
    let create = |name| std::fs::File::create(folder.join(name)).map(BufWriter::new);
    let mut texts = create("texts.jsonl").into_diagnostic()?;
    let mut prints = create("prints.jsonl").into_diagnostic()?;
    let mut line = |source: &str, name: &str, text: &str| -> Result<()> {
        let module = parse_module(text).ok();
        let entry = Text {
            source,
            name,
            text,
            accepted: module.is_some(),
            stablehlo: module.as_ref().and_then(Stablehlo::new),
        };
        put(&mut texts, &entry)?;
        let Some(module) = module else {
            return Ok(());
        };
        let entry = Printed {
            source,
            name,
            text,
            largest_constant: largest_constant(&module),
            prints: Prints::new(&module),
        };
        put(&mut prints, &entry)
    };
    let lists = snippets::LISTS.map(|(name, _)| (name, snippets::list(name)));
    let files = snippets::FOLDERS.map(|(name, _)| (name, snippets::files(name)));
    for (source, texts) in lists.into_iter().chain(files) {
        for snippet in texts.into_diagnostic()? {
            line(source, &snippet.name, &snippet.text)?;
        }
    }
    if let Some(collection) = collection {
        collected(collection, &mut line)?;
    }
    texts.flush().into_diagnostic()?;
    prints.flush().into_diagnostic()
}

/// Source, name and text of everything in the collection.
fn collected(
    collection: &Path,
    line: &mut impl FnMut(&str, &str, &str) -> Result<()>,
) -> Result<()> {
    let folders = ["xla/valid", "xla/valid_big", "xla/invalid", "models"];
    for (source, folder) in folders.map(|f| (f.trim_start_matches("xla/"), collection.join(f))) {
        let mut paths: Vec<_> = std::fs::read_dir(folder)
            .into_diagnostic()?
            .map(|entry| Ok(entry.into_diagnostic()?.path()))
            .collect::<Result<_>>()?;
        paths.retain(|path| {
            let name = path.to_string_lossy();
            name.ends_with(".hlo") || name.ends_with(".hlo.gz")
        });
        paths.sort();
        for path in paths {
            line(source, &workspace::display(&path), &read(&path)?)?;
        }
    }
    let broad = workspace::read(&collection.join("xla/broad/valid.jsonl"))?;
    for case in broad.lines() {
        let case: serde_json::Value = serde_json::from_str(case).into_diagnostic()?;
        let (Some(name), Some(text)) = (case["name"].as_str(), case["hlo_text"].as_str()) else {
            return Err(miette!("a line of broad/valid.jsonl has no name or text"));
        };
        line("broad", name, text)?;
    }
    Ok(())
}

/// Writes one line.
fn put(out: &mut impl Write, value: &impl Serialize) -> Result<()> {
    serde_json::to_writer(&mut *out, value).into_diagnostic()?;
    out.write_all(b"\n").into_diagnostic()
}

/// A text, unpacked if it is packed.
fn read(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path)
        .into_diagnostic()
        .wrap_err_with(|| workspace::display(path))?;
    if path.extension().is_none_or(|e| e != "gz") {
        return Ok(String::from_utf8_lossy(&bytes).into_owned());
    }
    let mut text = String::new();
    flate2::read::GzDecoder::new(&bytes[..])
        .read_to_string(&mut text)
        .into_diagnostic()?;
    Ok(text)
}
