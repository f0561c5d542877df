//! What XLA's parser is asked about: the HLO crate's own texts and, where there is one, a larger collection.
//!
//! `texts.jsonl` has a line for each text: its name, where it is from, the text, whether we accept it, our prints of it, and its
//! StableHLO or why it has none.

use std::io::{BufWriter, Read, Write};
use std::path::Path;

use hlo2dae_hlo::{PrintOptions, parse_module, stablehlo, verify};
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
    /// Our print in each form; none of a text that we refuse.
    prints: Option<Prints>,
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
    fn new(text: &str) -> Option<Stablehlo> {
        let module = parse_module(text).ok()?;
        Some(match stablehlo::print(verify(&module).ok()?) {
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
struct Prints {
    long: String,
    short: String,
    operand_shapes: String,
    no_layouts: String,
    elided: String,
}

impl Prints {
    fn new(text: &str) -> Option<Prints> {
        let module = parse_module(text).ok()?;
        let long = PrintOptions::long();
        let print = |options: PrintOptions| module.print(&options).to_string();
        Some(Prints {
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
        })
    }
}

/// Writes `texts.jsonl` into `folder`. `collection` is a folder of XLA's own texts.
pub fn write(folder: &Path, collection: Option<&Path>) -> Result<()> {
    let file = std::fs::File::create(folder.join("texts.jsonl")).into_diagnostic()?;
    let mut out = BufWriter::new(file);
    let mut line = |source: &str, name: &str, text: &str| -> Result<()> {
        let (prints, stablehlo) = (Prints::new(text), Stablehlo::new(text));
        let text = Text {
            source,
            name,
            text,
            prints,
            stablehlo,
        };
        serde_json::to_writer(&mut out, &text).into_diagnostic()?;
        out.write_all(b"\n").into_diagnostic()
    };
    let lists = snippets::LISTS.map(|(name, _)| (name, snippets::list(name)));
    let files = snippets::FOLDERS.map(|(name, _)| (name, snippets::files(name)));
    for (source, texts) in lists.into_iter().chain(files) {
        for snippet in texts.into_diagnostic()? {
            line(source, &snippet.name, &snippet.text)?;
        }
    }
    let Some(collection) = collection else {
        return out.flush().into_diagnostic();
    };
    for source in ["valid", "valid_big", "invalid"] {
        let mut paths: Vec<_> = std::fs::read_dir(collection.join("xla").join(source))
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
    out.flush().into_diagnostic()
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
