//! Modules with their regions cut out, as texts.
//!
//! Each `outlines/NAME.hlo` shows one thing that has to survive: control dependences, annotations, aliases, layouts, remains of fusions,
//! tuples, partitions, one region feeding another, several in one call, control flow. `NAME.calls.hlo` is what comes of it. That text is a valid
//! module, and every engine computes with it what the reference computes with the original; `python/test_rewritten.py` asks XLA.

use std::path::{Path, PathBuf};

use hlo2dae::compile::{Compilation, Ladder, Options, compile};
use hlo2dae::engine::Engine;
use hlo2dae::run;
use hlo2dae_backend::Machine;
use hlo2dae_frontend::outline;
use hlo2dae_hlo::{parse_module, verify};
use hlo2dae_integration::graphs::difference;
use hlo2dae_integration::{exchange, golden, workspace};
use hlo2dae_ir::passes::MAX_LEVEL;
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

/// The members of each call of a text.
fn members(text: &str, change: impl Fn(&mut outline::Options)) -> Result<Vec<usize>> {
    let mut options = Options::default();
    change(&mut options.outline);
    let calls = compile(text, &options)?.calls()?;
    Ok(calls.iter().map(|call| call.members.len()).collect())
}

#[test]
fn regions_that_are_ready_together_share_a_call() -> Result<()> {
    let text = workspace::read(&workspace::root().join("integration/outlines/batch.hlo"))?;
    assert_eq!(members(&text, |_| ())?, [3, 2]);
    assert_eq!(members(&text, |options| options.batch = false)?, [1; 5]);
    // Two regions of three arrays, but not three.
    assert_eq!(
        members(&text, |options| options.max_arrays = 6)?,
        [2, 1, 1, 1]
    );
    let bytes = 4 * (5 * 4 + 5 * 3);
    assert_eq!(
        members(&text, |options| options.max_result_bytes = bytes)?,
        [2, 1, 1, 1]
    );
    Ok(())
}

#[test]
fn the_bags_of_a_recommendation_model_are_one_call() -> Result<()> {
    for name in ["dlrm26_tf", "dlrm26_jax"] {
        let path = format!("integration/cases/{name}/00-input.hlo");
        let text = workspace::read(&workspace::root().join(path))?;
        assert_eq!(members(&text, |_| ())?, [26], "{name}");
        let mut options = Options::default();
        options.outline.batch = false;
        let apart = compile(&text, &options)?;
        let arguments = exchange::arguments(&apart.module)?;
        let expected = run::run(&apart, Some(Engine::Region), &options, &arguments)?;
        let together = compile(&text, &Options::default())?;
        for (engine, level) in [(Engine::Scf, 0), (Engine::Dlc, MAX_LEVEL)] {
            let options = Options {
                level,
                ..Options::default()
            };
            let found = run::run(&together, Some(engine), &options, &arguments)?;
            assert!(found == expected, "{name}, {engine} at O{level}");
        }
        // A machine runs one nest after the other, so that one with few resources takes as many as any.
        let machine: Machine = Machine::built_in("small").unwrap_or_default().parse()?;
        for call in together.calls()? {
            let options = Options {
                machine: machine.clone(),
                ..Options::default()
            };
            Ladder::lower(call.region.into())?
                .with(&options)?
                .artifact()?;
        }
    }
    Ok(())
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
