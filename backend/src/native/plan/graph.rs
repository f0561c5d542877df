//! The values of a flat nest, in static single assignment.
//!
//! A value has a level: 0 is the same for all lookups, `1..=m` changes with the positions of that lookup unit, `m + 1`
//! changes along a row. An operation is computed at the highest level of its operands, once: equal operations
//! are one value. Of integers it is known which values they can have, as far as clamps and loops tell.

use hlo2dae_ir::core::{Arith, BinaryOp, CompareOp, Scalar, ScalarType, Span, UnaryOp};

use super::source::{BufferNumber, Reg};
use crate::native::kernels::column::index::Decode;

/// A value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Val(pub usize);

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Def {
    /// A register of the loops around the nest.
    Outer(Reg),
    /// The position of a lookup unit, 1 the outermost.
    Position(usize),
    /// The position of a unit of the row, 0 the outermost of them.
    RowPosition(usize),
    Arith(Arith<Val>),
    /// An integer as an index: what [`super::fuse`] makes of the operations on it.
    Decode(Val, Decode),
    /// An element at an offset, level 0 to `m`. Where `guard` is false the offset may be anything, and the value is.
    Load {
        buffer: BufferNumber,
        offset: Val,
        guard: Option<Val>,
        span: Span,
    },
    /// The element at `base` and the position of the value's level, one unit step after the other: a `Load` whose offsets are in order.
    /// What is made of it, if it is an index.
    LoadRun {
        buffer: BufferNumber,
        base: Val,
        decode: Option<Decode>,
        span: Span,
    },
    /// An element of a row, at a base and a multiple of the row's position; where `fill.0` is false, `fill.1`.
    RowLoad {
        buffer: BufferNumber,
        base: Val,
        stride: i64,
        fill: Option<(Val, Scalar)>,
        span: Span,
    },
    /// What an element of a buffer that the nest writes has been before a combine.
    Old {
        buffer: BufferNumber,
        indices: Vec<Val>,
    },
}

/// A value's definition and what is known about it.
#[derive(Clone, Debug)]
pub(crate) struct ValData {
    pub def: Def,
    pub ty: ScalarType,
    pub level: usize,
    /// Of an integer: smallest and largest.
    pub range: (i128, i128),
}

/// All integers.
pub(crate) const ANY: (i128, i128) = (i64::MIN as i128, u64::MAX as i128);

/// The values of a nest.
#[derive(Clone, Debug, Default)]
pub(crate) struct Graph {
    pub vals: Vec<ValData>,
}

/// A value as a base and a multiple of each row position.
#[derive(Clone, Debug)]
pub(crate) struct Affine {
    pub base: Val,
    pub factors: Vec<i64>,
}

impl Graph {
    /// What is known about a value.
    pub fn get(&self, val: Val) -> &ValData {
        // Values are made by this graph alone.
        &self.vals[val.0]
    }

    /// The type of a value.
    pub fn ty(&self, val: Val) -> ScalarType {
        self.get(val).ty
    }

    /// The level of a value.
    pub fn level(&self, val: Val) -> usize {
        self.get(val).level
    }

    /// A value, new or known.
    pub fn add(&mut self, def: Def, ty: ScalarType, level: usize, range: (i128, i128)) -> Val {
        let known = self
            .vals
            .iter()
            .position(|data| data.ty == ty && data.level == level && data.def == def);
        Val(known.unwrap_or_else(|| {
            self.vals.push(ValData {
                def,
                ty,
                level,
                range: clip(range, ty),
            });
            self.vals.len() - 1
        }))
    }

    /// A constant.
    pub fn constant(&mut self, value: Scalar) -> Val {
        let range = value.as_integer().map_or(ANY, |v| (v, v));
        self.add(Def::Arith(Arith::Constant(value)), value.ty(), 0, range)
    }

    /// An `index` constant.
    pub fn index(&mut self, value: i64) -> Val {
        self.constant(Scalar::Index(value))
    }

    /// The constant that a value is.
    pub fn as_constant(&self, val: Val) -> Option<Scalar> {
        match self.get(val).def {
            Def::Arith(Arith::Constant(value)) => Some(value),
            _ => None,
        }
    }

