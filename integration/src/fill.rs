//! Elements of arguments, from a short description and a seed.

use half::{bf16, f16};
use hlo2dae_hlo::{ArrayShape, Literal, PrimitiveType};
use miette::{Result, miette};
use serde::Deserialize;

/// How an argument's elements are chosen. Ranges are half open: `[0, 10]` draws from 0 to 9.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fill {
    /// Real numbers, each as likely as the others.
    Uniform(f64, f64),
    /// Integers, each as likely as the others.
    Integers(i64, i64),
    /// Integers that never decrease along the last axis: segment ids of sorted bags.
    Sorted(i64, i64),
    /// As `sorted`, from the low end to the high one: where bags start in a flat list, and its length.
    Offsets(i64, i64),
    /// Integers that do not repeat along the last axis.
    Distinct(i64, i64),
    /// Exactly these, in row-major order.
    Values(Vec<Number>),
}

/// A number as `case.toml` writes it.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Number {
    /// Without a decimal point.
    Integer(i64),
    /// With one, or `nan`, `inf`.
    Real(f64),
}

/// The most elements that a description is asked for; far above what a test can compute with.
const LIMIT: usize = 1 << 28;

/// An array of `shape`; `stream` separates the arguments that share a seed.
pub fn literal(fill: &Fill, shape: &ArrayShape, seed: u64, stream: u64) -> Result<Literal> {
    let count = shape
        .element_count()
        .filter(|&n| n <= LIMIT)
        .ok_or_else(|| miette!("the shape has no size that can be filled"))?;
    let row = shape
        .dims
        .last()
        .and_then(|&d| usize::try_from(d).ok())
        .unwrap_or(1)
        .max(1);
    let numbers = numbers(fill, count, row, &mut Random::new(seed, stream))?;
    let mut data = Vec::with_capacity(count.saturating_mul(shape.element.bytes()));
    for number in numbers {
        encode(number, shape.element, &mut data)?;
    }
    Ok(Literal::Array {
        shape: ArrayShape::new(shape.element, shape.dims.clone()),
        data: data.into(),
    })
}

fn numbers(fill: &Fill, count: usize, row: usize, random: &mut Random) -> Result<Vec<Number>> {
    let integers = |values: Vec<i64>| values.into_iter().map(Number::Integer).collect();
    Ok(match fill {
        Fill::Uniform(low, high) => (0..count)
            .map(|_| Number::Real(low + (high - low) * random.unit()))
            .collect(),
        Fill::Integers(low, high) => integers(random.integers(*low, *high, count)?),
        Fill::Sorted(low, high) => {
            let mut values = random.integers(*low, *high, count)?;
            values.chunks_mut(row).for_each(<[i64]>::sort_unstable);
            integers(values)
        }
        Fill::Offsets(low, high) => {
            let mut values = random.integers(*low, *high, count)?;
            for row in values.chunks_mut(row) {
                row.sort_unstable();
                if let [first, .., last] = row {
                    (*first, *last) = (*low, high - 1);
                }
            }
            integers(values)
        }
        Fill::Distinct(low, high) => {
            let mut values = Vec::with_capacity(count);
            while values.len() < count {
                values.extend(random.distinct(*low, *high, row.min(count))?);
            }
            integers(values)
        }
        Fill::Values(values) if values.len() == count => values.clone(),
        Fill::Values(values) => {
            return Err(miette!("{} values for {count} elements", values.len()));
        }
    })
}

/// Appends a number as an element, rounded to nearest where the element type is narrower; integers must fit.
fn encode(number: Number, element: PrimitiveType, data: &mut Vec<u8>) -> Result<()> {
    let real = match number {
        Number::Integer(value) => value as f64,
        Number::Real(value) => value,
    };
    let integer = |lo: i64, hi: i64| match number {
        Number::Integer(value) if (lo..=hi).contains(&value) => Ok(value),
        Number::Integer(_) | Number::Real(_) => {
            Err(miette!("{number:?} is not a value of {element}"))
        }
    };
    match element {
        PrimitiveType::F64 => data.extend(real.to_le_bytes()),
        PrimitiveType::F32 => data.extend((real as f32).to_le_bytes()),
        PrimitiveType::F16 => data.extend(f16::from_f64(real).to_le_bytes()),
        PrimitiveType::BF16 => data.extend(bf16::from_f64(real).to_le_bytes()),
        // A real number: the imaginary part is zero.
        PrimitiveType::C64 => {
            data.extend((real as f32).to_le_bytes());
            data.extend([0; 4]);
        }
        PrimitiveType::C128 => {
            data.extend(real.to_le_bytes());
            data.extend([0; 8]);
        }
        PrimitiveType::Pred => data.push(integer(0, 1)? as u8),
        _ if element.is_integer() && element.bits() >= 8 => {
            let bits = element.bits();
            let (lo, hi) = match (element.is_signed_integer(), bits) {
                (true, _) => (i64::MIN >> (64 - bits), i64::MAX >> (64 - bits)),
                (false, 64) => (0, i64::MAX),
                (false, _) => (0, (1 << bits) - 1),
            };
            data.extend(&integer(lo, hi)?.to_le_bytes()[..element.bytes()]);
        }
        _ => return Err(miette!("no description fills an array of {element}")),
    }
    Ok(())
}

