//! Scalar values, and their text.
//!
//! ```text
//! -5   true   1.0   1e-7   -inf   nan   nan(0xffc00000)
//! ```
//!
//! A float prints as the shortest decimal that is read back as the same bits; a NaN other than
//! the canonical one prints its bits. The type is not part of the text; where it does not follow
//! from the place, `: TYPE` stands behind.

use std::fmt;

use half::{bf16, f16};

use super::types::{ElementType, ScalarType};

/// A value of one [`ScalarType`].
///
/// Equality is that of the bits, so that a NaN constant equals itself.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the names are the element types'")]
pub enum Scalar {
    Index(i64),
    Bool(bool),
    S8(i8),
    S16(i16),
    S32(i32),
    S64(i64),
    U8(u8),
    U16(u16),
    U32(u32),
    U64(u64),
    F16(f16),
    BF16(bf16),
    F32(f32),
    F64(f64),
}

impl Scalar {
    /// The type of the value.
    pub fn ty(self) -> ScalarType {
        let element = match self {
            Scalar::Index(_) => return ScalarType::Index,
            Scalar::Bool(_) => ElementType::Bool,
            Scalar::S8(_) => ElementType::S8,
            Scalar::S16(_) => ElementType::S16,
            Scalar::S32(_) => ElementType::S32,
            Scalar::S64(_) => ElementType::S64,
            Scalar::U8(_) => ElementType::U8,
            Scalar::U16(_) => ElementType::U16,
            Scalar::U32(_) => ElementType::U32,
            Scalar::U64(_) => ElementType::U64,
            Scalar::F16(_) => ElementType::F16,
            Scalar::BF16(_) => ElementType::BF16,
            Scalar::F32(_) => ElementType::F32,
            Scalar::F64(_) => ElementType::F64,
        };
        ScalarType::Element(element)
    }

    /// The bits of the value, in the low end of the word.
    pub fn bits(self) -> u64 {
        match self {
            Scalar::Index(v) | Scalar::S64(v) => v as u64,
            Scalar::Bool(v) => u64::from(v),
            Scalar::S8(v) => u64::from(v as u8),
            Scalar::S16(v) => u64::from(v as u16),
            Scalar::S32(v) => u64::from(v as u32),
            Scalar::U8(v) => u64::from(v),
            Scalar::U16(v) => u64::from(v),
            Scalar::U32(v) => u64::from(v),
            Scalar::U64(v) => v,
            Scalar::F16(v) => u64::from(v.to_bits()),
            Scalar::BF16(v) => u64::from(v.to_bits()),
            Scalar::F32(v) => u64::from(v.to_bits()),
            Scalar::F64(v) => v.to_bits(),
        }
    }

    /// The value of type `ty` whose bits are the low end of `bits`; inverse of [`Scalar::bits`].
    pub fn from_bits(ty: ScalarType, bits: u64) -> Scalar {
        match ty {
            ScalarType::Index => Scalar::Index(bits as i64),
            ScalarType::Element(element) => match element {
                ElementType::Bool => Scalar::Bool(bits & 0xff != 0),
                ElementType::S8 => Scalar::S8(bits as i8),
                ElementType::S16 => Scalar::S16(bits as i16),
                ElementType::S32 => Scalar::S32(bits as i32),
                ElementType::S64 => Scalar::S64(bits as i64),
                ElementType::U8 => Scalar::U8(bits as u8),
                ElementType::U16 => Scalar::U16(bits as u16),
                ElementType::U32 => Scalar::U32(bits as u32),
                ElementType::U64 => Scalar::U64(bits),
                ElementType::F16 => Scalar::F16(f16::from_bits(bits as u16)),
                ElementType::BF16 => Scalar::BF16(bf16::from_bits(bits as u16)),
                ElementType::F32 => Scalar::F32(f32::from_bits(bits as u32)),
                ElementType::F64 => Scalar::F64(f64::from_bits(bits)),
            },
        }
    }
}

