//! Elementwise operations on bytes: each opcode becomes a function over lanes.
//!
//! The same functions run whole arrays, and single elements in the computations that `reduce`,
//! `scatter`, `sort` and `map` apply.

use super::array::{Array, count};
use super::domain::{C64, C128, CHUNK, Codec, Domain, with_domain};
use super::error::{Fault, Outcome};
use super::kernel::{Binary, Unary};
use super::operation::Operation;
use crate::module::Instruction;
use crate::opcode::Opcode;
use crate::shape::PrimitiveType;

/// Computes as many elements as fit its last argument from as many of each operand.
pub(super) type Lanes = Box<dyn Fn(&[&[u8]], &mut [u8])>;

/// The function of an elementwise instruction whose operands have these element types; `None`
/// when the opcode is not elementwise.
pub(super) fn lanes(
    instruction: &Instruction,
    operands: &[PrimitiveType],
    result: PrimitiveType,
) -> Option<Outcome<Lanes>> {
    let opcode = &instruction.opcode;
    let arity = opcode.elementwise_arity()?;
    if operands.len() != arity {
        return Some(Err(Fault::expected(
            format_args!("{arity} operands"),
            operands.len(),
        )));
    }
    Some(match (opcode, operands) {
        (Opcode::Copy, &[a]) => same(&[a, result]).map(|()| bits(a, a)),
        (Opcode::Convert, &[a]) => convert(a, result),
        (Opcode::BitcastConvert, &[a]) if a.bits() == result.bits() => Ok(bits(a, result)),
        (Opcode::Compare, &[a, b]) => same(&[a, b]).and_then(|()| compare(instruction, a)),
        (Opcode::Select, &[p, a, b]) => same(&[p, PrimitiveType::Pred])
            .and_then(|()| same(&[a, b, result]))
            .and_then(|()| select(a)),
        (Opcode::Clamp, &[low, a, high]) => same(&[low, a, high, result]).and_then(|()| clamp(a)),
        (Opcode::Complex, &[a, b]) => same(&[a, b]).and_then(|()| complex(a)),
        (Opcode::ReducePrecision, &[a]) => {
            same(&[a, result]).and_then(|()| reduce_precision(instruction, a))
        }
        (Opcode::StochasticConvert, &[a, random]) => stochastic_convert(a, random, result),
        (Opcode::IsFinite, &[a]) => is_finite(a),
        (Opcode::Abs | Opcode::Real | Opcode::Imag, &[a]) if a.is_complex() => {
            complex_part(opcode, a, result)
        }
        (_, &[a]) => same(&[a, result]).and_then(|()| unary(opcode, a)),
        (_, &[a, b]) => same(&[a, b, result]).and_then(|()| binary(opcode, a)),
        _ => Err(Fault::unsupported(opcode.name())),
    })
}

/// An elementwise instruction on whole arrays.
pub(super) fn on_arrays(op: &mut Operation<'_, '_>) -> Outcome<Array> {
    let array = op.declared()?;
    let mut operands = op.arrays()?;
    let elements: Vec<PrimitiveType> = operands.iter().map(|o| o.element).collect();
    let function = lanes(op.instruction, &elements, array.element)
        .ok_or_else(|| Fault::unsupported(op.instruction.opcode.name()))??;
    let rank = array.rank();
    if array.is_dynamic() {
        crop_to_common(&mut operands)?;
    }
    let dims = operands
        .iter()
        .find(|o| o.rank() == rank)
        .map(|o| o.dims.clone())
        .ok_or_else(|| Fault::malformed(format!("no operand has rank {rank}")))?;
    let scalars = matches!(op.instruction.opcode, Opcode::Clamp | Opcode::Select);
    for operand in &mut operands {
        if operand.rank() == 0 && rank > 0 && scalars {
            *operand = operand.filled(dims.clone())?;
        } else if operand.dims != dims {
            return Err(Fault::expected(
                format_args!("an operand of {dims:?}"),
                format_args!("{:?}", operand.dims),
            ));
        }
    }
    op.context.meter.work(count(&dims)?)?;
    let mut out = Array::zeroed(array.element, dims)?;
    let bytes: Vec<&[u8]> = operands.iter().map(|o| &*o.data).collect();
    function(&bytes, out.bytes_mut());
    Ok(out)
}

/// A dynamic operand beside one that still has its bound: both get the smaller size.
fn crop_to_common(operands: &mut [Array]) -> Outcome<()> {
    let mut common: Option<Vec<usize>> = None;
    for operand in operands.iter().filter(|o| o.rank() > 0) {
        common = Some(match common {
            Some(common) => std::iter::zip(&common, &operand.dims)
                .map(|(&a, &b)| a.min(b))
                .collect(),
            None => operand.dims.clone(),
        });
    }
    for operand in operands.iter_mut() {
        if let Some(common) = &common
            && operand.rank() == common.len()
        {
            *operand = operand.clone().resized(common.clone())?;
        }
    }
    Ok(())
}

