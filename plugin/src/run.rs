//! Runs a whole module: the reference evaluator does what XLA would, an engine does the regions.
//!
//! The module is rewritten first, as it would be for a framework: each region becomes a custom call that carries its
//! program's text. The evaluator hands these calls over, and the text is compiled and run.

use hashbrown::HashMap;
use hlo2dae_frontend::CUSTOM_CALL_TARGET;
use hlo2dae_hlo::eval::{EvalOptions, Observer, evaluate};
use hlo2dae_hlo::{ArrayShape, AttributeValue, Instruction, InstructionId, Literal, PrimitiveType};
use hlo2dae_ir::core::{Array, ElementType};

use hlo2dae_sim::Stats;
use serde::Serialize;

use crate::check::to_array;
use crate::compile::{Compilation, Ladder, Options};
use crate::engine::{Engine, emulate};
use crate::error::Error;
use crate::status::Status;

/// What a run gave.
#[derive(Clone, Debug)]
pub struct Ran {
    /// The module's results: the array, or the parts of the tuple.
    pub outputs: Vec<Literal>,
    /// What the emulator counted, if it ran: one entry for each program, in the order in which they were first called.
    pub counts: Vec<Counts>,
}

/// What the emulator counted, over all calls of one program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Name of the program.
    pub region: String,
    /// How often it was called.
    pub calls: u64,
    /// The sums of the counts.
    #[serde(flatten)]
    pub stats: Stats,
}

/// The module's results: the array, or the parts of the tuple. Regions run at the level and for the machine of `options`; without an
/// engine the reference runs everything.
pub fn run(
    compilation: &Compilation,
    engine: Option<Engine>,
    options: &Options,
    arguments: &[Literal],
) -> Result<Vec<Literal>, Error> {
    Ok(run_counted(compilation, engine, options, arguments)?.outputs)
}

/// As [`run`], with what the emulator counts.
pub fn run_counted(
    compilation: &Compilation,
    engine: Option<Engine>,
    options: &Options,
    arguments: &[Literal],
) -> Result<Ran, Error> {
    let limits = EvalOptions::default();
    let mut counts = Vec::new();
    let result = match engine {
        None => evaluate(&compilation.module, arguments, &limits, &mut ())?,
        Some(engine) => {
            let mut calls = CustomCalls {
                engine,
                options,
                programs: HashMap::new(),
                counts: Vec::new(),
            };
            let module = match engine {
                // What it counts is told of each region.
                Engine::Emulator => compilation.outlined_apart()?,
                Engine::Region | Engine::Scf | Engine::Slc | Engine::Dlc | Engine::Native => {
                    compilation.outlined()?
                }
            };
            let result = evaluate(&module, arguments, &limits, &mut calls)?;
            counts = calls.counts;
            result
        }
    };
    let outputs = match result {
        Literal::Tuple(parts) => parts,
        other => vec![other],
    };
    Ok(Ran { outputs, counts })
}

/// Answers the custom calls of a rewritten module.
struct CustomCalls<'o> {
    engine: Engine,
    options: &'o Options,
    /// By their text: a loop makes the same call again and again.
    programs: HashMap<String, Program>,
    /// Of each program that was emulated.
    counts: Vec<Counts>,
}

struct Program {
    ladder: Ladder,
    /// Its place among the counts.
    counted: Option<usize>,
}

impl Observer for CustomCalls<'_> {
    fn value(&mut self, _: &[InstructionId], _: InstructionId, _: &Literal) {}

    fn custom_call(
        &mut self,
        instruction: &Instruction,
        operands: &[Literal],
    ) -> Option<Result<Literal, String>> {
        let ours = AttributeValue::Text(CUSTOM_CALL_TARGET.into());
        (instruction.attribute("custom_call_target") == Some(&ours)).then(|| {
            self.answer(instruction, operands)
                .map_err(|error| Status::of(error, "").message)
        })
    }
}

impl CustomCalls<'_> {
    fn answer(
        &mut self,
        instruction: &Instruction,
        operands: &[Literal],
    ) -> Result<Literal, Error> {
        let text = program_text(instruction).ok_or_else(|| Error::Unknown {
            what: "attribute",
            name: "program".into(),
            help: "the custom call carries its program as backend_config={program = \"...\"}"
                .into(),
        })?;
        let program = match self.programs.entry(text) {
            hashbrown::hash_map::Entry::Occupied(known) => known.into_mut(),
            hashbrown::hash_map::Entry::Vacant(new) => {
                let ladder = Ladder::parse(new.key())?;
                new.insert(Program {
                    ladder: ladder.with(self.options)?,
                    counted: None,
                })
            }
        };
        let inputs = operands
            .iter()
            .map(to_array)
            .collect::<Result<Vec<_>, _>>()?;
        let outputs = if self.engine == Engine::Emulator {
            let (outputs, stats) = emulate(&program.ladder, &inputs)?;
            count(&mut self.counts, program, stats);
            outputs
        } else {
            self.engine.run(&program.ladder, &inputs)?
        };
        let mut outputs: Vec<Literal> = outputs.into_iter().map(to_literal).collect();
        Ok(match (outputs.len(), outputs.pop()) {
            (1, Some(output)) => output,
            (_, last) => Literal::Tuple(outputs.into_iter().chain(last).collect()),
        })
    }
}

/// Adds what a call of a program was counted to do.
fn count(counts: &mut Vec<Counts>, program: &mut Program, stats: Stats) {
    match program.counted.and_then(|place| counts.get_mut(place)) {
        Some(known) => {
            known.calls += 1;
            known.stats.add(&stats);
        }
        None => {
            program.counted = Some(counts.len());
            counts.push(Counts {
                region: program.ladder.name().to_owned(),
                calls: 1,
                stats,
            });
        }
    }
}

/// The string `program` of the call's `backend_config={program = "..."}`, unescaped.
fn program_text(instruction: &Instruction) -> Option<String> {
    let Some(AttributeValue::Text(config)) = instruction.attribute("backend_config") else {
        return None;
    };
    let value = config
        .trim()
        .strip_prefix('{')?
        .trim_start()
        .strip_prefix("program")?;
    let quoted = value
        .trim_start()
        .strip_prefix('=')?
        .trim_start()
        .strip_prefix('"')?;
    let mut text = String::new();
    let mut characters = quoted.chars();
    loop {
        match characters.next()? {
            '"' => return Some(text),
            '\\' => match characters.next()? {
                'n' => text.push('\n'),
                other => text.push(other),
            },
            other => text.push(other),
        }
    }
}

/// An array of the IRs as a literal.
pub fn to_literal(array: Array) -> Literal {
    let element = match array.element {
        ElementType::Bool => Some(PrimitiveType::Pred),
        other => PrimitiveType::from_name(other.name()),
    };
    // Every element type of the IRs but `bool` has HLO's name.
    let element = element.unwrap_or(PrimitiveType::Pred);
    let dims: Vec<i64> = array.dims.iter().map(|&dim| dim as i64).collect();
    Literal::Array {
        shape: ArrayShape::new(element, dims),
        data: array.data.into(),
    }
}
