//! Which operand types an operation takes, and the type of its result.
//!
//! | operations | operands |
//! |---|---|
//! | `abs neg sign` | integer, float |
//! | `not` | integer, bool |
//! | `popcnt clz` | integer |
//! | `ceil` ... `tan`, `is_finite` | float |
//! | `add mul min max` | integer, float, bool (`add` and `max` are or, `mul` and `min` are and) |
//! | `sub div rem pow` | integer, float |
//! | `atan2` | float |
//! | `and or xor` | integer, bool |
//! | `shl shra shrl` | integer |
//! | comparisons, the branches of `select`, `convert` | any |
//!
//! `index` counts as an integer. The operands of one operation have one type.

use super::op::{Arith, BinaryOp, CombineOp, CompareOp, UnaryOp};
use super::types::{ElementType, LANES, ScalarType, Type};

/// An operation on operands of types that it does not take: a fault of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TypeError {
    /// One operand.
    #[error("`{op}` does not take {operand}")]
    Unary {
        /// The operation.
        op: &'static str,
        /// Type of the operand.
        operand: ScalarType,
    },
    /// Two operands.
    #[error("`{op}` does not take {lhs} and {rhs}")]
    Binary {
        /// The operation.
        op: &'static str,
        /// Type of the first operand.
        lhs: ScalarType,
        /// Type of the second operand.
        rhs: ScalarType,
    },
    /// A select whose condition is not `bool` or whose branches differ.
    #[error(
        "`select` needs bool and two operands of one type, not {condition}, {on_true} and {on_false}"
    )]
    Select {
        /// Type of the condition.
        condition: ScalarType,
        /// Type of the second operand.
        on_true: ScalarType,
        /// Type of the third operand.
        on_false: ScalarType,
    },
    /// A row where one scalar, or one for each lane, is taken.
    #[error("`{op}` does not take {operand}: `element` takes elements from a row")]
    Row {
        /// The operation.
        op: &'static str,
        /// Type of the operand.
        operand: Type,
    },
    /// Operands of different lanes.
    #[error("`{op}` takes operands of the same lanes, not {lhs} and {rhs}")]
    Lanes {
        /// The operation.
        op: &'static str,
        /// Type of one operand.
        lhs: Type,
        /// Type of another operand.
        rhs: Type,
    },
    /// Another operand than a place takes.
    #[error("`{op}` takes {expected}, not {found}")]
    Expected {
        /// The operation.
        op: &'static str,
        /// What it takes.
        expected: &'static str,
        /// Type of the operand.
        found: Type,
    },
    /// A vector of too few or too many lanes: our limit.
    #[error("a vector has from {} to {} lanes, not {lanes}", LANES.start(), LANES.end())]
    LaneCount {
        /// The number of lanes.
        lanes: u32,
    },
}

impl UnaryOp {
    /// Type of the result.
    pub fn result_type(self, operand: ScalarType) -> Result<ScalarType, TypeError> {
        use UnaryOp::*;
        let takes = match self {
            Abs | Neg | Sign => operand.is_integer() || operand.is_float(),
            Not => operand.is_integer() || operand.is_bool(),
            Popcnt | Clz => operand.is_integer(),
            Ceil | Floor | RoundNearestEven | RoundNearestAfz | Sqrt | Rsqrt | Cbrt | Exp
            | Expm1 | Log | Log1p | Logistic | Tanh | Erf | Sin | Cos | Tan | IsFinite => {
                operand.is_float()
            }
        };
        match (takes, self) {
            (false, op) => Err(TypeError::Unary {
                op: op.name(),
                operand,
            }),
            (true, IsFinite) => Ok(ScalarType::BOOL),
            (true, _) => Ok(operand),
        }
    }
}

