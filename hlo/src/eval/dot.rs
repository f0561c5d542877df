//! `dot` and `scaled-dot` with any dimension numbers.

use ndarray::{ArrayView2, ArrayViewMut2, LinalgScalar};

use super::array::{Array, count, others, positions};
use super::domain::{C64, C128, Codec, Domain, FromDomain, Kind};
use super::elementwise;
use super::error::{Fault, Outcome};
use super::operation::Operation;
use crate::opcode::Opcode;
use crate::shape::PrimitiveType;

/// Which dimensions of the two operands of a dot pair up.
#[derive(Clone)]
pub(super) struct Pairs {
    pub(super) lhs_batch: Vec<usize>,
    pub(super) rhs_batch: Vec<usize>,
    pub(super) lhs_contracting: Vec<usize>,
    pub(super) rhs_contracting: Vec<usize>,
}

impl Pairs {
    /// Those of the instruction's attributes, absent lists being empty.
    pub(super) fn of(op: &Operation<'_, '_>, lhs: &Array, rhs: &Array) -> Outcome<Pairs> {
        let read = |name, array: &Array| positions(name, op.integers_or_empty(name), array.rank());
        Ok(Pairs {
            lhs_batch: read("lhs_batch_dims", lhs)?,
            rhs_batch: read("rhs_batch_dims", rhs)?,
            lhs_contracting: read("lhs_contracting_dims", lhs)?,
            rhs_contracting: read("rhs_contracting_dims", rhs)?,
        })
    }
}

/// `dot`.
pub(super) fn dot(op: &mut Operation<'_, '_>) -> Outcome<Array> {
    let [lhs, rhs] = op.exactly()?;
    let pairs = Pairs::of(op, &lhs, &rhs)?;
    let element = op.declared()?.element;
    general(op, lhs, rhs, &pairs, element)
}

/// `scaled-dot`: each operand is multiplied by its scales, in `f32` at least, before the dot. A
/// scale serves a block of elements, in each dimension as many as the sizes' quotient.
pub(super) fn scaled_dot(op: &mut Operation<'_, '_>) -> Outcome<Array> {
    let [lhs, rhs, lhs_scale, rhs_scale] = op.exactly()?;
    let pairs = Pairs::of(op, &lhs, &rhs)?;
    let element = op.declared()?.element;
    let lhs = scaled(op, lhs, lhs_scale)?;
    let rhs = scaled(op, rhs, rhs_scale)?;
    general(op, lhs, rhs, &pairs, element)
}

/// The product of an array with the scales of its blocks.
fn scaled(op: &mut Operation<'_, '_>, array: Array, scale: Array) -> Outcome<Array> {
    let wide = match (Kind::of(array.element), Kind::of(scale.element)) {
        (Kind::F32, Kind::F32) => PrimitiveType::F32,
        (Kind::F32 | Kind::F64, Kind::F32 | Kind::F64) => PrimitiveType::F64,
        _ => {
            return Err(Fault::expected(
                "floats",
                format_args!("{} scaled by {}", array.element, scale.element),
            ));
        }
    };
    let fits = scale.rank() == array.rank()
        && std::iter::zip(&array.dims, &scale.dims)
            .all(|(&size, &blocks)| blocks != 0 && size.is_multiple_of(blocks) || size == 0);
    if scale.rank() != 0 && !fits {
        return Err(Fault::expected(
            format_args!("scales of blocks of {:?}", array.dims),
            format_args!("{:?}", scale.dims),
        ));
    }
    op.context.meter.work(array.count())?;
    op.context.meter.scratch(array.count().saturating_mul(24))?;
    // Each dimension in two, blocks and elements of a block, over which the scale repeats.
    let mut dims = Vec::with_capacity(2 * array.rank());
    let mut source = Vec::with_capacity(2 * array.rank());
    for ((&size, &blocks), stride) in array.dims.iter().zip(&scale.dims).zip(scale.strides()) {
        dims.extend([blocks, size.checked_div(blocks).unwrap_or(0)]);
        source.extend([stride, 0]);
    }
    let scale = if scale.rank() == 0 {
        scale.filled(array.dims.clone())?
    } else {
        scale
            .gathered(dims, 0, &source)?
            .with_dims(array.dims.clone())?
    };
    let (array, scale) = (array.converted(wide)?, scale.converted(wide)?);
    let multiply = elementwise::binary(&Opcode::Multiply, wide)?;
    let mut out = Array::zeroed(wide, array.dims.clone())?;
    multiply(&[&array.data, &scale.data], out.bytes_mut());
    Ok(out)
}