    fn as_index(&self, val: Val) -> Option<i64> {
        match self.as_constant(val) {
            Some(Scalar::Index(value)) => Some(value),
            _ => None,
        }
    }

    /// An operation, simplified; `ty` is its type.
    pub fn arith(&mut self, arith: Arith<Val>, ty: ScalarType) -> Val {
        if let Arith::Constant(value) = arith {
            return self.constant(value);
        }
        // Constants fold; an operation on constants that a type does not take is left to the run.
        let constants = arith.try_map(|&val| self.as_constant(val).ok_or(()));
        if let Ok(folded) = constants
            && let Ok(value) = folded.evaluate()
        {
            return self.constant(value);
        }
        if let Some(same) = self.simplified(&arith, ty) {
            return same;
        }
        let level = arith.operands().map(|&val| self.level(val)).max();
        let range = self.range(&arith);
        self.add(Def::Arith(arith), ty, level.unwrap_or(0), range)
    }

    /// The operand that an operation gives back, or a constant that it always is.
    fn simplified(&mut self, arith: &Arith<Val>, ty: ScalarType) -> Option<Val> {
        let range = |val: Val| self.get(val).range;
        if !ty.is_integer() && !ty.is_bool() {
            return match *arith {
                Arith::Convert(a, to) if self.ty(a) == to => Some(a),
                _ => None,
            };
        }
        match *arith {
            Arith::Convert(a, to) if self.ty(a) == to => Some(a),
            Arith::Binary(BinaryOp::Add, a, b) if self.as_index(b) == Some(0) => Some(a),
            Arith::Binary(BinaryOp::Add, a, b) if self.as_index(a) == Some(0) => Some(b),
            Arith::Binary(BinaryOp::Sub, a, b) if self.as_index(b) == Some(0) => Some(a),
            Arith::Binary(BinaryOp::Mul, a, b) if self.as_index(b) == Some(1) => Some(a),
            Arith::Binary(BinaryOp::Mul, a, b) if self.as_index(a) == Some(1) => Some(b),
            Arith::Binary(BinaryOp::Mul, _, b) if self.as_index(b) == Some(0) => Some(b),
            // A clamp that changes nothing.
            Arith::Binary(BinaryOp::Max, a, b) if ty.is_integer() => {
                if range(a).0 >= range(b).1 {
                    Some(a)
                } else if range(b).0 >= range(a).1 {
                    Some(b)
                } else {
                    None
                }
            }
            Arith::Binary(BinaryOp::Min, a, b) if ty.is_integer() => {
                if range(a).1 <= range(b).0 {
                    Some(a)
                } else if range(b).1 <= range(a).0 {
                    Some(b)
                } else {
                    None
                }
            }
            Arith::Binary(BinaryOp::And, a, b) if ty.is_bool() => {
                match (self.as_constant(a), self.as_constant(b)) {
                    (Some(Scalar::Bool(true)), _) | (_, Some(Scalar::Bool(false))) => Some(b),
                    (_, Some(Scalar::Bool(true))) | (Some(Scalar::Bool(false)), _) => Some(a),
                    _ if a == b => Some(a),
                    _ => None,
                }
            }
            Arith::Compare(op, a, b) if self.ty(a).is_integer() => {
                let ((a0, a1), (b0, b1)) = (range(a), range(b));
                let always = match op {
                    CompareOp::Lt if a1 < b0 => Some(true),
                    CompareOp::Lt if a0 >= b1 => Some(false),
                    CompareOp::Le if a1 <= b0 => Some(true),
                    CompareOp::Le if a0 > b1 => Some(false),
                    CompareOp::Gt if a0 > b1 => Some(true),
                    CompareOp::Gt if a1 <= b0 => Some(false),
                    CompareOp::Ge if a0 >= b1 => Some(true),
                    CompareOp::Ge if a1 < b0 => Some(false),
                    CompareOp::Eq
                    | CompareOp::Ne
                    | CompareOp::Lt
                    | CompareOp::Le
                    | CompareOp::Gt
                    | CompareOp::Ge => None,
                };
                always.map(|value| self.constant(Scalar::Bool(value)))
            }
            Arith::Select(c, a, b) => match self.as_constant(c) {
                Some(Scalar::Bool(true)) => Some(a),
                Some(Scalar::Bool(false)) => Some(b),
                _ if a == b => Some(a),
                _ => None,
            },
            _ => None,
        }
    }

