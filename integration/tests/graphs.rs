//! Random modules ([`hlo2dae_integration::graphs`]) through every engine, and through XLA.
//!
//! XLA runs each module as it is, and some of them with their regions cut out, calling the library; the reference evaluator and every
//! engine run all of them here, as they are and with their regions cut out. All have to agree, to the bit where nothing is rounded. The numbers of the graphs are printed: one that fails is made again with
//! `HLO2DAE_GRAPHS=FIRST..END`, which also asks for more of them than the few that are run otherwise. Of the first few that fail the text
//! is printed, cut after the operation with which they begin to fail.
#![allow(
    clippy::print_stdout,
    reason = "the numbers are what a failure is repeated with"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use hlo2dae::compile::{Compilation, Options, compile};
use hlo2dae::engine::Engine;
use hlo2dae::{npz, run};
use hlo2dae_hlo::Literal;
use hlo2dae_integration::graphs::{Graph, MAX_STEPS, difference, module};
use hlo2dae_integration::{python, workspace};
use hlo2dae_ir::passes::MAX_LEVEL;
use miette::{IntoDiagnostic, Result, WrapErr, miette};

/// The graphs that are run unless others are asked for.
const NUMBERS: Range<u64> = 0..200;

/// Graphs in one module.
const BATCH: usize = 20;

/// XLA runs one of so many modules with calls, which costs as much time as to run another one as it is.
const WITH_CALLS: usize = 4;

/// Longest run of XLA on one module.
const LIMIT: Duration = Duration::from_secs(60);

/// `target/tmp`, which cargo keeps for tests; its parent is the build folder.
const SCRATCH: &str = env!("CARGO_TARGET_TMPDIR");

/// Graphs that one run of XLA is given.
const ROUND: usize = 400;

/// Graphs that are made smaller when they fail.
const SHRUNK: usize = 3;

/// Several graphs as one module.
struct Batch {
    graphs: Vec<Graph>,
    arguments: Vec<Literal>,
    compilation: Compilation,
    folder: PathBuf,
    /// Whether XLA runs it with calls too.
    with_calls: bool,
}

/// What somebody computes differently.
struct Problem {
    number: u64,
    sentence: String,
}

impl Batch {
    /// Writes what XLA needs.
    fn write(
        graphs: Vec<Graph>,
        folder: PathBuf,
        with_calls: bool,
        is_batched: bool,
    ) -> Result<Batch> {
        let text = module("random", &graphs);
        std::fs::create_dir_all(&folder).into_diagnostic()?;
        std::fs::write(folder.join("module.hlo"), &text).into_diagnostic()?;
        let place = || folder.display().to_string();
        // What the graphs of a module have in common is nothing: together, they are as many regions as fit into one call.
        let mut options = Options::default();
        options.outline.batch = is_batched;
        let compilation = compile(&text, &options).wrap_err_with(place)?;
        let arguments: Vec<Literal> = graphs
            .iter()
            .map(Graph::arguments)
            .collect::<Result<Vec<_>>>()?
            .concat();
        if with_calls {
            let rewritten = compilation.outlined().wrap_err_with(place)?.to_string();
            std::fs::write(folder.join("rewritten.hlo"), rewritten).into_diagnostic()?;
        }
        let named = (0..).map(|number| format!("arg{number}"));
        npz::write(&folder.join("inputs.npz"), named.zip(&arguments))?;
        Ok(Batch {
            graphs,
            arguments,
            compilation,
            folder,
            with_calls,
        })
    }

    /// What is wrong, for every graph on which somebody disagrees with the reference.
    fn check(&self) -> Result<Vec<Problem>> {
        let place = || self.folder.display().to_string();
        let (compilation, arguments) = (&self.compilation, &self.arguments);
        let expected =
            run::run(compilation, None, &Options::default(), arguments).wrap_err_with(place)?;
        let mut wrong = Vec::new();
        for level in [0, MAX_LEVEL] {
            let options = Options {
                level,
                ..Options::default()
            };
            for engine in Engine::at(level) {
                let who = format!("{engine} at O{level}");
                let found = run::run(compilation, Some(engine), &options, arguments)
                    .wrap_err_with(|| format!("{who}, {}", place()))?;
                self.compare(&who, &expected, &found, &mut wrong);
            }
        }
        let texts = [
            ("module.npz", "XLA", true),
            ("rewritten.npz", "XLA with calls", self.with_calls),
        ];
        for (file, who, _) in texts.into_iter().filter(|(.., ran)| *ran) {
            let found = npz::read_results(&self.folder.join(file), &expected)?;
            self.compare(who, &expected, &found, &mut wrong);
        }
        Ok(wrong)
    }

    fn compare(
        &self,
        who: &str,
        expected: &[Literal],
        found: &[Literal],
        wrong: &mut Vec<Problem>,
    ) {
        let mut pairs = expected.iter().zip(found);
        for graph in &self.graphs {
            for (_, name) in &graph.results {
                let problem = match pairs.next() {
                    Some((expected, found)) => difference(expected, found),
                    None => Some("no such result".to_owned()),
                };
                if let Some(problem) = problem {
                    wrong.push(Problem {
                        number: graph.number,
                        sentence: format!("{who}: {name} {problem}"),
                    });
                }
            }
        }
    }
}

/// What became of the candidates.
#[derive(Default)]
struct Tally {
    graphs: usize,
    /// Graphs with a region.
    with_regions: usize,
    kinds: BTreeMap<String, usize>,
    refused: BTreeMap<String, usize>,
}

