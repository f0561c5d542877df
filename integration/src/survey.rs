//! What is found in a model, against what whoever wrote the model says is there.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use hlo2dae::Error;
use hlo2dae::compile::Compilation;
use hlo2dae_frontend::{Match, ValueRef};
use hlo2dae_hlo::eval::EvalError;
use hlo2dae_hlo::{ComputationId, Literal, Module};
use miette::{Result, WrapErr, miette};

use crate::case::{Case, ExpectedRegion, INPUT};
use crate::engines;
use crate::fill::{self, Fill};
use crate::stage;

/// A model with what is known about it.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its name.
    pub name: String,
    /// HLO text.
    pub text: String,
    /// One description for each parameter of the entry computation.
    pub arguments: Vec<Fill>,
    /// The embedding operations in it.
    pub expected: Vec<ExpectedRegion>,
    /// `computation/instruction` of gathers and scatters that are no embedding operations.
    pub decoys: Vec<String>,
}

/// What was found in a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// For each name of an operation, how many there are and how many of them are covered by regions.
    pub operations: BTreeMap<String, (u64, u64)>,
    /// Regions, covering expected operations or others.
    pub regions: usize,
    /// Regions of computations that the model never enters with these arguments, so that no engine ran them.
    pub idle: usize,
    /// The reference cannot run the model, so that no engine was held against it.
    pub not_run: bool,
}

impl Tally {
    /// Counts another model's operations too.
    pub fn add(&mut self, other: &Tally) {
        for (kind, (expected, found)) in &other.operations {
            let sum = self.operations.entry(kind.clone()).or_default();
            *sum = (sum.0 + expected, sum.1 + found);
        }
        self.regions += other.regions;
        self.idle += other.idle;
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} regions", self.regions)?;
        for (kind, (expected, found)) in &self.operations {
            write!(f, ", {kind} {found}/{expected}")?;
        }
        if self.idle > 0 {
            write!(f, ", {} idle", self.idle)?;
        }
        if self.not_run {
            f.write_str(", not run")?;
        }
        Ok(())
    }
}

impl Subject {
    /// A case folder as a subject, if it says what is to be found.
    pub fn from_case(case: &Case) -> Result<Option<Subject>> {
        let Some(expected) = &case.spec.expect else {
            return Ok(None);
        };
        Ok(Some(Subject {
            name: case.name.clone(),
            text: case.text(INPUT)?,
            arguments: case
                .spec
                .arguments
                .iter()
                .map(|argument| argument.fill.clone())
                .collect(),
            expected: expected.regions.clone(),
            decoys: Vec::new(),
        }))
    }

    /// Reads, prints, searches and runs the model; errors are what must never happen, the tally what was found.
    pub fn survey(&self) -> Result<Tally> {
        let compilation = stage::compiled(&self.text)?;
        self.reprint(&compilation.module)?;
        covered_once(&compilation)?;
        let arguments = self.literals(&compilation.module)?;
        let mut tally = self.tally(&compilation);
        match engines::check(&compilation, &arguments) {
            Ok(ran) => tally.idle = tally.regions.saturating_sub(ran),
            // A model for several machines has no value on one.
            Err(error) => match error.downcast_ref::<Error>() {
                Some(Error::Reference(EvalError::Unsupported { .. })) => tally.not_run = true,
                _ => return Err(error),
            },
        }
        Ok(tally)
    }

    /// The print is read back as a module with the same print.
    fn reprint(&self, module: &Module) -> Result<()> {
        let text = module.to_string();
        let again = stage::module(&text).wrap_err("what is printed is not read back")?;
        miette::ensure!(again.to_string() == text, "the print of the print differs");
        Ok(())
    }

    fn literals(&self, module: &Module) -> Result<Vec<Literal>> {
        let parameters = &module.entry().parameters;
        miette::ensure!(
            parameters.len() == self.arguments.len(),
            "{} parameters, {} descriptions",
            parameters.len(),
            self.arguments.len()
        );
        let both = parameters.iter().zip(&self.arguments);
        both.enumerate()
            .map(|(number, (&parameter, fill))| {
                let shape = module.instructions[parameter]
                    .array()
                    .ok_or_else(|| miette!("parameter {number} is not an array"))?;
                fill::literal(fill, shape, 1, number as u64)
            })
            .collect()
    }

    /// An operation counts as found when every place at which its accesses are reached lies in a region.
    fn tally(&self, compilation: &Compilation) -> Tally {
        let mut places: HashMap<String, u64> = HashMap::new();
        for value in compilation.regions.iter().flat_map(|r| &r.found.accesses) {
            *places
                .entry(compilation.module.path(value.instruction))
                .or_default() += 1;
        }
        let mut tally = Tally {
            regions: compilation.regions.len(),
            ..Tally::default()
        };
        for region in &self.expected {
            let found = region.access.iter().all(|access| {
                places
                    .get(&access.path)
                    .is_some_and(|&n| n >= access.places)
            });
            let counts = tally.operations.entry(region.kind.clone()).or_default();
            counts.0 += region.count;
            counts.1 += if found { region.count } else { 0 };
        }
        if !self.decoys.is_empty() {
            let taken = self
                .decoys
                .iter()
                .filter(|decoy| places.contains_key(*decoy))
                .count();
            tally.operations.insert(
                "decoy".to_string(),
                (self.decoys.len() as u64, taken as u64),
            );
        }
        tally
    }
}

/// No two regions share a name, no access is covered by two regions, and every candidate is either covered or a miss, not both.
fn covered_once(compilation: &Compilation) -> Result<()> {
    let module = &compilation.module;
    let mut names = BTreeSet::new();
    let mut covered: BTreeSet<(ComputationId, &ValueRef)> = BTreeSet::new();
    for Match {
        region,
        computation,
        accesses,
        ..
    } in compilation.regions.iter().map(|r| &r.found)
    {
        miette::ensure!(
            names.insert(&region.name),
            "two regions are called @{}",
            region.name
        );
        for access in accesses {
            miette::ensure!(
                covered.insert((*computation, access)),
                "{} is in @{} and in another region",
                module.path(access.instruction),
                region.name
            );
        }
    }
    for miss in &compilation.misses {
        miette::ensure!(
            !covered.contains(&(miss.computation, &miss.value)),
            "{} is in a region and is a miss",
            module.path(miss.value.instruction)
        );
    }
    Ok(())
}
