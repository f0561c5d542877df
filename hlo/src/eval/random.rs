//! Random numbers: `rng-bit-generator`, bit for bit that of XLA, and `rng`, whose numbers XLA leaves
//! open.
//!
//! The state of `rng-bit-generator` is a key and a counter of one or two 64-bit words. Threefry encrypts the counter to
//! 64 bits, Philox to 128; the words of consecutive counters are laid out as XLA does, and the
//! counter moves on by the number that was used.
//!
//! `rng` and `rng-get-and-update-state` share a counter of 128 bits that belongs to the evaluation
//! and begins where XLA's does, so that an evaluation gives the same numbers each time, and each
//! of its instructions and iterations others. `rng` encrypts it with Philox under the key 0, two
//! words of 64 bits a number:
//!
//! - uniform over `[low, high)`: an integer is `low` plus the first word scaled to the size of the
//!   interval (its high product with it), a float `low + (high - low) * u`, `u` the first word's
//!   leading 53 bits as a fraction, never rounded up to `high`; an empty interval gives `low`;
//! - normal with `mean` and `deviation`: Box and Muller's cosine of the two words.

use super::array::{Array, count, dims_of};
use super::error::{Fault, Outcome};
use super::operation::Operation;
use crate::literal::Native;
use crate::shape::{PrimitiveType, Shape};

/// Where the counter of an evaluation begins; XLA's own initial state.
pub(super) const INITIAL_STATE: u128 = 0x701_2395;

/// New state and random bits.
pub(super) fn bit_generator(op: &mut Operation<'_, '_>) -> Outcome<Vec<Array>> {
    let [state] = op.exactly()?;
    let words = match state.element {
        PrimitiveType::U64 => u64::read(&state.data),
        other => return Err(Fault::unsupported(format!("a state of {other}"))),
    };
    let shape = match &*op.instruction.shape {
        Shape::Tuple(parts) => parts.get(1).and_then(Shape::as_array),
        _ => None,
    };
    let shape = shape.ok_or_else(|| Fault::malformed("the result is no pair of arrays"))?;
    let (element, dims) = (shape.element, dims_of(shape)?);
    if !element.is_integer() || element.bits() < 8 {
        return Err(Fault::unsupported(format!("random {element}")));
    }
    let total = count(&dims)?;
    op.context.meter.work(total)?;
    op.context.meter.scratch(total.saturating_mul(24))?;
    let algorithm = op.word("algorithm").unwrap_or_default();
    let (values, counter) = match (algorithm, &words[..]) {
        ("rng_three_fry", &[key, counter]) => {
            let (values, used) = threefry_values(key, counter, element, &dims)?;
            (values, vec![counter.wrapping_add(used)])
        }
        // Without a high word the counter continues into the key.
        ("rng_philox" | "rng_default", &[key, low]) => {
            let (values, next) = philox_values(key, wide(low, key), element, total);
            (values, vec![next as u64])
        }
        ("rng_philox" | "rng_default", &[key, low, high]) => {
            let (values, next) = philox_values(key, wide(low, high), element, total);
            (values, vec![next as u64, (next >> 64) as u64])
        }
        _ => {
            return Err(Fault::unsupported(format!(
                "{algorithm:?} with a state of {} words",
                words.len()
            )));
        }
    };
    let mut bytes = Vec::with_capacity(state.data.len());
    words[..1]
        .iter()
        .chain(&counter)
        .for_each(|word| word.write(&mut bytes));
    let next = Array::new(state.element, state.dims, bytes)?;
    let mut bytes = Vec::with_capacity(total * element.bytes());
    for value in values {
        bytes.extend_from_slice(&value.to_le_bytes()[..element.bytes()]);
    }
    Ok(vec![next, Array::new(element, dims, bytes)?])
}

/// `rng-get-and-update-state`: the counter, which moves on by `delta`, low word first.
pub(super) fn get_and_update_state(op: &mut Operation<'_, '_>) -> Outcome<Array> {
    let (element, dims) = op.result()?;
    let delta = op.integer("delta")?;
    let state = op.context.random;
    op.context.random = state.wrapping_add_signed(delta.into());
    let words = match element {
        PrimitiveType::U64 => [state as u64, (state >> 64) as u64],
        other => return Err(Fault::unsupported(format!("a state of {other}"))),
    };
    let bytes: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).collect();
    Array::new(element, dims, bytes)
}

