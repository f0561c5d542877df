//! Shapes: element types, dimensions, layouts, tuples.

use std::fmt;
use std::ops::Range;

/// Length and bytes of a word as one number; 0 for what is longer than any name of a type.
const fn packed(word: &str) -> u128 {
    let bytes = word.as_bytes();
    if bytes.len() > 15 {
        return 0;
    }
    let mut packed = bytes.len() as u128;
    let mut i = 0;
    while i < bytes.len() {
        packed = packed << 8 | bytes[i] as u128;
        i += 1;
    }
    packed
}

macro_rules! primitive_types {
    ($($variant:ident $name:literal $bits:literal,)*) => {
        /// Element type of an array; named as in HLO text.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "the names are HLO's own")]
        pub enum PrimitiveType { $($variant,)* }

        impl PrimitiveType {
            /// All element types.
            pub const ALL: &'static [PrimitiveType] = &[$(PrimitiveType::$variant,)*];

            /// HLO's spelling.
            pub fn name(self) -> &'static str {
                match self { $(PrimitiveType::$variant => $name,)* }
            }

            /// The type spelled `name`.
            pub fn from_name(name: &str) -> Option<Self> {
                // Every other word of a text is looked at: most are told from their first bytes, and numbers are compared
                // faster than words.
                if !matches!(
                    name.as_bytes(),
                    [b's' | b'u' | b'f' | b'c', b'1'..=b'9', ..] | [b'b', b'f', ..] | [b'p', b'r', ..]
                ) {
                    return None;
                }
                match packed(name) {
                    $(found if found == const { packed($name) } => Some(PrimitiveType::$variant),)*
                    _ => None,
                }
            }

            /// Width in bits of one element's value (a `pred` is stored in one byte).
            pub fn bits(self) -> u32 {
                match self { $(PrimitiveType::$variant => $bits,)* }
            }
        }
    };
}

primitive_types! {
    Pred "pred" 8,
    S1 "s1" 1, S2 "s2" 2, S4 "s4" 4, S8 "s8" 8, S16 "s16" 16, S32 "s32" 32, S64 "s64" 64,
    U1 "u1" 1, U2 "u2" 2, U4 "u4" 4, U8 "u8" 8, U16 "u16" 16, U32 "u32" 32, U64 "u64" 64,
    F4E2M1FN "f4e2m1fn" 4,
    F8E3M4 "f8e3m4" 8, F8E4M3 "f8e4m3" 8, F8E4M3FN "f8e4m3fn" 8, F8E4M3B11FNUZ "f8e4m3b11fnuz" 8,
    F8E4M3FNUZ "f8e4m3fnuz" 8, F8E5M2 "f8e5m2" 8, F8E5M2FNUZ "f8e5m2fnuz" 8, F8E8M0FNU "f8e8m0fnu" 8,
    F16 "f16" 16, BF16 "bf16" 16, F32 "f32" 32, F64 "f64" 64,
    C64 "c64" 64, C128 "c128" 128,
}

impl PrimitiveType {
    /// Bytes of one element in memory; types narrower than a byte take a whole one.
    pub fn bytes(self) -> usize {
        (self.bits() as usize).div_ceil(8)
    }

    /// `s1` to `s64`.
    pub fn is_signed_integer(self) -> bool {
        self.name().starts_with('s')
    }

    /// `u1` to `u64`.
    pub fn is_unsigned_integer(self) -> bool {
        self.name().starts_with('u')
    }

    /// Signed or unsigned.
    pub fn is_integer(self) -> bool {
        self.is_signed_integer() || self.is_unsigned_integer()
    }

    /// Real floating point of any width.
    pub fn is_float(self) -> bool {
        self.name().starts_with(['f', 'b'])
    }

    /// `c64` or `c128`.
    pub fn is_complex(self) -> bool {
        matches!(self, PrimitiveType::C64 | PrimitiveType::C128)
    }
}

impl fmt::Display for PrimitiveType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Shape of a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// An array, rank 0 included.
    Array(ArrayShape),
    /// A tuple, possibly nested or empty.
    Tuple(Vec<Shape>),
    /// `token[]`.
    Token,
    /// `opaque[]`.
    Opaque,
    /// `b(f32[8])`: a buffer holding the array.
    Buffer(ArrayShape),
}

/// Element type, dimensions and layout of an array.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ArrayShape {
    /// Element type.
    pub element: PrimitiveType,
    /// Size of each dimension; the bound where the dimension is dynamic, [`ArrayShape::UNBOUNDED`] for `?`.
    pub dims: Vec<i64>,
    /// Which dimensions are dynamic (`<=10` or `?`); empty when none is.
    pub dynamic: Vec<bool>,
    /// Layout; the parser states the row-major one where the text has none, and none for a scalar.
    pub layout: Option<Layout>,
}

