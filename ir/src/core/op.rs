//! Scalar operations: the same set in every IR, on the access side and on the execute side.
//!
//! Their types and values are in [`super::typing`] and [`super::arith`].

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

impl<V> Arith<V> {
    /// The same operation on other operands.
    pub fn try_map<W, E>(&self, mut f: impl FnMut(&V) -> Result<W, E>) -> Result<Arith<W>, E> {
        Ok(match self {
            Arith::Constant(scalar) => Arith::Constant(*scalar),
            Arith::Unary(op, a) => Arith::Unary(*op, f(a)?),
            Arith::Binary(op, a, b) => Arith::Binary(*op, f(a)?, f(b)?),
            Arith::Compare(op, a, b) => Arith::Compare(*op, f(a)?, f(b)?),
            Arith::Select(c, a, b) => Arith::Select(f(c)?, f(a)?, f(b)?),
            Arith::Convert(a, to) => Arith::Convert(f(a)?, *to),
        })
    }

    /// The same operation on other operands.
    pub fn map<W>(&self, mut f: impl FnMut(&V) -> W) -> Arith<W> {
        match self.try_map(|v| Ok::<W, std::convert::Infallible>(f(v))) {
            Ok(arith) => arith,
            Err(never) => match never {},
        }
    }

    /// The operands, in the order of the text.
    pub fn operands(&self) -> impl Iterator<Item = &V> {
        let operands = match self {
            Arith::Constant(_) => [None, None, None],
            Arith::Unary(_, a) | Arith::Convert(a, _) => [Some(a), None, None],
            Arith::Binary(_, a, b) | Arith::Compare(_, a, b) => [Some(a), Some(b), None],
            Arith::Select(c, a, b) => [Some(c), Some(a), Some(b)],
        };
        operands.into_iter().flatten()
    }

    /// The operands, in the order of the text, to be replaced.
    pub fn operands_mut(&mut self) -> impl Iterator<Item = &mut V> {
        let operands = match self {
            Arith::Constant(_) => [None, None, None],
            Arith::Unary(_, a) | Arith::Convert(a, _) => [Some(a), None, None],
            Arith::Binary(_, a, b) | Arith::Compare(_, a, b) => [Some(a), Some(b), None],
            Arith::Select(c, a, b) => [Some(c), Some(a), Some(b)],
        };
        operands.into_iter().flatten()
    }

    /// The word that the operation starts with.
    pub fn name(&self) -> &'static str {
        match self {
            Arith::Constant(_) => "constant",
            Arith::Unary(op, _) => op.name(),
            Arith::Binary(op, _, _) => op.name(),
            Arith::Compare(op, _, _) => op.name(),
            Arith::Select(_, _, _) => "select",
            Arith::Convert(_, _) => "convert",
        }
    }
}