    /// The integers that an operation can give.
    fn range(&self, arith: &Arith<Val>) -> (i128, i128) {
        let of = |val: Val| self.get(val).range;
        match *arith {
            Arith::Constant(value) => value.as_integer().map_or(ANY, |v| (v, v)),
            Arith::Binary(op, a, b) => {
                let ((a0, a1), (b0, b1)) = (of(a), of(b));
                match op {
                    BinaryOp::Add => (a0 + b0, a1 + b1),
                    BinaryOp::Sub => (a0 - b1, a1 - b0),
                    BinaryOp::Mul => {
                        let corners =
                            [(a0, b0), (a0, b1), (a1, b0), (a1, b1)].map(|(a, b)| a.checked_mul(b));
                        let low = corners.iter().map(|c| c.unwrap_or(i128::MIN)).min();
                        let high = corners.iter().map(|c| c.unwrap_or(i128::MAX)).max();
                        (low.unwrap_or(i128::MIN), high.unwrap_or(i128::MAX))
                    }
                    BinaryOp::Min => (a0.min(b0), a1.min(b1)),
                    BinaryOp::Max => (a0.max(b0), a1.max(b1)),
                    // A remainder keeps the sign of the left and stays below the right.
                    BinaryOp::Rem if b0 > 0 => (
                        if a0 < 0 { 1 - b1 } else { 0 },
                        if a1 > 0 { b1 - 1 } else { 0 },
                    ),
                    BinaryOp::Div if b0 > 0 && a0 >= 0 => (0, a1),
                    BinaryOp::And if a0 >= 0 && b0 >= 0 => (0, a1.min(b1)),
                    BinaryOp::Div
                    | BinaryOp::Rem
                    | BinaryOp::Pow
                    | BinaryOp::Atan2
                    | BinaryOp::And
                    | BinaryOp::Or
                    | BinaryOp::Xor
                    | BinaryOp::Shl
                    | BinaryOp::ShrArithmetic
                    | BinaryOp::ShrLogical => ANY,
                }
            }
            Arith::Unary(UnaryOp::Neg, a) => (-of(a).1, -of(a).0),
            Arith::Unary(_, _) | Arith::Compare(_, _, _) => ANY,
            Arith::Select(_, a, b) => (of(a).0.min(of(b).0), of(a).1.max(of(b).1)),
            Arith::Convert(a, _) if self.ty(a).is_integer() => of(a),
            Arith::Convert(a, _) if self.ty(a).is_bool() => (0, 1),
            Arith::Convert(_, _) => ANY,
        }
    }

    /// The value as a base that is the same along a row, and a multiple of each of `rows` row positions.
    pub fn affine(&mut self, val: Val, rows: usize, row_level: usize) -> Option<Affine> {
        let data = self.get(val).clone();
        if data.level < row_level {
            return Some(Affine {
                base: val,
                factors: vec![0; rows],
            });
        }
        match data.def {
            Def::RowPosition(unit) => {
                let mut factors = vec![0; rows];
                *factors.get_mut(unit)? = 1;
                Some(Affine {
                    base: self.index(0),
                    factors,
                })
            }
            Def::Arith(Arith::Binary(op @ (BinaryOp::Add | BinaryOp::Sub), a, b))
                if data.ty == ScalarType::Index =>
            {
                let (a, b) = (
                    self.affine(a, rows, row_level)?,
                    self.affine(b, rows, row_level)?,
                );
                let factors = a.factors.iter().zip(&b.factors).map(|(&a, &b)| match op {
                    BinaryOp::Add => a.checked_add(b),
                    _ => a.checked_sub(b),
                });
                Some(Affine {
                    factors: factors.collect::<Option<_>>()?,
                    base: self.arith(Arith::Binary(op, a.base, b.base), ScalarType::Index),
                })
            }
            Def::Arith(Arith::Binary(BinaryOp::Mul, a, b)) if data.ty == ScalarType::Index => {
                let (val, factor) = match (self.as_index(a), self.as_index(b)) {
                    (_, Some(factor)) => (a, factor),
                    (Some(factor), _) => (b, factor),
                    _ => return None,
                };
                let of = self.affine(val, rows, row_level)?;
                let factors = of.factors.iter().map(|f| f.checked_mul(factor));
                let by = self.index(factor);
                Some(Affine {
                    factors: factors.collect::<Option<_>>()?,
                    base: self.arith(Arith::Binary(BinaryOp::Mul, of.base, by), ScalarType::Index),
                })
            }
            _ => None,
        }
    }