/// Whether these element types agree.
fn same(elements: &[PrimitiveType]) -> Outcome<()> {
    match elements.windows(2).find(|pair| pair[0] != pair[1]) {
        Some(pair) => Err(Fault::expected(pair[0], pair[1])),
        None => Ok(()),
    }
}

/// A function of one operand from one of domain values.
fn lanes1<A: Domain, R: Domain>(
    a: Codec<A>,
    r: Codec<R>,
    f: impl Fn(&[A], &mut [R]) + 'static,
) -> Lanes {
    fn run<A: Domain, R: Domain, const N: usize>(
        (a, r): (Codec<A>, Codec<R>),
        f: &impl Fn(&[A], &mut [R]),
        operand: &[u8],
        out: &mut [u8],
    ) {
        let (mut x, mut y) = ([A::default(); N], [R::default(); N]);
        let operand = operand.chunks(N * a.size);
        for (operand, out) in operand.zip(out.chunks_mut(N * r.size)) {
            let n = out.len() / r.size;
            (a.load)(operand, &mut x[..n]);
            f(&x[..n], &mut y[..n]);
            (r.store)(&y[..n], out);
        }
    }
    Box::new(move |operands, out| {
        let operand = operands.first().copied().unwrap_or_default();
        if out.len() == r.size {
            run::<A, R, 1>((a, r), &f, operand, out);
        } else {
            run::<A, R, CHUNK>((a, r), &f, operand, out);
        }
    })
}

/// The same of two operands.
fn lanes2<A: Domain, R: Domain>(
    a: Codec<A>,
    r: Codec<R>,
    f: impl Fn(&[A], &[A], &mut [R]) + 'static,
) -> Lanes {
    fn run<A: Domain, R: Domain, const N: usize>(
        (a, r): (Codec<A>, Codec<R>),
        f: &impl Fn(&[A], &[A], &mut [R]),
        [left, right]: [&[u8]; 2],
        out: &mut [u8],
    ) {
        let (mut x, mut y, mut z) = ([A::default(); N], [A::default(); N], [R::default(); N]);
        let operands = left.chunks(N * a.size).zip(right.chunks(N * a.size));
        for ((left, right), out) in operands.zip(out.chunks_mut(N * r.size)) {
            let n = out.len() / r.size;
            (a.load)(left, &mut x[..n]);
            (a.load)(right, &mut y[..n]);
            f(&x[..n], &y[..n], &mut z[..n]);
            (r.store)(&z[..n], out);
        }
    }
    Box::new(move |operands, out| {
        let &[left, right] = operands else {
            return;
        };
        if out.len() == r.size {
            run::<A, R, 1>((a, r), &f, [left, right], out);
        } else {
            run::<A, R, CHUNK>((a, r), &f, [left, right], out);
        }
    })
}

fn unary_lanes<A: Domain, R: Domain>(a: Codec<A>, r: Codec<R>, kernel: Unary<A, R>) -> Lanes {
    lanes1(a, r, move |x, y| kernel(x, a.bits, y))
}

fn binary_lanes<A: Domain, R: Domain>(a: Codec<A>, r: Codec<R>, kernel: Binary<A, R>) -> Lanes {
    lanes2(a, r, move |x, y, z| kernel(x, y, a.bits, z))
}

fn no_such(opcode: &Opcode, element: PrimitiveType) -> Fault {
    Fault::malformed(format!("{opcode} is not defined on {element}"))
}

fn unary(opcode: &Opcode, element: PrimitiveType) -> Outcome<Lanes> {
    with_domain!(element, D => {
        let codec = D::codec(element)?;
        let kernel = D::unary(opcode).ok_or_else(|| no_such(opcode, element))?;
        Ok(unary_lanes(codec, codec, kernel))
    })
}

/// The function of an elementwise opcode of two operands of one element type.
pub(super) fn binary(opcode: &Opcode, element: PrimitiveType) -> Outcome<Lanes> {
    with_domain!(element, D => {
        let codec = D::codec(element)?;
        let kernel = D::binary(opcode).ok_or_else(|| no_such(opcode, element))?;
        Ok(binary_lanes(codec, codec, kernel))
    })
}

fn compare(instruction: &Instruction, element: PrimitiveType) -> Outcome<Lanes> {
    use crate::attribute::AttributeValue;
    let word = |name| match instruction.attribute(name) {
        Some(AttributeValue::Word(word)) => Some(*word),
        _ => None,
    };
    let direction = word("direction").ok_or_else(|| Fault::malformed("no direction"))?;
    let total = word("type") == Some("TOTALORDER");
    compare_lanes(direction, total, element)
}

