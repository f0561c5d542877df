//! The custom calls to oneDNN that XLA's compiler for the CPU puts into optimised modules.
//!
//! `backend_config` is JSON and says the variant. All compute in `f32` at least and round once.
//!
//! | target | value |
//! |---|---|
//! | `__onednn$matmul` | the product of the last two dimensions (either operand transposed where so configured) batch by batch; then `fused_ops` in order |
//! | `__onednn$softmax` | softmax along `softmax_axis` |
//! | `__onednn$layernorm` | normalisation along the last dimension, with operands 1 and 2 as scale and shift |
//!
//! Of the fused operations, `LINEAR` multiplies by a constant, `BIAS` and `BINARY_ADD` add the next
//! operand, broadcast to the leading dimensions, and `RELU`, `TANH`, `SIGMOID`, `GELU_ERF` and `GELU_TANH`
//! are functions of each element. Floats in the configuration stand as the integer of their bits.

use serde_json::Value;

use super::array::{Array, count, size};
use super::dot::{self, Pairs};
use super::error::{Fault, Outcome};
use super::operation::Operation;
use crate::attribute::AttributeValue;
use crate::literal::{Literal, Native};
use crate::shape::{PrimitiveType, Shape};

/// The part of `backend_config` under `section`.
fn config(op: &Operation<'_, '_>, section: &str) -> Outcome<Value> {
    let text = match op.instruction.attribute("backend_config") {
        Some(AttributeValue::Text(text) | AttributeValue::Raw(text)) => text,
        _ => return Err(Fault::malformed("backend_config is missing")),
    };
    let mut config: Value = serde_json::from_str(text)
        .map_err(|error| Fault::malformed(format!("backend_config: {error}")))?;
    match config.get_mut(section) {
        Some(section) => Ok(section.take()),
        None => Err(Fault::malformed(format!("backend_config has no {section}"))),
    }
}

/// A float of the configuration.
fn float(config: &Value, key: &str) -> Outcome<f64> {
    let bits = config.get(key).and_then(Value::as_i64);
    let bits = bits.ok_or_else(|| Fault::malformed(format!("backend_config has no {key}")))?;
    Ok(f32::from_bits(bits as u32).into())
}

fn flag(config: &Value, key: &str) -> bool {
    config.get(key).and_then(Value::as_bool).unwrap_or(false)
}

/// A float array in `f64`, and its elements.
fn wide(array: Array) -> Outcome<Vec<f64>> {
    if !array.element.is_float() {
        return Err(Fault::unsupported(format!(
            "this custom call on {}",
            array.element
        )));
    }
    Ok(f64::read(&array.converted(PrimitiveType::F64)?.data))
}

fn narrow(element: PrimitiveType, dims: Vec<usize>, values: &[f64]) -> Outcome<Array> {
    let mut bytes = Vec::with_capacity(size_of_val(values));
    values.iter().for_each(|value| value.write(&mut bytes));
    Array::new(PrimitiveType::F64, dims, bytes)?.converted(element)
}

/// Work and room for the arrays of this operation in `f64`.
fn reserve(op: &mut Operation<'_, '_>, elements: usize) -> Outcome<()> {
    op.context.meter.work(elements)?;
    op.context.meter.scratch(elements.saturating_mul(32))
}

/// `__onednn$softmax`.
pub(super) fn softmax(op: &mut Operation<'_, '_>) -> Outcome<Literal> {
    let config = config(op, "onednn_softmax_config")?;
    let [operand] = op.exactly()?;
    let axis = config.get("softmax_axis").and_then(Value::as_i64);
    let axis = size("softmax_axis", axis.unwrap_or(-1))?;
    let (element, dims) = (op.declared()?.element, operand.dims.clone());
    let length = *dims
        .get(axis)
        .ok_or_else(|| Fault::expected(format_args!("softmax_axis below {}", dims.len()), axis))?;
    reserve(op, operand.count())?;
    let inner: usize = dims[axis + 1..].iter().product();
    let mut values = wide(operand)?;
    for block in values.chunks_exact_mut((length * inner).max(1)) {
        for lane in 0..inner {
            let positions = || (lane..block.len()).step_by(inner);
            let largest = positions()
                .map(|p| block[p])
                .fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = positions().map(|p| (block[p] - largest).exp()).sum();
            for position in positions() {
                block[position] = (block[position] - largest).exp() / sum;
            }
        }
    }
    Ok(narrow(element, dims, &values)?.into_literal())
}

/// `__onednn$layernorm`.
pub(super) fn layer_norm(op: &mut Operation<'_, '_>) -> Outcome<Literal> {
    let config = config(op, "onednn_layer_norm_config")?;
    let fused = config.get("fused_ops").and_then(Value::as_str);
    if fused != Some("SCALE_AND_SHIFT") {
        return Err(Fault::unsupported(format!(
            "the custom call \"__onednn$layernorm\" with {fused:?}"
        )));
    }
    let epsilon = float(&config, "epsilon_typecast")?;
    let [operand, scale, shift] = op.exactly()?;
    let (element, dims) = (op.declared()?.element, operand.dims.clone());
    let length = dims.last().copied().unwrap_or(1);
    reserve(op, operand.count())?;
    let (mut values, scale, shift) = (wide(operand)?, wide(scale)?, wide(shift)?);
    if scale.len() != length || shift.len() != length {
        return Err(Fault::expected(
            format_args!("scale and shift of {length} elements"),
            format_args!("{} and {}", scale.len(), shift.len()),
        ));
    }
    for row in values.chunks_exact_mut(length.max(1)) {
        let mean = row.iter().sum::<f64>() / length as f64;
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / length as f64;
        let deviation = (variance + epsilon).sqrt();
        for ((x, scale), shift) in row.iter_mut().zip(&scale).zip(&shift) {
            *x = (*x - mean) / deviation * scale + shift;
        }
    }
    Ok(narrow(element, dims, &values)?.into_literal())
}

