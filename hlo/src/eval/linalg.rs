//! `cholesky` and `triangular-solve`. Both compute in complex `f64`, whatever the element type.

use super::array::Array;
use super::domain::{C128, Domain};
use super::error::{Fault, Outcome};
use super::operation::Operation;
use crate::shape::PrimitiveType;

fn load(array: Array) -> Outcome<Vec<C128>> {
    let codec = C128::codec(PrimitiveType::C128)?;
    Ok(codec.load_all(&array.converted(PrimitiveType::C128)?.data))
}

fn store(element: PrimitiveType, dims: Vec<usize>, values: &[C128]) -> Outcome<Array> {
    let codec = C128::codec(PrimitiveType::C128)?;
    Array::new(PrimitiveType::C128, dims, codec.store_all(values))?.converted(element)
}

/// Rows and columns of the matrices of a batch.
fn matrix(array: &Array) -> Outcome<[usize; 2]> {
    match array.dims[..] {
        [.., rows, columns] => Ok([rows, columns]),
        _ => Err(Fault::expected(
            "matrices",
            format_args!("rank {}", array.rank()),
        )),
    }
}

/// `cholesky`: the lower (or upper) factor; the other triangle is zero. A matrix that is not
/// positive definite gives NaN everywhere.
pub(super) fn cholesky(op: &mut Operation<'_, '_>) -> Outcome<Array> {
    let [operand] = op.exactly()?;
    let [n, columns] = matrix(&operand)?;
    if n != columns {
        return Err(Fault::malformed("the matrices are not square"));
    }
    let lower = op.flag("lower");
    op.context
        .meter
        .work(operand.count().saturating_mul(n.max(1)))?;
    op.context
        .meter
        .scratch(operand.count().saturating_mul(32))?;
    let (element, dims) = (operand.element, operand.dims.clone());
    let values = load(operand)?;
    let mut out = vec![C128::default(); values.len()];
    let batch = values.chunks_exact((n * n).max(1));
    for (a, l) in batch.zip(out.chunks_exact_mut((n * n).max(1))) {
        let given = |i: usize, j: usize| {
            if lower {
                a[i * n + j]
            } else {
                a[j * n + i].conj()
            }
        };
        for j in 0..n {
            for i in j..n {
                let mut sum = given(i, j);
                for k in 0..j {
                    sum -= l[i * n + k] * l[j * n + k].conj();
                }
                l[i * n + j] = if i == j {
                    sum.re.sqrt().into()
                } else {
                    sum / l[j * n + j].re
                };
            }
        }
        if (0..n).any(|i| l[i * n + i].re.is_nan()) {
            l.fill(C128::new(f64::NAN, 0.0));
            continue;
        }
        if !lower {
            for i in 0..n {
                for j in 0..i {
                    l[j * n + i] = l[i * n + j].conj();
                    l[i * n + j] = C128::default();
                }
            }
        }
    }
    store(element, dims, &out)
}

/// `triangular-solve`: `op(a) x = b`, or `x op(a) = b` without `left_side`.
pub(super) fn triangular_solve(op: &mut Operation<'_, '_>) -> Outcome<Array> {
    let [a, b] = op.exactly()?;
    let ([n, columns], [rows, width]) = (matrix(&a)?, matrix(&b)?);
    let left = op.flag("left_side");
    let batch = |array: &Array| array.dims[..array.rank() - 2].to_vec();
    let fits = n == columns && n == if left { rows } else { width } && batch(&a) == batch(&b);
    if !fits {
        return Err(Fault::malformed(format!(
            "{:?} and {:?} do not fit",
            a.dims, b.dims
        )));
    }
    op.context.meter.work(b.count().saturating_mul(n.max(1)))?;
    op.context
        .meter
        .scratch(a.count().saturating_add(b.count()).saturating_mul(32))?;
    let (lower, unit) = (op.flag("lower"), op.flag("unit_diagonal"));
    let (transpose, conjugate) = match op.word("transpose_a") {
        Some("TRANSPOSE") => (true, false),
        Some("ADJOINT") => (true, true),
        _ => (false, false),
    };
    let (element, dims) = (b.element, b.dims.clone());
    let (a, mut x) = (load(a)?, load(b)?);
    // From the right it is the transposed system from the left.
    let swapped = transpose == left;
    let forward = lower != swapped;
    let batch = a.chunks_exact((n * n).max(1));
    for (a, x) in batch.zip(x.chunks_exact_mut((rows * width).max(1))) {
        let entry = |i: usize, j: usize| {
            let value = if swapped { a[j * n + i] } else { a[i * n + j] };
            if conjugate { value.conj() } else { value }
        };
        let at = |i: usize, line: usize| {
            if left {
                i * width + line
            } else {
                line * width + i
            }
        };
        for line in 0..if left { width } else { rows } {
            for step in 0..n {
                let i = if forward { step } else { n - 1 - step };
                let mut sum = x[at(i, line)];
                let known = if forward { 0..i } else { i + 1..n };
                for j in known {
                    sum -= entry(i, j) * x[at(j, line)];
                }
                x[at(i, line)] = if unit { sum } else { sum / entry(i, i) };
            }
        }
    }
    store(element, dims, &x)
}
