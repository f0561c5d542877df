//! Symbolic maps: what one element of a region is, as an expression over loop axes.
//!
//! ```text
//! position  ::= axis | c0 + c1 * position + ...          loop positions, affine; an axis counts 0..n, or from one
//!                                                        position to another
//!             | position div c | position mod c          where a reshape cuts across an axis
//!             | index element {wrap n, MODE lo..hi}       an element used as a position
//! element   ::= constant | read node[position, ...] {fill c}
//!             | arithmetic, comparison, select, convert over elements
//!             | convert position | compare positions
//! ```
//!
//! Expressions are hash-consed: equal expressions have equal ids. The constructors in [`simplify`]
//! bring them to a normal form, so that equal maps spelled differently become equal ids; each rule
//! states what makes it right. Every expression knows its type, its depth and, for integers and
//! positions, the range of its values.

mod rules;
mod simplify;

#[cfg(test)]
mod tests;

use cranelift_entity::{PrimaryMap, SecondaryMap, entity_impl, packed_option::PackedOption};
use hashbrown::HashMap;

use hlo2dae_ir::core::{BinaryOp, CompareOp, ElementType, Scalar, ScalarType, UnaryOp};
use hlo2dae_ir::region::IndexMode;

use crate::graph::NodeId;

/// A loop axis.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Axis(u32);
entity_impl!(Axis, "axis");

/// An expression of an [`Arena`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ExprId(u32);
entity_impl!(ExprId, "e");

/// A scalar that can be hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Constant {
    element: ElementType,
    bits: u64,
}

impl Constant {
    /// The scalar.
    pub(crate) fn scalar(self) -> Scalar {
        Scalar::from_bits(ScalarType::Element(self.element), self.bits)
    }
}

/// An expression; operands by id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Expr {
    /// Loop position.
    Axis(Axis),
    /// Position: the sum of the terms, each by its factor, and a constant. The terms ascend, no
    /// factor is 0, and a sum that is just one term is that term.
    Linear(Vec<(ExprId, i64)>, i64),
    /// Position: quotient of a non-negative position by a factor above 1.
    Div(ExprId, i64),
    /// Position: remainder of a non-negative position by a factor above 1.
    Rem(ExprId, i64),
    /// Position: an integer element, as `index` of the region IR.
    Index(Index),
    /// Element: a literal.
    Constant(Constant),
    /// Element: one element of a node's array.
    Read(Read),
    /// Element arithmetic.
    Unary(UnaryOp, ExprId),
    /// Element arithmetic.
    Binary(BinaryOp, ExprId, ExprId),
    /// Comparison of elements or of positions.
    Compare(CompareOp, ExprId, ExprId),
    /// Element: the second where the first holds, the third elsewhere.
    Select(ExprId, ExprId, ExprId),
    /// Element of another type, or a position as an element.
    Convert(ExprId, ElementType),
}

/// `index value {wrap n, MODE lo..hi}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Index {
    pub(crate) value: ExprId,
    pub(crate) wrap: Option<u64>,
    pub(crate) mode: IndexMode,
    pub(crate) lo: i64,
    pub(crate) hi: i64,
}

/// `read node[indices] {fill c}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Read {
    pub(crate) node: NodeId,
    /// Of the sums in `f32` that the node's value is rounded from.
    pub(crate) wide: bool,
    pub(crate) element: ElementType,
    pub(crate) indices: Vec<ExprId>,
    pub(crate) fill: Option<Constant>,
}

/// What an axis counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// `0..n`.
    Dense(u64),
    /// From one position to, and without, another.
    Range(ExprId, ExprId),
}

#[derive(Clone, Debug)]
struct Data {
    expr: Expr,
    ty: ScalarType,
    depth: u32,
    range: Option<(i128, i128)>,
}

/// All expressions of one region.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arena {
    exprs: PrimaryMap<ExprId, Data>,
    ids: HashMap<Expr, ExprId>,
    axes: PrimaryMap<Axis, Extent>,
    origins: SecondaryMap<ExprId, PackedOption<NodeId>>,
}

impl Arena {
    /// A fresh axis of `extent` positions; its expression is the constant 0 where there is one.
    pub(crate) fn axis(&mut self, extent: u64) -> (Axis, ExprId) {
        let axis = self.axes.push(Extent::Dense(extent));
        let position = match extent {
            1 => self.position(0),
            _ => self.intern(Expr::Axis(axis)),
        };
        (axis, position)
    }

