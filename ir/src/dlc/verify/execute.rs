//! Rules 9 to 13: the cases, and what they pop.

use cranelift_entity::{EntitySet, SecondaryMap};

use super::{MAX_DEPTH, arith_type, expect_type};
use crate::core::check::Checker;
use crate::core::{BufferId, Problem, ScalarType, Span};
use crate::dlc::{Callback, Case, CaseId, Expr, Program, Statement, Value};

pub(super) fn verify(program: &Program, checker: &mut Checker<'_>) {
    let mut pops: SecondaryMap<CaseId, Vec<Value>> = SecondaryMap::new();
    for (id, case) in &program.execute.cases {
        let mut verifier = Verifier {
            case,
            checker,
            visible: EntitySet::new(),
            defined: EntitySet::new(),
            pops: Vec::new(),
        };
        verifier.block(&case.body, 0);
        for (value, data) in &case.values {
            if !verifier.defined.contains(value) {
                let sentence = format!("%{} is defined by no statement", data.name);
                verifier.checker.broken(12, data.span, sentence);
            }
        }
        pops[id] = verifier.pops;
    }
    for (id, case) in &program.execute.cases {
        let mut registrations = program.access.callbacks().filter(|c| c.case == id);
        if registrations.next().is_none() {
            let sentence = format!("no callback is registered for @{}", case.name);
            checker.broken(9, case.span, sentence);
        }
    }
    for callback in program.access.callbacks() {
        if let Some(case) = program.execute.cases.get(callback.case) {
            balance(program, callback, case, &pops[callback.case], checker);
        }
    }
}

/// Rule 10 for one callback.
fn balance(
    program: &Program,
    callback: &Callback,
    case: &Case,
    pops: &[Value],
    checker: &mut Checker<'_>,
) {
    let unit = program.access.units.get(callback.unit);
    let unit = unit.map_or("?", |data| data.name.as_str());
    let event = callback.event.name();
    for n in 0..callback.operands.len().max(pops.len()) {
        let pushed = callback.operands.get(n).and_then(|operand| {
            let data = program.access.streams.get(operand.stream)?;
            Some((data, operand.span))
        });
        let popped = pops.get(n).and_then(|&value| case.values.get(value));
        match (pushed, popped) {
            (Some((stream, _)), Some(value)) if stream.ty == value.ty => {}
            (Some((stream, span)), Some(value)) => checker.broken(
                10,
                span,
                format!(
                    "operand {n} of @{} on {event} of %{unit} is %{}: {}, but the case pops it as %{}: {}",
                    case.name, stream.name, stream.ty, value.name, value.ty
                ),
            ),
            (Some((stream, span)), None) => checker.broken(
                10,
                span,
                format!(
                    "%{} is pushed for @{} on {event} of %{unit}, but the case pops {} operands only",
                    stream.name,
                    case.name,
                    pops.len()
                ),
            ),
            (None, Some(value)) => checker.broken(
                10,
                value.span,
                format!(
                    "@{} pops %{}, but on {event} of %{unit} only {} operands are pushed for it",
                    case.name,
                    value.name,
                    callback.operands.len()
                ),
            ),
            // An operand that does not exist, which rule 3 reports.
            (None, None) => {}
        }
    }
}

struct Verifier<'a, 'b> {
    case: &'a Case,
    checker: &'a mut Checker<'b>,
    /// Values that a statement here may use.
    visible: EntitySet<Value>,
    /// Values that some statement so far defines.
    defined: EntitySet<Value>,
    /// What is popped, in order.
    pops: Vec<Value>,
}

impl Verifier<'_, '_> {
    /// `depth` is the number of `scf.if`s around.
    fn block(&mut self, statements: &[Statement], depth: usize) {
        let mut own = Vec::new();
        for statement in statements {
            match statement {
                Statement::Let(value, expr) => {
                    if self.define(*value, expr, depth) {
                        own.push(*value);
                    }
                }
                Statement::Store {
                    buffer,
                    indices,
                    value,
                    span,
                } => {
                    let element = self.element(*buffer, indices, true, *span);
                    let ty = self.used(*value, *span);
                    if let (Some(element), Some(ty)) = (element, ty) {
                        let name = &self.case.values[*value].name;
                        expect_type(self.checker, 13, *span, name, element, ty);
                    }
                }
                Statement::If {
                    condition,
                    then,
                    otherwise,
                    span,
                } => {
                    if let Some(ty) = self.used(*condition, *span) {
                        let name = &self.case.values[*condition].name;
                        expect_type(self.checker, 13, *span, name, ScalarType::BOOL, ty);
                    }
                    if depth == MAX_DEPTH {
                        let sentence = format!("`scf.if`s nest more than {MAX_DEPTH} deep");
                        self.checker.broken(13, *span, sentence);
                        continue;
                    }
                    self.block(then, depth + 1);
                    self.block(otherwise, depth + 1);
                }
            }
        }
        for value in own {
            self.visible.remove(value);
        }
    }

    /// Checks a definition; whether it brought the value into sight.
    fn define(&mut self, value: Value, expr: &Expr, depth: usize) -> bool {
        let Some(data) = self.case.values.get(value) else {
            let problem = Problem::Dangling(value.to_string());
            self.checker.report(12, self.case.span, problem);
            return false;
        };
        let ty = match expr {
            Expr::Pop => {
                if depth > 0 {
                    let sentence = format!("%{} is popped under a condition", data.name);
                    self.checker.broken(11, data.span, sentence);
                }
                self.pops.push(value);
                None
            }
            Expr::Arith(arith) => arith
                .try_map(|&operand| self.used(operand, data.span).ok_or(()))
                .ok()
                .and_then(|arith| arith_type(self.checker, 13, data.span, &arith)),
            Expr::Load { buffer, indices } => self.element(*buffer, indices, false, data.span),
        };
        if let Some(ty) = ty {
            expect_type(self.checker, 13, data.span, &data.name, ty, data.ty);
        }
        if !self.defined.insert(value) {
            let sentence = format!("%{} is defined by two statements", data.name);
            self.checker.broken(12, data.span, sentence);
        }
        self.visible.insert(value)
    }

    /// The element type of a buffer that is read or written at these indices.
    fn element(
        &mut self,
        buffer: BufferId,
        indices: &[Value],
        write: bool,
        span: Span,
    ) -> Option<ScalarType> {
        for &index in indices {
            if let Some(ty) = self.used(index, span) {
                let name = &self.case.values[index].name;
                expect_type(self.checker, 13, span, name, ScalarType::Index, ty);
            }
        }
        let data = if write {
            self.checker.write(13, buffer, indices.len(), span)
        } else {
            self.checker.access(13, buffer, indices.len(), span)
        }?;
        Some(data.element.into())
    }

    /// The type of a value that is used here; an error if it cannot be.
    fn used(&mut self, value: Value, span: Span) -> Option<ScalarType> {
        let Some(data) = self.case.values.get(value) else {
            let problem = Problem::Dangling(value.to_string());
            self.checker.report(12, span, problem);
            return None;
        };
        if !self.visible.contains(value) {
            let problem = Problem::NotDefined(data.name.clone());
            self.checker.report(12, span, problem);
            return None;
        }
        Some(data.ty)
    }
}
