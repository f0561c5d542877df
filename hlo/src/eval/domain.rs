//! Domains: the few Rust types in which all element types compute.
//!
//! An operation loads elements into a domain, computes there, and stores the result rounded (or
//! wrapped) to the element type. So operations exist once a domain, and element types are a matter
//! of loading and storing alone.

use half::{bf16, f16};
use num_complex::Complex;

use super::error::{Fault, Outcome};
use super::kernel::{Binary, Compare, Unary};
use crate::minifloat;
use crate::opcode::Opcode;
use crate::shape::PrimitiveType;

pub(super) type C64 = Complex<f32>;
pub(super) type C128 = Complex<f64>;

/// Elements converted at a time: small enough for the first cache, large enough to pay the calls.
pub(super) const CHUNK: usize = 512;

/// How elements of one element type enter and leave the domain `D`.
pub(super) struct Codec<D> {
    /// Width of the element's value in bits.
    pub(super) bits: u32,
    /// Bytes of an element.
    pub(super) size: usize,
    /// Reads as many elements as fit both slices.
    pub(super) load: fn(&[u8], &mut [D]),
    /// Writes as many elements as fit both slices, rounding.
    pub(super) store: fn(&[D], &mut [u8]),
}

impl<D> Clone for Codec<D> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<D> Copy for Codec<D> {}

impl<D: Domain> Codec<D> {
    /// All elements.
    pub(super) fn load_all(&self, bytes: &[u8]) -> Vec<D> {
        let mut values = vec![D::default(); bytes.len() / self.size];
        (self.load)(bytes, &mut values);
        values
    }

    /// The bytes of `values`.
    pub(super) fn store_all(&self, values: &[D]) -> Vec<u8> {
        let mut bytes = vec![0; values.len() * self.size];
        (self.store)(values, &mut bytes);
        bytes
    }
}

/// A type that elements compute in.
pub(super) trait Domain: Copy + Default + PartialEq + 'static {
    /// The codec of an element type; `None` when it does not compute in this domain.
    fn codec_of(element: PrimitiveType) -> Option<Codec<Self>>;
    /// The operation of an elementwise opcode from one to the same domain.
    fn unary(opcode: &Opcode) -> Option<Unary<Self>>;
    /// The same with two operands.
    fn binary(opcode: &Opcode) -> Option<Binary<Self>>;
    /// The comparison `direction` (`LT`, ...), by the total order of IEEE 754 if `total`.
    fn compare(direction: &str, total: bool) -> Option<Compare<Self>>;
    /// The value converted to another domain, where integers saturate to `bits` on the way from
    /// a float.
    fn convert<R: FromDomain>(self, bits: u32) -> R;

    /// The codec, as a fault when there is none.
    fn codec(element: PrimitiveType) -> Outcome<Codec<Self>> {
        Self::codec_of(element)
            .ok_or_else(|| Fault::unsupported(format!("this operation on {element}")))
    }
}

/// The target side of [`Domain::convert`].
pub(super) trait FromDomain: Domain {
    fn from_bool(value: bool) -> Self;
    fn from_signed(value: i64) -> Self;
    fn from_unsigned(value: u64) -> Self;
    /// Saturates to `bits` where this is an integer domain.
    fn from_f32(value: f32, bits: u32) -> Self {
        Self::from_f64(f64::from(value), bits)
    }
    fn from_f64(value: f64, bits: u32) -> Self;
    fn from_c64(value: C64, bits: u32) -> Self {
        Self::from_f32(value.re, bits)
    }
    fn from_c128(value: C128, bits: u32) -> Self {
        Self::from_f64(value.re, bits)
    }
}

/// The domain that an element type computes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Signed,
    Unsigned,
    F32,
    F64,
    C64,
    C128,
}

impl Kind {
    pub(super) fn of(element: PrimitiveType) -> Kind {
        use PrimitiveType as P;
        match element {
            P::Pred => Kind::Bool,
            P::S1 | P::S2 | P::S4 | P::S8 | P::S16 | P::S32 | P::S64 => Kind::Signed,
            P::U1 | P::U2 | P::U4 | P::U8 | P::U16 | P::U32 | P::U64 => Kind::Unsigned,
            P::F4E2M1FN
            | P::F8E3M4
            | P::F8E4M3
            | P::F8E4M3FN
            | P::F8E4M3B11FNUZ
            | P::F8E4M3FNUZ
            | P::F8E5M2
            | P::F8E5M2FNUZ
            | P::F8E8M0FNU
            | P::F16
            | P::BF16
            | P::F32 => Kind::F32,
            P::F64 => Kind::F64,
            P::C64 => Kind::C64,
            P::C128 => Kind::C128,
        }
    }
}

