//! Scalar arithmetic on words, the emulator's native form of a value: the bits of the scalar in the low
//! end of 64, the rest zero.
//!
//! What streams and reductions do all the time (integer and float sums and products, comparisons, integer
//! conversions) is a function on words, chosen once when the program is decoded. The rest goes
//! through [`Arith::evaluate`]'s operations; a property test holds both to the same results.

use hlo2dae_ir::core::{
    Arith, BinaryOp, CompareOp, ElementType, Scalar, ScalarType, TypeError, UnaryOp,
};

/// A function of so many pairs of words from two places, to a third place.
pub(crate) type LanesFn = fn(&mut [u64], usize, usize, usize, usize);

/// An operation on words of a file.
#[derive(Clone, Debug)]
pub(crate) enum Compute {
    /// A function of one word.
    Fast1(fn(u64) -> u64, u32),
    /// A function of two words.
    Fast2(fn(u64, u64) -> u64, u32, u32),
    /// As `Fast2`, and the same for many words at once.
    FastLanes(fn(u64, u64) -> u64, LanesFn, u32, u32),
    /// Condition, on true, on false.
    Select(u32, u32, u32),
    /// Any unary operation.
    Unary(UnaryOp, ScalarType, u32),
    /// Any binary operation.
    Binary(BinaryOp, ScalarType, u32, u32),
    /// Any comparison.
    Compare(CompareOp, ScalarType, u32, u32),
    /// Any conversion.
    Convert(ScalarType, ScalarType, u32),
}

impl Compute {
    /// Decodes an operation whose operands are places in the file, with their types. `Err` is the value of a
    /// constant, which takes no operation.
    pub(crate) fn decode(arith: &Arith<(u32, ScalarType)>) -> Result<Compute, Scalar> {
        Ok(match *arith {
            Arith::Constant(scalar) => return Err(scalar),
            Arith::Unary(op, (a, ty)) => Compute::Unary(op, ty, a),
            Arith::Binary(op, (a, ty), (b, _)) => match (fast_binary(op, ty), fast_lanes(op, ty)) {
                (Some(f), Some(lanes)) => Compute::FastLanes(f, lanes, a, b),
                (Some(f), None) => Compute::Fast2(f, a, b),
                (None, _) => Compute::Binary(op, ty, a, b),
            },
            Arith::Compare(op, (a, ty), (b, _)) => match fast_compare(op, ty) {
                Some(f) => Compute::Fast2(f, a, b),
                None => Compute::Compare(op, ty, a, b),
            },
            Arith::Select((condition, _), (a, _), (b, _)) => Compute::Select(condition, a, b),
            Arith::Convert((a, from), to) => match fast_convert(from, to) {
                Some(f) => Compute::Fast1(f, a),
                None => Compute::Convert(from, to, a),
            },
        })
    }

    /// The result for the present words.
    #[inline]
    pub(crate) fn run(&self, words: &[u64]) -> Result<u64, TypeError> {
        self.run_lane(words, 0)
    }

    /// The result in a lane: every operand has a word for each.
    #[inline]
    fn run_lane(&self, words: &[u64], lane: u32) -> Result<u64, TypeError> {
        let at = |place: u32| words[(place + lane) as usize];
        Ok(match *self {
            Compute::Fast1(f, a) => f(at(a)),
            Compute::Fast2(f, a, b) | Compute::FastLanes(f, _, a, b) => f(at(a), at(b)),
            Compute::Select(condition, a, b) => at(if at(condition) != 0 { a } else { b }),
            Compute::Unary(op, ty, a) => op.apply(Scalar::from_bits(ty, at(a)))?.bits(),
            Compute::Binary(op, ty, a, b) => op
                .apply(Scalar::from_bits(ty, at(a)), Scalar::from_bits(ty, at(b)))?
                .bits(),
            Compute::Compare(op, ty, a, b) => {
                u64::from(op.apply(Scalar::from_bits(ty, at(a)), Scalar::from_bits(ty, at(b)))?)
            }
            Compute::Convert(from, to, a) => Scalar::from_bits(from, at(a)).convert(to).bits(),
        })
    }

