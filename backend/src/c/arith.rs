//! Arithmetic in C: one function for each operation and type that a program uses.
//!
//! The values are those of [`hlo2dae_ir::core::arith`]: integers are computed with 64 unsigned bits and cut, so that they wrap;
//! `f16` and `bf16` are computed as `f32` and rounded.

use hlo2dae_ir::core::{Arith, BinaryOp, CompareOp, ElementType, ScalarType, UnaryOp};

use super::Helpers;
use super::value::{c_type, constant};

/// An operation on operands that are expressions with these types.
pub(super) fn expression(arith: &Arith<(String, ScalarType)>, helpers: &mut Helpers) -> String {
    match arith {
        Arith::Constant(scalar) => constant(*scalar),
        Arith::Unary(op, (a, ty)) => {
            format!("{}({a})", unary(*op, *ty, helpers))
        }
        Arith::Binary(op, (a, ty), (b, _)) => {
            format!("{}({a}, {b})", binary(*op, *ty, helpers))
        }
        Arith::Compare(op, (a, ty), (b, _)) => {
            let (a, b) = (computed(a, *ty, helpers), computed(b, *ty, helpers));
            format!("(uint8_t)({a} {} {b})", compare(*op))
        }
        Arith::Select((condition, _), (a, _), (b, _)) => format!("{condition} ? {a} : {b}"),
        Arith::Convert((a, from), to) => convert(a, *from, *to, helpers),
    }
}

/// The function of a binary operation.
pub(super) fn binary(op: BinaryOp, ty: ScalarType, helpers: &mut Helpers) -> String {
    let name = format!("{}_{ty}", op.name());
    if helpers.missing(&name) {
        let body = match Kind::of(ty) {
            Kind::Bool => match op {
                BinaryOp::Add | BinaryOp::Max | BinaryOp::Or => "return a | b;".to_owned(),
                BinaryOp::Mul | BinaryOp::Min | BinaryOp::And => "return a & b;".to_owned(),
                _ => "return a ^ b;".to_owned(),
            },
            Kind::Integer { bits, signed } => integer_binary(op, ty, bits, signed),
            Kind::Float => float_binary(op, ty),
            Kind::Half => {
                let f = binary(op, ScalarType::Element(ElementType::F32), helpers);
                let (a, b) = (computed("a", ty, helpers), computed("b", ty, helpers));
                format!(
                    "return {};",
                    rounded(&format!("{f}({a}, {b})"), ty, helpers)
                )
            }
        };
        let t = c_type(ty);
        helpers.give(
            &name,
            format!("static inline {t} {name}({t} a, {t} b) {{ {body} }}\n"),
        );
    }
    name
}

fn unary(op: UnaryOp, ty: ScalarType, helpers: &mut Helpers) -> String {
    let name = format!("{}_{ty}", op.name());
    if helpers.missing(&name) {
        let body = match Kind::of(ty) {
            Kind::Bool => "return !a;".to_owned(),
            Kind::Integer { bits, signed } => integer_unary(op, ty, bits, signed),
            Kind::Float => float_unary(op, ty),
            Kind::Half => {
                let f = unary(op, ScalarType::Element(ElementType::F32), helpers);
                let result = format!("{f}({})", computed("a", ty, helpers));
                match op {
                    UnaryOp::IsFinite => format!("return {result};"),
                    _ => format!("return {};", rounded(&result, ty, helpers)),
                }
            }
        };
        let t = c_type(ty);
        let to = match op {
            UnaryOp::IsFinite => c_type(ScalarType::BOOL),
            _ => t,
        };
        helpers.give(
            &name,
            format!("static inline {to} {name}({t} a) {{ {body} }}\n"),
        );
    }
    name
}

fn compare(op: CompareOp) -> &'static str {
    match op {
        CompareOp::Eq => "==",
        CompareOp::Ne => "!=",
        CompareOp::Lt => "<",
        CompareOp::Le => "<=",
        CompareOp::Gt => ">",
        CompareOp::Ge => ">=",
    }
}

/// How C computes with a type.
enum Kind {
    Bool,
    Integer { bits: u32, signed: bool },
    Float,
    Half,
}

impl Kind {
    fn of(ty: ScalarType) -> Kind {
        match ty {
            ScalarType::Index => Kind::Integer {
                bits: 64,
                signed: true,
            },
            ScalarType::Element(element) => match element {
                ElementType::Bool => Kind::Bool,
                ElementType::F32 | ElementType::F64 => Kind::Float,
                ElementType::F16 | ElementType::BF16 => Kind::Half,
                _ => Kind::Integer {
                    bits: 8 * element.bytes() as u32,
                    signed: element.is_signed(),
                },
            },
        }
    }
}