/// The comparison `direction`, by total order if `total`.
pub(super) fn compare_lanes(
    direction: &str,
    total: bool,
    element: PrimitiveType,
) -> Outcome<Lanes> {
    with_domain!(element, D => {
        let kernel = D::compare(direction, total)
            .ok_or_else(|| Fault::malformed(format!("{direction} is not defined on {element}")))?;
        Ok(binary_lanes(D::codec(element)?, bool::codec(PrimitiveType::Pred)?, kernel))
    })
}

/// Conversion of values between any two element types.
pub(super) fn convert(from: PrimitiveType, to: PrimitiveType) -> Outcome<Lanes> {
    if from == to {
        return Ok(bits(from, to));
    }
    with_domain!(from, A => {
        with_domain!(to, R => {
            let (a, r) = (A::codec(from)?, R::codec(to)?);
            let bits = r.bits;
            Ok(lanes1(a, r, move |x: &[A], y: &mut [R]| {
                for (y, x) in y.iter_mut().zip(x) {
                    *y = x.convert(bits);
                }
            }))
        })
    })
}

/// The same bits as another element type of the same width.
fn bits(from: PrimitiveType, to: PrimitiveType) -> Lanes {
    let width = to.bits();
    let narrow = width < 8 && from != to;
    Box::new(move |operands, out| {
        let Some(operand) = operands.first().and_then(|o| o.get(..out.len())) else {
            return;
        };
        if !narrow {
            return out.copy_from_slice(operand);
        }
        // A type narrower than a byte is extended to one, each in its own way.
        let spare = 8 - width;
        for (out, &byte) in out.iter_mut().zip(operand) {
            *out = if to.is_signed_integer() {
                ((byte << spare) as i8 >> spare) as u8
            } else {
                byte << spare >> spare
            };
        }
    })
}

fn select(element: PrimitiveType) -> Outcome<Lanes> {
    fn of<const N: usize>() -> Lanes {
        Box::new(|operands, out| {
            let &[choices, on_true, on_false] = operands else {
                return;
            };
            let on_true = on_true.as_chunks::<N>().0;
            let on_false = on_false.as_chunks::<N>().0;
            let values = choices.iter().zip(on_true).zip(on_false);
            for (out, ((&choice, a), b)) in out.as_chunks_mut::<N>().0.iter_mut().zip(values) {
                *out = if choice != 0 { *a } else { *b };
            }
        })
    }
    Ok(match element.bytes() {
        1 => of::<1>(),
        2 => of::<2>(),
        4 => of::<4>(),
        8 => of::<8>(),
        16 => of::<16>(),
        size => return Err(Fault::unsupported(format!("elements of {size} bytes"))),
    })
}

/// `minimum(maximum(low, a), high)`.
fn clamp(element: PrimitiveType) -> Outcome<Lanes> {
    let maximum = binary(&Opcode::Maximum, element)?;
    let minimum = binary(&Opcode::Minimum, element)?;
    Ok(Box::new(move |operands, out| {
        let &[low, a, high] = operands else {
            return;
        };
        let mut raised = vec![0; out.len()];
        maximum(&[low, a], &mut raised);
        minimum(&[&raised, high], out);
    }))
}

fn complex(element: PrimitiveType) -> Outcome<Lanes> {
    match element {
        PrimitiveType::F32 => complex_of::<f32, C64>(element, PrimitiveType::C64, C64::new),
        PrimitiveType::F64 => complex_of::<f64, C128>(element, PrimitiveType::C128, C128::new),
        _ => Err(no_such(&Opcode::Complex, element)),
    }
}

fn complex_of<A: Domain, R: Domain>(
    part: PrimitiveType,
    whole: PrimitiveType,
    f: fn(A, A) -> R,
) -> Outcome<Lanes> {
    let (a, r) = (A::codec(part)?, R::codec(whole)?);
    Ok(lanes2(a, r, move |x, y, z| {
        for ((z, x), y) in z.iter_mut().zip(x).zip(y) {
            *z = f(*x, *y);
        }
    }))
}

/// Magnitude, real or imaginary part.
fn complex_part(opcode: &Opcode, from: PrimitiveType, to: PrimitiveType) -> Outcome<Lanes> {
    match from {
        PrimitiveType::C64 => {
            same(&[PrimitiveType::F32, to])?;
            let part: fn(&C64) -> f32 = match opcode {
                Opcode::Abs => |a| a.re.hypot(a.im),
                Opcode::Real => |a| a.re,
                _ => |a| a.im,
            };
            map_lanes(from, to, part)
        }
        _ => {
            same(&[PrimitiveType::F64, to])?;
            let part: fn(&C128) -> f64 = match opcode {
                Opcode::Abs => |a| a.re.hypot(a.im),
                Opcode::Real => |a| a.re,
                _ => |a| a.im,
            };
            map_lanes(from, to, part)
        }
    }
}