    /// A fresh axis from one position to another.
    pub(crate) fn range_axis(&mut self, begin: ExprId, end: ExprId) -> (Axis, ExprId) {
        let axis = self.axes.push(Extent::Range(begin, end));
        (axis, self.intern(Expr::Axis(axis)))
    }

    /// What an axis counts.
    pub(crate) fn extent(&self, axis: Axis) -> Extent {
        self.axes[axis]
    }

    /// How many positions an axis takes, where that is known.
    pub(crate) fn count(&self, axis: Axis) -> Option<u64> {
        match self.axes[axis] {
            Extent::Dense(n) => Some(n),
            Extent::Range(..) => None,
        }
    }

    /// Number of expressions.
    pub(crate) fn len(&self) -> usize {
        self.exprs.len()
    }

    /// The expression.
    pub(crate) fn expr(&self, id: ExprId) -> &Expr {
        &self.exprs[id].expr
    }

    /// Its type.
    pub(crate) fn ty(&self, id: ExprId) -> ScalarType {
        self.exprs[id].ty
    }

    /// The longest chain of operands below it.
    pub(crate) fn depth(&self, id: ExprId) -> u32 {
        self.exprs[id].depth
    }

    /// Smallest and largest value; `None` for floats.
    pub(crate) fn range(&self, id: ExprId) -> Option<(i128, i128)> {
        self.exprs[id].range
    }

    /// The node that the expression was first met as.
    pub(crate) fn origin(&self, id: ExprId) -> Option<NodeId> {
        self.origins[id].expand()
    }

    /// Remembers that the expression stands for `node`, unless it stands for one already.
    pub(crate) fn set_origin(&mut self, id: ExprId, node: NodeId) {
        if self.origins[id].is_none() {
            self.origins[id] = node.into();
        }
    }

    /// The value of a constant element.
    pub(crate) fn as_constant(&self, id: ExprId) -> Option<Scalar> {
        match self.expr(id) {
            Expr::Constant(constant) => Some(constant.scalar()),
            _ => None,
        }
    }

    /// The value of a constant position.
    pub(crate) fn as_position(&self, id: ExprId) -> Option<i64> {
        match self.expr(id) {
            Expr::Linear(terms, constant) if terms.is_empty() => Some(*constant),
            _ => None,
        }
    }

    /// The operands of an expression.
    pub(crate) fn operands(&self, id: ExprId) -> Vec<ExprId> {
        match self.expr(id) {
            Expr::Axis(axis) => match self.axes[*axis] {
                Extent::Dense(_) => Vec::new(),
                Extent::Range(begin, end) => vec![begin, end],
            },
            Expr::Constant(_) => Vec::new(),
            Expr::Linear(terms, _) => terms.iter().map(|&(term, _)| term).collect(),
            Expr::Div(a, _) | Expr::Rem(a, _) | Expr::Unary(_, a) | Expr::Convert(a, _) => vec![*a],
            Expr::Index(index) => vec![index.value],
            Expr::Read(read) => read.indices.clone(),
            Expr::Binary(_, a, b) | Expr::Compare(_, a, b) => vec![*a, *b],
            Expr::Select(a, b, c) => vec![*a, *b, *c],
        }
    }

    /// Calls `visit` once for every expression below the roots, operands first.
    pub(crate) fn postorder(&self, roots: &[ExprId], mut visit: impl FnMut(ExprId)) {
        let mut seen = hashbrown::HashSet::new();
        let mut stack: Vec<_> = roots.iter().rev().map(|&root| (root, false)).collect();
        while let Some((id, done)) = stack.pop() {
            if done {
                visit(id);
            } else if seen.insert(id) {
                stack.push((id, true));
                stack.extend(self.operands(id).into_iter().rev().map(|o| (o, false)));
            }
        }
    }