/// `rng`.
pub(super) fn rng(op: &mut Operation<'_, '_>) -> Outcome<Array> {
    let [first, second] = op.exactly()?;
    let (element, dims) = op.result()?;
    if first.element != element || second.element != element {
        return Err(Fault::expected(
            format_args!("bounds of {element}"),
            format_args!("{} and {}", first.element, second.element),
        ));
    }
    if first.count() != 1 || second.count() != 1 {
        return Err(Fault::malformed(
            "the distribution's parameters are no scalars",
        ));
    }
    let total = count(&dims)?;
    op.context.meter.work(total)?;
    op.context.meter.scratch(total.saturating_mul(16))?;
    let start = op.context.random;
    op.context.random = start.wrapping_add(total as u128);
    let draws = (0..total).map(|i| {
        let counter = start.wrapping_add(i as u128);
        let [a, b] = low_high(counter as u64);
        let [c, d] = low_high((counter >> 64) as u64);
        let out = philox([a, b, c, d], [0, 0]).map(u64::from);
        [out[0] | out[1] << 32, out[2] | out[3] << 32]
    });
    let distribution = op.word("distribution").unwrap_or_default();
    match distribution {
        "rng_uniform" if element.is_integer() => {
            let (low, high) = (integer(&first)?, integer(&second)?);
            let span = (high - low).max(0) as u128;
            let values = draws.map(|[word, _]| low + ((u128::from(word) * span) >> 64) as i128);
            let bytes = values
                .flat_map(|v| v.to_le_bytes().into_iter().take(element.bytes()))
                .collect::<Vec<u8>>();
            Array::new(element, dims, bytes)
        }
        "rng_uniform" if element.is_float() => {
            let (low, high) = (float(&first)?, float(&second)?);
            let values = draws.map(|[word, _]| low + (high - low) * fraction(word));
            let mut array = floats(element, dims, values)?;
            // Rounding must not leave the interval.
            let (low, high) = (first.data, second.data);
            let less = super::elementwise::compare_lanes("LT", false, element)?;
            let mut inside = vec![0; total];
            less(&[&array.data, &high.repeat(total)], &mut inside);
            let size = element.bytes();
            for (value, inside) in array.bytes_mut().chunks_exact_mut(size).zip(inside) {
                if inside == 0 {
                    value.copy_from_slice(&low);
                }
            }
            Ok(array)
        }
        "rng_normal" if element.is_float() => {
            let (mean, deviation) = (float(&first)?, float(&second)?);
            let values = draws.map(|[radius, angle]| {
                // In (0, 1], of which the logarithm is finite.
                let radius = (-2.0 * (1.0 - fraction(radius)).ln()).sqrt();
                mean + deviation * radius * (std::f64::consts::TAU * fraction(angle)).cos()
            });
            floats(element, dims, values)
        }
        _ => Err(Fault::unsupported(format!("{distribution} of {element}"))),
    }
}

/// The leading 53 bits of a word, in `[0, 1)`.
fn fraction(word: u64) -> f64 {
    (word >> 11) as f64 / (1u64 << 53) as f64
}

fn float(scalar: &Array) -> Outcome<f64> {
    let wide = scalar.clone().converted(PrimitiveType::F64)?;
    Ok(f64::read(&wide.data).first().copied().unwrap_or(f64::NAN))
}

/// An integer of any width.
fn integer(scalar: &Array) -> Outcome<i128> {
    let wide = if scalar.element.is_unsigned_integer() {
        let wide = scalar.clone().converted(PrimitiveType::U64)?;
        u64::read(&wide.data).first().map(|&v| v.into())
    } else {
        let wide = scalar.clone().converted(PrimitiveType::S64)?;
        i64::read(&wide.data).first().map(|&v| v.into())
    };
    wide.ok_or_else(|| Fault::malformed("expected a scalar"))
}

fn floats(
    element: PrimitiveType,
    dims: Vec<usize>,
    values: impl Iterator<Item = f64>,
) -> Outcome<Array> {
    let bytes: Vec<u8> = values.flat_map(f64::to_le_bytes).collect();
    Array::new(PrimitiveType::F64, dims, bytes)?.converted(element)
}

fn wide(low: u64, high: u64) -> u128 {
    u128::from(low) | u128::from(high) << 64
}

fn low_high(word: u64) -> [u32; 2] {
    [word as u32, (word >> 32) as u32]
}

