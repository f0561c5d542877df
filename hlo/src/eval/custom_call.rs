//! The pure custom calls that frameworks leave in modules, and those that XLA's compiler for the CPU
//! puts there.
//!
//! | target | value |
//! |---|---|
//! | annotations (`Sharding`, `xla.sdy.*`, ...) | the operand, where its shape stays the same |
//! | `TopK` | the largest values along the last dimension and their positions |
//! | `cpu_csr_sparse_dense_ffi` | a sparse matrix (values, row offsets, columns) times a dense one |
//! | `cu_threefry2x32_ffi` | Threefry: two keys and two counters, element by element |
//! | `__onednn$matmul`, `__onednn$softmax`, `__onednn$layernorm` | see the module `onednn` |
//!
//! Every other target is refused by its name, unless the observer knows it.

use super::array::{Array, size};
use super::error::{Fault, Outcome};
use super::operation::Operation;
use super::{machine, onednn, passing, random, sort};
use crate::literal::{Literal, Native};
use crate::shape::{PrimitiveType, Shape};

/// Targets that say something about their operand and hand it on.
const ANNOTATIONS: &[&str] = &[
    "Sharding",
    "ShardBarrierFrom",
    "ShardBarrierTo",
    "SPMDFullToShardShape",
    "SPMDShardToFullShape",
    "LayoutConstraint",
    "annotate_device_placement",
    "MoveToDevice",
    "MoveToHost",
    "xla.sdy.FuncResultSharding",
    "xla.sdy.GlobalToLocalShape",
    "xla.sdy.LocalToGlobalShape",
];

/// `custom-call`.
pub(super) fn custom_call(op: &mut Operation<'_, '_>) -> Outcome<Literal> {
    let target = op.word("custom_call_target").unwrap_or_default();
    match target {
        _ if ANNOTATIONS.contains(&target) => {
            let value = passing::identity(op)?;
            if machine::has_shape(&value, &op.instruction.shape) {
                Ok(value)
            } else {
                Err(Fault::unsupported(format!(
                    "{target} over several partitions"
                )))
            }
        }
        "TopK" => {
            let [operand] = op.exactly()?;
            let k = match &*op.instruction.shape {
                Shape::Tuple(parts) => parts
                    .first()
                    .and_then(|part| part.as_array()?.dims.last().copied())
                    .ok_or_else(|| Fault::malformed("the result is no tuple of arrays"))?,
                _ => return Err(Fault::malformed("the result is no tuple of arrays")),
            };
            let k = size("k", k)?;
            let results = sort::top(op, &operand, k, true)?;
            op.tupled(results)
        }
        "cu_threefry2x32_ffi" => threefry(op),
        "__onednn$matmul" => onednn::matmul(op),
        "__onednn$softmax" => onednn::softmax(op),
        "__onednn$layernorm" => onednn::layer_norm(op),
        "cpu_csr_sparse_dense_ffi" => Ok(csr_dense(op)?.into_literal()),
        _ => Err(Fault::unsupported(format!("the custom call {target:?}"))),
    }
}

/// Both keys and both counters, arrays of equal dimensions, to two words each.
fn threefry(op: &mut Operation<'_, '_>) -> Outcome<Literal> {
    let words = op.exactly::<4>()?;
    let dims = words[0].dims.clone();
    let same = |word: &Array| word.element == PrimitiveType::U32 && word.dims == dims;
    if !words.iter().all(same) {
        return Err(Fault::malformed(
            "expected four u32 arrays of equal dimensions",
        ));
    }
    op.context.meter.work(words[0].count())?;
    op.context
        .meter
        .scratch(words[0].count().saturating_mul(24))?;
    let [key0, key1, counter0, counter1] = words.map(|word| u32::read(&word.data));
    let (mut low, mut high) = (Vec::new(), Vec::new());
    let keys = key0.into_iter().zip(key1);
    for ((k0, k1), (c0, c1)) in keys.zip(counter0.into_iter().zip(counter1)) {
        let [a, b] = random::threefry([c0, c1], [k0, k1]);
        a.write(&mut low);
        b.write(&mut high);
    }
    let whole = |bytes| Array::new(PrimitiveType::U32, dims.clone(), bytes);
    let results = vec![whole(low)?, whole(high)?];
    op.tupled(results)
}

/// A sparse matrix (values, row offsets, columns) times a dense vector or matrix.
fn csr_dense(op: &mut Operation<'_, '_>) -> Outcome<Array> {
    let [values, offsets, columns, dense] = op.exactly()?;
    let (element, dims) = op.result()?;
    if !element.is_float() {
        return Err(Fault::unsupported(format!("a sparse product of {element}")));
    }
    let wide = |array: Array| -> Outcome<Vec<f64>> {
        Ok(f64::read(&array.converted(PrimitiveType::F64)?.data))
    };
    let bound = dense.dims.first().copied().unwrap_or(0);
    let width = dense.count().checked_div(bound).unwrap_or(0);
    let offsets = offsets.indices(0, offsets.count())?;
    let columns = columns.indices(0, columns.count())?;
    let (values, dense) = (wide(values)?, wide(dense)?);
    let rows = offsets.len().saturating_sub(1);
    op.context.meter.work(values.len().saturating_mul(width))?;
    op.context
        .meter
        .scratch(rows.saturating_mul(width).saturating_mul(16))?;
    let mut out = vec![0f64; rows * width];
    for (row, ends) in offsets.windows(2).enumerate() {
        let entries = size("a row offset", ends[0])?..size("a row offset", ends[1])?;
        for entry in entries {
            let (Some(&value), Some(&column)) = (values.get(entry), columns.get(entry)) else {
                return Err(Fault::malformed("a row offset beyond the entries"));
            };
            let column = usize::try_from(column).ok().filter(|&c| c < bound);
            let column = column.ok_or_else(|| Fault::malformed("a column out of range"))?;
            let line = &dense[column * width..(column + 1) * width];
            for (out, x) in out[row * width..(row + 1) * width].iter_mut().zip(line) {
                *out += value * x;
            }
        }
    }
    let mut bytes = Vec::with_capacity(out.len() * 8);
    out.into_iter().for_each(|value| value.write(&mut bytes));
    Array::new(PrimitiveType::F64, dims, bytes)?.converted(element)
}
