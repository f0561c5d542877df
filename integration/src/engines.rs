//! Every engine against the reference, and against the others.
//!
//! The reference runs the model and says what goes into and what comes out of every region. Each engine runs the region on
//! the same inputs. It may be as far from the reference as [`compare::tolerance`] says. The engines lower one program step by
//! step without changing the order of its operations, so among each other they agree in every bit.

use hlo2dae_frontend::Match;
use hlo2dae_hlo::{Literal, Module};
use hlo2dae_ir::core::{Array, Ir, Limits};
use hlo2dae_ir::region::Region;
use miette::{Report, Result, WrapErr, miette};

use crate::case::Tolerance;
use crate::compare::{self, Difference};
use crate::instance::{Instance, instances};

/// Something that runs a region.
pub struct Engine {
    /// Its name.
    pub name: &'static str,
    /// The outputs of a region for these inputs.
    pub run: fn(&Region, &[Array]) -> Result<Vec<Array>>,
}

/// All engines but the reference, in the order of the pipeline.
pub const ENGINES: &[Engine] = &[Engine {
    name: "region",
    run: |region, inputs| run(region, inputs),
}];

fn run<I: Ir>(program: &I, inputs: &[Array]) -> Result<Vec<Array>> {
    program
        .evaluate(inputs, &Limits::default())
        .map_err(|error| Report::new(error).with_source_code(program.to_string()))
}

/// What one engine made of one region.
pub struct Check {
    /// The region's name.
    pub region: String,
    /// The engine's name.
    pub engine: &'static str,
    /// How far it may be from the reference.
    pub tolerance: Tolerance,
    /// How far each output is from the reference.
    pub differences: Vec<Difference>,
}

impl Check {
    /// Whether the tolerance allows what was found.
    pub fn ok(&self) -> bool {
        self.differences
            .iter()
            .all(|difference| difference.within(self.tolerance))
    }
}

/// Runs all engines on all regions that the model enters.
pub fn checks(module: &Module, matches: &[Match], arguments: &[Literal]) -> Result<Vec<Check>> {
    let instances = instances(module, matches, arguments)?;
    let mut checks = Vec::new();
    for (found, instance) in matches.iter().zip(&instances) {
        if let Some(instance) = instance {
            checks.extend(region_checks(&found.region, instance)?);
        }
    }
    Ok(checks)
}

fn region_checks(region: &Region, instance: &Instance) -> Result<Vec<Check>> {
    let mut first: Option<(&'static str, Vec<Array>)> = None;
    let mut checks = Vec::new();
    for engine in ENGINES {
        let outputs = (engine.run)(region, &instance.inputs)
            .wrap_err_with(|| format!("@{}: engine {} fails", region.name, engine.name))?;
        miette::ensure!(
            outputs.len() == instance.outputs.len(),
            "@{}: engine {} gives {} outputs for {}",
            region.name,
            engine.name,
            outputs.len(),
            instance.outputs.len()
        );
        checks.push(Check {
            region: region.name.clone(),
            engine: engine.name,
            tolerance: compare::tolerance(region),
            differences: instance
                .outputs
                .iter()
                .zip(&outputs)
                .map(|(expected, actual)| compare::difference(expected, actual))
                .collect(),
        });
        match &first {
            None => first = Some((engine.name, outputs)),
            Some((name, earlier)) => miette::ensure!(
                earlier
                    .iter()
                    .zip(&outputs)
                    .all(|(a, b)| compare::difference(a, b) == Difference::None),
                "@{}: engines {name} and {} differ",
                region.name,
                engine.name
            ),
        }
    }
    Ok(checks)
}

/// An error unless every engine is as close to the reference as it has to be.
pub fn check(module: &Module, matches: &[Match], arguments: &[Literal]) -> Result<()> {
    let failed: Vec<String> = checks(module, matches, arguments)?
        .iter()
        .filter(|check| !check.ok())
        .map(|check| {
            let differences: Vec<String> = check
                .differences
                .iter()
                .map(Difference::to_string)
                .collect();
            let Check {
                region,
                engine,
                tolerance,
                ..
            } = check;
            format!(
                "@{region}, {engine}: {}, allowed: {tolerance:?}",
                differences.join(", ")
            )
        })
        .collect();
    if failed.is_empty() {
        Ok(())
    } else {
        Err(miette!("{}", failed.join("\n")))
    }
}