/// Row-major values and how many counters they took. A counter gives one value of 64 bits, or
/// two narrower ones that are neighbours along the first even dimension, or along the longest
/// one when all are odd.
fn threefry_values(
    key: u64,
    counter: u64,
    element: PrimitiveType,
    dims: &[usize],
) -> Outcome<(Vec<u64>, u64)> {
    let encrypt = |i: usize| threefry(low_high(counter.wrapping_add(i as u64)), low_high(key));
    let total = count(dims)?;
    if element.bits() == 64 {
        let join = |[low, high]: [u32; 2]| u64::from(low) | u64::from(high) << 32;
        return Ok(((0..total).map(|i| join(encrypt(i))).collect(), total as u64));
    }
    if dims.is_empty() {
        return Ok((vec![encrypt(0)[0].into()], 1));
    }
    let longest = (0..dims.len()).rev().max_by_key(|&d| dims[d]).unwrap_or(0);
    let split = (0..dims.len())
        .find(|&d| dims[d].is_multiple_of(2))
        .unwrap_or(longest);
    let pairs = dims[split].div_ceil(2);
    let inner: usize = dims[split + 1..].iter().product();
    let outer: usize = dims[..split].iter().product();
    let mut values = Vec::with_capacity(total);
    for o in 0..outer {
        for position in 0..dims[split] {
            for i in 0..inner {
                let counter = (o * pairs + position / 2) * inner + i;
                values.push(encrypt(counter)[position % 2].into());
            }
        }
    }
    Ok((values, (outer * pairs * inner) as u64))
}

/// Row-major values and the next counter. A counter gives two values of 64 bits or four narrower
/// ones, one after the other.
fn philox_values(
    key: u64,
    counter: u128,
    element: PrimitiveType,
    total: usize,
) -> (Vec<u64>, u128) {
    let each = if element.bits() == 64 { 2 } else { 4 };
    let used = total.div_ceil(each);
    let mut values = Vec::with_capacity(used * each);
    for i in 0..used {
        let counter = counter.wrapping_add(i as u128);
        let [a, b] = low_high(counter as u64);
        let [c, d] = low_high((counter >> 64) as u64);
        let out = philox([a, b, c, d], low_high(key)).map(u64::from);
        if each == 2 {
            values.extend([out[0] | out[1] << 32, out[2] | out[3] << 32]);
        } else {
            values.extend(out);
        }
    }
    values.truncate(total);
    (values, counter.wrapping_add(used as u128))
}

/// Threefry-2x32 with 20 rounds.
pub(super) fn threefry(counter: [u32; 2], key: [u32; 2]) -> [u32; 2] {
    const ROTATIONS: [[u32; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];
    let keys = [key[0], key[1], 0x1bd1_1bda ^ key[0] ^ key[1]];
    let mut x = [
        counter[0].wrapping_add(keys[0]),
        counter[1].wrapping_add(keys[1]),
    ];
    for group in 0..5 {
        for rotation in ROTATIONS[group % 2] {
            x[0] = x[0].wrapping_add(x[1]);
            x[1] = x[1].rotate_left(rotation) ^ x[0];
        }
        x[0] = x[0].wrapping_add(keys[(group + 1) % 3]);
        x[1] = x[1]
            .wrapping_add(keys[(group + 2) % 3])
            .wrapping_add(group as u32 + 1);
    }
    x
}

/// Philox-4x32 with 10 rounds.
fn philox(mut x: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let [low0, high0] = low_high(u64::from(x[0]) * 0xd251_1f53);
        let [low1, high1] = low_high(u64::from(x[2]) * 0xcd9e_8d57);
        x = [high1 ^ x[1] ^ key[0], low1, high0 ^ x[3] ^ key[1], low0];
        key = [
            key[0].wrapping_add(0x9e37_79b9),
            key[1].wrapping_add(0xbb67_ae85),
        ];
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    // The published test vectors of the two ciphers.
    #[test]
    fn ciphers_meet_their_test_vectors() {
        assert_eq!(threefry([0, 0], [0, 0]), [0x6b20_0159, 0x99ba_4efe]);
        assert_eq!(threefry([!0, !0], [!0, !0]), [0x1cb9_96fc, 0xbb00_2be7]);
        assert_eq!(
            philox([0; 4], [0; 2]),
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
        );
        assert_eq!(
            philox([!0; 4], [!0; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
    }
}
