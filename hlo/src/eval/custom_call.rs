//! The pure custom calls that frameworks leave in modules.

use super::array::{Array, size};
use super::error::{Fault, Outcome};
use super::operation::Operation;
use super::{machine, passing, sort};
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
        "cpu_csr_sparse_dense_ffi" => Ok(csr_dense(op)?.into_literal()),
        _ => Err(Fault::unsupported(format!("the custom call {target:?}"))),
    }
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
    op.meter.work(values.len().saturating_mul(width))?;
    op.meter
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
