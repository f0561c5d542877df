//! A module as StableHLO text, which TensorFlow (`xla_call_module`) and JAX (`jax.export`) take back.
//!
//! The entry becomes `func.func public @main`, whose arguments and results are the leaves of the entry's parameters and
//! result: tuples are flattened everywhere. Computations that instructions call by name become private functions;
//! computations that are part of an instruction (a reducer, a comparator, a branch, a loop's body) become its regions, or
//! regions that call a function where the same text would stand too often or too deep. What nobody can call is left out.
//!
//! | opcode | StableHLO |
//! |---|---|
//! | elementwise ones (`add`, `exponential`, `compare`, `select`, `clamp`, `convert`, `bitcast-convert`, ...) | the operation of that name; operands of another floating-point type than the result are converted |
//! | `acos`, `acosh`, `asin`, `asinh`, `atanh`, `cosh`, `erf`, `sinh` | `chlo`'s operation of that name |
//! | `constant` | `constant` for each leaf, see the module `constant` |
//! | `broadcast` | `broadcast_in_dim` |
//! | `iota`, `reshape`, `transpose`, `slice`, `pad`, `concatenate`, `reverse`, `dynamic-slice`, `dynamic-update-slice`, `dynamic-reshape`, `get-dimension-size`, `set-dimension-size` | the operation of that name; a vector of start indices is taken apart |
//! | `bitcast` | `transpose`, `bitcast_convert` and `reshape`, as far as the two layouts need them; without tiles |
//! | `gather`, `scatter`, `reduce`, `reduce-window`, `select-and-scatter`, `sort`, `map`, `while` | the operation of that name with regions |
//! | `conditional` | `if` on a truth value, `case` on a number |
//! | `call`, `fusion` | `func.call`; a composite call is `composite` |
//! | `dot` | `dot_general` |
//! | `ragged-dot`, `topk` | `chlo.ragged_dot`, `chlo.top_k`; the smallest are found in the reversed order |
//! | `convolution`, `fft`, `cholesky`, `triangular-solve`, `batch-norm-*`, `rng`, `rng-bit-generator`, `reduce-precision` | the operation of that name |
//! | `custom-call` | `custom_call`, see the module `custom_call` |
//! | `all-gather`, `all-reduce`, `all-to-all` of an array, `collective-broadcast`, `collective-permute`, `reduce-scatter`, `partition-id`, `replica-id` | the operation of that name |
//! | `after-all`, `infeed`, `outfeed`, `opt-barrier` | the operation of that name |
//! | `send`, `recv` | the operation of that name; `send-done` and `recv-done` take its results |
//! | `*-start`, `async-start` | the whole operation; `*-done` takes its result, `async-update` hands it on |
//! | `copy-start`, `copy`, `domain` | nothing: the value itself |
//! | `add-dependency` | `optimization_barrier` of value and token |
//! | `tuple`, `get-tuple-element` | nothing: tuples are flattened |
//! | `parameter` | an argument of the function or the region |
//! | `mulhi`, `ragged-all-to-all`, `rng-get-and-update-state`, `scaled-dot`, `scan`, `stochastic-convert` | an error |
//!
//! | attribute | StableHLO |
//! |---|---|
//! | `sharding` | `mhlo.sharding`, of the entry's arguments and results too |
//! | `frontend_attributes` | `mhlo.frontend_attributes` |
//! | `input_output_alias`, `buffer_donor` | `tf.aliasing_output`, `jax.buffer_donor` of an argument |
//! | `replica_count`, `num_partitions` | `mhlo.num_replicas`, `mhlo.num_partitions` |
//! | `metadata`, `origin`, `statistics`, `control-predecessors`, `backend_config` of anything but a call, layouts of anything but a call or a bitcast | nothing: they do not change values |
//!
//! Everything that StableHLO cannot express is an error that names the instruction; all of them are found.

mod attributes;
mod constant;
mod custom_call;
mod error;
mod exchange;
mod function;
mod linear;
mod movement;
mod operation;
mod region;
mod text;

pub use error::{Reason, StablehloError, StablehloErrors};

use crate::verify::Verified;
use function::Printer;

/// The module as StableHLO text.
///
/// ```
/// let module = hlo2dae_hlo::parse_module("ENTRY e {\n  x = f32[4] parameter(0)\n  ROOT y = f32[4] negate(x)\n}")?;
/// let text = hlo2dae_hlo::stablehlo::print(hlo2dae_hlo::verify(&module)?)?;
/// assert!(text.contains("%y = \"stablehlo.negate\"(%x) : (tensor<4xf32>) -> tensor<4xf32>"));
/// # Ok::<(), miette::Report>(())
/// ```
pub fn print(module: Verified<'_>) -> Result<String, StablehloErrors> {
    let mut printer = Printer::new(module.module());
    printer.functions();
    if !printer.errors.is_empty() {
        return Err(StablehloErrors::new(printer.errors));
    }
    let head = attributes::module_head(module.module());
    Ok(format!("{head} {{\n{}}}\n", printer.out))
}
