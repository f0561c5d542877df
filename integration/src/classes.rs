//! The classes of embedding operations, each as loops and as a program written by hand, and what the levels make of the loops.

use std::fmt::Write as _;

use hlo2dae_backend::{Machine, compile};
use hlo2dae_ir::core::{Array, Ir, Role};
use hlo2dae_ir::lower::{scf_to_slc, slc_to_dlc};
use hlo2dae_ir::passes::{MAX_LEVEL, Options, optimise};
use hlo2dae_ir::scf;
use hlo2dae_sim::{Config, Emulator, Stats};
use miette::{IntoDiagnostic, Result};

/// A class and the sizes of its program in `handwritten/`.
#[derive(Clone, Copy, Debug)]
pub struct Class {
    /// Name of the files, without extension, and of the programs.
    pub name: &'static str,
    /// The loops.
    pub loops: &'static str,
    /// Bags, vertices, triples or blocks.
    pub outer: u64,
    /// Look-ups in all of them together.
    pub lookups: u64,
    /// Elements of a row.
    pub row: u64,
}

macro_rules! classes {
    ($($name:literal $outer:literal $lookups:literal $row:literal,)*) => {
        /// All of them.
        pub const CLASSES: &[Class] = &[$(Class {
            name: $name,
            loops: include_str!(concat!("../handwritten/", $name, ".scf")),
            outer: $outer,
            lookups: $lookups,
            row: $row,
        },)*];
    };
}

classes! {
    "block_gather" 6 24 16,
    "embedding_bag" 8 40 20,
    "knowledge_graph" 24 24 20,
    "message_passing" 16 48 24,
    "spmm" 16 48 24,
    "weighted_embedding_bag" 8 40 20,
}

/// What the machine counts when it runs a class at a level.
#[derive(Clone, Debug)]
pub struct Counts {
    /// Everything.
    pub stats: Stats,
    /// Instructions with which the execute unit stored outputs.
    pub output_stores: u64,
    /// Elements that the access unit wrote to outputs.
    pub written: u64,
}

/// Runs a class at a level on the default machine, with these inputs.
pub fn counts(class: &Class, level: u8, inputs: &[Array]) -> Result<Counts> {
    Ok(run(class, level, &Machine::default(), inputs)?.1)
}

/// Runs a class at a level on a machine, with these inputs: its outputs, and what is counted.
pub fn run(
    class: &Class,
    level: u8,
    machine: &Machine,
    inputs: &[Array],
) -> Result<(Vec<Array>, Counts)> {
    let loops: scf::Func = class.loops.parse()?;
    let options = Options {
        resources: machine.resources(),
        ..Options::default()
    };
    let streams = optimise(level, &scf_to_slc(&loops)?, &options)?;
    let program = slc_to_dlc(&streams)?;
    let artifact = compile(&program, machine)?;
    let (results, stats) = Emulator::new(&artifact, Config::of(machine))?.run(inputs)?;
    let outputs = program.buffers().values().zip(&stats.buffers);
    let outputs = outputs.filter(|(buffer, _)| matches!(buffer.role, Role::Output(_)));
    let (mut output_stores, mut written) = (0, 0);
    for (_, counts) in outputs {
        output_stores += counts.stores;
        written += counts.written;
    }
    let counts = Counts {
        stats,
        output_stores,
        written,
    };
    Ok((results, counts))
}

/// For each class and level, what a look-up takes; `inputs` makes a class's inputs.
pub fn table(inputs: impl Fn(&Class) -> Result<Vec<Array>>) -> Result<String> {
    let mut out = String::from(
        "a look-up                level    tokens  operands     bytes  elements     lines    stores\n",
    );
    for class in CLASSES {
        let inputs = inputs(class)?;
        for level in 0..=MAX_LEVEL {
            let Counts {
                stats,
                output_stores,
                ..
            } = counts(class, level, &inputs)?;
            let _ = write!(out, "{:<24} O{level}   ", class.name);
            for count in [
                stats.tokens,
                stats.operands,
                stats.operand_bytes,
                stats.access_requests(),
                stats.access_lines(),
                output_stores,
            ] {
                let _ = write!(out, " {:>9.2}", count as f64 / class.lookups as f64);
            }
            out.push('\n');
        }
    }
    Ok(out)
}

/// Inputs for a class: lists of rows that exist, in order where they are places in a list, and floats that differ.
pub fn inputs(class: &Class) -> Result<Vec<Array>> {
    let loops: scf::Func = class.loops.parse()?;
    let mut arrays = Vec::new();
    for buffer in loops.buffers.values().filter(|b| b.role == Role::Input) {
        let elements: u64 = buffer.dims.iter().product();
        let array = match (buffer.element.is_float(), buffer.name.as_str()) {
            (true, _) => {
                let values: Vec<f32> = (0..elements)
                    .map(|n| (n * 37 % 101) as f32 / 64.0 - 0.5)
                    .collect();
                Array::from_elements(&buffer.dims, &values)
            }
            (false, "offsets" | "pointers") => {
                // Bags of different length, from empty to twice the mean.
                let last = elements.saturating_sub(1).max(1);
                let values: Vec<i32> = (0..elements)
                    .map(|n| (class.lookups * (n - n % 2 * (n % last).min(1)) / last) as i32)
                    .collect();
                Array::from_elements(&buffer.dims, &values)
            }
            (false, _) => {
                let values: Vec<i32> = (0..elements).map(|n| (n * 5 % 8) as i32).collect();
                Array::from_elements(&buffer.dims, &values)
            }
        };
        arrays.push(array.into_diagnostic()?);
    }
    Ok(arrays)
}
