//! Scalar values.

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

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.ty() == other.ty() && self.bits() == other.bits()
    }
}

impl Eq for Scalar {}
