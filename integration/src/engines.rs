//! Every engine against the reference, and against the others.
//!
//! The facade's check holds each engine against the reference within a tolerance. Here more is asked for: the engines lower
//! one program step by step without changing the order of its operations, so among each other they agree in every bit, and
//! so do a machine whose queues hold one entry, on which the units wait for each other most, and one whose cores share
//! outermost loops. The exception is the native engine where it says that it reduces rows in an order of its own; the
//! tolerance is all that holds it there.

use std::num::{NonZeroU64, NonZeroUsize};

use hlo2dae::check::{Check, Sample, check as against_reference, sample};
use hlo2dae::compile::{Compilation, Compiled, Ladder};
use hlo2dae::engine::Engine;
use hlo2dae_backend::Machine;
use hlo2dae_backend::native::Plan;
use hlo2dae_hlo::Literal;
use hlo2dae_ir::core::Array;
use hlo2dae_ir::passes::{MAX_LEVEL, Options};
use hlo2dae_sim::{Config, Emulator, Schedule};
use miette::{Result, miette};

/// How many regions ran; an error unless every engine gives what it has to.
pub fn check(compilation: &Compilation, arguments: &[Literal]) -> Result<usize> {
    let samples = sample(compilation, arguments)?;
    let checks = against_reference(compilation, &samples, &Options::default(), |_, _, _| ());
    let wrong: Vec<String> = checks.iter().filter(|c| !c.ok).map(describe).collect();
    miette::ensure!(wrong.is_empty(), "{}", wrong.join("\n"));

    let mut ran = 0;
    for (compiled, sample) in compilation.regions.iter().zip(&samples) {
        if let Some(sample) = sample {
            check_agreement(compiled, sample)?;
            ran += 1;
        }
    }
    Ok(ran)
}

/// What is wrong with an engine's answer.
pub fn describe(check: &Check) -> String {
    let Check {
        region,
        engine,
        level,
        max_abs_error,
        max_rel_error,
        tolerance,
        problem,
        ..
    } = check;
    let problem = problem.as_deref().unwrap_or("too far from the reference");
    format!(
        "@{region}, engine {engine} at O{level}: {problem} (absolute {max_abs_error:e}, relative {max_rel_error:e}, allowed: {})",
        tolerance.name()
    )
}

/// An error unless all engines give the same bits.
fn check_agreement(compiled: &Compiled, sample: &Sample) -> Result<()> {
    let ladder = &compiled.ladder;
    let mut answers: Vec<(String, Vec<Array>)> = Vec::new();
    let reassociates = Plan::new(&ladder.dlc)?.reassociates();
    for level in 0..=MAX_LEVEL {
        let ladder = ladder.at(level, &Options::default())?;
        for engine in Engine::at(level) {
            if engine != Engine::Native || !reassociates {
                let name = format!("{engine} at O{level}");
                answers.push((name, engine.run(&ladder, &sample.inputs)?));
            }
        }
        let (outputs, _) = Emulator::new(&ladder.artifact()?, tight())?.run(&sample.inputs)?;
        let name = format!("emulator with queues of one entry at O{level}");
        answers.push((name, outputs));
    }
    let several = Ladder {
        machine: several_cores()?,
        ..ladder.clone()
    };
    let several = several.at(MAX_LEVEL, &Options::default())?;
    let outputs = Engine::Emulator.run(&several, &sample.inputs)?;
    answers.push((format!("emulator of {}", several.machine.name), outputs));
    for pair in answers.windows(2) {
        if let [(one, a), (other, b)] = pair {
            miette::ensure!(a == b, "@{}: {one} and {other} differ", ladder.name());
        }
    }
    Ok(())
}

/// A machine whose cores share outermost loops.
fn several_cores() -> Result<Machine> {
    let text = Machine::built_in("tmu8").ok_or_else(|| miette!("there is no such machine"))?;
    Ok(text.parse()?)
}

/// One place in every queue, turns of uneven length.
fn tight() -> Config {
    Config {
        tokens: NonZeroUsize::MIN,
        chunks: NonZeroUsize::MIN,
        chunk_bytes: NonZeroU64::MIN,
        schedule: Schedule::Shuffled(1),
        ..Config::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hlo2dae::compile::compile;

    const BAG: &str = "HloModule bag
add {
  x = f32[] parameter(0)
  y = f32[] parameter(1)
  ROOT sum = f32[] add(x, y)
}
ENTRY main {
  table = f32[2,2] parameter(0)
  ids = s32[2,3] parameter(1)
  rows = f32[2,3,2] gather(table, ids), offset_dims={2}, collapsed_slice_dims={0}, start_index_map={0}, index_vector_dim=2, slice_sizes={1,2}
  zero = f32[] constant(0)
  ROOT bags = f32[2,2] reduce(rows, zero), dimensions={1}, to_apply=add
}
";

    #[test]
    fn every_engine_pools_a_bag() {
        let compilation = compile(BAG, &Default::default()).unwrap();
        let arguments = [
            Literal::from_elements([2, 2], &[1.0f32, 2.0, 3.0, 4.0]).unwrap(),
            Literal::from_elements([2, 3], &[0i32, 5, -1, 1, 1, 0]).unwrap(),
        ];
        assert_eq!(check(&compilation, &arguments).unwrap(), 1);
        let samples = sample(&compilation, &arguments).unwrap();
        let expected = Array::from_elements(&[2, 2], &[5.0f32, 8.0, 7.0, 10.0]).unwrap();
        assert_eq!(samples[0].as_ref().unwrap().outputs, [expected]);
    }
}