impl Tally {
    fn add(&mut self, batch: &Batch) {
        let module = &batch.compilation.module;
        // What a graph has is called after its number.
        let graph = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
        let mut with_regions = BTreeSet::new();
        for compiled in &batch.compilation.regions {
            let found = &compiled.found;
            *self.kinds.entry(found.kind.name().to_owned()).or_default() += 1;
            with_regions.extend(
                found
                    .accesses
                    .iter()
                    .map(|access| graph(&module.instructions[access.instruction].name)),
            );
        }
        for miss in &batch.compilation.misses {
            *self.refused.entry(miss.reason.to_string()).or_default() += 1;
        }
        self.graphs += batch.graphs.len();
        self.with_regions += with_regions.len();
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = |counts: &BTreeMap<String, usize>| counts.values().sum::<usize>();
        writeln!(
            f,
            "{} graphs, {} with a region",
            self.graphs, self.with_regions
        )?;
        for (what, counts) in [
            ("regions", &self.kinds),
            ("refused candidates", &self.refused),
        ] {
            writeln!(f, "{} {what}", total(counts))?;
            for (name, count) in counts {
                writeln!(f, "{count:8} {name}")?;
            }
        }
        Ok(())
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

/// Runs batches in XLA, which takes them from the folder that they were written to.
fn run_in_xla(folder: &Path, batches: usize) -> Result<()> {
    let scratch = Path::new(SCRATCH);
    let interpreter = python::environment(scratch.parent().unwrap_or(scratch))?;
    let root = workspace::root();
    let packages = [root.join("plugin/python"), root.join("integration/python")];
    let output = python::run(
        Command::new(interpreter)
            .arg(root.join("integration/python/graphs.py"))
            .arg(folder)
            .env(
                "PYTHONPATH",
                std::env::join_paths(packages).into_diagnostic()?,
            )
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("HLO2DAE_LIBRARY", workspace::library()?),
        LIMIT.saturating_mul(u32::try_from(batches).unwrap_or(u32::MAX)),
    )?;
    python::expect_success(&output, "graphs.py fails")
}

/// What is wrong with modules of these graphs. XLA runs one of `with_calls` modules with calls.
fn check(
    modules: Vec<Vec<Graph>>,
    with_calls: usize,
    folder: &Path,
    tally: &mut Tally,
) -> Result<Vec<Vec<Problem>>> {
    if folder.exists() {
        std::fs::remove_dir_all(folder).into_diagnostic()?;
    }
    let modules = modules.into_iter().enumerate();
    let batches = modules
        .map(|(at, graphs)| {
            let folder = folder.join(format!("{at:04}"));
            let is_batched = (at / with_calls).is_multiple_of(2);
            Batch::write(graphs, folder, at.is_multiple_of(with_calls), is_batched)
        })
        .collect::<Result<Vec<_>>>()?;
    run_in_xla(folder, batches.len())?;
    batches.iter().for_each(|batch| tally.add(batch));
    batches.iter().map(Batch::check).collect()
}

/// The text of a graph that fails, with as few operations as it takes.
fn shrunk(number: u64, folder: &Path) -> Result<String> {
    let whole = Graph::new(number);
    let mut begun: Vec<Graph> = Vec::new();
    for steps in 1..=MAX_STEPS {
        let graph = Graph::begun(number, steps);
        let (is_new, is_whole) = (
            !begun.last().is_some_and(|last| graph.is_same(last)),
            graph.is_same(&whole),
        );
        // A step may give nothing.
        begun.extend(is_new.then_some(graph));
        if is_whole {
            break;
        }
    }
    let modules = begun.iter().map(|graph| vec![graph.clone()]).collect();
    let problems = check(modules, 1, folder, &mut Tally::default())?;
    let first = begun
        .iter()
        .zip(&problems)
        .find(|(_, problems)| !problems.is_empty());
    let Some((graph, problems)) = first else {
        return Ok(format!("graph {number} is right by itself"));
    };
    let sentences: Vec<&str> = problems.iter().map(|p| &*p.sentence).collect();
    let text = module("random", std::slice::from_ref(graph));
    Ok(format!("graph {number}\n{}\n{text}", sentences.join("\n")))
}

/// Runs all graphs; what is wrong.
fn run_all() -> Result<Vec<String>> {
    let numbers = numbers()?;
    println!("graphs {}..{}", numbers.start, numbers.end);
    let folder = Path::new(SCRATCH).join(format!("graphs-{}", numbers.start));
    let mut tally = Tally::default();
    let mut problems = Vec::new();
    let all: Vec<u64> = numbers.collect();
    for round in all.chunks(ROUND) {
        let modules = round.chunks(BATCH);
        let modules = modules.map(|chunk| chunk.iter().copied().map(Graph::new).collect());
        problems.extend(
            check(modules.collect(), WITH_CALLS, &folder, &mut tally)?
                .into_iter()
                .flatten(),
        );
        println!("{} graphs, {} problems", tally.graphs, problems.len());
        if !problems.is_empty() {
            break;
        }
    }
    print!("{tally}");
    let mut failing: Vec<u64> = problems.iter().map(|problem| problem.number).collect();
    failing.sort_unstable();
    failing.dedup();
    let shrunk = failing
        .iter()
        .take(SHRUNK)
        .map(|&number| shrunk(number, &folder.with_extension("shrunk")));
    let shrunk = shrunk.collect::<Result<Vec<_>>>()?;
    let listed = problems
        .iter()
        .map(|problem| format!("graph {}, {}", problem.number, problem.sentence));
    miette::ensure!(
        tally.graphs < BATCH || tally.with_regions * 2 > tally.graphs,
        "hardly a graph has a region"
    );
    Ok(listed.chain(shrunk).collect())
}

#[test]
fn random_graphs_agree_with_xla() {
    match run_all() {
        Ok(wrong) => assert!(wrong.is_empty(), "graphs differ\n{}", wrong.join("\n")),
        Err(error) => panic!("{error:?}"),
    }
}