/// The SplitMix64 generator: the same numbers on every machine and in every version.
struct Random(u64);

impl Random {
    fn new(seed: u64, stream: u64) -> Random {
        let mut random = Random(seed);
        let start = random.next();
        let mut random = Random(start ^ stream.wrapping_mul(0xd1b5_4a32_d192_ed03));
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In `0.0..1.0`.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// In `0..bound`; the product's high half is as even as 64 bits allow.
    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    fn integers(&mut self, low: i64, high: i64, count: usize) -> Result<Vec<i64>> {
        let width = width(low, high)?;
        Ok((0..count)
            .map(|_| low.wrapping_add_unsigned(self.below(width)))
            .collect())
    }

    fn distinct(&mut self, low: i64, high: i64, count: usize) -> Result<Vec<i64>> {
        let width = width(low, high)?;
        if width > LIMIT as u64 || (count as u64) > width {
            return Err(miette!("{count} different integers of {width}"));
        }
        let mut pool: Vec<i64> = (low..high).collect();
        for taken in 0..count {
            let other = taken as u64 + self.below(width - taken as u64);
            pool.swap(taken, other as usize);
        }
        pool.truncate(count);
        Ok(pool)
    }
}

fn width(low: i64, high: i64) -> Result<u64> {
    match high.checked_sub(low) {
        Some(width) if width > 0 => Ok(width as u64),
        _ => Err(miette!("[{low}, {high}] holds no integer, or too many")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integers(fill: Fill, dims: &[i64], seed: u64) -> Vec<i64> {
        let shape = ArrayShape::new(PrimitiveType::S64, dims);
        match literal(&fill, &shape, seed, 0).unwrap() {
            Literal::Array { data, .. } => data
                .chunks(8)
                .map(|bytes| i64::from_le_bytes(bytes.try_into().unwrap()))
                .collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_numbers_and_another_seed_others() {
        let fill = Fill::Integers(0, 1000);
        assert_eq!(
            integers(fill.clone(), &[8], 3),
            integers(fill.clone(), &[8], 3)
        );
        assert_ne!(integers(fill.clone(), &[8], 3), integers(fill, &[8], 4));
    }

    #[test]
    fn integers_stay_in_their_range_and_reach_its_ends() {
        let values = integers(Fill::Integers(-2, 3), &[1000], 1);
        assert_eq!(values.iter().min(), Some(&-2));
        assert_eq!(values.iter().max(), Some(&2));
    }

    #[test]
    fn sorted_rows_never_decrease() {
        let values = integers(Fill::Sorted(0, 50), &[4, 25], 1);
        assert!(values.chunks(25).all(<[i64]>::is_sorted));
        assert!(!values.is_sorted());
    }

    #[test]
    fn offsets_span_their_range() {
        let values = integers(Fill::Offsets(0, 13), &[5], 1);
        assert_eq!((values[0], values[4]), (0, 12));
        assert!(values.is_sorted());
    }

    #[test]
    fn distinct_integers_do_not_repeat() {
        let mut values = integers(Fill::Distinct(5, 25), &[20], 1);
        values.sort_unstable();
        assert_eq!(values, (5..25).collect::<Vec<_>>());
    }

    #[test]
    fn values_that_do_not_fit_are_refused() {
        let shape = ArrayShape::new(PrimitiveType::U8, [1]);
        for value in [Number::Integer(256), Number::Integer(-1), Number::Real(0.5)] {
            assert!(literal(&Fill::Values(vec![value]), &shape, 0, 0).is_err());
        }
        assert!(literal(&Fill::Values(vec![]), &shape, 0, 0).is_err());
    }
}
