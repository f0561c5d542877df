//! Checks the numbered rules of the [module documentation](super).

use hashbrown::HashSet;

use super::{Code, Expr, For, MAX_DEPTH, Statement, Value};
use crate::core::access::{Access, Bound, Lanes, check, expect};
use crate::core::check::{Checker, Scope};
use crate::core::compute::{check_lanes, positions};
use crate::core::diag::Problem;
use crate::core::op::CombineOp;
use crate::core::types::{Span, Type};
use crate::core::typing::TypeError;
use crate::core::value::ValueData;

const NAMES: u32 = 1;
const SCOPE: u32 = 2;
const TYPES: u32 = 3;
const ACCESS: u32 = 4;
const ROLE: u32 = 5;
const OPERAND: u32 = 6;
const LOOP: u32 = 7;
const DEPTH: u32 = 8;

/// Checks one code that stands inside `depth` loops, where `names` are visible; `take` checks an operand, and gives its type if
/// that is known.
pub(crate) fn verify<'a, S>(
    code: &'a Code<S>,
    names: &mut HashSet<&'a str>,
    depth: usize,
    checker: &mut Checker<'_>,
    mut take: impl FnMut(&S, &'a ValueData<Type>, &mut Checker<'_>) -> Option<Type>,
) {
    checker.within("code", |checker| {
        let mut verifier = Verifier {
            checker,
            names,
            values: Scope::new(&code.values, NAMES, SCOPE),
            take: &mut take,
        };
        verifier.block(&code.body, depth, false);
        verifier.values.finish(verifier.checker);
    });
}

/// What a place that is checked takes of an operand.
type Take<'v, 'a, S> = &'v mut dyn FnMut(&S, &'a ValueData<Type>, &mut Checker<'_>) -> Option<Type>;

struct Verifier<'v, 'c, 'a, S> {
    checker: &'v mut Checker<'c>,
    names: &'v mut HashSet<&'a str>,
    values: Scope<'a, Value>,
    take: Take<'v, 'a, S>,
}

impl<'a, S> Verifier<'_, '_, 'a, S> {
    /// `depth` is the number of loops and blocks around, `inner` whether one of them is the code's.
    fn block(&mut self, statements: &'a [Statement<S>], depth: usize, inner: bool) {
        let outside = self.values.visible();
        for statement in statements {
            self.statement(statement, depth, inner);
        }
        self.values.leave(outside, self.names);
    }

    fn statement(&mut self, statement: &'a Statement<S>, depth: usize, inner: bool) {
        match statement {
            Statement::Let(value, expr) => {
                let span = self.values.span(*value);
                let ty = self.expr(*value, expr, span, inner);
                let defined = self.values.define(*value, self.names, self.checker);
                if let (Some(data), Some(ty)) = (defined, ty) {
                    self.checker.has_type(TYPES, data, ty, data.span);
                }
            }
            Statement::Store {
                value,
                access,
                span,
            } => {
                if let Some(ty) = self.access(access, *span) {
                    self.typed(*value, ty, *span);
                }
                if let Some(declared) = self.checker.declared().get(access.buffer)
                    && !declared.is_written()
                {
                    let problem = Problem::ReadOnly(declared.name.clone());
                    self.checker.report(ROLE, *span, problem);
                }
            }
            Statement::If {
                condition,
                then,
                otherwise,
                span,
            } => {
                self.typed(*condition, Type::BOOL, *span);
                if self.nests(depth, *span) {
                    self.block(then, depth + 1, true);
                    self.block(otherwise, depth + 1, true);
                }
            }
            Statement::For(inner) => self.traversal(inner, depth),
        }
    }

    fn traversal(&mut self, inner: &'a For<S>, depth: usize) {
        for bound in [inner.lower, inner.upper] {
            if let Bound::Value(value) = bound {
                self.typed(value, Type::INDEX, inner.span);
            }
        }
        check_lane_loop(
            LOOP,
            [inner.lower, inner.upper],
            inner.step,
            inner.lanes,
            inner.span,
            self.checker,
        );
        if !self.nests(depth, inner.span) {
            return;
        }
        let outside = self.values.visible();
        let mut defined = vec![(inner.position, Type::INDEX)];
        if let Some(Lanes {
            count,
            mask: Some(mask),
        }) = inner.lanes
        {
            defined.push((mask, Type::Vector(Type::BOOL.scalar(), count)));
        }
        for (value, ty) in defined {
            if let Some(data) = self.values.define(value, self.names, self.checker) {
                self.checker.has_type(TYPES, data, ty, data.span);
            }
        }
        self.block(&inner.body, depth + 1, true);
        self.values.leave(outside, self.names);
    }

    fn nests(&mut self, depth: usize, span: Span) -> bool {
        if depth >= MAX_DEPTH {
            let sentence = format!("loops and blocks are nested more than {MAX_DEPTH} deep");
            self.checker.broken(DEPTH, span, sentence);
        }
        depth < MAX_DEPTH
    }