    /// The results of all lanes, to the words from `to`.
    #[inline]
    pub(crate) fn run_lanes(
        &self,
        words: &mut [u64],
        to: u32,
        lanes: u32,
    ) -> Result<(), TypeError> {
        if let Compute::FastLanes(_, f, a, b) = *self {
            f(words, a as usize, b as usize, to as usize, lanes as usize);
            return Ok(());
        }
        for lane in 0..lanes {
            words[(to + lane) as usize] = self.run_lane(words, lane)?;
        }
        Ok(())
    }
}

/// How the lanes of a vector are combined.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Combine {
    /// A function of words.
    Fast(fn(u64, u64) -> u64),
    /// Any operation.
    Any(BinaryOp, ScalarType),
}

impl Combine {
    pub(crate) fn new(op: BinaryOp, ty: ScalarType) -> Combine {
        match fast_binary(op, ty) {
            Some(f) => Combine::Fast(f),
            None => Combine::Any(op, ty),
        }
    }

    #[inline]
    pub(crate) fn run(self, a: u64, b: u64) -> Result<u64, TypeError> {
        match self {
            Combine::Fast(f) => Ok(f(a, b)),
            Combine::Any(op, ty) => {
                let (a, b) = (Scalar::from_bits(ty, a), Scalar::from_bits(ty, b));
                Ok(op.apply(a, b)?.bits())
            }
        }
    }
}

/// A Rust type as a word.
trait Word: Copy + PartialOrd {
    fn get(word: u64) -> Self;
    fn put(self) -> u64;
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
}

macro_rules! integer_words {
    ($($t:ty, $unsigned:ty;)*) => {$(
        impl Word for $t {
            #[inline]
            fn get(word: u64) -> $t {
                word as $t
            }
            #[inline]
            fn put(self) -> u64 {
                self as $unsigned as u64
            }
            #[inline]
            fn add(self, other: $t) -> $t {
                self.wrapping_add(other)
            }
            #[inline]
            fn sub(self, other: $t) -> $t {
                self.wrapping_sub(other)
            }
            #[inline]
            fn mul(self, other: $t) -> $t {
                self.wrapping_mul(other)
            }
        }
    )*};
}

integer_words! { i8, u8; i16, u16; i32, u32; i64, u64; u8, u8; u16, u16; u32, u32; u64, u64; }

macro_rules! float_words {
    ($($t:ty, $bits:ty;)*) => {$(
        impl Word for $t {
            #[inline]
            fn get(word: u64) -> $t {
                <$t>::from_bits(word as $bits)
            }
            #[inline]
            fn put(self) -> u64 {
                u64::from(self.to_bits())
            }
            #[inline]
            fn add(self, other: $t) -> $t {
                self + other
            }
            #[inline]
            fn sub(self, other: $t) -> $t {
                self - other
            }
            #[inline]
            fn mul(self, other: $t) -> $t {
                self * other
            }
        }
    )*};
}

float_words! { f32, u32; f64, u64; }

/// Calls `$call::<T>` for the word type of an element type; `None` for those without one.
macro_rules! with_word {
    ($ty:expr, $call:ident $(, $argument:expr)*) => {
        match $ty {
            ScalarType::Index => $call::<i64>($($argument),*),
            ScalarType::Element(element) => match element {
                ElementType::S8 => $call::<i8>($($argument),*),
                ElementType::S16 => $call::<i16>($($argument),*),
                ElementType::S32 => $call::<i32>($($argument),*),
                ElementType::S64 => $call::<i64>($($argument),*),
                ElementType::U8 => $call::<u8>($($argument),*),
                ElementType::U16 => $call::<u16>($($argument),*),
                ElementType::U32 => $call::<u32>($($argument),*),
                ElementType::U64 => $call::<u64>($($argument),*),
                ElementType::F32 => $call::<f32>($($argument),*),
                ElementType::F64 => $call::<f64>($($argument),*),
                ElementType::Bool | ElementType::F16 | ElementType::BF16 => None,
            },
        }
    };
}

