//! The rules that turn spelled-out index arithmetic into the index modes of the region IR.
//!
//! `index v {wrap n, MODE lo..hi}` is built by [`Arena::index`]. Its rules, applied while one fits
//! (`i` is an integer element, the rest are constants):
//!
//! | rule | from | to | because |
//! |---|---|---|---|
//! | position | `index convert(p)` | `p` | `p` lies in `lo..hi` and the conversion keeps its value |
//! | constant | `index c` | `c`, clamped | for `clamp`; the other modes only inside `lo..hi` |
//! | widening | `index convert(i)` | `index i` | every value of `i` is kept; `index` looks at values only |
//! | wrap | `index select(i < 0, i + n, i)` | `index i {wrap n}` | `i < 0 <= n`: the sum cannot overflow, and is what `wrap` adds |
//! | clamp | `index min(max(i, a), b) {clamp lo..hi}` | `index i {clamp max(a,lo)..min(b,hi)}` | clamping to one interval and then to another that it meets is clamping to what they share |
//! | clamped | `index min(max(i, a), b) {any mode lo..hi}` | `index i {clamp a..b}` | `a..b` lies in `lo..hi`, so no value is outside |
//! | inside | `index v {any mode lo..hi}` | `index v {clamp lo..hi}` | the range of `v` lies in `lo..hi`: the mode never acts |
//! | single | `index v {clamp a..a}` | `a` | there is one value left |
//!
//! `filled_read`: `select(P, read t[.., index v {clamp lo..hi}, ..], c)` is
//! `read t[.., index v {fill a..b}, ..] {fill c}`, if `P` is a conjunction of comparisons with
//! constants of values of such indices, after wrapping, which together say `a <= v <= b`, and
//! `lo <= a`, `b <= hi`. Where `P` holds the clamp does nothing, elsewhere both give `c`. A bound that
//! `P` does not state may follow from the range of `v`.

use hlo2dae_ir::core::{BinaryOp, CompareOp, ElementType, ScalarType};
use hlo2dae_ir::region::IndexMode;

use super::{Arena, Expr, ExprId, Index, Read};

impl Arena {
    /// An integer element as a position.
    pub(crate) fn index(&mut self, value: ExprId, mode: IndexMode, lo: i64, hi: i64) -> ExprId {
        let mut index = Index {
            value,
            wrap: None,
            mode,
            lo,
            hi,
        };
        while let Some(next) = self.rewrite_index(index) {
            match next {
                Ok(rewritten) => index = rewritten,
                Err(position) => return position,
            }
        }
        self.intern(Expr::Index(index))
    }

    /// One rule applied: another index, or (as `Err`) a position; `None` where no rule fits.
    fn rewrite_index(&mut self, index: Index) -> Option<Result<Index, ExprId>> {
        let Index {
            value,
            wrap,
            mode,
            lo,
            hi,
        } = index;
        if mode == IndexMode::Clamp && lo == hi {
            return Some(Err(self.position(lo)));
        }
        let range = self.wrapped_range(value, wrap)?;
        let inside = range.0 >= i128::from(lo) && range.1 <= i128::from(hi);
        if wrap.is_none() {
            if let Some(position) = self.as_converted_position(value) {
                if inside {
                    return Some(Err(position));
                }
                if let (Some(c), IndexMode::Clamp) = (self.as_position(position), mode) {
                    return Some(Err(self.position(c.clamp(lo, hi))));
                }
            }
            if let Some((base, n)) = self.as_wrapped(value) {
                return Some(Ok(Index {
                    value: base,
                    wrap: Some(n),
                    ..index
                }));
            }
            if let Some((base, a, b)) = self.as_clamped(value) {
                let (a, b) = (i64::try_from(a).ok()?, i64::try_from(b).ok()?);
                let (shared_lo, shared_hi) = (a.max(lo), b.min(hi));
                let meets = mode == IndexMode::Clamp && shared_lo <= shared_hi;
                if meets || (a >= lo && b <= hi) {
                    return Some(Ok(Index {
                        value: base,
                        wrap: None,
                        mode: IndexMode::Clamp,
                        lo: shared_lo,
                        hi: shared_hi,
                    }));
                }
            }
        }
        if let Some(base) = self.as_widened(value) {
            return Some(Ok(Index {
                value: base,
                ..index
            }));
        }
        if wrap.is_some() && self.range(value)?.0 >= 0 {
            return Some(Ok(Index {
                wrap: None,
                ..index
            }));
        }
        if inside && mode != IndexMode::Clamp && mode != IndexMode::Promise {
            return Some(Ok(Index {
                mode: IndexMode::Clamp,
                ..index
            }));
        }
        None
    }