impl Scalar {
    /// Zero, `false`.
    pub fn zero(ty: ScalarType) -> Scalar {
        Scalar::from_bits(ty, 0)
    }

    /// The smallest and the largest value of a type; the infinities for floats.
    pub fn range(ty: ScalarType) -> (Scalar, Scalar) {
        match ty {
            ScalarType::Index => (Scalar::Index(i64::MIN), Scalar::Index(i64::MAX)),
            ScalarType::Element(element) => match element {
                ElementType::Bool => (Scalar::Bool(false), Scalar::Bool(true)),
                ElementType::S8 => (Scalar::S8(i8::MIN), Scalar::S8(i8::MAX)),
                ElementType::S16 => (Scalar::S16(i16::MIN), Scalar::S16(i16::MAX)),
                ElementType::S32 => (Scalar::S32(i32::MIN), Scalar::S32(i32::MAX)),
                ElementType::S64 => (Scalar::S64(i64::MIN), Scalar::S64(i64::MAX)),
                ElementType::U8 => (Scalar::U8(u8::MIN), Scalar::U8(u8::MAX)),
                ElementType::U16 => (Scalar::U16(u16::MIN), Scalar::U16(u16::MAX)),
                ElementType::U32 => (Scalar::U32(u32::MIN), Scalar::U32(u32::MAX)),
                ElementType::U64 => (Scalar::U64(u64::MIN), Scalar::U64(u64::MAX)),
                ElementType::F16 => (Scalar::F16(f16::NEG_INFINITY), Scalar::F16(f16::INFINITY)),
                ElementType::BF16 => (
                    Scalar::BF16(bf16::NEG_INFINITY),
                    Scalar::BF16(bf16::INFINITY),
                ),
                ElementType::F32 => (Scalar::F32(f32::NEG_INFINITY), Scalar::F32(f32::INFINITY)),
                ElementType::F64 => (Scalar::F64(f64::NEG_INFINITY), Scalar::F64(f64::INFINITY)),
            },
        }
    }

    /// The value of an integer or an `index`; `None` for `bool` and floats.
    pub fn as_integer(self) -> Option<i128> {
        match self {
            Scalar::Index(v) | Scalar::S64(v) => Some(v.into()),
            Scalar::S8(v) => Some(v.into()),
            Scalar::S16(v) => Some(v.into()),
            Scalar::S32(v) => Some(v.into()),
            Scalar::U8(v) => Some(v.into()),
            Scalar::U16(v) => Some(v.into()),
            Scalar::U32(v) => Some(v.into()),
            Scalar::U64(v) => Some(v.into()),
            Scalar::Bool(_)
            | Scalar::F16(_)
            | Scalar::BF16(_)
            | Scalar::F32(_)
            | Scalar::F64(_) => None,
        }
    }