    /// Whether an element depends on looked-up elements (reads through an index), if it does so linearly.
    pub(crate) fn linear_in_lookups(&self, root: ExprId) -> Option<bool> {
        let mut depends: HashMap<ExprId, Option<bool>> = HashMap::new();
        self.postorder(&[root], |id| {
            let of = |operand: &ExprId| depends.get(operand).copied().flatten();
            let both = |a: &ExprId, b: &ExprId| Some(of(a)? || of(b)?);
            // Nothing but what is linear passes a lookup on.
            let plain = |operands: &[ExprId]| {
                operands
                    .iter()
                    .all(|operand| of(operand) == Some(false))
                    .then_some(false)
            };
            let linear = match self.expr(id) {
                Expr::Read(read) => Some(read.indices.iter().any(|&index| self.has_index(index))),
                Expr::Convert(a, _) | Expr::Unary(UnaryOp::Neg, a) => of(a),
                Expr::Binary(BinaryOp::Add | BinaryOp::Sub, a, b) => both(a, b),
                Expr::Binary(BinaryOp::Mul, a, b) => match (of(a), of(b)) {
                    (Some(true), Some(true)) => None,
                    _ => both(a, b),
                },
                Expr::Binary(BinaryOp::Div, a, b) if of(b) == Some(false) => of(a),
                Expr::Select(c, a, b) if of(c) == Some(false) => both(a, b),
                Expr::Axis(_) | Expr::Linear(..) | Expr::Div(..) | Expr::Rem(..) => Some(false),
                Expr::Index(_) | Expr::Constant(_) => Some(false),
                Expr::Unary(..) | Expr::Binary(..) | Expr::Compare(..) | Expr::Select(..) => {
                    plain(&self.operands(id))
                }
            };
            depends.insert(id, linear);
        });
        depends.get(&root).copied().flatten()
    }

    /// Whether a position is, or contains as a summand, an element used as an index.
    pub(crate) fn has_index(&self, position: ExprId) -> bool {
        match self.expr(position) {
            Expr::Index(_) => true,
            Expr::Linear(terms, _) => terms
                .iter()
                .any(|&(term, _)| matches!(self.expr(term), Expr::Index(_))),
            _ => false,
        }
    }

    fn intern(&mut self, expr: Expr) -> ExprId {
        if let Some(&id) = self.ids.get(&expr) {
            return id;
        }
        let ty = self.type_of(&expr);
        let range = self.range_of(&expr, ty);
        let mut depth = 0;
        let id = self.exprs.push(Data {
            expr: expr.clone(),
            ty,
            depth,
            range,
        });
        for operand in self.operands(id) {
            depth = depth.max(self.exprs[operand].depth + 1);
        }
        self.exprs[id].depth = depth;
        self.ids.insert(expr, id);
        id
    }

    fn type_of(&self, expr: &Expr) -> ScalarType {
        match expr {
            Expr::Axis(_) | Expr::Linear(..) | Expr::Div(..) | Expr::Rem(..) | Expr::Index(_) => {
                ScalarType::Index
            }
            Expr::Constant(constant) => ScalarType::Element(constant.element),
            Expr::Read(read) => ScalarType::Element(read.element),
            Expr::Unary(UnaryOp::IsFinite, _) | Expr::Compare(..) => {
                ScalarType::Element(ElementType::Bool)
            }
            Expr::Unary(_, a) | Expr::Binary(_, a, _) | Expr::Select(_, a, _) => self.ty(*a),
            Expr::Convert(_, to) => ScalarType::Element(*to),
        }
    }