/// The product: batch dimensions, then those of the left operand that are neither batch nor
/// contracting, then those of the right one.
pub(super) fn general(
    op: &mut Operation<'_, '_>,
    lhs: Array,
    rhs: Array,
    pairs: &Pairs,
    element: PrimitiveType,
) -> Outcome<Array> {
    let extents = |array: &Array, dims: &[usize]| -> Vec<usize> {
        dims.iter().map(|&d| array.dims[d]).collect()
    };
    let batch = extents(&lhs, &pairs.lhs_batch);
    let contracting = extents(&lhs, &pairs.lhs_contracting);
    if batch != extents(&rhs, &pairs.rhs_batch)
        || contracting != extents(&rhs, &pairs.rhs_contracting)
    {
        return Err(Fault::malformed(format!(
            "batch or contracting dimensions of {:?} and {:?} differ",
            lhs.dims, rhs.dims
        )));
    }
    let used = |batch: &[usize], contracting: &[usize]| [batch, contracting].concat();
    let lhs_free = others(lhs.rank(), &used(&pairs.lhs_batch, &pairs.lhs_contracting));
    let rhs_free = others(rhs.rank(), &used(&pairs.rhs_batch, &pairs.rhs_contracting));
    let (rows, columns) = (extents(&lhs, &lhs_free), extents(&rhs, &rhs_free));
    let [b, m, n, k] = [
        count(&batch)?,
        count(&rows)?,
        count(&columns)?,
        count(&contracting)?,
    ];
    let dims = [batch, rows, columns].concat();
    let out = count(&dims)?;
    op.context.meter.work(out.saturating_mul(k.max(1)))?;
    op.context.meter.scratch(
        lhs.data
            .len()
            .saturating_add(rhs.data.len())
            .saturating_add(out * 16),
    )?;
    let lhs =
        lhs.transposed(&[&pairs.lhs_batch[..], &lhs_free, &pairs.lhs_contracting].concat())?;
    let rhs =
        rhs.transposed(&[&pairs.rhs_batch[..], &pairs.rhs_contracting, &rhs_free].concat())?;
    let sizes = [b, m, n, k];
    let wide = PrimitiveType::F64;
    let is_wide = [lhs.element, rhs.element, element].contains(&wide);
    let (bytes, from) = match Kind::of(element) {
        Kind::C64 => product::<C64>(&lhs, &rhs, sizes, PrimitiveType::C64, gemm)?,
        Kind::C128 => product::<C128>(&lhs, &rhs, sizes, PrimitiveType::C128, gemm)?,
        Kind::F32 if !is_wide => product::<f32>(&lhs, &rhs, sizes, PrimitiveType::F32, gemm)?,
        Kind::F32 | Kind::F64 => product::<f64>(&lhs, &rhs, sizes, wide, gemm)?,
        Kind::Signed => product::<i64>(&lhs, &rhs, sizes, PrimitiveType::S64, wrapping_signed)?,
        Kind::Unsigned => product::<u64>(&lhs, &rhs, sizes, PrimitiveType::U64, wrapping)?,
        Kind::Bool => product::<bool>(&lhs, &rhs, sizes, PrimitiveType::Pred, any_of_both)?,
    };
    Array::new(from, dims, bytes)?.converted(element)
}

/// Multiplies one pair of matrices into a zeroed result: `m` rows, `n` columns, `k` between.
type Multiply<D> = fn(&[D], &[D], &mut [D], [usize; 3]) -> Outcome<()>;

fn product<D: Domain + FromDomain>(
    lhs: &Array,
    rhs: &Array,
    [b, m, n, k]: [usize; 4],
    element: PrimitiveType,
    multiply: Multiply<D>,
) -> Outcome<(Vec<u8>, PrimitiveType)> {
    let codec = D::codec(element)?;
    let a = loaded(lhs, element, &codec)?;
    let c = loaded(rhs, element, &codec)?;
    let mut out = vec![D::default(); b * m * n];
    if !out.is_empty() && k > 0 {
        let matrices = a.chunks_exact(m * k).zip(c.chunks_exact(k * n));
        for ((a, c), out) in matrices.zip(out.chunks_exact_mut(m * n)) {
            multiply(a, c, out, [m, n, k])?;
        }
    }
    Ok((codec.store_all(&out), element))
}

fn loaded<D: Domain>(array: &Array, element: PrimitiveType, codec: &Codec<D>) -> Outcome<Vec<D>> {
    if array.element == element {
        return Ok(codec.load_all(&array.data));
    }
    let mut bytes = vec![0; array.count() * element.bytes()];
    elementwise::convert(array.element, element)?(&[&array.data], &mut bytes);
    Ok(codec.load_all(&bytes))
}

fn gemm<D: LinalgScalar>(a: &[D], b: &[D], out: &mut [D], [m, n, k]: [usize; 3]) -> Outcome<()> {
    let shapes = |_| Fault::malformed("matrices do not fit");
    let a = ArrayView2::from_shape((m, k), a).map_err(shapes)?;
    let b = ArrayView2::from_shape((k, n), b).map_err(shapes)?;
    let mut out = ArrayViewMut2::from_shape((m, n), out).map_err(shapes)?;
    ndarray::linalg::general_mat_mul(D::one(), &a, &b, D::zero(), &mut out);
    Ok(())
}

/// The schoolbook product by any addition and multiplication.
fn schoolbook<D: Copy>(
    (a, b, out): (&[D], &[D], &mut [D]),
    [m, n, k]: [usize; 3],
    add: impl Fn(D, D, D) -> D,
) {
    for i in 0..m {
        for l in 0..k {
            let left = a[i * k + l];
            let row = &b[l * n..(l + 1) * n];
            for (out, &right) in out[i * n..(i + 1) * n].iter_mut().zip(row) {
                *out = add(*out, left, right);
            }
        }
    }
}

fn wrapping_signed(a: &[i64], b: &[i64], out: &mut [i64], sizes: [usize; 3]) -> Outcome<()> {
    schoolbook((a, b, out), sizes, |sum: i64, x, y| {
        sum.wrapping_add(x.wrapping_mul(y))
    });
    Ok(())
}

fn wrapping(a: &[u64], b: &[u64], out: &mut [u64], sizes: [usize; 3]) -> Outcome<()> {
    schoolbook((a, b, out), sizes, |sum: u64, x, y| {
        sum.wrapping_add(x.wrapping_mul(y))
    });
    Ok(())
}

fn any_of_both(a: &[bool], b: &[bool], out: &mut [bool], sizes: [usize; 3]) -> Outcome<()> {
    schoolbook((a, b, out), sizes, |any, x, y| any | (x & y));
    Ok(())
}
