//! Types, constants and accesses in C.

use std::fmt::{self, Write as _};

use hlo2dae_ir::core::{Access, ElementType, Scalar, ScalarType, Type};

use crate::artifact::Artifact;
use crate::isa::ValueId;

/// The type of a scalar; `f16` and `bf16` are kept as their bits.
pub(super) fn c_type(ty: ScalarType) -> &'static str {
    match ty {
        ScalarType::Index => "int64_t",
        ScalarType::Element(element) => match element {
            ElementType::Bool | ElementType::U8 => "uint8_t",
            ElementType::S8 => "int8_t",
            ElementType::S16 => "int16_t",
            ElementType::S32 => "int32_t",
            ElementType::S64 => "int64_t",
            ElementType::U16 | ElementType::F16 | ElementType::BF16 => "uint16_t",
            ElementType::U32 => "uint32_t",
            ElementType::U64 => "uint64_t",
            ElementType::F32 => "float",
            ElementType::F64 => "double",
        },
    }
}

/// Part of a name in C.
pub(super) fn identifier(name: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    name.chars().map(fits).collect()
}

/// A value, to the bit.
pub(super) fn constant(scalar: Scalar) -> String {
    match scalar {
        Scalar::F32(v) if v.is_finite() && v.abs() < 1e6 && v.fract() == 0.0 && v != 0.0 => {
            format!("{v:?}f")
        }
        Scalar::F64(v) if v.is_finite() && v.abs() < 1e6 && v.fract() == 0.0 && v != 0.0 => {
            format!("{v:?}")
        }
        // No bits: positive zero, which the decimal has.
        Scalar::F32(v) if v.to_bits() == 0 => "0.0f".to_owned(),
        Scalar::F64(v) if v.to_bits() == 0 => "0.0".to_owned(),
        Scalar::F32(v) => format!(
            "((union {{ uint32_t bits; float value; }}){{ UINT32_C({:#x}) }}).value /* {scalar} */",
            v.to_bits()
        ),
        Scalar::F64(v) => format!(
            "((union {{ uint64_t bits; double value; }}){{ UINT64_C({:#x}) }}).value /* {scalar} */",
            v.to_bits()
        ),
        Scalar::F16(_) | Scalar::BF16(_) => {
            format!("(uint16_t){:#x} /* {scalar} */", scalar.bits())
        }
        Scalar::Bool(v) => u8::from(v).to_string(),
        Scalar::Index(i64::MIN) | Scalar::S64(i64::MIN) => "INT64_MIN".to_owned(),
        Scalar::Index(_) | Scalar::S64(_) => format!("INT64_C({scalar})"),
        Scalar::U64(_) => format!("UINT64_C({scalar})"),
        Scalar::S8(_)
        | Scalar::S16(_)
        | Scalar::S32(_)
        | Scalar::U8(_)
        | Scalar::U16(_)
        | Scalar::U32(_) => format!("({})INT64_C({scalar})", c_type(scalar.ty())),
    }
}

/// Lines of a function's body.
pub(super) struct Lines {
    pub(super) text: String,
    pub(super) depth: usize,
}

impl Lines {
    pub(super) fn line(&mut self, line: impl fmt::Display) {
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "{:width$}{line}", "", width = 2 * self.depth);
    }

    pub(super) fn open(&mut self, line: impl fmt::Display) {
        self.line(format_args!("{line} {{"));
        self.depth += 1;
    }

    pub(super) fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.line("}");
    }
}

/// How a unit's function spells its values.
pub(super) trait Spelling<V: ValueId> {
    /// The value itself, an array if it is a vector or row.
    fn name(&self, value: V) -> String;
    fn ty(&self, value: V) -> Type;

    /// The scalar of lane `k`; a scalar is the same in every lane.
    fn lane(&self, value: V) -> String {
        match self.ty(value) {
            Type::Scalar(_) => self.name(value),
            Type::Vector(..) | Type::Row(..) => format!("{}[k]", self.name(value)),
        }
    }
}

/// `float s3`, `float s3[8]`.
pub(super) fn declaration(name: &str, ty: Type) -> String {
    let scalar = c_type(ty.scalar());
    match ty {
        Type::Scalar(_) => format!("{scalar} {name}"),
        Type::Vector(_, lanes) => format!("{scalar} {name}[{lanes}]"),
        Type::Row(_, elements) => format!("{scalar} {name}[{elements}]"),
    }
}

/// What is done with an element of an access.
pub(super) enum Transfer<'a> {
    /// It goes to this place; inactive lanes become zero.
    To(&'a str),
    /// It comes from there.
    From(&'a str),
}

/// Reads or writes the elements of an access; the function returns if one is outside.
pub(super) fn transfer<V: ValueId>(
    lines: &mut Lines,
    artifact: &Artifact,
    spelling: &impl Spelling<V>,
    access: &Access<V>,
    transfer: &Transfer<'_>,
) {
    let dims = artifact
        .buffers
        .get(access.buffer)
        .map_or(&[][..], |buffer| buffer.dims.as_slice());
    let b = access.buffer.as_u32();
    let vector = |v: V| spelling.ty(v).lanes().is_some();
    let scattered = access.indices.iter().any(|&index| vector(index));
    let mask = access.lanes.as_ref().and_then(|lanes| lanes.mask);
    match &access.lanes {
        Some(lanes) => lines.open(format_args!("for (int k = 0; k < {}; k++)", lanes.count)),
        None => lines.open(""),
    }
    let place = |name: &str| match access.lanes {
        Some(_) => format!("{name}[k]"),
        None => name.to_owned(),
    };
    if let Some(mask) = mask {
        let mask = spelling.name(mask);
        match transfer {
            Transfer::To(to) => lines.line(format_args!(
                "if (!{mask}[k]) {{ {} = 0; continue; }}",
                place(to)
            )),
            Transfer::From(_) => lines.line(format_args!("if (!{mask}[k]) continue;")),
        }
    }
    let mut position = String::new();
    let mut outside = String::new();
    for (n, (&index, dim)) in access.indices.iter().zip(dims).enumerate() {
        let lane = spelling.lane(index);
        let last = n + 1 == access.indices.len();
        let moves = access.lanes.is_some() && !scattered && last;
        // A negative index is a large unsigned one; so is what lies beyond the largest index.
        let plus = if moves { " + (uint64_t)k" } else { "" };
        lines.line(format_args!("uint64_t i{n} = (uint64_t){lane}{plus};"));
        let or = if n > 0 { " || " } else { "" };
        let _ = write!(outside, "{or}i{n} >= UINT64_C({dim})");
        position = match n {
            0 => "i0".to_owned(),
            _ => format!("({position}) * UINT64_C({dim}) + i{n}"),
        };
    }
    if position.is_empty() {
        position.push('0');
    } else {
        lines.line(format_args!("if ({outside}) return stop(m, 1);"));
    }
    match transfer {
        Transfer::To(to) => lines.line(format_args!("{} = m->b{b}[{position}];", place(to))),
        Transfer::From(from) => lines.line(format_args!("m->b{b}[{position}] = {};", place(from))),
    }
    lines.close();
}