impl BinaryOp {
    /// Type of the result.
    pub fn result_type(self, lhs: ScalarType, rhs: ScalarType) -> Result<ScalarType, TypeError> {
        use BinaryOp::*;
        let takes = match self {
            Add | Mul | Min | Max => true,
            Sub | Div | Rem | Pow => !lhs.is_bool(),
            Atan2 => lhs.is_float(),
            And | Or | Xor => !lhs.is_float(),
            Shl | ShrArithmetic | ShrLogical => lhs.is_integer(),
        };
        if takes && lhs == rhs {
            Ok(lhs)
        } else {
            Err(TypeError::Binary {
                op: self.name(),
                lhs,
                rhs,
            })
        }
    }
}

impl CompareOp {
    /// `bool`, if the operands have one type.
    pub fn result_type(self, lhs: ScalarType, rhs: ScalarType) -> Result<ScalarType, TypeError> {
        if lhs == rhs {
            Ok(ScalarType::BOOL)
        } else {
            Err(TypeError::Binary {
                op: self.name(),
                lhs,
                rhs,
            })
        }
    }
}

impl CombineOp {
    /// The binary operation; `None` for `replace`.
    pub fn binary(self) -> Option<BinaryOp> {
        match self {
            CombineOp::Add => Some(BinaryOp::Add),
            CombineOp::Mul => Some(BinaryOp::Mul),
            CombineOp::Min => Some(BinaryOp::Min),
            CombineOp::Max => Some(BinaryOp::Max),
            CombineOp::And => Some(BinaryOp::And),
            CombineOp::Or => Some(BinaryOp::Or),
            CombineOp::Xor => Some(BinaryOp::Xor),
            CombineOp::Sub => Some(BinaryOp::Sub),
            CombineOp::Replace => None,
        }
    }

    /// Whether elements of this type can be combined with it.
    pub fn check(self, element: ElementType, value: ScalarType) -> Result<(), TypeError> {
        let element = ScalarType::Element(element);
        match self.binary() {
            Some(op) => op.result_type(element, value).map(|_| ()),
            None if element == value => Ok(()),
            None => Err(TypeError::Binary {
                op: self.name(),
                lhs: element,
                rhs: value,
            }),
        }
    }
}

impl Arith<ScalarType> {
    /// Type of the result; get here by mapping each operand to its type.
    pub fn result_type(&self) -> Result<ScalarType, TypeError> {
        match *self {
            Arith::Constant(scalar) => Ok(scalar.ty()),
            Arith::Unary(op, a) => op.result_type(a),
            Arith::Binary(op, a, b) => op.result_type(a, b),
            Arith::Compare(op, a, b) => op.result_type(a, b),
            Arith::Select(condition, on_true, on_false) => {
                if condition.is_bool() && on_true == on_false {
                    Ok(on_true)
                } else {
                    Err(TypeError::Select {
                        condition,
                        on_true,
                        on_false,
                    })
                }
            }
            Arith::Convert(_, to) => Ok(to),
        }
    }
}

impl Arith<Type> {
    /// Type of the result, lane by lane if the operands are vectors; get here by mapping each operand to its type.
    pub fn result_type(&self) -> Result<Type, TypeError> {
        let op = self.name();
        let mut operands = self.operands().copied();
        let first = operands.next();
        for operand in first.into_iter().chain(operands) {
            if let Type::Row(_, _) = operand {
                return Err(TypeError::Row { op, operand });
            }
            if let Some(lhs) = first
                && lhs.lanes() != operand.lanes()
            {
                let rhs = operand;
                return Err(TypeError::Lanes { op, lhs, rhs });
            }
        }
        let scalar = self.map(|ty| ty.scalar()).result_type()?;
        Ok(Type::of(scalar, first.and_then(Type::lanes)))
    }
}

impl<V> Arith<V> {
    /// The type that a parser gives the result before the verifier looks at the operands: the
    /// right one if the operation takes them, else that of the first operand that has one.
    pub fn parsed_type(&self, ty: impl Fn(&V) -> Option<ScalarType>) -> ScalarType {
        let types = self.try_map(|v| ty(v).ok_or(()));
        let result = types
            .as_ref()
            .ok()
            .and_then(|types| types.result_type().ok());
        result
            .or_else(|| self.operands().find_map(&ty))
            .unwrap_or(ScalarType::Index)
    }
}