/// `__onednn$matmul`, whose result may come with scratch memory that nobody reads.
pub(super) fn matmul(op: &mut Operation<'_, '_>) -> Outcome<Literal> {
    let config = config(op, "onednn_matmul_config")?;
    if flag(&config, "weights_prepacked") {
        return Err(Fault::unsupported(
            "the custom call \"__onednn$matmul\" with weights in a layout of its own",
        ));
    }
    let declared = &*op.instruction.shape;
    let (result, scratch) = match declared {
        Shape::Tuple(parts) => match &parts[..] {
            [result, scratch] => (result, Some(scratch)),
            _ => return Err(Fault::malformed("the result is no pair of arrays")),
        },
        other => (other, None),
    };
    let result = result
        .as_array()
        .ok_or_else(|| Fault::malformed("the result is no array"))?;
    let dims = super::array::dims_of(result)?;
    let mut operands = op.arrays()?.into_iter();
    let (Some(lhs), Some(rhs)) = (operands.next(), operands.next()) else {
        return Err(Fault::malformed("expected two matrices"));
    };
    let (rank, batch) = match lhs.rank().checked_sub(2) {
        Some(batch) if lhs.rank() == rhs.rank() => (lhs.rank(), batch),
        _ => {
            return Err(Fault::unsupported(format!(
                "the custom call \"__onednn$matmul\" on {:?} and {:?}",
                lhs.dims, rhs.dims
            )));
        }
    };
    let wide_type = match result.element {
        PrimitiveType::F64 => PrimitiveType::F64,
        _ => PrimitiveType::F32,
    };
    let pairs = Pairs {
        lhs_batch: (0..batch).collect(),
        rhs_batch: (0..batch).collect(),
        lhs_contracting: vec![if flag(&config, "transpose_a") {
            rank - 2
        } else {
            rank - 1
        }],
        rhs_contracting: vec![if flag(&config, "transpose_b") {
            rank - 1
        } else {
            rank - 2
        }],
    };
    let product = dot::general(op, lhs, rhs, &pairs, wide_type)?;
    if product.dims != dims {
        return Err(Fault::expected(
            format_args!("a product of {dims:?}"),
            format_args!("{:?}", product.dims),
        ));
    }
    let mut values = wide(product)?;
    let fused = config.get("fused_ops").and_then(Value::as_array);
    for name in fused.into_iter().flatten() {
        reserve(op, values.len())?;
        match name.as_str().unwrap_or_default() {
            "LINEAR" => {
                let factor = float(&config, "alpha_typecast")?;
                values.iter_mut().for_each(|x| *x *= factor);
            }
            "BIAS" | "BINARY_ADD" => {
                let addend = operands
                    .next()
                    .ok_or_else(|| Fault::malformed(format!("{name} lacks an operand")))?;
                let addend = wide(broadcast(addend, &dims)?)?;
                values.iter_mut().zip(addend).for_each(|(x, y)| *x += y);
            }
            "RELU" => values.iter_mut().for_each(|x| *x = x.max(0.0)),
            "TANH" => values.iter_mut().for_each(|x| *x = x.tanh()),
            "SIGMOID" => values
                .iter_mut()
                .for_each(|x| *x = 1.0 / (1.0 + (-*x).exp())),
            "GELU_ERF" => values.iter_mut().for_each(|x| {
                *x *= 0.5 * (1.0 + libm::erf(*x * std::f64::consts::FRAC_1_SQRT_2));
            }),
            "GELU_TANH" => values.iter_mut().for_each(|x| {
                let inner = (2.0 / std::f64::consts::PI).sqrt() * (*x + 0.044715 * x.powi(3));
                *x *= 0.5 * (1.0 + inner.tanh());
            }),
            other => {
                return Err(Fault::unsupported(format!(
                    "the custom call \"__onednn$matmul\" with {other}"
                )));
            }
        }
    }
    let value = narrow(result.element, dims, &values)?.into_literal();
    match scratch {
        None => Ok(value),
        Some(scratch) => Ok(Literal::Tuple(vec![value, super::passing::zeros(scratch)?])),
    }
}

/// An array whose trailing dimensions are those of `dims` or 1, repeated over the rest.
fn broadcast(array: Array, dims: &[usize]) -> Outcome<Array> {
    let misfit = || {
        Fault::expected(
            format_args!("an array that broadcasts to {dims:?}"),
            format_args!("{:?}", array.dims),
        )
    };
    let added = dims.len().checked_sub(array.rank()).ok_or_else(misfit)?;
    let mut source = vec![0; dims.len()];
    let strides = array.strides();
    for (i, (&found, &stride)) in array.dims.iter().zip(&strides).enumerate() {
        if found == dims[added + i] {
            source[added + i] = stride;
        } else if found != 1 {
            return Err(misfit());
        }
    }
    count(dims)?;
    array.gathered(dims.to_vec(), 0, &source)
}