fn map_lanes<A: Domain, R: Domain>(
    from: PrimitiveType,
    to: PrimitiveType,
    f: fn(&A) -> R,
) -> Outcome<Lanes> {
    let (a, r) = (A::codec(from)?, R::codec(to)?);
    Ok(lanes1(a, r, move |x, y| {
        for (y, x) in y.iter_mut().zip(x) {
            *y = f(x);
        }
    }))
}

fn is_finite(element: PrimitiveType) -> Outcome<Lanes> {
    if !element.is_float() {
        return Err(no_such(&Opcode::IsFinite, element));
    }
    map_lanes::<f64, bool>(element, PrimitiveType::Pred, |a| a.is_finite())
}

/// Rounds to fewer exponent and mantissa bits, to nearest even. With fewer exponent bits, numbers
/// below the smallest normal one become zero and those above the largest infinite.
fn reduce_precision(instruction: &Instruction, element: PrimitiveType) -> Outcome<Lanes> {
    let (exponent, mantissa) = match element {
        PrimitiveType::F16 => (5, 10),
        PrimitiveType::BF16 => (8, 7),
        PrimitiveType::F32 => (8, 23),
        PrimitiveType::F64 => (11, 52),
        _ => return Err(no_such(&Opcode::ReducePrecision, element)),
    };
    let attribute = |name| {
        instruction
            .integer(name)
            .and_then(|bits| u32::try_from(bits).ok())
            .ok_or_else(|| Fault::malformed(format!("{name} is missing or negative")))
    };
    let drop = mantissa - attribute("mantissa_bits")?.min(mantissa);
    let kept = attribute("exponent_bits")?.clamp(1, exponent);
    let infinity = ((1u64 << exponent) - 1) << mantissa;
    let bias = |bits: u32| (1u64 << (bits - 1)) - 1;
    let (smallest, largest) = (bias(exponent) - bias(kept), bias(exponent) + bias(kept));
    let round = move |pattern: u64| {
        if pattern >= infinity {
            return pattern;
        }
        let mut rounded = pattern;
        if drop > 0 {
            let odd = (pattern >> drop) & 1;
            rounded = (pattern + (1 << (drop - 1)) - 1 + odd) >> drop << drop;
        }
        match rounded >> mantissa {
            _ if kept == exponent => rounded,
            field if field > largest => infinity,
            field if field <= smallest => 0,
            _ => rounded,
        }
    };
    let size = element.bytes();
    let sign = 1u64 << (element.bits() - 1);
    Ok(Box::new(move |operands, out| {
        let operand = operands.first().copied().unwrap_or_default();
        for (bytes, out) in operand.chunks_exact(size).zip(out.chunks_exact_mut(size)) {
            let mut wide = [0; 8];
            wide[..size].copy_from_slice(bytes);
            let bits = u64::from_le_bytes(wide);
            let rounded = round(bits & !sign) | bits & sign;
            out.copy_from_slice(&rounded.to_le_bytes()[..size]);
        }
    }))
}

/// Rounds a float to an integer, up in magnitude where the random bits, read as a fraction, are
/// less than the fraction that is cut off.
fn stochastic_convert(
    from: PrimitiveType,
    random: PrimitiveType,
    to: PrimitiveType,
) -> Outcome<Lanes> {
    if !from.is_float() || !random.is_unsigned_integer() || random.bits() != from.bits() {
        return Err(Fault::expected(
            format_args!("a float and as many unsigned random bits"),
            format_args!("{from} and {random}"),
        ));
    }
    if !to.is_integer() {
        return Err(Fault::unsupported(format!(
            "stochastic-convert to {to}: it is defined for integer results"
        )));
    }
    let range = 2f64.powi(random.bits() as i32);
    let (a, b) = (f64::codec(from)?, u64::codec(random)?);
    let size = to.bytes();
    let saturate = convert(PrimitiveType::F64, to)?;
    Ok(Box::new(move |operands, out| {
        let &[values, random] = operands else {
            return;
        };
        let (values, random) = (a.load_all(values), b.load_all(random));
        let rounded = values.iter().zip(random).map(|(&value, random)| {
            let cut = value.abs().fract() * range;
            // Not less than a saturated fraction: NaN and infinity are left alone.
            let up = cut.is_finite() && random < cut as u64;
            value.trunc() + if up { 1f64.copysign(value) } else { 0.0 }
        });
        let bytes: Vec<u8> = rounded.flat_map(f64::to_le_bytes).collect();
        saturate(&[&bytes], &mut out[..values.len() * size]);
    }))
}