/// Memory layout of an array.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Layout {
    /// Dimensions from the fastest varying to the slowest: `{1,0}` is row-major for rank 2.
    pub minor_to_major: Vec<i64>,
    /// Everything after the `:` (tiles, memory space, element size, ...), in canonical spelling.
    pub suffix: String,
}

impl Layout {
    /// The layout that XLA assumes where none is stated: the last dimension varies fastest.
    pub fn row_major(rank: usize) -> Self {
        Layout {
            minor_to_major: (0..rank as i64).rev().collect(),
            suffix: String::new(),
        }
    }

    /// Where the suffix says how many bits an element takes: `E(...)`.
    fn element_size_range(&self) -> Option<Range<usize>> {
        let start = self.suffix.find("E(")?;
        let length = self.suffix.get(start..)?.find(')')? + 1;
        Some(start..start + length)
    }

    /// `E(...)`, how many bits an element takes.
    pub(crate) fn element_size(&self) -> Option<&str> {
        self.suffix.get(self.element_size_range()?)
    }

    /// States how many bits an element takes, as `E(...)`, or does not.
    pub(crate) fn set_element_size(&mut self, stated: Option<&str>) {
        if let Some(range) = self.element_size_range() {
            self.suffix.replace_range(range, "");
        }
        // Memory space, splits and prefix come after it.
        let at = self.suffix.find(['S', 'M']).unwrap_or(self.suffix.len());
        self.suffix.insert_str(at, stated.unwrap_or_default());
    }
}

impl ArrayShape {
    /// Size that stands for `?`.
    pub const UNBOUNDED: i64 = i64::MIN;

    /// A static shape without a stated layout.
    pub fn new(element: PrimitiveType, dims: impl Into<Vec<i64>>) -> Self {
        ArrayShape {
            element,
            dims: dims.into(),
            dynamic: Vec::new(),
            layout: None,
        }
    }

    /// Number of dimensions.
    pub fn rank(&self) -> usize {
        self.dims.len()
    }

    /// Number of elements; `None` when a dimension is unbounded or the product overflows.
    pub fn element_count(&self) -> Option<usize> {
        self.dims
            .iter()
            .try_fold(1usize, |n, &d| n.checked_mul(usize::try_from(d).ok()?))
    }

    /// Bytes in memory; `None` as for [`ArrayShape::element_count`].
    pub fn byte_size(&self) -> Option<usize> {
        self.element_count()?.checked_mul(self.element.bytes())
    }

    /// Whether any dimension is dynamic.
    pub fn is_dynamic(&self) -> bool {
        self.dynamic.contains(&true)
    }

    /// Whether element type and dimensions agree; layouts are not compared.
    pub fn same_dims(&self, other: &ArrayShape) -> bool {
        self.element == other.element && self.dims == other.dims
    }
}

impl Shape {
    /// Whether element types and dimensions agree throughout; layouts are not compared.
    pub fn same_dims(&self, other: &Shape) -> bool {
        match (self, other) {
            (Shape::Array(a), Shape::Array(b)) | (Shape::Buffer(a), Shape::Buffer(b)) => {
                a.same_dims(b)
            }
            (Shape::Tuple(a), Shape::Tuple(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same_dims(b))
            }
            (Shape::Token, Shape::Token) | (Shape::Opaque, Shape::Opaque) => true,
            (
                Shape::Array(_) | Shape::Tuple(_) | Shape::Token | Shape::Opaque | Shape::Buffer(_),
                _,
            ) => false,
        }
    }

    /// The same shape with every array in row-major order.
    pub fn row_major(&self) -> Shape {
        let array = |array: &ArrayShape| {
            let layout = (array.rank() > 0).then(|| Layout::row_major(array.rank()));
            ArrayShape {
                layout,
                ..array.clone()
            }
        };
        match self {
            Shape::Array(a) => Shape::Array(array(a)),
            Shape::Buffer(a) => Shape::Buffer(array(a)),
            Shape::Tuple(parts) => Shape::Tuple(parts.iter().map(Shape::row_major).collect()),
            Shape::Token => Shape::Token,
            Shape::Opaque => Shape::Opaque,
        }
    }

    /// The array shape, unless this is something else.
    pub fn as_array(&self) -> Option<&ArrayShape> {
        match self {
            Shape::Array(array) => Some(array),
            Shape::Tuple(_) | Shape::Token | Shape::Opaque | Shape::Buffer(_) => None,
        }
    }
}