/// Evaluates `$body` with the type `$domain` standing for the domain of the element type.
macro_rules! with_domain {
    ($element:expr, $domain:ident => $body:expr) => {
        match $crate::eval::domain::Kind::of($element) {
            $crate::eval::domain::Kind::Bool => {
                type $domain = bool;
                $body
            }
            $crate::eval::domain::Kind::Signed => {
                type $domain = i64;
                $body
            }
            $crate::eval::domain::Kind::Unsigned => {
                type $domain = u64;
                $body
            }
            $crate::eval::domain::Kind::F32 => {
                type $domain = f32;
                $body
            }
            $crate::eval::domain::Kind::F64 => {
                type $domain = f64;
                $body
            }
            $crate::eval::domain::Kind::C64 => {
                type $domain = $crate::eval::domain::C64;
                $body
            }
            $crate::eval::domain::Kind::C128 => {
                type $domain = $crate::eval::domain::C128;
                $body
            }
        }
    };
}
pub(super) use with_domain;

/// A codec from the two conversions of a single element, `[u8; $size]` <-> domain.
macro_rules! codec {
    ($bits:expr, $size:literal, $decode:expr, $encode:expr) => {
        Codec {
            bits: $bits,
            size: $size,
            load: |bytes, out| {
                for (out, bytes) in out.iter_mut().zip(bytes.as_chunks::<$size>().0) {
                    *out = ($decode)(*bytes);
                }
            },
            store: |values, bytes| {
                for (value, bytes) in values.iter().zip(bytes.as_chunks_mut::<$size>().0) {
                    *bytes = ($encode)(*value);
                }
            },
        }
    };
}

/// `codec!` for a native type that casts to and from the domain.
macro_rules! native {
    ($native:ty, $domain:ty, $size:literal) => {
        codec!(
            $size * 8,
            $size,
            |b| <$native>::from_le_bytes(b) as $domain,
            |v: $domain| (v as $native).to_le_bytes()
        )
    };
}

/// `codec!` for a float of at most a byte.
macro_rules! mini {
    ($element:ident, $domain:ty) => {
        codec!(
            8,
            1,
            |b: [u8; 1]| minifloat::decode(PrimitiveType::$element, b[0]).unwrap_or(f64::NAN)
                as $domain,
            |v: $domain| [minifloat::encode(PrimitiveType::$element, v as f64).unwrap_or(0)]
        )
    };
}

/// The codecs of all real float types, in `f32` or `f64`.
macro_rules! float_codec {
    ($element:expr, $domain:ty) => {{
        use PrimitiveType as P;
        Some(match $element {
            P::F4E2M1FN => mini!(F4E2M1FN, $domain),
            P::F8E3M4 => mini!(F8E3M4, $domain),
            P::F8E4M3 => mini!(F8E4M3, $domain),
            P::F8E4M3FN => mini!(F8E4M3FN, $domain),
            P::F8E4M3B11FNUZ => mini!(F8E4M3B11FNUZ, $domain),
            P::F8E4M3FNUZ => mini!(F8E4M3FNUZ, $domain),
            P::F8E5M2 => mini!(F8E5M2, $domain),
            P::F8E5M2FNUZ => mini!(F8E5M2FNUZ, $domain),
            P::F8E8M0FNU => mini!(F8E8M0FNU, $domain),
            P::F16 => codec!(
                16,
                2,
                |b| <$domain>::from(f16::from_le_bytes(b)),
                |v: $domain| f16::from_f32(v as f32).to_le_bytes()
            ),
            P::BF16 => codec!(
                16,
                2,
                |b| <$domain>::from(bf16::from_le_bytes(b)),
                |v: $domain| bf16::from_f32(v as f32).to_le_bytes()
            ),
            P::F32 => native!(f32, $domain, 4),
            P::F64 => native!(f64, $domain, 8),
            _ => return None,
        })
    }};
}