fn integer_binary(op: BinaryOp, ty: ScalarType, bits: u32, signed: bool) -> String {
    let (t, u, s) = (c_type(ty), format!("uint{bits}_t"), format!("int{bits}_t"));
    let wide = |op: &str| format!("return ({t})((uint64_t)a {op} (uint64_t)b);");
    let minus_one = if signed { "b == -1" } else { "0" };
    match op {
        BinaryOp::Add => wide("+"),
        BinaryOp::Sub => wide("-"),
        BinaryOp::Mul => wide("*"),
        BinaryOp::Div => format!(
            "return b == 0 ? ({t})UINT64_MAX : {minus_one} ? ({t})(0 - (uint64_t)a) : ({t})(a / b);"
        ),
        BinaryOp::Rem => {
            format!("return b == 0 ? a : {minus_one} ? 0 : ({t})(a % b);")
        }
        BinaryOp::Min => "return a < b ? a : b;".to_owned(),
        BinaryOp::Max => "return a > b ? a : b;".to_owned(),
        BinaryOp::And => "return a & b;".to_owned(),
        BinaryOp::Or => "return a | b;".to_owned(),
        BinaryOp::Xor => "return a ^ b;".to_owned(),
        BinaryOp::Shl => {
            format!("return ({u})b >= {bits} ? 0 : ({t})((uint64_t)({u})a << ({u})b);")
        }
        BinaryOp::ShrLogical => format!("return ({u})b >= {bits} ? 0 : ({t})(({u})a >> ({u})b);"),
        BinaryOp::ShrArithmetic => format!(
            "return ({t})(({s})a >> (({u})b >= {bits} ? {} : ({u})b));",
            bits - 1
        ),
        BinaryOp::Pow => {
            let negative = if signed {
                "if (b < 0) return a == 1; "
            } else {
                ""
            };
            format!(
                "{negative}uint64_t r = 1, x = (uint64_t)a; \
                 for ({u} n = ({u})b; n; n >>= 1) {{ if (n & 1) r *= x; x *= x; }} return ({t})r;"
            )
        }
        // No integers are taken by it.
        BinaryOp::Atan2 => "return a;".to_owned(),
    }
}

fn integer_unary(op: UnaryOp, ty: ScalarType, bits: u32, signed: bool) -> String {
    let (t, u) = (c_type(ty), format!("uint{bits}_t"));
    match (op, signed) {
        (UnaryOp::Abs, true) => format!("return a < 0 ? ({t})(0 - (uint64_t)a) : a;"),
        (UnaryOp::Neg, _) => format!("return ({t})(0 - (uint64_t)a);"),
        (UnaryOp::Not, _) => format!("return ({t})~(uint64_t)a;"),
        (UnaryOp::Sign, true) => format!("return ({t})((a > 0) - (a < 0));"),
        (UnaryOp::Sign, false) => "return a != 0;".to_owned(),
        (UnaryOp::Popcnt, _) => {
            format!("{t} n = 0; for ({u} x = ({u})a; x; x &= ({u})(x - 1)) n++; return n;")
        }
        (UnaryOp::Clz, _) => {
            format!("{t} n = {bits}; for ({u} x = ({u})a; x; x >>= 1) n--; return n;")
        }
        // What unsigned numbers are already; nothing else is taken.
        _ => "return a;".to_owned(),
    }
}

fn float_binary(op: BinaryOp, ty: ScalarType) -> String {
    let f = suffix(ty);
    let ordered = |less: &str| {
        format!(
            "if (a != a) return a; if (b != b) return b; \
             return (a == b ? {less}(signbit(a) != 0) : {less}(a < b)) ? a : b;"
        )
    };
    match op {
        BinaryOp::Add => "return a + b;".to_owned(),
        BinaryOp::Sub => "return a - b;".to_owned(),
        BinaryOp::Mul => "return a * b;".to_owned(),
        BinaryOp::Div => "return a / b;".to_owned(),
        BinaryOp::Rem => format!("return fmod{f}(a, b);"),
        BinaryOp::Min => ordered(""),
        BinaryOp::Max => ordered("!"),
        BinaryOp::Pow => format!("return pow{f}(a, b);"),
        BinaryOp::Atan2 => format!("return atan2{f}(a, b);"),
        // Nothing else is taken.
        _ => "return a;".to_owned(),
    }
}

fn float_unary(op: UnaryOp, ty: ScalarType) -> String {
    let f = suffix(ty);
    let call = |name: &str| format!("return {name}{f}(a);");
    match op {
        UnaryOp::Abs => call("fabs"),
        UnaryOp::Neg => "return -a;".to_owned(),
        UnaryOp::Sign => format!("return a == 0 || a != a ? a : copysign{f}(1, a);"),
        UnaryOp::Ceil => call("ceil"),
        UnaryOp::Floor => call("floor"),
        UnaryOp::RoundNearestEven => call("rint"),
        UnaryOp::RoundNearestAfz => call("round"),
        UnaryOp::Sqrt => call("sqrt"),
        UnaryOp::Rsqrt => format!("return 1 / sqrt{f}(a);"),
        UnaryOp::Cbrt => call("cbrt"),
        UnaryOp::Exp => call("exp"),
        UnaryOp::Expm1 => call("expm1"),
        UnaryOp::Log => call("log"),
        UnaryOp::Log1p => call("log1p"),
        UnaryOp::Logistic => format!("return 1 / (1 + exp{f}(-a));"),
        UnaryOp::Tanh => call("tanh"),
        UnaryOp::Erf => call("erf"),
        UnaryOp::Sin => call("sin"),
        UnaryOp::Cos => call("cos"),
        UnaryOp::Tan => call("tan"),
        UnaryOp::IsFinite => "return isfinite(a) != 0;".to_owned(),
        // Nothing else is taken.
        UnaryOp::Not | UnaryOp::Popcnt | UnaryOp::Clz => "return a;".to_owned(),
    }
}

