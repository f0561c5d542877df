//! The reference evaluator: a module's value, computed instruction by instruction.
//!
//! Semantics are XLA's. Where XLA leaves a choice, this evaluator is deterministic:
//!
//! - Every instruction's value is rounded to its element type. `f16`, `bf16` and the narrower
//!   floats compute in `f32` and round once an instruction.
//! - Reductions, windows and dots of floats accumulate in at least `f32` and round at the end.
//!   Sums over a `reduce` run in `f64`, so that the value is the one that every order of summation
//!   approximates.
//! - Updates of a `scatter` apply in row-major order of the updates: with an overwriting combiner
//!   the last one wins.
//! - Integers wrap. Division by zero gives all ones, the remainder by zero the dividend.
//!   Shifts by the width or more give 0 (or the sign). Conversions from float saturate, NaN becomes
//!   0. Powers wrap for every exponent.
//! - Denormal numbers are numbers like others; threads that XLA starts on a CPU take them for zeros.
//! - The initial value of a reduction takes part once, neutral or not; padding of a window does not.
//! - A value whose shape has dynamic dimensions has its sizes as dimensions.
//! - One partition and one replica: collectives over a single participant are identities, over
//!   more they are unsupported.
//!
//! Who evaluates an opcode, or why none does:
//!
//! | opcodes | evaluated by |
//! |---|---|
//! | `parameter`, `constant`, `tuple`, `get-tuple-element`, `call`, `fusion`, `while`, `conditional`, `async-start` | the machine |
//! | `abs` to `tanh`, `add` to `xor`, `compare`, `select`, `clamp`, `convert`, `copy`, `reduce-precision`, `stochastic-convert` (to integers: to floats it has no definition) | `elementwise`, over `domain` and `kernel` |
//! | `bitcast`, `bitcast-convert`, `broadcast`, `concatenate`, `dynamic-reshape`, `dynamic-slice`, `dynamic-update-slice`, `get-dimension-size`, `iota`, `pad`, `reshape`, `reverse`, `set-dimension-size`, `slice`, `transpose` | `movement` |
//! | `gather`, `scatter` | `indexed` |
//! | `map`, `reduce` | `reduce` |
//! | `reduce-window`, `select-and-scatter` | `window` |
//! | `scan` | `scan` |
//! | `sort`, `topk` | `sort` |
//! | `dot`, `scaled-dot` | `dot` |
//! | `ragged-dot`, `ragged-all-to-all` | `ragged` |
//! | `convolution` | `convolution` |
//! | `cholesky`, `triangular-solve` | `linalg` |
//! | `fft` | `fft` |
//! | `batch-norm-grad`, `batch-norm-inference`, `batch-norm-training` | `batch_norm` |
//! | `rng`, `rng-bit-generator`, `rng-get-and-update-state` | `random` |
//! | `add-dependency`, `after-all`, `async-done`, `async-update`, `copy-done`, `copy-start`, `domain`, `opt-barrier`, `outfeed` (its operand is what the observer sees) | `passing` |
//! | `all-gather`, `all-reduce`, `all-to-all`, `collective-broadcast`, `collective-permute`, `reduce-scatter`, their starts and ends, `partition-id`, `replica-id` | `passing`, for a single participant |
//! | `custom-call` | the observer, or `custom_call` for the targets listed there |
//! | `infeed`, `recv`, `recv-done`, `send`, `send-done` | nobody: an evaluation has neither host nor other devices |
//!
//! The machine keeps its own stack, so that nesting in the module never becomes nesting of calls
//! here, and drops a value after its last use, so that an update of a value that nobody else
//! holds happens in place.

mod array;
mod batch_norm;
mod combine;
mod context;
mod convolution;
mod custom_call;
mod domain;
mod dot;
mod elementwise;
mod error;
mod fft;
mod indexed;
mod kernel;
mod limits;
mod linalg;
mod machine;
mod movement;
mod onednn;
mod operation;
mod passing;
mod program;
mod ragged;
mod random;
mod reduce;
mod scan;
mod sort;
mod strided;
mod window;

pub use error::{EvalError, Limit};

use crate::literal::Literal;
use crate::module::{ComputationId, Instruction, InstructionId, Module};
use crate::shape::PrimitiveType;

/// How much an evaluation may take before it ends with [`EvalError::Limit`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvalOptions {
    /// Bytes of values that are alive at the same time, shared values counted once.
    pub live_bytes: u64,
    /// Elements computed or moved, summed over all instructions (a dot counts its multiplications).
    pub element_operations: u64,
    /// Instructions executed, those of every loop iteration counted again.
    pub instructions: u64,
    /// Calls, fusions, loops and branches inside one another.
    pub call_depth: u64,
    /// Tuples inside one another.
    pub tuple_depth: u64,
}

impl Default for EvalOptions {
    fn default() -> Self {
        EvalOptions {
            live_bytes: 16 << 30,
            element_operations: 1 << 40,
            instructions: 100_000_000,
            call_depth: 10_000,
            tuple_depth: 100,
        }
    }
}

/// The evaluation's surroundings: is told the value of every instruction as soon as it is known, and
/// may know custom calls that the evaluator does not.
pub trait Observer {
    /// `instruction` has `value`. `call_path` lists the `call`, `fusion`, `while`, `conditional`
    /// and `async-start` instructions through which its computation was entered, outermost first;
    /// it is empty in the entry. In a loop the same instruction is reported in every iteration.
    ///
    /// The computations that `reduce`, `scatter`, `sort`, `map`, `scan` and their kin apply are not reported.
    fn value(&mut self, call_path: &[InstructionId], instruction: InstructionId, value: &Literal);

    /// The value of a `custom-call`, or why it has none; `None` leaves it to the evaluator, which knows the pure
    /// ones that frameworks leave in modules.
    fn custom_call(
        &mut self,
        instruction: &Instruction,
        operands: &[Literal],
    ) -> Option<Result<Literal, String>> {
        let _ = (instruction, operands);
        None
    }
}

/// Observes nothing.
impl Observer for () {
    fn value(&mut self, _: &[InstructionId], _: InstructionId, _: &Literal) {}
}

impl<F: FnMut(&[InstructionId], InstructionId, &Literal)> Observer for F {
    fn value(&mut self, call_path: &[InstructionId], instruction: InstructionId, value: &Literal) {
        self(call_path, instruction, value);
    }
}

/// The value of `module`'s entry computation for `arguments`, one for each parameter.
pub fn evaluate(
    module: &Module,
    arguments: &[Literal],
    options: &EvalOptions,
    observer: &mut dyn Observer,
) -> Result<Literal, EvalError> {
    evaluate_computation(module, module.entry, arguments, options, observer)
}

/// The value of any computation of `module`; otherwise as [`evaluate`].
pub fn evaluate_computation(
    module: &Module,
    computation: ComputationId,
    arguments: &[Literal],
    options: &EvalOptions,
    observer: &mut dyn Observer,
) -> Result<Literal, EvalError> {
    machine::run(module, computation, arguments, options, observer)
}

/// The elements of a real, integer or `pred` array as `f64`.
pub(crate) fn widen(element: PrimitiveType, bytes: &[u8]) -> Option<Vec<f64>> {
    if element.is_complex() {
        return None;
    }
    let convert = elementwise::convert(element, PrimitiveType::F64).ok()?;
    let mut wide = vec![0; bytes.len() / element.bytes() * 8];
    convert(&[bytes], &mut wide);
    Some(crate::literal::Native::read(&wide))
}