    /// Values of an index element once negative ones are wrapped.
    fn wrapped_range(&self, value: ExprId, wrap: Option<u64>) -> Option<(i128, i128)> {
        let (lo, hi) = self.range(value)?;
        let Some(n) = wrap.map(i128::from) else {
            return Some((lo, hi));
        };
        if lo >= 0 {
            return Some((lo, hi));
        }
        // Negative values move up by n, the others stay.
        let negative = (lo + n, hi.min(-1) + n);
        Some(if hi < 0 {
            negative
        } else {
            (negative.0.min(0), negative.1.max(hi))
        })
    }

    /// `select(i < 0, i + n, i)` as `(i, n)`.
    fn as_wrapped(&self, value: ExprId) -> Option<(ExprId, u64)> {
        let Expr::Select(condition, on_true, on_false) = *self.expr(value) else {
            return None;
        };
        let Expr::Compare(op, base, zero) = *self.expr(condition) else {
            return None;
        };
        let bound = self.as_constant(zero)?.as_integer()?;
        let (wrapped, plain) = match (op, bound) {
            (CompareOp::Lt, 0) | (CompareOp::Le, -1) => (on_true, on_false),
            (CompareOp::Ge, 0) | (CompareOp::Gt, -1) => (on_false, on_true),
            _ => return None,
        };
        let Expr::Binary(BinaryOp::Add, summand, n) = *self.expr(wrapped) else {
            return None;
        };
        let n = self.as_constant(n)?.as_integer()?;
        (plain == base && summand == base && n >= 0).then_some((base, u64::try_from(n).ok()?))
    }

    /// `min(max(i, a), b)`, or only one of them, as `(i, a, b)`.
    fn as_clamped(&self, value: ExprId) -> Option<(ExprId, i128, i128)> {
        let bounded = |value: ExprId, op: BinaryOp| match *self.expr(value) {
            Expr::Binary(found, inner, bound) if found == op => {
                Some((inner, self.as_constant(bound)?.as_integer()?))
            }
            _ => None,
        };
        let (mut base, mut lo, mut hi) = (value, i64::MIN.into(), i64::MAX.into());
        for _ in 0..2 {
            // The outer of the two bounds wins where they contradict; then this is no interval.
            if let Some((inner, bound)) =
                bounded(base, BinaryOp::Min).filter(|_| hi == i64::MAX.into())
            {
                (base, hi) = (inner, bound);
            } else if let Some((inner, bound)) =
                bounded(base, BinaryOp::Max).filter(|_| lo == i64::MIN.into())
            {
                (base, lo) = (inner, bound);
            }
        }
        (base != value && lo <= hi).then_some((base, lo, hi))
    }

    /// `convert(i)` between integer types that keeps every value, as `i`.
    fn as_widened(&self, value: ExprId) -> Option<ExprId> {
        let Expr::Convert(inner, _) = *self.expr(value) else {
            return None;
        };
        let is_integer = matches!(self.ty(inner), ScalarType::Element(e) if e.is_integer());
        (is_integer && self.range(inner) == self.range(value)).then_some(inner)
    }

