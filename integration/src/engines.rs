//! Every engine against the reference, and against the others.
//!
//! The reference runs the model and says what goes into and what comes out of every region. Each engine runs the region on
//! the same inputs. It may be as far from the reference as [`compare::tolerance`] says. The engines lower one program step by
//! step without changing the order of its operations, so among each other they agree in every bit.

use std::fmt;
use std::num::NonZeroUsize;

use hlo2dae_backend::Artifact;
use hlo2dae_frontend::Match;
use hlo2dae_hlo::{Literal, Module};
use hlo2dae_ir::core::{Array, Ir, Limits};
use hlo2dae_ir::lower::{region_to_scf, scf_to_slc, slc_to_dlc};
use hlo2dae_ir::region::{self, Region};
use hlo2dae_ir::{dlc, scf, slc};
use hlo2dae_sim::{Config, Emulator, Schedule};
use miette::{Diagnostic, Report, Result, WrapErr};

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
pub const ENGINES: &[Engine] = &[
    Engine {
        name: region::Region::NAME,
        run: |region, inputs| run(region, inputs),
    },
    Engine {
        name: scf::Func::NAME,
        run: |region, inputs| run(&to_scf(region)?, inputs),
    },
    Engine {
        name: slc::Func::NAME,
        run: |region, inputs| run(&to_slc(region)?, inputs),
    },
    Engine {
        name: dlc::Program::NAME,
        run: |region, inputs| run(&to_dlc(region)?, inputs),
    },
    Engine {
        name: "emulator",
        run: |region, inputs| emulate(&artifact(region)?, inputs, Config::default()),
    },
    Engine {
        name: "emulator_tight",
        run: |region, inputs| emulate(&artifact(region)?, inputs, tight()),
    },
];

fn run<I: Ir>(program: &I, inputs: &[Array]) -> Result<Vec<Array>> {
    program
        .evaluate(inputs, &Limits::default())
        .map_err(|error| Report::new(error).with_source_code(program.to_string()))
}

fn to_scf(region: &Region) -> Result<scf::Func> {
    lowered(region, region_to_scf)
}

fn to_slc(region: &Region) -> Result<slc::Func> {
    lowered(&to_scf(region)?, scf_to_slc)
}

fn to_dlc(region: &Region) -> Result<dlc::Program> {
    lowered(&to_slc(region)?, slc_to_dlc)
}

fn artifact(region: &Region) -> Result<Artifact> {
    lowered(&to_dlc(region)?, hlo2dae_backend::compile)
}

fn emulate(artifact: &Artifact, inputs: &[Array], config: Config) -> Result<Vec<Array>> {
    let (outputs, _) = Emulator::new(artifact, config)?.run(inputs)?;
    Ok(outputs)
}

/// The machine on which units wait for each other most: one place in every queue, turns of uneven length.
fn tight() -> Config {
    Config {
        control_capacity: NonZeroUsize::MIN,
        data_capacity: NonZeroUsize::MIN,
        schedule: Schedule::Shuffled(1),
        ..Config::default()
    }
}

/// A program, lowered; errors show the text of what was lowered.
pub fn lowered<From: Ir, To, E>(program: &From, lower: fn(&From) -> Result<To, E>) -> Result<To>
where
    E: Diagnostic + Send + Sync + 'static,
{
    lower(program)
        .map_err(|error| Report::new(error).with_source_code(program.to_string()))
        .wrap_err_with(|| format!("{} @{} is not lowered", From::NAME, program.name()))
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

    /// The result in a word: `equal` to the reference, `within` the tolerance, or `wrong`.
    pub fn verdict(&self) -> &'static str {
        if self.differences.iter().all(|d| *d == Difference::None) {
            "equal"
        } else if self.ok() {
            "within"
        } else {
            "wrong"
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let differences: Vec<String> = self.differences.iter().map(Difference::to_string).collect();
        let differences = differences.join(", ");
        let Check {
            region,
            engine,
            tolerance,
            ..
        } = self;
        write!(
            f,
            "@{region}, {engine}: {differences}, allowed: {tolerance}"
        )
    }
}

/// Runs all engines on all regions: for each region a check for each engine, none where the model never enters the region.
pub fn checks(
    module: &Module,
    matches: &[Match],
    arguments: &[Literal],
) -> Result<Vec<Vec<Check>>> {
    let instances = instances(module, matches, arguments)?;
    matches
        .iter()
        .zip(&instances)
        .map(|(found, instance)| match instance {
            Some(instance) => region_checks(&found.region, instance),
            None => Ok(Vec::new()),
        })
        .collect()
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

/// How many regions ran; an error unless every engine is as close to the reference as it has to be.
pub fn check(module: &Module, matches: &[Match], arguments: &[Literal]) -> Result<usize> {
    let checks = checks(module, matches, arguments)?;
    let failed: Vec<String> = checks
        .iter()
        .flatten()
        .filter(|check| !check.ok())
        .map(Check::to_string)
        .collect();
    miette::ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(checks.iter().filter(|checks| !checks.is_empty()).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGION: &str = "region @bag {
  input %table: f32[2]
  input %ids: s32[3]
  output %out: f32[1] = 0.0
  nest (%b = 1, %l = 3) {
    %id = read %ids[%l]
    %row = index %id {clamp 0..1}
    %x = read %table[%row]
    combine add %out[%b], %x
  }
}
";

    fn verdicts(output: f32) -> Vec<&'static str> {
        let region: Region = REGION.parse().unwrap();
        let instance = Instance {
            inputs: vec![
                Array::from_elements(&[2], &[1.0f32, 2.0]).unwrap(),
                Array::from_elements(&[3], &[0i32, 5, -1]).unwrap(),
            ],
            outputs: vec![Array::from_elements(&[1], &[output]).unwrap()],
        };
        let checks = region_checks(&region, &instance).unwrap();
        checks.iter().map(Check::verdict).collect()
    }

    #[test]
    fn every_engine_computes_a_bag() {
        assert_eq!(verdicts(4.0), vec!["equal"; ENGINES.len()]);
    }

    #[test]
    fn every_engine_is_held_against_the_reference() {
        assert_eq!(verdicts(4.000001), vec!["within"; ENGINES.len()]);
        assert_eq!(verdicts(4.1), vec!["wrong"; ENGINES.len()]);
    }
}