impl Domain for bool {
    fn codec_of(element: PrimitiveType) -> Option<Codec<Self>> {
        (element == PrimitiveType::Pred)
            .then_some(codec!(1, 1, |b: [u8; 1]| b[0] != 0, |v| [u8::from(v)]))
    }
    fn unary(opcode: &Opcode) -> Option<Unary<Self>> {
        super::kernel::boolean::unary(opcode)
    }
    fn binary(opcode: &Opcode) -> Option<Binary<Self>> {
        super::kernel::boolean::binary(opcode)
    }
    fn compare(direction: &str, _: bool) -> Option<Compare<Self>> {
        super::kernel::compare(direction)
    }
    fn convert<R: FromDomain>(self, _: u32) -> R {
        R::from_bool(self)
    }
}

impl FromDomain for bool {
    fn from_bool(value: bool) -> Self {
        value
    }
    fn from_signed(value: i64) -> Self {
        value != 0
    }
    fn from_unsigned(value: u64) -> Self {
        value != 0
    }
    fn from_f64(value: f64, _: u32) -> Self {
        value != 0.0
    }
}

impl Domain for i64 {
    fn codec_of(element: PrimitiveType) -> Option<Codec<Self>> {
        use PrimitiveType as P;
        Some(match element {
            P::S1 => codec!(1, 1, |b: [u8; 1]| ((b[0] as i8) << 7 >> 7) as i64, |v| [
                ((v as i8) << 7 >> 7) as u8
            ]),
            P::S2 => codec!(2, 1, |b: [u8; 1]| ((b[0] as i8) << 6 >> 6) as i64, |v| [
                ((v as i8) << 6 >> 6) as u8
            ]),
            P::S4 => codec!(4, 1, |b: [u8; 1]| ((b[0] as i8) << 4 >> 4) as i64, |v| [
                ((v as i8) << 4 >> 4) as u8
            ]),
            P::S8 => native!(i8, i64, 1),
            P::S16 => native!(i16, i64, 2),
            P::S32 => native!(i32, i64, 4),
            P::S64 => native!(i64, i64, 8),
            _ => return None,
        })
    }
    fn unary(opcode: &Opcode) -> Option<Unary<Self>> {
        super::kernel::integer::signed_unary(opcode)
    }
    fn binary(opcode: &Opcode) -> Option<Binary<Self>> {
        super::kernel::integer::signed_binary(opcode)
    }
    fn compare(direction: &str, _: bool) -> Option<Compare<Self>> {
        super::kernel::compare(direction)
    }
    fn convert<R: FromDomain>(self, _: u32) -> R {
        R::from_signed(self)
    }
}

impl FromDomain for i64 {
    fn from_bool(value: bool) -> Self {
        value.into()
    }
    fn from_signed(value: i64) -> Self {
        value
    }
    fn from_unsigned(value: u64) -> Self {
        value as i64
    }
    fn from_f64(value: f64, bits: u32) -> Self {
        let spare = 64 - bits.clamp(1, 64);
        (value as i64).clamp(i64::MIN >> spare, i64::MAX >> spare)
    }
}

impl Domain for u64 {
    fn codec_of(element: PrimitiveType) -> Option<Codec<Self>> {
        use PrimitiveType as P;
        Some(match element {
            P::U1 => codec!(1, 1, |b: [u8; 1]| u64::from(b[0] & 1), |v| [v as u8 & 1]),
            P::U2 => codec!(2, 1, |b: [u8; 1]| u64::from(b[0] & 3), |v| [v as u8 & 3]),
            P::U4 => codec!(4, 1, |b: [u8; 1]| u64::from(b[0] & 15), |v| [v as u8 & 15]),
            P::U8 => native!(u8, u64, 1),
            P::U16 => native!(u16, u64, 2),
            P::U32 => native!(u32, u64, 4),
            P::U64 => native!(u64, u64, 8),
            _ => return None,
        })
    }
    fn unary(opcode: &Opcode) -> Option<Unary<Self>> {
        super::kernel::integer::unsigned_unary(opcode)
    }
    fn binary(opcode: &Opcode) -> Option<Binary<Self>> {
        super::kernel::integer::unsigned_binary(opcode)
    }
    fn compare(direction: &str, _: bool) -> Option<Compare<Self>> {
        super::kernel::compare(direction)
    }
    fn convert<R: FromDomain>(self, _: u32) -> R {
        R::from_unsigned(self)
    }
}

