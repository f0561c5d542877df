//! Scalar operations: the same set in every IR, on the access side and on the execute side.
//!
//! Element semantics are XLA's: integers wrap, division by zero and shifts beyond the width give
//! XLA's results, `f16` and `bf16` round after every operation, `min` and `max` propagate NaN.
//! On `index` the arithmetic is that of `s64`.

use super::scalar::Scalar;
use super::types::ScalarType;

macro_rules! ops {
    ($(#[$doc:meta])* $type:ident { $($variant:ident $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "the names say it")]
        pub enum $type { $($variant,)* }

        impl $type {
            /// All of them.
            pub const ALL: &'static [$type] = &[$($type::$variant,)*];

            /// The spelling in every IR.
            pub fn name(self) -> &'static str {
                match self { $($type::$variant => $name,)* }
            }

            /// The operation spelled `name`.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some($type::$variant),)* _ => None }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

ops! {
    /// One operand, result of the same type (`is_finite` gives `bool`).
    UnaryOp {
        Abs "abs", Neg "neg", Not "not", Sign "sign",
        Ceil "ceil", Floor "floor", RoundNearestEven "round_nearest_even", RoundNearestAfz "round_nearest_afz",
        Sqrt "sqrt", Rsqrt "rsqrt", Cbrt "cbrt",
        Exp "exp", Expm1 "expm1", Log "log", Log1p "log1p", Logistic "logistic", Tanh "tanh", Erf "erf",
        Sin "sin", Cos "cos", Tan "tan",
        Popcnt "popcnt", Clz "clz",
        IsFinite "is_finite",
    }
}

ops! {
    /// Two operands of one type, result of the same type.
    BinaryOp {
        Add "add", Sub "sub", Mul "mul", Div "div", Rem "rem", Min "min", Max "max", Pow "pow", Atan2 "atan2",
        And "and", Or "or", Xor "xor", Shl "shl", ShrArithmetic "shra", ShrLogical "shrl",
    }
}

ops! {
    /// Two operands of one type, result `bool`; floats compare partially (NaN is unequal to all).
    CompareOp { Eq "eq", Ne "ne", Lt "lt", Le "le", Gt "gt", Ge "ge", }
}

ops! {
    /// How a value meets what is already in its place. `replace`: the later value in iteration order stays.
    CombineOp {
        Add "add", Mul "mul", Min "min", Max "max", And "and", Or "or", Xor "xor", Sub "sub", Replace "replace",
    }
}

/// A pure scalar operation over values of type `V`.
#[derive(Clone, Debug, PartialEq)]
pub enum Arith<V> {
    /// `constant 1.0: f32`.
    Constant(Scalar),
    /// `neg %a`.
    Unary(UnaryOp, V),
    /// `add %a, %b`.
    Binary(BinaryOp, V, V),
    /// `lt %a, %b`.
    Compare(CompareOp, V, V),
    /// `select %condition, %on_true, %on_false`; the condition is `bool`.
    Select(V, V, V),
    /// `convert %a to f32`: XLA's convert; to and from `index` as to and from `s64`.
    Convert(V, ScalarType),
}
