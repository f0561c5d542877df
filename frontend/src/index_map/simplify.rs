//! The constructors: every expression is built here, in normal form.
//!
//! Positions are sums of products; `div` and `mod` remain only where a reshape really cuts across
//! an axis. Elements fold constants and comparisons that the ranges decide. The rules that turn
//! spelled-out index arithmetic into index modes are in `rules`.

use hlo2dae_ir::core::{Arith, BinaryOp, CompareOp, ElementType, Scalar, ScalarType, UnaryOp};

use super::{Arena, Constant, Expr, ExprId, Read};
use crate::graph::NodeId;

impl Arena {
    /// A constant position.
    pub(crate) fn position(&mut self, value: i64) -> ExprId {
        self.intern(Expr::Linear(Vec::new(), value))
    }

    /// The sum of `terms`, each by its factor, and a constant.
    ///
    /// Sums of sums are flattened, equal terms collected. `c * k * (x div c) + k * (x mod c)` is
    /// `k * x`, which is what division with remainder means. No sum saturates: positions lie in
    /// arrays, whose size `op_maps` bounds far below 64 bits.
    pub(crate) fn linear(&mut self, terms: &[(ExprId, i64)], constant: i64) -> ExprId {
        let mut sum: Vec<(ExprId, i64)> = Vec::new();
        let mut total = constant;
        for &(term, factor) in terms {
            match self.expr(term) {
                Expr::Linear(inner, c) => {
                    total = total.saturating_add(c.saturating_mul(factor));
                    sum.extend(inner.iter().map(|&(t, f)| (t, f.saturating_mul(factor))));
                }
                _ => sum.push((term, factor)),
            }
        }
        sum.sort_unstable();
        sum.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 = kept.1.saturating_add(next.1);
            }
            same
        });
        sum.retain(|&(_, factor)| factor != 0);
        // Rejoin quotient and remainder.
        let mut joined = None;
        for &(rem, k) in &sum {
            let Expr::Rem(x, c) = *self.expr(rem) else {
                continue;
            };
            let div = self.div(x, c);
            if sum
                .iter()
                .any(|&(term, factor)| term == div && k.checked_mul(c) == Some(factor))
            {
                joined = Some((rem, div, x, k));
                break;
            }
        }
        if let Some((rem, div, x, k)) = joined {
            sum.retain(|&(term, _)| term != rem && term != div);
            sum.push((x, k));
            return self.linear(&sum, total);
        }
        match sum.as_slice() {
            [(term, 1)] if total == 0 => *term,
            _ => self.intern(Expr::Linear(sum, total)),
        }
    }

    /// `position + constant`.
    pub(crate) fn offset(&mut self, position: ExprId, constant: i64) -> ExprId {
        self.linear(&[(position, 1)], constant)
    }

    /// Terms of a position seen as a sum.
    fn terms(&self, position: ExprId) -> (Vec<(ExprId, i64)>, i64) {
        match self.expr(position) {
            Expr::Linear(terms, constant) => (terms.clone(), *constant),
            _ => (vec![(position, 1)], 0),
        }
    }

    /// Splits `x` into `c * quotient + rest`, the quotient taking every term that `c` divides.
    fn split(&mut self, x: ExprId, c: i64) -> (ExprId, ExprId) {
        let (terms, constant) = self.terms(x);
        let (whole, rest): (Vec<_>, Vec<_>) = terms.into_iter().partition(|&(_, f)| f % c == 0);
        let whole: Vec<_> = whole.into_iter().map(|(term, f)| (term, f / c)).collect();
        let quotient = self.linear(&whole, constant.div_euclid(c));
        let rest = self.linear(&rest, constant.rem_euclid(c));
        (quotient, rest)
    }

    /// The quotient of a non-negative position by `c >= 1`.
    ///
    /// With `x = c * q + r`: the quotient is `q` if `0 <= r < c`, and `q + r div c` if `0 <= r`.
    /// Quotients of quotients multiply. A factor common to `r` and `c` cancels.
    pub(crate) fn div(&mut self, x: ExprId, c: i64) -> ExprId {
        if c <= 1 {
            return x;
        }
        let (q, r) = self.split(x, c);
        let Some((lo, hi)) = self.range(r) else {
            return self.intern(Expr::Div(x, c));
        };
        if lo < 0 {
            return self.intern(Expr::Div(x, c));
        }
        if hi < i128::from(c) {
            return q;
        }
        let inner = match *self.expr(r) {
            Expr::Div(y, b) if b.checked_mul(c).is_some() => self.div(y, b * c),
            _ => {
                let (terms, constant) = self.terms(r);
                let common = terms.iter().fold(c, |g, &(_, f)| gcd(g, f));
                if common > 1 {
                    // The constant's remainder by the common factor is below it and cannot carry.
                    let terms: Vec<_> = terms.iter().map(|&(t, f)| (t, f / common)).collect();
                    let reduced = self.linear(&terms, constant.div_euclid(common));
                    self.div(reduced, c / common)
                } else {
                    self.intern(Expr::Div(r, c))
                }
            }
        };
        self.linear(&[(q, 1), (inner, 1)], 0)
    }

    /// The remainder of a non-negative position by `c >= 1`.
    ///
    /// With `x = c * q + r`: the remainder is `r` if `0 <= r < c`, and `r mod c` if `0 <= r`.
    pub(crate) fn rem(&mut self, x: ExprId, c: i64) -> ExprId {
        if c <= 1 {
            return self.position(0);
        }
        let (_, r) = self.split(x, c);
        match self.range(r) {
            Some((lo, hi)) if lo >= 0 && hi < i128::from(c) => r,
            Some((lo, _)) if lo >= 0 => match *self.expr(r) {
                // The inner remainder changes the value by multiples of c only.
                Expr::Rem(y, b) if b % c == 0 => self.rem(y, c),
                _ => self.intern(Expr::Rem(r, c)),
            },
            _ => self.intern(Expr::Rem(x, c)),
        }
    }

    /// A literal.
    pub(crate) fn constant(&mut self, scalar: Scalar) -> ExprId {
        match scalar.ty() {
            ScalarType::Index => self.position(scalar.bits() as i64),
            ScalarType::Element(element) => self.intern(Expr::Constant(Constant {
                element,
                bits: scalar.bits(),
            })),
        }
    }

    /// `true` or `false`.
    pub(crate) fn bool(&mut self, value: bool) -> ExprId {
        self.constant(Scalar::Bool(value))
    }

    /// An integer constant of an integer element type.
    pub(crate) fn integer(&mut self, value: i64, element: ElementType) -> ExprId {
        self.constant(Scalar::S64(value).convert(ScalarType::Element(element)))
    }

    /// One element of a node's array.
    pub(crate) fn read(
        &mut self,
        node: NodeId,
        element: ElementType,
        indices: Vec<ExprId>,
    ) -> ExprId {
        self.intern(Expr::Read(Read {
            node,
            wide: false,
            element,
            indices,
            fill: None,
        }))
    }

    /// One of the sums in `f32` that a node's value is rounded from.
    pub(crate) fn read_wide(&mut self, node: NodeId, indices: Vec<ExprId>) -> ExprId {
        self.intern(Expr::Read(Read {
            node,
            wide: true,
            element: ElementType::F32,
            indices,
            fill: None,
        }))
    }

    /// The value of `arith` if all its operands are constants and its types agree.
    fn fold(&mut self, arith: Arith<ExprId>) -> Option<ExprId> {
        let value = |id: ExprId| self.as_constant(id);
        let arith = match arith {
            Arith::Constant(scalar) => Arith::Constant(scalar),
            Arith::Unary(op, a) => Arith::Unary(op, value(a)?),
            Arith::Binary(op, a, b) => Arith::Binary(op, value(a)?, value(b)?),
            Arith::Compare(op, a, b) => Arith::Compare(op, value(a)?, value(b)?),
            Arith::Select(c, a, b) => Arith::Select(value(c)?, value(a)?, value(b)?),
            Arith::Convert(a, to) => Arith::Convert(value(a)?, to),
        };
        let scalar = arith.evaluate().ok()?;
        Some(self.constant(scalar))
    }

    /// Arithmetic on one element. `not (not x)` is `x`; the negation of an integer comparison is
    /// the opposite comparison (there is no NaN among integers).
    pub(crate) fn unary(&mut self, op: UnaryOp, a: ExprId) -> ExprId {
        if let Some(folded) = self.fold(Arith::Unary(op, a)) {
            return folded;
        }
        if op == UnaryOp::Not {
            match *self.expr(a) {
                Expr::Unary(UnaryOp::Not, inner) => return inner,
                Expr::Compare(op, x, y) if self.range(x).is_some() => {
                    return self.compare(opposite(op), x, y);
                }
                _ => {}
            }
        }
        self.intern(Expr::Unary(op, a))
    }

    /// Arithmetic on two elements.
    ///
    /// * `and` and `or` of truth values drop what is neutral, absorb what decides, and keep one of two equals.
    /// * `x + 0` and `x * 1` are `x` for integers.
    /// * `min` and `max` of integers whose ranges do not overlap are the smaller, the larger.
    /// * Integer arithmetic on converted positions is position arithmetic, where it cannot overflow.
    /// * Constants of commutative integer arithmetic stand on the right.
    pub(crate) fn binary(&mut self, op: BinaryOp, a: ExprId, b: ExprId) -> ExprId {
        if let Some(folded) = self.fold(Arith::Binary(op, a, b)) {
            return folded;
        }
        let is_integer = self.range(a).is_some() && self.range(b).is_some();
        if !is_integer {
            return self.intern(Expr::Binary(op, a, b));
        }
        let is_commutative = matches!(
            op,
            BinaryOp::Add
                | BinaryOp::Mul
                | BinaryOp::Min
                | BinaryOp::Max
                | BinaryOp::And
                | BinaryOp::Or
                | BinaryOp::Xor
        );
        let (a, b) = if is_commutative && self.as_constant(a).is_some() {
            (b, a)
        } else {
            (a, b)
        };
        let is_bool = self.ty(a) == ScalarType::Element(ElementType::Bool);
        let constant = self.range(b).filter(|(lo, hi)| lo == hi).map(|(lo, _)| lo);
        match (op, constant) {
            (BinaryOp::And, Some(1)) if is_bool => return a,
            (BinaryOp::And, Some(0)) if is_bool => return b,
            (BinaryOp::Or, Some(0)) if is_bool => return a,
            (BinaryOp::Or, Some(1)) if is_bool => return b,
            (BinaryOp::And | BinaryOp::Or, _) if a == b => return a,
            (BinaryOp::Add | BinaryOp::Sub, Some(0)) if !is_bool => return a,
            (BinaryOp::Mul | BinaryOp::Div, Some(1)) if !is_bool => return a,
            (BinaryOp::Min, _) if self.compare_ranges(CompareOp::Le, a, b) == Some(true) => {
                return a;
            }
            (BinaryOp::Min, _) if self.compare_ranges(CompareOp::Ge, a, b) == Some(true) => {
                return b;
            }
            (BinaryOp::Max, _) if self.compare_ranges(CompareOp::Ge, a, b) == Some(true) => {
                return a;
            }
            (BinaryOp::Max, _) if self.compare_ranges(CompareOp::Le, a, b) == Some(true) => {
                return b;
            }
            _ => {}
        }
        if let Some(position) = self.position_arithmetic(op, a, b) {
            return position;
        }
        self.intern(Expr::Binary(op, a, b))
    }

    /// `convert(x) op convert(y)` as `convert(x op y)`.
    fn position_arithmetic(&mut self, op: BinaryOp, a: ExprId, b: ExprId) -> Option<ExprId> {
        let ScalarType::Element(element) = self.ty(a) else {
            return None;
        };
        let (x, y) = (
            self.as_converted_position(a)?,
            self.as_converted_position(b)?,
        );
        let constant = self.as_position(y).filter(|c| c.unsigned_abs() <= 1 << 31);
        let nonnegative = self.range(x)?.0 >= 0;
        // The operands of one type have ranges within it, so none of these overflows 64 bits
        // unless the result is outside the type, which the last check refuses.
        let magnitude = |range: (i128, i128)| range.0.abs().max(range.1.abs()) <= 1 << 50;
        if !magnitude(self.range(x)?) || !magnitude(self.range(y)?) {
            return None;
        }
        let position = match (op, constant) {
            (BinaryOp::Add, _) => self.linear(&[(x, 1), (y, 1)], 0),
            (BinaryOp::Sub, _) => self.linear(&[(x, 1), (y, -1)], 0),
            (BinaryOp::Mul, Some(c)) if self.range(x)?.1.abs() <= 1 << 30 => {
                self.linear(&[(x, c)], 0)
            }
            (BinaryOp::Div, Some(c)) if nonnegative && c > 0 => self.div(x, c),
            (BinaryOp::Rem, Some(c)) if nonnegative && c > 0 => self.rem(x, c),
            _ => return None,
        };
        let (lo, hi) = self.range(position)?;
        let (min, max) = super::type_range(ScalarType::Element(element))?;
        (lo >= min && hi <= max).then(|| self.convert(position, element))
    }

    /// The position whose value an integer element has, where it is known to be one.
    pub(crate) fn as_converted_position(&mut self, element: ExprId) -> Option<ExprId> {
        match *self.expr(element) {
            Expr::Convert(a, _) if self.ty(a) == ScalarType::Index => {
                (self.range(a) == self.range(element)).then_some(a)
            }
            Expr::Constant(constant) => {
                let value = constant.scalar().as_integer()?;
                i64::try_from(value).ok().map(|value| self.position(value))
            }
            _ => None,
        }
    }

    /// A comparison; decided where ranges or equality of integers decide it. A constant stands on
    /// the right.
    pub(crate) fn compare(&mut self, op: CompareOp, a: ExprId, b: ExprId) -> ExprId {
        if let Some(folded) = self.fold(Arith::Compare(op, a, b)) {
            return folded;
        }
        if let Some(known) = self.compare_ranges(op, a, b) {
            return self.bool(known);
        }
        if a == b && self.range(a).is_some() {
            return self.bool(matches!(op, CompareOp::Eq | CompareOp::Le | CompareOp::Ge));
        }
        if self.as_constant(a).is_some() {
            return self.intern(Expr::Compare(mirrored(op), b, a));
        }
        self.intern(Expr::Compare(op, a, b))
    }

    /// A choice; see `rules` for the one that becomes the fill value of a read.
    pub(crate) fn select(
        &mut self,
        condition: ExprId,
        on_true: ExprId,
        on_false: ExprId,
    ) -> ExprId {
        if on_true == on_false {
            return on_true;
        }
        match self.as_constant(condition) {
            Some(Scalar::Bool(true)) => return on_true,
            Some(_) => return on_false,
            None => {}
        }
        if let Expr::Unary(UnaryOp::Not, inner) = *self.expr(condition) {
            return self.select(inner, on_false, on_true);
        }
        if let Some(read) = self.filled_read(condition, on_true, on_false) {
            return read;
        }
        self.intern(Expr::Select(condition, on_true, on_false))
    }

    /// An element as another type. To its own type: itself. Through an integer type that holds
    /// every value: directly.
    pub(crate) fn convert(&mut self, a: ExprId, to: ElementType) -> ExprId {
        if self.ty(a) == ScalarType::Element(to) {
            return a;
        }
        if let Some(position) = self.as_position(a) {
            return self.constant(Scalar::S64(position).convert(ScalarType::Element(to)));
        }
        if let Some(folded) = self.fold(Arith::Convert(a, ScalarType::Element(to))) {
            return folded;
        }
        if let Expr::Convert(inner, _) = *self.expr(a)
            && self.range(inner).is_some()
            && self.range(inner) == self.range(a)
        {
            return self.convert(inner, to);
        }
        self.intern(Expr::Convert(a, to))
    }
}

fn gcd(mut a: i64, mut b: i64) -> i64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.abs()
}

/// The comparison that holds exactly when `op` does not, among values without NaN.
fn opposite(op: CompareOp) -> CompareOp {
    match op {
        CompareOp::Eq => CompareOp::Ne,
        CompareOp::Ne => CompareOp::Eq,
        CompareOp::Lt => CompareOp::Ge,
        CompareOp::Le => CompareOp::Gt,
        CompareOp::Gt => CompareOp::Le,
        CompareOp::Ge => CompareOp::Lt,
    }
}

/// The comparison with its operands exchanged.
fn mirrored(op: CompareOp) -> CompareOp {
    match op {
        CompareOp::Eq => CompareOp::Eq,
        CompareOp::Ne => CompareOp::Ne,
        CompareOp::Lt => CompareOp::Gt,
        CompareOp::Le => CompareOp::Ge,
        CompareOp::Gt => CompareOp::Lt,
        CompareOp::Ge => CompareOp::Le,
    }
}