fn fast_binary(op: BinaryOp, ty: ScalarType) -> Option<fn(u64, u64) -> u64> {
    fn of<T: Word>(op: BinaryOp) -> Option<fn(u64, u64) -> u64> {
        match op {
            BinaryOp::Add => Some(|a, b| T::get(a).add(T::get(b)).put()),
            BinaryOp::Sub => Some(|a, b| T::get(a).sub(T::get(b)).put()),
            BinaryOp::Mul => Some(|a, b| T::get(a).mul(T::get(b)).put()),
            BinaryOp::Div
            | BinaryOp::Rem
            | BinaryOp::Min
            | BinaryOp::Max
            | BinaryOp::Pow
            | BinaryOp::Atan2
            | BinaryOp::And
            | BinaryOp::Or
            | BinaryOp::Xor
            | BinaryOp::Shl
            | BinaryOp::ShrArithmetic
            | BinaryOp::ShrLogical => None,
        }
    }
    // Minima and maxima of integers follow from their order; those of floats have rules of their own.
    fn ordered<T: Word + Ord>(op: BinaryOp) -> Option<fn(u64, u64) -> u64> {
        match op {
            BinaryOp::Min => Some(|a, b| T::get(a).min(T::get(b)).put()),
            BinaryOp::Max => Some(|a, b| T::get(a).max(T::get(b)).put()),
            _ => None,
        }
    }
    with_word!(ty, of, op).or_else(|| match ty {
        ScalarType::Index | ScalarType::Element(ElementType::S64) => ordered::<i64>(op),
        ScalarType::Element(ElementType::S32) => ordered::<i32>(op),
        ScalarType::Element(_) => None,
    })
}

/// What reductions do to vectors all the time.
fn fast_lanes(op: BinaryOp, ty: ScalarType) -> Option<LanesFn> {
    #[inline]
    fn each(
        words: &mut [u64],
        a: usize,
        b: usize,
        to: usize,
        lanes: usize,
        f: impl Fn(u64, u64) -> u64,
    ) {
        let mut lane = 0;
        // By eights, which the processor's vectors take.
        while lane + 8 <= lanes
            && let Some(&x) = words[a + lane..].first_chunk::<8>()
            && let Some(&y) = words[b + lane..].first_chunk::<8>()
        {
            let result: [u64; 8] = std::array::from_fn(|n| f(x[n], y[n]));
            words[to + lane..to + lane + 8].copy_from_slice(&result);
            lane += 8;
        }
        for lane in lane..lanes {
            words[to + lane] = f(words[a + lane], words[b + lane]);
        }
    }
    fn of<T: Word>(op: BinaryOp) -> Option<LanesFn> {
        match op {
            BinaryOp::Add => Some(|words, a, b, to, lanes| {
                each(words, a, b, to, lanes, |a, b| {
                    T::get(a).add(T::get(b)).put()
                });
            }),
            BinaryOp::Mul => Some(|words, a, b, to, lanes| {
                each(words, a, b, to, lanes, |a, b| {
                    T::get(a).mul(T::get(b)).put()
                });
            }),
            _ => None,
        }
    }
    with_word!(ty, of, op)
}

fn fast_compare(op: CompareOp, ty: ScalarType) -> Option<fn(u64, u64) -> u64> {
    fn of<T: Word>(op: CompareOp) -> Option<fn(u64, u64) -> u64> {
        Some(match op {
            CompareOp::Eq => |a, b| u64::from(T::get(a) == T::get(b)),
            CompareOp::Ne => |a, b| u64::from(T::get(a) != T::get(b)),
            CompareOp::Lt => |a, b| u64::from(T::get(a) < T::get(b)),
            CompareOp::Le => |a, b| u64::from(T::get(a) <= T::get(b)),
            CompareOp::Gt => |a, b| u64::from(T::get(a) > T::get(b)),
            CompareOp::Ge => |a, b| u64::from(T::get(a) >= T::get(b)),
        })
    }
    with_word!(ty, of, op)
}

