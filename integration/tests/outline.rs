//! Modules with their regions cut out, as texts.
//!
//! Each `outlines/NAME.hlo` shows one thing that has to survive: control dependences, annotations, aliases, layouts, remains of fusions,
//! tuples, partitions, one region feeding another, control flow. `NAME.calls.hlo` is what comes of it. That text is a valid
//! module, and every engine computes with it what the reference computes with the original; `python/test_rewritten.py` asks XLA.

use std::path::{Path, PathBuf};

use hlo2dae::compile::{Compilation, Options, compile};
use hlo2dae::engine::Engine;
use hlo2dae::run;
use hlo2dae_hlo::{parse_module, verify};
use hlo2dae_integration::graphs::difference;
use hlo2dae_integration::{exchange, golden, workspace};
use miette::{Result, WrapErr};

const COMMAND: &str = "cargo test -p hlo2dae-integration --test outline";

fn each(check: impl Fn(&Path, &Compilation) -> Result<()>) -> Result<()> {
    for path in exchange::outlines()? {
        let name = || workspace::file_name(&path);
        let text = workspace::read(&path)?;
        let compilation = compile(&text, &Options::default()).wrap_err_with(name)?;
        check(&path, &compilation).wrap_err_with(name)?;
    }
    Ok(())
}

fn calls(path: &Path) -> PathBuf {
    path.with_extension("calls.hlo")
}

#[test]
fn every_text_becomes_its_calls() -> Result<()> {
    each(|path, compilation| {
        let text = compilation.outlined()?.to_string();
        golden::check(&calls(path), &text, COMMAND)?;
        verify(&parse_module(&text)?)?;
        Ok(())
    })
}

#[test]
fn every_engine_computes_with_calls_what_the_module_does() -> Result<()> {
    each(|_, compilation| {
        let mut header = compilation.module.attributes.iter();
        if header.any(|attribute| attribute.name == "num_partitions") {
            // One machine is not several.
            return Ok(());
        }
        let arguments = exchange::arguments(&compilation.module)?;
        let options = Options::default();
        let expected = run::run(compilation, None, &options, &arguments)?;
        let calls = compile(&compilation.outlined()?.to_string(), &options)?;
        let engines = Engine::ALL.iter().map(|&engine| (compilation, engine));
        // The text with calls is as good as the module that it was made from.
        for (compilation, engine) in engines.chain([(&calls, Engine::Scf)]) {
            let found = run::run(compilation, Some(engine), &options, &arguments)?;
            for (expected, found) in expected.iter().zip(&found) {
                let problem = difference(expected, found);
                miette::ensure!(problem.is_none(), "{engine}: {problem:?}");
            }
        }
        Ok(())
    })
}

#[test]
fn every_text_with_calls_has_an_original() -> Result<()> {
    let texts = exchange::outlines()?;
    for path in workspace::entries(&workspace::root().join("integration/outlines"))? {
        let known = texts
            .iter()
            .any(|text| *text == path || calls(text) == path);
        miette::ensure!(known, "{} belongs to nothing", workspace::file_name(&path));
    }
    Ok(())
}