/// Of the C library's functions of a type.
fn suffix(ty: ScalarType) -> &'static str {
    if ty == ScalarType::Element(ElementType::F32) {
        "f"
    } else {
        ""
    }
}

/// An expression in the type that is computed with.
fn computed(a: &str, ty: ScalarType, helpers: &mut Helpers) -> String {
    match ty {
        ScalarType::Element(ElementType::F16) => {
            helpers.give("f32_of_f16", F32_OF_F16.to_owned());
            format!("f32_of_f16({a})")
        }
        ScalarType::Element(ElementType::BF16) => {
            helpers.give("f32_of_bf16", F32_OF_BF16.to_owned());
            format!("f32_of_bf16({a})")
        }
        _ => a.to_owned(),
    }
}

/// A `float` as a half.
fn rounded(a: &str, ty: ScalarType, helpers: &mut Helpers) -> String {
    if ty == ScalarType::Element(ElementType::F16) {
        helpers.give("f16_of_f32", F16_OF_F32.to_owned());
        format!("f16_of_f32({a})")
    } else {
        helpers.give("bf16_of_f32", BF16_OF_F32.to_owned());
        format!("bf16_of_f32({a})")
    }
}

fn convert(a: &str, from: ScalarType, to: ScalarType, helpers: &mut Helpers) -> String {
    let value = computed(a, from, helpers);
    let floating = matches!(Kind::of(from), Kind::Float | Kind::Half);
    let t = c_type(to);
    match Kind::of(to) {
        Kind::Bool => format!("(uint8_t)({value} != 0)"),
        Kind::Float => format!("({t})({value})"),
        Kind::Half => rounded(&format!("(float)({value})"), to, helpers),
        Kind::Integer { .. } if !floating => format!("({t})({value})"),
        Kind::Integer { bits, signed } => {
            let name = format!("{to}_of_float");
            let top = if signed { bits - 1 } else { bits };
            let (least, bottom) = match signed {
                true => (format!("INT{bits}_MIN"), format!("-0x1p{top}")),
                false => ("0".to_owned(), "0".to_owned()),
            };
            let most = format!("{}INT{bits}_MAX", if signed { "" } else { "U" });
            helpers.give(
                &name,
                format!(
                    "static inline {t} {name}(double a) {{ return a != a ? 0 : a <= {bottom} ? {least} : \
                     a >= 0x1p{top} ? {most} : ({t})a; }}\n"
                ),
            );
            format!("{name}({value})")
        }
    }
}

const F32_OF_BF16: &str = "static inline float f32_of_bf16(uint16_t a) {
  uint32_t bits = (uint32_t)a << 16;
  float value;
  memcpy(&value, &bits, 4);
  return value;
}
";

const BF16_OF_F32: &str = "static inline uint16_t bf16_of_f32(float a) {
  uint32_t bits;
  memcpy(&bits, &a, 4);
  if (a != a) return (uint16_t)(bits >> 16 | 0x40);
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
";

const F32_OF_F16: &str = "static inline float f32_of_f16(uint16_t a) {
  uint32_t sign = (uint32_t)(a & 0x8000) << 16, exponent = a >> 10 & 0x1f, fraction = a & 0x3ff;
  uint32_t bits;
  float value;
  if (exponent == 0) {
    value = (float)fraction * 0x1p-24f;
    memcpy(&bits, &value, 4);
    bits |= sign;
  } else if (exponent == 0x1f) {
    bits = sign | 0x7f800000 | fraction << 13 | (fraction ? 0x400000 : 0);
  } else {
    bits = sign | (exponent + 112) << 23 | fraction << 13;
  }
  memcpy(&value, &bits, 4);
  return value;
}
";

const F16_OF_F32: &str = "static inline uint16_t f16_of_f32(float a) {
  uint32_t bits;
  memcpy(&bits, &a, 4);
  uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
  bits &= 0x7fffffff;
  if (bits > 0x7f800000) return (uint16_t)(sign | 0x7e00 | (bits >> 13 & 0x3ff));
  if (bits >= 0x47800000) return (uint16_t)(sign | 0x7c00);
  if (bits < 0x38800000) {
    float value;
    memcpy(&value, &bits, 4);
    return (uint16_t)(sign | (uint16_t)rintf(value * 0x1p24f));
  }
  bits -= 0x38000000;
  return (uint16_t)(sign | ((bits + 0xfff + (bits >> 13 & 1)) >> 13));
}
";