    /// The type of the result, if the operands take part.
    fn expr(&mut self, value: Value, expr: &Expr<S>, span: Span, inner: bool) -> Option<Type> {
        match expr {
            Expr::Take(source) => {
                if inner {
                    let sentence = "operands are taken outside `scf.if` and `scf.for`";
                    self.checker.broken(OPERAND, span, sentence);
                }
                let data = self.values.data(value)?;
                (self.take)(source, data, self.checker)
            }
            Expr::Compute(compute) => {
                let typed = compute.try_map(|&v| self.ty(v, span).ok_or(())).ok()?;
                self.typing(typed.result_type(), span)
            }
            Expr::Load(access) => self.access(access, span),
            Expr::Element { row, index, lanes } => {
                let row_ty = self.ty(*row, span);
                self.typed(*index, Type::INDEX, span);
                let count = lanes.map(|lanes| lanes.count);
                if let Some(lanes) = lanes {
                    self.typing(check_lanes(lanes.count), span);
                    self.mask(lanes.mask, lanes.count, span);
                }
                match row_ty? {
                    Type::Row(scalar, _) => Some(Type::of(scalar, count)),
                    found => {
                        let op = "element";
                        let expected = "a row";
                        let error = TypeError::Expected {
                            op,
                            expected,
                            found,
                        };
                        self.typing::<Type>(Err(error), span)
                    }
                }
            }
            Expr::Reduce {
                op,
                vector,
                init,
                mask,
            } => {
                let ty = self.ty(*vector, span);
                let init_ty = self.ty(*init, span);
                let (scalar, count) = match ty? {
                    Type::Vector(scalar, count) => (scalar, count),
                    found => {
                        let op = "reduce";
                        let expected = "a vector";
                        let error = TypeError::Expected {
                            op,
                            expected,
                            found,
                        };
                        return self.typing::<Type>(Err(error), span);
                    }
                };
                self.mask(*mask, count, span);
                if let (Some(found), Some(data)) = (init_ty, self.values.data(*init)) {
                    let expected = Type::Scalar(scalar);
                    expect(
                        TYPES,
                        span,
                        data.name.clone(),
                        expected,
                        found,
                        self.checker,
                    );
                }
                match op {
                    CombineOp::Sub | CombineOp::Replace => {
                        let sentence = format!("`{op}` reduces nothing");
                        self.checker.broken(TYPES, span, sentence);
                    }
                    CombineOp::Add
                    | CombineOp::Mul
                    | CombineOp::Min
                    | CombineOp::Max
                    | CombineOp::And
                    | CombineOp::Or
                    | CombineOp::Xor => {
                        let binary = op.binary().map(|op| op.result_type(scalar, scalar));
                        self.typing(binary?, span)?;
                    }
                }
                Some(Type::Scalar(scalar))
            }
        }
    }

    fn access(&mut self, access: &Access<Value>, span: Span) -> Option<Type> {
        let values = &self.values;
        check(access, ACCESS, span, self.checker, |value, checker| {
            let data = values.used(value, span, checker)?;
            Some((data.name.clone(), data.ty))
        })
    }

    fn mask(&mut self, mask: Option<Value>, count: u32, span: Span) {
        if let Some(mask) = mask {
            self.typed(mask, Type::Vector(Type::BOOL.scalar(), count), span);
        }
    }

    fn typing<T>(&mut self, result: Result<T, TypeError>, span: Span) -> Option<T> {
        match result {
            Ok(ty) => Some(ty),
            Err(error) => {
                self.checker.report(TYPES, span, Problem::Operands(error));
                None
            }
        }
    }

    fn ty(&mut self, value: Value, span: Span) -> Option<Type> {
        self.values
            .used(value, span, self.checker)
            .map(|data| data.ty)
    }

    fn typed(&mut self, value: Value, expected: Type, span: Span) {
        if let Some(data) = self.values.used(value, span, self.checker) {
            self.checker.has_type(TYPES, data, expected, span);
        }
    }
}

/// A loop's step is positive; with lanes, their number can be had, and there is a mask unless none is needed.
pub(crate) fn check_lane_loop<V: Copy>(
    rule: u32,
    [lower, upper]: [Bound<V>; 2],
    step: i64,
    lanes: Option<Lanes<V>>,
    span: Span,
    checker: &mut Checker<'_>,
) {
    if step <= 0 {
        let sentence = format!("the step of a loop is positive, not {step}");
        checker.broken(rule, span, sentence);
    }
    let Some(Lanes { count, mask }) = lanes else {
        return;
    };
    if let Err(error) = check_lanes(count) {
        return checker.report(rule, span, Problem::Operands(error));
    }
    let full = match (lower, upper) {
        (Bound::Constant(lower), Bound::Constant(upper)) => {
            positions(lower, upper, step).is_multiple_of(count.into())
        }
        (Bound::Value(_), _) | (_, Bound::Value(_)) => false,
    };
    if mask.is_none() && !full {
        let sentence = format!(
            "a loop of {count} lanes needs a mask, unless its bounds are constant and its positions a multiple of {count}"
        );
        checker.broken(rule, span, sentence);
    }
}