    /// The range that follows from the operands' ranges; that of the type where they say nothing.
    fn range_of(&self, expr: &Expr, ty: ScalarType) -> Option<(i128, i128)> {
        let whole = type_range(ty);
        let within = |lo: i128, hi: i128| match whole {
            // Arithmetic that may leave the type wraps: then nothing is known.
            Some((min, max)) if lo < min || hi > max => whole,
            Some(_) => Some((lo, hi)),
            None => None,
        };
        match expr {
            Expr::Axis(axis) => match self.axes[*axis] {
                Extent::Dense(n) => Some((0, i128::from(n) - 1)),
                Extent::Range(begin, end) => {
                    let ((lo, _), (_, hi)) = (self.range(begin)?, self.range(end)?);
                    Some((lo, (hi - 1).max(lo)))
                }
            },
            Expr::Linear(terms, constant) => {
                let mut range = (i128::from(*constant), i128::from(*constant));
                for &(term, factor) in terms {
                    let (lo, hi) = self.range(term)?;
                    let ends = (lo * i128::from(factor), hi * i128::from(factor));
                    range.0 += ends.0.min(ends.1);
                    range.1 += ends.0.max(ends.1);
                }
                Some(range)
            }
            Expr::Div(a, c) => {
                let (lo, hi) = self.range(*a)?;
                Some((lo / i128::from(*c), hi / i128::from(*c)))
            }
            Expr::Rem(a, c) => {
                let (_, hi) = self.range(*a)?;
                Some((0, hi.min(i128::from(*c) - 1)))
            }
            Expr::Index(index) => Some((index.lo.into(), index.hi.into())),
            Expr::Constant(constant) => match constant.scalar() {
                Scalar::Bool(value) => Some((value.into(), value.into())),
                scalar => scalar.as_integer().map(|value| (value, value)),
            },
            Expr::Read(_) | Expr::Unary(..) => whole,
            Expr::Compare(op, a, b) => match self.compare_ranges(*op, *a, *b) {
                Some(known) => Some((known.into(), known.into())),
                None => Some((0, 1)),
            },
            Expr::Select(_, a, b) => {
                let ((a0, a1), (b0, b1)) = (self.range(*a)?, self.range(*b)?);
                Some((a0.min(b0), a1.max(b1)))
            }
            Expr::Convert(a, _) => match self.range(*a) {
                Some((lo, hi)) => within(lo, hi),
                None => whole,
            },
            Expr::Binary(op, a, b) => {
                let (Some((a0, a1)), Some((b0, b1))) = (self.range(*a), self.range(*b)) else {
                    return whole;
                };
                match op {
                    BinaryOp::Add => within(a0 + b0, a1 + b1),
                    BinaryOp::Sub => within(a0 - b1, a1 - b0),
                    BinaryOp::Min => Some((a0.min(b0), a1.min(b1))),
                    BinaryOp::Max => Some((a0.max(b0), a1.max(b1))),
                    BinaryOp::Mul => {
                        let products = [
                            a0.checked_mul(b0),
                            a0.checked_mul(b1),
                            a1.checked_mul(b0),
                            a1.checked_mul(b1),
                        ];
                        match products.into_iter().collect::<Option<Vec<_>>>() {
                            Some(p) => within(*p.iter().min()?, *p.iter().max()?),
                            None => whole,
                        }
                    }
                    BinaryOp::Div if a0 >= 0 && b0 > 0 => Some((a0 / b1, a1 / b0)),
                    BinaryOp::Rem if a0 >= 0 && b0 > 0 => Some((0, a1.min(b1 - 1))),
                    BinaryOp::And if a0 >= 0 && b0 >= 0 => Some((0, a1.min(b1))),
                    BinaryOp::ShrLogical if a0 >= 0 => Some((0, a1)),
                    BinaryOp::Div
                    | BinaryOp::Rem
                    | BinaryOp::And
                    | BinaryOp::ShrLogical
                    | BinaryOp::Pow
                    | BinaryOp::Atan2
                    | BinaryOp::Or
                    | BinaryOp::Xor
                    | BinaryOp::Shl
                    | BinaryOp::ShrArithmetic => whole,
                }
            }
        }
    }

    /// The outcome of a comparison where the ranges decide it.
    fn compare_ranges(&self, op: CompareOp, a: ExprId, b: ExprId) -> Option<bool> {
        let ((a0, a1), (b0, b1)) = (self.range(a)?, self.range(b)?);
        let decide = |yes: bool, no: bool| {
            if yes {
                Some(true)
            } else if no {
                Some(false)
            } else {
                None
            }
        };
        match op {
            CompareOp::Lt => decide(a1 < b0, a0 >= b1),
            CompareOp::Le => decide(a1 <= b0, a0 > b1),
            CompareOp::Gt => decide(a0 > b1, a1 <= b0),
            CompareOp::Ge => decide(a0 >= b1, a1 < b0),
            CompareOp::Eq => decide(a0 == a1 && (a0, a1) == (b0, b1), a1 < b0 || b1 < a0),
            CompareOp::Ne => decide(a1 < b0 || b1 < a0, a0 == a1 && (a0, a1) == (b0, b1)),
        }
    }
}

/// The values of a type; `None` for floats.
fn type_range(ty: ScalarType) -> Option<(i128, i128)> {
    if ty == ScalarType::Element(ElementType::Bool) {
        return Some((0, 1));
    }
    let (lo, hi) = Scalar::range(ty);
    Some((lo.as_integer()?, hi.as_integer()?))
}