    /// The read that `select(condition, on_true, on_false)` is, where it is one.
    pub(super) fn filled_read(
        &mut self,
        condition: ExprId,
        on_true: ExprId,
        on_false: ExprId,
    ) -> Option<ExprId> {
        let Expr::Constant(fill) = *self.expr(on_false) else {
            return None;
        };
        let Expr::Read(read) = self.expr(on_true).clone() else {
            return None;
        };
        if read.fill.is_some() {
            return None;
        }
        let mut bounds: Vec<Option<(i128, i128)>> = vec![None; read.indices.len()];
        let mut atoms = vec![condition];
        while let Some(atom) = atoms.pop() {
            match *self.expr(atom) {
                Expr::Binary(BinaryOp::And, a, b) => atoms.extend([a, b]),
                Expr::Compare(op, value, bound) => {
                    let bound = self.as_constant(bound)?.as_integer()?;
                    let (lo, hi) = match op {
                        CompareOp::Lt => (i128::MIN, bound - 1),
                        CompareOp::Le => (i128::MIN, bound),
                        CompareOp::Gt => (bound + 1, i128::MAX),
                        CompareOp::Ge => (bound, i128::MAX),
                        CompareOp::Eq => (bound, bound),
                        CompareOp::Ne => return None,
                    };
                    let (value, wrap) = self.index_value(value);
                    let mut found = false;
                    for (slot, &index) in bounds.iter_mut().zip(&read.indices) {
                        let Expr::Index(index) = self.expr(index) else {
                            continue;
                        };
                        if (index.value, index.wrap, index.mode) == (value, wrap, IndexMode::Clamp)
                        {
                            let (a, b) = slot.unwrap_or((i128::MIN, i128::MAX));
                            *slot = Some((a.max(lo), b.min(hi)));
                            found = true;
                        }
                    }
                    if !found {
                        return None;
                    }
                }
                _ => return None,
            }
        }
        let mut indices = read.indices.clone();
        for (slot, position) in bounds.into_iter().zip(&mut indices) {
            let (Some((a, b)), Expr::Index(index)) = (slot, self.expr(*position)) else {
                continue;
            };
            let index = *index;
            let (lo, hi) = self.wrapped_range(index.value, index.wrap)?;
            let (a, b) = (a.max(lo), b.min(hi));
            if a > b || a < i128::from(index.lo) || b > i128::from(index.hi) {
                return None;
            }
            *position = self.intern(Expr::Index(Index {
                mode: IndexMode::Fill,
                lo: i64::try_from(a).ok()?,
                hi: i64::try_from(b).ok()?,
                ..index
            }));
        }
        Some(self.intern(Expr::Read(Read {
            indices,
            fill: Some(fill),
            ..read
        })))
    }

    /// `index value {drop lo..hi}`, if `condition` says that `value` lies in `lo..hi`, and no more than that.
    ///
    /// It is a conjunction of comparisons with constants of the value. A bound that it does not state may follow from the
    /// range of the value.
    pub(crate) fn dropped(
        &mut self,
        condition: ExprId,
        value: ExprId,
        lo: i64,
        hi: i64,
    ) -> Option<ExprId> {
        let wanted = self.index_value(value);
        let (mut least, mut most) = self.wrapped_range(wanted.0, wanted.1)?;
        let mut atoms = vec![condition];
        while let Some(atom) = atoms.pop() {
            match *self.expr(atom) {
                Expr::Binary(BinaryOp::And, a, b) => atoms.extend([a, b]),
                Expr::Compare(op, value, bound) if self.index_value(value) == wanted => {
                    let bound = self.as_constant(bound)?.as_integer()?;
                    match op {
                        CompareOp::Lt => most = most.min(bound - 1),
                        CompareOp::Le => most = most.min(bound),
                        CompareOp::Gt => least = least.max(bound + 1),
                        CompareOp::Ge => least = least.max(bound),
                        CompareOp::Eq | CompareOp::Ne => return None,
                    }
                }
                _ => return None,
            }
        }
        let (least, most) = (i64::try_from(least).ok()?, i64::try_from(most).ok()?);
        (lo <= least && least <= most && most <= hi)
            .then(|| self.index(value, IndexMode::Drop, least, most))
    }

    /// The value and wrap that [`Arena::index`] would give an index of `value`.
    fn index_value(&self, value: ExprId) -> (ExprId, Option<u64>) {
        let mut base = value;
        let mut wrap = None;
        loop {
            if let (None, Some((inner, n))) = (wrap, self.as_wrapped(base)) {
                (base, wrap) = (inner, Some(n));
            } else if let Some(inner) = self.as_widened(base) {
                base = inner;
            } else {
                return (base, wrap);
            }
        }
    }

    /// An element at a position plus an offset, or marked as outside where the position would be:
    /// what a window of a dropped or filled index is. The arithmetic is spelled out in `s64`,
    /// because a marked index takes part in none.
    pub(crate) fn window_value(
        &mut self,
        value: ExprId,
        lo: i64,
        hi: i64,
        offset: ExprId,
    ) -> ExprId {
        let wide = self.convert(value, ElementType::S64);
        let offset = self.convert(offset, ElementType::S64);
        let (lo, hi) = (
            self.integer(lo, ElementType::S64),
            self.integer(hi, ElementType::S64),
        );
        let above = self.compare(CompareOp::Ge, wide, lo);
        let below = self.compare(CompareOp::Le, wide, hi);
        let inside = self.binary(BinaryOp::And, above, below);
        let sum = self.binary(BinaryOp::Add, wide, offset);
        let outside = self.integer(-1, ElementType::S64);
        self.select(inside, sum, outside)
    }
}
