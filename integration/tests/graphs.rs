//! Random modules ([`hlo2dae_integration::graphs`]) through every engine, and through XLA.
//!
//! XLA runs each module as it is and with its regions cut out, calling the library; the reference evaluator and every engine run it
//! here. All have to agree, to the bit where nothing is rounded. The numbers of the graphs are printed: one that fails is made again with
//! `HLO2DAE_GRAPHS=FIRST..END`, which also asks for more of them than the few that are run otherwise.
#![allow(
    clippy::print_stdout,
    reason = "the numbers are what a failure is repeated with"
)]

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use hlo2dae::compile::{Compilation, Options, compile};
use hlo2dae::engine::Engine;
use hlo2dae::{npz, run};
use hlo2dae_hlo::Literal;
use hlo2dae_integration::graphs::{Graph, difference, module};
use hlo2dae_integration::{python, workspace};
use miette::{IntoDiagnostic, Result, WrapErr, miette};

/// The graphs that are run unless others are asked for.
const NUMBERS: Range<u64> = 0..200;

/// Graphs in one module.
const BATCH: usize = 20;

/// Longest run of XLA on one module.
const LIMIT: Duration = Duration::from_secs(60);

/// `target/tmp`, which cargo keeps for tests; its parent is the build folder.
const SCRATCH: &str = env!("CARGO_TARGET_TMPDIR");

/// Several graphs as one module.
struct Batch {
    graphs: Vec<Graph>,
    arguments: Vec<Literal>,
    compilation: Compilation,
    folder: PathBuf,
}

impl Batch {
    /// Makes the graphs and writes what XLA needs.
    fn write(numbers: Vec<u64>, folder: PathBuf) -> Result<Batch> {
        let graphs: Vec<Graph> = numbers.into_iter().map(Graph::new).collect();
        let text = module("random", &graphs);
        let compilation = compile(&text, &Options::default())?;
        let arguments: Vec<Literal> = graphs
            .iter()
            .map(Graph::arguments)
            .collect::<Result<Vec<_>>>()?
            .concat();
        std::fs::create_dir_all(&folder).into_diagnostic()?;
        std::fs::write(folder.join("module.hlo"), &text).into_diagnostic()?;
        let rewritten = compilation.outlined()?.to_string();
        std::fs::write(folder.join("rewritten.hlo"), rewritten).into_diagnostic()?;
        let named = (0..).map(|number| format!("arg{number}"));
        npz::write(&folder.join("inputs.npz"), named.zip(&arguments))?;
        Ok(Batch {
            graphs,
            arguments,
            compilation,
            folder,
        })
    }

    /// What is wrong, for every graph on which somebody disagrees with the reference.
    fn check(&self) -> Result<Vec<String>> {
        let expected = run::run(&self.compilation, None, &self.arguments)?;
        let mut wrong = Vec::new();
        for &engine in Engine::ALL {
            let found = run::run(&self.compilation, Some(engine), &self.arguments)
                .wrap_err_with(|| format!("engine {engine}, {}", self.folder.display()))?;
            self.compare(engine.name(), &expected, &found, &mut wrong);
        }
        for (file, who) in [("module.npz", "XLA"), ("rewritten.npz", "XLA with calls")] {
            let found = npz::read_results(&self.folder.join(file), &expected)?;
            self.compare(who, &expected, &found, &mut wrong);
        }
        Ok(wrong)
    }

    fn compare(&self, who: &str, expected: &[Literal], found: &[Literal], wrong: &mut Vec<String>) {
        let mut pairs = expected.iter().zip(found);
        for graph in &self.graphs {
            for (_, name) in &graph.results {
                let problem = match pairs.next() {
                    Some((expected, found)) => difference(expected, found),
                    None => Some("no such result".to_owned()),
                };
                if let Some(problem) = problem {
                    let text = module("random", std::slice::from_ref(graph));
                    let number = graph.number;
                    wrong.push(format!("graph {number}, {who}: {name} {problem}\n{text}"));
                }
            }
        }
    }
}

/// The numbers that the environment asks for.
fn numbers() -> Result<Range<u64>> {
    let Ok(asked) = std::env::var("HLO2DAE_GRAPHS") else {
        return Ok(NUMBERS);
    };
    let malformed = || miette!("HLO2DAE_GRAPHS is `{asked}`, expected FIRST..END");
    let (first, end) = asked.split_once("..").ok_or_else(malformed)?;
    let number = |text: &str| text.parse().map_err(|_| malformed());
    Ok(number(first)?..number(end)?)
}

/// Runs all batches; the text of what is wrong.
fn run_all() -> Result<Vec<String>> {
    let numbers = numbers()?;
    println!("graphs {}..{}", numbers.start, numbers.end);
    let scratch = Path::new(SCRATCH);
    let interpreter = python::environment(scratch.parent().unwrap_or(scratch))?;
    let folder = scratch.join("graphs");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).into_diagnostic()?;
    }
    let all: Vec<u64> = numbers.collect();
    let batches = all
        .chunks(BATCH)
        .map(|chunk| Batch::write(chunk.to_vec(), folder.join(format!("{:06}", chunk[0]))))
        .collect::<Result<Vec<_>>>()?;
    let root = workspace::root();
    let packages = [root.join("plugin/python"), root.join("integration/python")];
    let limit = LIMIT.saturating_mul(u32::try_from(batches.len()).unwrap_or(u32::MAX));
    let output = python::run(
        Command::new(interpreter)
            .arg(root.join("integration/python/graphs.py"))
            .arg(&folder)
            .env("PYTHONPATH", std::env::join_paths(packages).into_diagnostic()?)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("HLO2DAE_LIBRARY", workspace::library()?),
        limit,
    )?;
    python::expect_success(&output, "graphs.py fails")?;
    let wrong = batches.iter().map(Batch::check).collect::<Result<Vec<_>>>()?;
    let regions: usize = batches.iter().map(|batch| batch.compilation.regions.len()).sum();
    println!("{} graphs, {regions} regions", all.len());
    miette::ensure!(regions * 2 > all.len(), "hardly a region in {} graphs", all.len());
    Ok(wrong.concat())
}

#[test]
fn random_graphs_agree_with_xla() {
    match run_all() {
        Ok(wrong) => assert!(wrong.is_empty(), "{} differ\n{}", wrong.len(), wrong.join("\n")),
        Err(error) => panic!("{error:?}"),
    }
}
