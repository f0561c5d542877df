//! `fft`: forward and inverse, complex and real, over up to three trailing dimensions.

use num_complex::Complex;
use rustfft::{FftDirection, FftPlanner};

use super::array::{Array, size};
use super::domain::{C128, Domain};
use super::error::{Fault, Outcome};
use super::operation::Operation;
use crate::shape::PrimitiveType;

/// `fft`. Computes in `f64`.
pub(super) fn fft(op: &mut Operation<'_, '_>) -> Outcome<Array> {
    let [operand] = op.exactly()?;
    let element = op.declared()?.element;
    let lengths = op
        .integers("fft_length")?
        .iter()
        .map(|&n| size("an fft length", n))
        .collect::<Outcome<Vec<_>>>()?;
    let first = operand.rank().checked_sub(lengths.len());
    let first = first.ok_or_else(|| Fault::malformed("more fft lengths than dimensions"))?;
    let axes: Vec<usize> = (first..operand.rank()).collect();
    let kind = op.word("fft_type").unwrap_or_default();
    let (Some(&last), Some(&length)) = (axes.last(), lengths.last()) else {
        return Err(Fault::malformed("fft_length is empty"));
    };
    let half = length / 2 + 1;
    for (&axis, &length) in axes.iter().zip(&lengths) {
        let expected = if kind == "IRFFT" && axis == last {
            half
        } else {
            length
        };
        if operand.dims[axis] != expected {
            return Err(Fault::expected(
                format_args!("{expected} elements in dimension {axis}"),
                operand.dims[axis],
            ));
        }
    }
    let total = operand.count().max(1).saturating_mul(2);
    op.context.meter.work(total.saturating_mul(64))?;
    op.context.meter.scratch(total.saturating_mul(48))?;
    let codec = C128::codec(PrimitiveType::C128)?;
    let mut dims = operand.dims.clone();
    let mut values = codec.load_all(&operand.converted(PrimitiveType::C128)?.data);
    let (direction, real) = match kind {
        "FFT" => (FftDirection::Forward, false),
        "RFFT" => (FftDirection::Forward, true),
        "IFFT" => (FftDirection::Inverse, false),
        "IRFFT" => (FftDirection::Inverse, true),
        other => return Err(Fault::unsupported(format!("fft_type {other:?}"))),
    };
    if real && direction == FftDirection::Inverse {
        for &axis in &axes[..axes.len() - 1] {
            along(&mut values, &dims, axis, direction);
        }
        values = lines(&values, dims[last], |line| hermitian(line, length));
        dims[last] = length;
        along(&mut values, &dims, last, direction);
    } else {
        for &axis in axes.iter().rev() {
            along(&mut values, &dims, axis, direction);
        }
        if real {
            values = lines(&values, dims[last], |line| {
                line[..half.min(line.len())].to_vec()
            });
            dims[last] = half.min(dims[last]);
        }
    }
    Array::new(PrimitiveType::C128, dims, codec.store_all(&values))?.converted(element)
}

/// Every line of the last dimension replaced.
fn lines(values: &[C128], length: usize, f: impl Fn(&[C128]) -> Vec<C128>) -> Vec<C128> {
    values.chunks_exact(length.max(1)).flat_map(f).collect()
}

/// All `length` coefficients of a real signal from the first half of them.
fn hermitian(half: &[C128], length: usize) -> Vec<C128> {
    (0..length)
        .map(|i| match half.get(i) {
            // These two are their own mirror images: they have no imaginary part.
            Some(c) if i == 0 || 2 * i == length => Complex::new(c.re, 0.0),
            Some(c) => *c,
            None => half[length - i].conj(),
        })
        .collect()
}

/// Transforms along one dimension; the inverse is divided by the length.
fn along(values: &mut [C128], dims: &[usize], axis: usize, direction: FftDirection) {
    let length = dims[axis];
    let inner: usize = dims[axis + 1..].iter().product();
    if values.is_empty() || length == 0 {
        return;
    }
    let plan = FftPlanner::new().plan_fft(length, direction);
    let scale = match direction {
        FftDirection::Forward => 1.0,
        FftDirection::Inverse => 1.0 / length as f64,
    };
    let mut line = vec![C128::default(); length];
    for block in values.chunks_exact_mut(length * inner) {
        for i in 0..inner {
            for (k, value) in line.iter_mut().enumerate() {
                *value = block[k * inner + i];
            }
            plan.process(&mut line);
            for (k, value) in line.iter().enumerate() {
                block[k * inner + i] = value * scale;
            }
        }
    }
}