/// Conversions of integers to `index` and the 64-bit integers: extended by the sign of the source.
fn fast_convert(from: ScalarType, to: ScalarType) -> Option<fn(u64) -> u64> {
    fn extended(from: ScalarType) -> Option<fn(u64) -> u64> {
        match from {
            ScalarType::Index => Some(|a| a),
            ScalarType::Element(element) => match element {
                ElementType::S8 => Some(|a| i64::from(a as i8) as u64),
                ElementType::S16 => Some(|a| i64::from(a as i16) as u64),
                ElementType::S32 => Some(|a| i64::from(a as i32) as u64),
                ElementType::S64
                | ElementType::U8
                | ElementType::U16
                | ElementType::U32
                | ElementType::U64
                | ElementType::Bool => Some(|a| a),
                ElementType::F16 | ElementType::BF16 | ElementType::F32 | ElementType::F64 => None,
            },
        }
    }
    match to {
        ScalarType::Index
        | ScalarType::Element(ElementType::S64)
        | ScalarType::Element(ElementType::U64) => extended(from),
        ScalarType::Element(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn types() -> impl Iterator<Item = ScalarType> {
        let elements = ElementType::ALL.iter().map(|&e| ScalarType::Element(e));
        elements.chain([ScalarType::Index])
    }

    /// Every operation on these words as each type has them: as decoded, and as the IRs define it.
    fn check(bits: [u64; 3]) {
        for ty in types() {
            let values = bits.map(|bits| Scalar::from_bits(ty, bits));
            let [a, b, c] = [(1, ty), (2, ty), (0, ScalarType::BOOL)];
            let mut ariths = vec![Arith::Select(c, a, b)];
            ariths.extend(UnaryOp::ALL.iter().map(|&op| Arith::Unary(op, a)));
            ariths.extend(BinaryOp::ALL.iter().map(|&op| Arith::Binary(op, a, b)));
            ariths.extend(CompareOp::ALL.iter().map(|&op| Arith::Compare(op, a, b)));
            ariths.extend(types().map(|to| Arith::Convert(a, to)));
            let condition = Scalar::Bool(bits[0] & 1 == 1);
            let file = [condition.bits(), values[1].bits(), values[2].bits()];
            for arith in ariths {
                let scalar = |&(at, _): &(u32, ScalarType)| match at {
                    0 => condition,
                    n => values[n as usize],
                };
                let Ok(expected) = arith.map(scalar).evaluate() else {
                    continue;
                };
                let compute = Compute::decode(&arith).unwrap();
                let found = Scalar::from_bits(expected.ty(), compute.run(&file).unwrap());
                assert_eq!(
                    found.bits(),
                    compute.run(&file).unwrap(),
                    "{arith:?}: high bits"
                );
                // Which NaN an operation gives is not defined.
                let nan = |v: Scalar| v.to_string().starts_with("nan");
                assert!(
                    found == expected || (nan(found) && nan(expected)),
                    "{arith:?} of {values:?}: {found}, expected {expected}"
                );
            }
        }
    }

    #[test]
    fn decoded_arithmetic_is_that_of_the_irs_at_the_edges() {
        let edges = [
            0,
            1,
            2,
            0x7f,
            0x80,
            0x7fff,
            0x8000,
            0x7fff_ffff,
            0x8000_0000,
            u64::MAX >> 1,
        ];
        let floats = [1.5f32, -0.0, f32::NAN].map(|v| u64::from(v.to_bits()));
        let doubles = [1.5f64, -0.0, f64::NAN].map(f64::to_bits);
        let all: Vec<u64> = edges
            .iter()
            .chain(&floats)
            .chain(&doubles)
            .flat_map(|&v| [v, !v])
            .collect();
        for &a in &all {
            for &b in &all {
                check([a, a, b]);
            }
        }
    }

    proptest! {
        #[test]
        fn decoded_arithmetic_is_that_of_the_irs(bits in any::<[u64; 3]>()) {
            check(bits);
        }
    }
}
