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

impl ScalarType {
    /// The type spelled `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "index" => Some(ScalarType::Index),
            _ => ElementType::from_name(name).map(ScalarType::Element),
        }
    }

    /// An element of floating point type.
    pub fn is_float(self) -> bool {
        match self {
            ScalarType::Index => false,
            ScalarType::Element(element) => element.is_float(),
        }
    }

    /// `index` or an element of integer type.
    pub fn is_integer(self) -> bool {
        match self {
            ScalarType::Index => true,
            ScalarType::Element(element) => element.is_integer(),
        }
    }

    /// `bool`.
    pub fn is_bool(self) -> bool {
        self == ScalarType::BOOL
    }

    /// The type of conditions.
    pub const BOOL: ScalarType = ScalarType::Element(ElementType::Bool);
}

impl From<ElementType> for ScalarType {
    fn from(element: ElementType) -> Self {
        ScalarType::Element(element)
    }
}

impl fmt::Display for ScalarType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScalarType::Index => f.write_str("index"),
            ScalarType::Element(element) => element.fmt(f),
        }
    }
}

/// Type of a stream, or of a value of the execute unit.
///
/// ```text
/// type = SCALAR | "<" LANES "x" SCALAR ">" | "[" ELEMENTS "x" SCALAR "]"
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// `f32`: one scalar.
    Scalar(ScalarType),
    /// `<8 x f32>`: a scalar for each lane.
    Vector(ScalarType, u32),
    /// `[24 x f32]`: a buffered row, which travels as one operand.
    Row(ScalarType, u64),
}

/// How many lanes a vector may have.
pub const LANES: std::ops::RangeInclusive<u32> = 2..=64;

impl Type {
    /// `bool`.
    pub const BOOL: Type = Type::Scalar(ScalarType::BOOL);

    /// `index`.
    pub const INDEX: Type = Type::Scalar(ScalarType::Index);

    /// A vector of that many lanes, or a scalar.
    pub fn of(scalar: ScalarType, lanes: Option<u32>) -> Type {
        match lanes {
            None => Type::Scalar(scalar),
            Some(lanes) => Type::Vector(scalar, lanes),
        }
    }

    /// Type of one scalar of it.
    pub fn scalar(self) -> ScalarType {
        match self {
            Type::Scalar(scalar) | Type::Vector(scalar, _) | Type::Row(scalar, _) => scalar,
        }
    }

    /// The number of lanes of a vector.
    pub fn lanes(self) -> Option<u32> {
        match self {
            Type::Vector(_, lanes) => Some(lanes),
            Type::Scalar(_) | Type::Row(_, _) => None,
        }
    }

    /// Bytes that it takes in a queue; an `index` takes 8.
    pub fn bytes(self) -> u64 {
        let one = match self.scalar() {
            ScalarType::Index => 8,
            ScalarType::Element(element) => element.bytes() as u64,
        };
        match self {
            Type::Scalar(_) => one,
            Type::Vector(_, lanes) => one.saturating_mul(lanes.into()),
            Type::Row(_, elements) => one.saturating_mul(elements),
        }
    }
}

impl From<ScalarType> for Type {
    fn from(scalar: ScalarType) -> Self {
        Type::Scalar(scalar)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Scalar(scalar) => scalar.fmt(f),
            Type::Vector(scalar, lanes) => write!(f, "<{lanes} x {scalar}>"),
            Type::Row(scalar, elements) => write!(f, "[{elements} x {scalar}]"),
        }
    }
}

/// A range of bytes of the text that something was read from or made for; empty at 0 when unknown.
///
/// All spans are equal to one another: where a thing was written is no part of what it is, so
/// that a program equals what its own text is read back as. Compare [`Span::range`] to tell places apart.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The bytes covered.
    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    /// From the start of `self` to the end of `last`.
    pub fn to(self, last: Span) -> Span {
        Span {
            start: self.start,
            end: last.end.max(self.start),
        }
    }
}

impl PartialEq for Span {
    fn eq(&self, _: &Span) -> bool {
        true
    }
}

impl Eq for Span {}

impl std::hash::Hash for Span {
    fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
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