    /// The value of type `ty` that `text` spells; `None` if it spells none or one out of range.
    pub fn parse(text: &str, ty: ScalarType) -> Option<Scalar> {
        // The canonical NaN and the bits of any other.
        let nan = |canonical: u64| match text.strip_prefix("nan") {
            Some("") => Some(canonical),
            Some(rest) => {
                let digits = rest.strip_prefix("(0x")?.strip_suffix(')')?;
                u64::from_str_radix(digits, 16).ok()
            }
            None => None,
        };
        macro_rules! float {
            ($variant:ident, $nan:expr, $bits:ty, $parse:expr) => {
                match nan($nan.to_bits().into()) {
                    Some(bits) => {
                        let bits = <$bits>::try_from(bits).ok()?;
                        let value = Scalar::from_bits(ty, bits.into());
                        matches!(value, Scalar::$variant(v) if v.is_nan()).then_some(value)
                    }
                    None if text.contains("nan") => None,
                    None => text.parse().ok().map($parse).map(Scalar::$variant),
                }
            };
        }
        match ty {
            ScalarType::Index => text.parse().ok().map(Scalar::Index),
            ScalarType::Element(element) => match element {
                ElementType::Bool => text.parse().ok().map(Scalar::Bool),
                ElementType::S8 => text.parse().ok().map(Scalar::S8),
                ElementType::S16 => text.parse().ok().map(Scalar::S16),
                ElementType::S32 => text.parse().ok().map(Scalar::S32),
                ElementType::S64 => text.parse().ok().map(Scalar::S64),
                ElementType::U8 => text.parse().ok().map(Scalar::U8),
                ElementType::U16 => text.parse().ok().map(Scalar::U16),
                ElementType::U32 => text.parse().ok().map(Scalar::U32),
                ElementType::U64 => text.parse().ok().map(Scalar::U64),
                ElementType::F16 => float!(F16, f16::NAN, u16, f16::from_f32),
                ElementType::BF16 => float!(BF16, bf16::NAN, u16, bf16::from_f32),
                ElementType::F32 => float!(F32, f32::NAN, u32, |v: f32| v),
                ElementType::F64 => float!(F64, f64::NAN, u64, |v: f64| v),
            },
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        macro_rules! float {
            ($v:expr, $canonical:expr, $decimal:expr) => {
                if !$v.is_nan() {
                    write!(f, "{:?}", $decimal)
                } else if $v.to_bits() == $canonical.to_bits() {
                    f.write_str("nan")
                } else {
                    write!(f, "nan({:#x})", $v.to_bits())
                }
            };
        }
        match *self {
            Scalar::Index(v) | Scalar::S64(v) => write!(f, "{v}"),
            Scalar::Bool(v) => write!(f, "{v}"),
            Scalar::S8(v) => write!(f, "{v}"),
            Scalar::S16(v) => write!(f, "{v}"),
            Scalar::S32(v) => write!(f, "{v}"),
            Scalar::U8(v) => write!(f, "{v}"),
            Scalar::U16(v) => write!(f, "{v}"),
            Scalar::U32(v) => write!(f, "{v}"),
            Scalar::U64(v) => write!(f, "{v}"),
            Scalar::F16(v) => float!(v, f16::NAN, v.to_f32()),
            Scalar::BF16(v) => float!(v, bf16::NAN, v.to_f32()),
            Scalar::F32(v) => float!(v, f32::NAN, v),
            Scalar::F64(v) => float!(v, f64::NAN, v),
        }
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.ty() == other.ty() && self.bits() == other.bits()
    }
}

impl Eq for Scalar {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_scalar_is_read_back_to_the_bit(bits: u64, of in 0usize..14) {
            let ty = ElementType::ALL.get(of).map_or(ScalarType::Index, |&e| e.into());
            let scalar = Scalar::from_bits(ty, bits);
            prop_assert_eq!(Scalar::parse(&scalar.to_string(), ty), Some(scalar));
        }

        #[test]
        fn a_half_is_read_back_to_the_bit(bits: u16) {
            for element in [ElementType::F16, ElementType::BF16] {
                let scalar = Scalar::from_bits(element.into(), bits.into());
                prop_assert_eq!(Scalar::parse(&scalar.to_string(), element.into()), Some(scalar));
            }
        }
    }

    #[test]
    fn texts_of_other_types_are_refused() {
        let parse = |text: &str, element: ElementType| Scalar::parse(text, element.into());
        assert_eq!(parse("128", ElementType::S8), None);
        assert_eq!(parse("-1", ElementType::U64), None);
        assert_eq!(parse("1.5", ElementType::S32), None);
        assert_eq!(parse("1", ElementType::Bool), None);
        assert_eq!(
            parse("nan(0x1)", ElementType::F32),
            None,
            "these bits are no NaN"
        );
        assert_eq!(
            parse("nan(0x1ffffffff)", ElementType::F32),
            None,
            "too many bits"
        );
        assert_eq!(parse("1", ElementType::F32), Some(Scalar::F32(1.0)));
        assert_eq!(parse("nan", ElementType::F64), Some(Scalar::F64(f64::NAN)));
    }
}
