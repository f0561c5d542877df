//! What a region's buffers hold while the model that it comes from runs.

use std::collections::HashMap;

use hlo2dae_frontend::{Match, ValueRef};
use hlo2dae_hlo::eval::{EvalOptions, evaluate};
use hlo2dae_hlo::{InstructionId, Literal, Module};
use hlo2dae_ir::core::{Array, Buffer, Role};
use miette::{Result, WrapErr, miette};

/// The buffers of one region in one execution.
#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    /// What the input buffers take, in the order of the declarations.
    pub inputs: Vec<Array>,
    /// What the output buffers have to hold in the end.
    pub outputs: Vec<Array>,
}

/// Runs the model and takes down what the regions' buffers stand for: one instance for each region, `None` for one whose
/// computation is never entered. Of a region in a loop, the first iteration counts.
pub fn instances(
    module: &Module,
    matches: &[Match],
    arguments: &[Literal],
) -> Result<Vec<Option<Instance>>> {
    let mut watch = Watch::new(module, matches);
    evaluate(
        module,
        arguments,
        &EvalOptions::default(),
        &mut |path: &[InstructionId], instruction: InstructionId, value: &Literal| {
            watch.value(path, instruction, value);
        },
    )
    .wrap_err("the reference does not run")?;
    let seen = watch.seen;
    matches
        .iter()
        .zip(seen)
        .map(|(found, seen)| seen.map(|seen| instance(found, seen)).transpose())
        .collect()
}

/// The values that one region wants, and where they are to be seen.
struct Wanted<'a> {
    region: usize,
    output: bool,
    number: usize,
    call_path: &'a [InstructionId],
}

/// The values of one region seen so far.
struct Seen {
    /// The calls and loops through which the region's computation was entered.
    prefix: Vec<InstructionId>,
    inputs: Vec<Option<Literal>>,
    outputs: Vec<Option<Literal>>,
}

struct Watch<'a> {
    module: &'a Module,
    matches: &'a [Match],
    wanted: HashMap<InstructionId, Vec<Wanted<'a>>>,
    seen: Vec<Option<Seen>>,
}

impl<'a> Watch<'a> {
    fn new(module: &'a Module, matches: &'a [Match]) -> Watch<'a> {
        let mut wanted: HashMap<InstructionId, Vec<Wanted<'a>>> = HashMap::new();
        for (region, found) in matches.iter().enumerate() {
            for (output, values) in [(false, &found.inputs), (true, &found.outputs)] {
                for (number, value) in values.iter().enumerate() {
                    let ValueRef {
                        call_path,
                        instruction,
                    } = value;
                    wanted.entry(*instruction).or_default().push(Wanted {
                        region,
                        output,
                        number,
                        call_path,
                    });
                }
            }
        }
        Watch {
            module,
            matches,
            wanted,
            seen: matches.iter().map(|_| None).collect(),
        }
    }

    fn value(&mut self, path: &[InstructionId], instruction: InstructionId, value: &Literal) {
        for wanted in self.wanted.get(&instruction).into_iter().flatten() {
            let found = &self.matches[wanted.region];
            let Some(prefix) = path.strip_suffix(wanted.call_path) else {
                continue;
            };
            let enters = match prefix.last() {
                None => found.computation == self.module.entry,
                Some(&caller) => self.module.instructions[caller]
                    .called_computations()
                    .any(|called| called == found.computation),
            };
            if !enters {
                continue;
            }
            let seen = self.seen[wanted.region].get_or_insert_with(|| Seen {
                prefix: prefix.to_vec(),
                inputs: vec![None; found.inputs.len()],
                outputs: vec![None; found.outputs.len()],
            });
            if seen.prefix == prefix {
                let slots = match wanted.output {
                    false => &mut seen.inputs,
                    true => &mut seen.outputs,
                };
                slots[wanted.number].get_or_insert_with(|| value.clone());
            }
        }
    }
}

fn instance(found: &Match, seen: Seen) -> Result<Instance> {
    let buffers = |output: bool| {
        let buffers = found.region.buffers.values();
        buffers.filter(move |buffer| match buffer.role {
            Role::Input => !output,
            Role::Output(_) => output,
            Role::Temp(_) => false,
        })
    };
    let arrays = |output: bool, values: Vec<Option<Literal>>| -> Result<Vec<Array>> {
        let count = buffers(output).count();
        if count != values.len() {
            return Err(miette!(
                "@{}: {count} buffers, {} values",
                found.region.name,
                values.len()
            ));
        }
        buffers(output)
            .zip(values)
            .map(|(buffer, value)| array(buffer, value.as_ref()))
            .collect()
    };
    Ok(Instance {
        inputs: arrays(false, seen.inputs)?,
        outputs: arrays(true, seen.outputs)?,
    })
}

/// The value as what the buffer is declared to hold. Both are row-major, so dimensions of one may be joined or split in the
/// other.
fn array(buffer: &Buffer, value: Option<&Literal>) -> Result<Array> {
    let value = value
        .ok_or_else(|| miette!("%{} stands for a value that is never computed", buffer.name))?;
    let (shape, data) = value
        .as_array()
        .ok_or_else(|| miette!("%{} stands for something that is no array", buffer.name))?;
    if shape.element.name() != hlo_name(buffer) {
        return Err(miette!(
            "%{} holds {}, the value is of {}",
            buffer.name,
            buffer.element,
            shape.element
        ));
    }
    Array::from_bytes(buffer.element, &buffer.dims, data.to_vec())
        .map_err(|error| miette!("%{}: {error}", buffer.name))
}

/// HLO's spelling of a buffer's element type.
fn hlo_name(buffer: &Buffer) -> &'static str {
    match buffer.element.name() {
        "bool" => "pred",
        name => name,
    }
}