impl FromDomain for u64 {
    fn from_bool(value: bool) -> Self {
        value.into()
    }
    fn from_signed(value: i64) -> Self {
        value as u64
    }
    fn from_unsigned(value: u64) -> Self {
        value
    }
    fn from_f64(value: f64, bits: u32) -> Self {
        (value as u64).min(u64::MAX >> (64 - bits.clamp(1, 64)))
    }
}

macro_rules! float_domain {
    ($float:ident, $from:ident, $module:ident) => {
        impl Domain for $float {
            fn codec_of(element: PrimitiveType) -> Option<Codec<Self>> {
                float_codec!(element, $float)
            }
            fn unary(opcode: &Opcode) -> Option<Unary<Self>> {
                super::kernel::float::$module::unary(opcode)
            }
            fn binary(opcode: &Opcode) -> Option<Binary<Self>> {
                super::kernel::float::$module::binary(opcode)
            }
            fn compare(direction: &str, total: bool) -> Option<Compare<Self>> {
                if total {
                    super::kernel::float::$module::total_compare(direction)
                } else {
                    super::kernel::compare(direction)
                }
            }
            fn convert<R: FromDomain>(self, bits: u32) -> R {
                R::$from(self, bits)
            }
        }
    };
}

float_domain!(f32, from_f32, single);
float_domain!(f64, from_f64, double);

impl FromDomain for f32 {
    fn from_bool(value: bool) -> Self {
        u8::from(value).into()
    }
    fn from_signed(value: i64) -> Self {
        value as f32
    }
    fn from_unsigned(value: u64) -> Self {
        value as f32
    }
    fn from_f32(value: f32, _: u32) -> Self {
        value
    }
    fn from_f64(value: f64, _: u32) -> Self {
        value as f32
    }
}

impl FromDomain for f64 {
    fn from_bool(value: bool) -> Self {
        u8::from(value).into()
    }
    fn from_signed(value: i64) -> Self {
        value as f64
    }
    fn from_unsigned(value: u64) -> Self {
        value as f64
    }
    fn from_f64(value: f64, _: u32) -> Self {
        value
    }
}

macro_rules! complex_domain {
    ($float:ident, $element:ident, $size:literal, $half:literal, $from:ident, $module:ident) => {
        impl Domain for Complex<$float> {
            fn codec_of(element: PrimitiveType) -> Option<Codec<Self>> {
                (element == PrimitiveType::$element).then(|| {
                    codec!(
                        $size * 8,
                        $size,
                        |b: [u8; $size]| {
                            let (parts, _) = b.as_chunks::<$half>();
                            let part = |i: usize| <$float>::from_le_bytes(parts[i]);
                            Complex::new(part(0), part(1))
                        },
                        |v: Complex<$float>| {
                            let mut bytes = [0; $size];
                            bytes[..$half].copy_from_slice(&v.re.to_le_bytes());
                            bytes[$half..].copy_from_slice(&v.im.to_le_bytes());
                            bytes
                        }
                    )
                })
            }
            fn unary(opcode: &Opcode) -> Option<Unary<Self>> {
                super::kernel::complex::$module::unary(opcode)
            }
            fn binary(opcode: &Opcode) -> Option<Binary<Self>> {
                super::kernel::complex::$module::binary(opcode)
            }
            fn compare(direction: &str, _: bool) -> Option<Compare<Self>> {
                super::kernel::complex::$module::compare(direction)
            }
            fn convert<R: FromDomain>(self, bits: u32) -> R {
                R::$from(self, bits)
            }
        }

        impl FromDomain for Complex<$float> {
            fn from_bool(value: bool) -> Self {
                Complex::new(<$float>::from_bool(value), 0.0)
            }
            fn from_signed(value: i64) -> Self {
                Complex::new(value as $float, 0.0)
            }
            fn from_unsigned(value: u64) -> Self {
                Complex::new(value as $float, 0.0)
            }
            fn from_f64(value: f64, _: u32) -> Self {
                Complex::new(value as $float, 0.0)
            }
            fn from_c64(value: C64, _: u32) -> Self {
                Complex::new(value.re.into(), value.im.into())
            }
            fn from_c128(value: C128, _: u32) -> Self {
                Complex::new(value.re as $float, value.im as $float)
            }
        }
    };
}

complex_domain!(f32, C64, 8, 4, from_c64, single);
complex_domain!(f64, C128, 16, 8, from_c128, double);
