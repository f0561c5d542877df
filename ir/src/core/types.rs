//! Element types, scalar types, source spans.

use std::fmt;

macro_rules! element_types {
    ($($variant:ident $name:literal $bytes:literal,)*) => {
        /// Type of a buffer's elements; spelled as in HLO but for `bool`, HLO's `pred`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "the names say it")]
        pub enum ElementType { $($variant,)* }

        impl ElementType {
            /// All element types.
            pub const ALL: &'static [ElementType] = &[$(ElementType::$variant,)*];

            /// The spelling in every IR.
            pub fn name(self) -> &'static str {
                match self { $(ElementType::$variant => $name,)* }
            }

            /// The type spelled `name`.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(ElementType::$variant),)* _ => None }
            }

            /// Bytes of one element in memory.
            pub fn bytes(self) -> usize {
                match self { $(ElementType::$variant => $bytes,)* }
            }
        }
    };
}

element_types! {
    Bool "bool" 1,
    S8 "s8" 1, S16 "s16" 2, S32 "s32" 4, S64 "s64" 8,
    U8 "u8" 1, U16 "u16" 2, U32 "u32" 4, U64 "u64" 8,
    F16 "f16" 2, BF16 "bf16" 2, F32 "f32" 4, F64 "f64" 8,
}

impl ElementType {
    /// `f16`, `bf16`, `f32`, `f64`.
    pub fn is_float(self) -> bool {
        matches!(
            self,
            ElementType::F16 | ElementType::BF16 | ElementType::F32 | ElementType::F64
        )
    }

    /// Signed or unsigned integer.
    pub fn is_integer(self) -> bool {
        !self.is_float() && self != ElementType::Bool
    }

    /// `s8` to `s64`.
    pub fn is_signed(self) -> bool {
        matches!(
            self,
            ElementType::S8 | ElementType::S16 | ElementType::S32 | ElementType::S64
        )
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Type of a scalar value: an element, or `index`, a signed 64-bit position in a loop or buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScalarType {
    /// Loop position or buffer coordinate.
    Index,
    /// An element of a buffer.
    Element(ElementType),
}

impl fmt::Display for ScalarType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScalarType::Index => f.write_str("index"),
            ScalarType::Element(element) => element.fmt(f),
        }
    }
}

/// A range of bytes of the text that something was read from or made for; empty at 0 when unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl From<Span> for miette::SourceSpan {
    fn from(span: Span) -> Self {
        (
            span.start as usize,
            span.end.saturating_sub(span.start) as usize,
        )
            .into()
    }
}