    /// What `guard` says about `val` when it is true.
    pub fn guarded(&self, val: Val, guard: Option<Val>) -> (i128, i128) {
        let mut range = self.get(val).range;
        let mut left: Vec<Val> = guard.into_iter().collect();
        while let Some(guard) = left.pop() {
            match self.get(guard).def {
                Def::Arith(Arith::Binary(BinaryOp::And, a, b)) => left.extend([a, b]),
                Def::Arith(Arith::Compare(op, a, b)) => {
                    let narrow = |op: CompareOp, (low, high): (i128, i128)| match op {
                        CompareOp::Lt => (i128::MIN, high - 1),
                        CompareOp::Le => (i128::MIN, high),
                        CompareOp::Gt => (low + 1, i128::MAX),
                        CompareOp::Ge => (low, i128::MAX),
                        CompareOp::Eq => (low, high),
                        CompareOp::Ne => (i128::MIN, i128::MAX),
                    };
                    let swapped = match op {
                        CompareOp::Lt => CompareOp::Gt,
                        CompareOp::Le => CompareOp::Ge,
                        CompareOp::Gt => CompareOp::Lt,
                        CompareOp::Ge => CompareOp::Le,
                        CompareOp::Eq | CompareOp::Ne => op,
                    };
                    for (subject, op, other) in [(a, op, b), (b, swapped, a)] {
                        if subject == val {
                            let (low, high) = narrow(op, self.get(other).range);
                            range = (range.0.max(low), range.1.min(high));
                        }
                    }
                }
                _ => {}
            }
        }
        range
    }

    /// Whether a value depends on what is in a buffer: offsets that do not are in order, for all that matters to caches.
    pub fn is_loaded(&self, val: Val) -> bool {
        let mut left = vec![val];
        let mut seen = vec![false; self.vals.len()];
        while let Some(val) = left.pop() {
            match seen.get_mut(val.0) {
                Some(seen) if !*seen => *seen = true,
                _ => continue,
            }
            if matches!(self.get(val).def, Def::Load { .. } | Def::LoadRun { .. }) {
                return true;
            }
            left.extend(self.operands(val));
        }
        false
    }

    /// The operands of a value.
    pub fn operands(&self, val: Val) -> Vec<Val> {
        match &self.get(val).def {
            Def::Outer(_) | Def::Position(_) | Def::RowPosition(_) => Vec::new(),
            Def::Arith(arith) => arith.operands().copied().collect(),
            Def::Decode(of, _) => vec![*of],
            Def::Load {
                buffer: _,
                offset,
                guard,
                span: _,
            } => std::iter::once(*offset).chain(*guard).collect(),
            Def::LoadRun {
                buffer: _,
                base,
                decode: _,
                span: _,
            } => vec![*base],
            Def::RowLoad {
                buffer: _,
                base,
                stride: _,
                fill,
                span: _,
            } => std::iter::once(*base).chain(fill.map(|(c, _)| c)).collect(),
            Def::Old { buffer: _, indices } => indices.clone(),
        }
    }
}

/// A range within the values of a type: what leaves it wraps, and may be anything.
fn clip(range: (i128, i128), ty: ScalarType) -> (i128, i128) {
    let (low, high) = Scalar::range(ty);
    let (Some(low), Some(high)) = (low.as_integer(), high.as_integer()) else {
        return ANY;
    };
    if range.0 < low || range.1 > high {
        (low, high)
    } else {
        range
    }
}
