//! Checks the numbered rules of the [module documentation](super).

use std::fmt::Display;

use cranelift_entity::{EntityRef, EntitySet, PrimaryMap};
use hashbrown::HashSet;

use super::{Body, Bound, Expr, Func, Loop, MAX_DEPTH, Statement, Step, Stream, StreamExpr, Value};
use crate::core::check::Checker;
use crate::core::{
    Arith, BufferId, Diagnostics, Ir as _, Problem, Role, ScalarType, Span, ValueData,
};

const NAMES: u32 = 1;
const BUFFERS: u32 = 2;
const SCOPE: u32 = 3;
const TYPES: u32 = 4;
const ACCESS: u32 = 5;
const LOOP: u32 = 6;
const ROLE: u32 = 7;
const EVENT: u32 = 8;
const OPERAND: u32 = 9;
const DEPTH: u32 = 10;

/// All rules that a program breaks.
pub(super) fn verify(func: &Func) -> Result<(), Diagnostics> {
    let mut checker = Checker::new(Func::NAME, &func.buffers);
    let names = checker.program_names(NAMES, &func.name);
    checker.buffers(BUFFERS);
    let mut verifier = Verifier {
        func,
        checker,
        names,
        streams: Scope::new(&func.streams),
    };
    verifier.body(&func.body, 0);
    verifier.checker.finish()
}

/// The streams, or the values of a callback, that can be used at a place.
struct Scope<'a, E: EntityRef> {
    table: &'a PrimaryMap<E, ValueData>,
    /// Ever defined.
    defined: EntitySet<E>,
    visible: EntitySet<E>,
    /// The visible ones in the order of their definitions, and whether the name was free.
    order: Vec<(E, bool)>,
}

impl<'a, E: EntityRef + Display> Scope<'a, E> {
    fn new(table: &'a PrimaryMap<E, ValueData>) -> Self {
        Scope {
            table,
            defined: EntitySet::new(),
            visible: EntitySet::new(),
            order: Vec::new(),
        }
    }

    /// From here on `entity` can be used; `ty` is what its definition gives, if that is known.
    fn define(
        &mut self,
        entity: E,
        ty: Option<ScalarType>,
        names: &mut HashSet<&'a str>,
        checker: &mut Checker<'_>,
    ) {
        let Some(data) = self.table.get(entity) else {
            let problem = Problem::Dangling(format!("%{entity}"));
            return checker.report(SCOPE, Span::default(), problem);
        };
        if !self.defined.insert(entity) {
            let problem = Problem::DuplicateName(data.name.clone());
            return checker.report(SCOPE, data.span, problem);
        }
        checker.name(NAMES, &data.name, data.span);
        let named = names.insert(&data.name);
        if !named {
            let problem = Problem::DuplicateName(data.name.clone());
            checker.report(NAMES, data.span, problem);
        }
        if let Some(ty) = ty {
            checker.has_type(TYPES, data, ty, data.span);
        }
        self.visible.insert(entity);
        self.order.push((entity, named));
    }

    /// Whatever was defined when more than `length` were visible is not any more.
    fn leave(&mut self, length: usize, names: &mut HashSet<&'a str>) {
        for (entity, named) in self.order.drain(length..) {
            self.visible.remove(entity);
            if let Some(data) = self.table.get(entity).filter(|_| named) {
                names.remove(data.name.as_str());
            }
        }
    }

    /// What is used at `span`; `None`, and an error, if it is not visible there.
    fn used(&self, entity: E, span: Span, checker: &mut Checker<'_>) -> Option<&'a ValueData> {
        let data = self.table.get(entity);
        let problem = match data {
            Some(data) if self.visible.contains(entity) => return Some(data),
            Some(data) => Problem::NotDefined(data.name.clone()),
            None => Problem::Dangling(format!("%{entity}")),
        };
        checker.report(SCOPE, span, problem);
        None
    }

    /// What is used at `span` must have type `expected`.
    fn typed(
        &self,
        entity: E,
        expected: ScalarType,
        rule: u32,
        span: Span,
        checker: &mut Checker<'_>,
    ) {
        if let Some(data) = self.used(entity, span, checker) {
            checker.has_type(rule, data, expected, span);
        }
    }

    /// The type of the element that an access is to, if the buffer exists.
    fn access(
        &self,
        buffer: BufferId,
        indices: &[E],
        span: Span,
        checker: &mut Checker<'_>,
    ) -> Option<ScalarType> {
        for &index in indices {
            self.typed(index, ScalarType::Index, ACCESS, span, checker);
        }
        let declared = checker.access(ACCESS, buffer, indices.len(), span)?;
        Some(declared.element.into())
    }

    /// The type of the result, if the operands take part.
    fn arith(&self, arith: &Arith<E>, span: Span, checker: &mut Checker<'_>) -> Option<ScalarType> {
        let typed = arith.try_map(|&e| self.used(e, span, checker).map(|data| data.ty).ok_or(()));
        match typed.ok()?.result_type() {
            Ok(ty) => Some(ty),
            Err(error) => {
                checker.report(TYPES, span, Problem::Operands(error));
                None
            }
        }
    }

    fn span(&self, entity: E) -> Span {
        self.table
            .get(entity)
            .map_or_else(Span::default, |data| data.span)
    }
}

struct Verifier<'a> {
    func: &'a Func,
    checker: Checker<'a>,
    /// Names that can be seen.
    names: HashSet<&'a str>,
    streams: Scope<'a, Stream>,
}

impl<'a> Verifier<'a> {
    fn body(&mut self, body: &'a Body, depth: usize) {
        let outside = self.streams.order.len();
        for def in &body.streams {
            let span = self.streams.span(def.stream);
            let ty = match &def.expr {
                StreamExpr::Mem { buffer, indices } => {
                    if let Some(declared) = self.func.buffers.get(*buffer)
                        && declared.role != Role::Input
                    {
                        let sentence = format!(
                            "a stream cannot read %{}, which is no input: the access unit runs ahead of the stores",
                            declared.name
                        );
                        self.checker.broken(ROLE, span, sentence);
                    }
                    self.streams
                        .access(*buffer, indices, span, &mut self.checker)
                }
                StreamExpr::Alu(arith) => self.streams.arith(arith, span, &mut self.checker),
            };
            self.streams
                .define(def.stream, ty, &mut self.names, &mut self.checker);
        }
        let mut after_callback = false;
        for step in &body.steps {
            match step {
                Step::For(inner) => self.traversal(inner, depth),
                Step::Callback(callback) => {
                    if after_callback {
                        let sentence = "two callbacks side by side would be one event";
                        self.checker.broken(EVENT, callback.span, sentence);
                    }
                    let mut code = CallbackVerifier {
                        values: Scope::new(&callback.values),
                        around: self,
                    };
                    code.statements(&callback.body, depth, false);
                }
            }
            after_callback = matches!(step, Step::Callback(_));
        }
        self.streams.leave(outside, &mut self.names);
    }

    fn traversal(&mut self, inner: &'a Loop, depth: usize) {
        for bound in [inner.lower, inner.upper] {
            if let Bound::Stream(stream) = bound {
                let index = ScalarType::Index;
                self.streams
                    .typed(stream, index, LOOP, inner.span, &mut self.checker);
            }
        }
        if inner.step <= 0 {
            let sentence = format!("the step of a loop is positive, not {}", inner.step);
            self.checker.broken(LOOP, inner.span, sentence);
        }
        if depth == MAX_DEPTH {
            return self.checker.broken(DEPTH, inner.span, too_deep());
        }
        let outside = self.streams.order.len();
        self.streams.define(
            inner.induction,
            Some(ScalarType::Index),
            &mut self.names,
            &mut self.checker,
        );
        self.body(&inner.body, depth + 1);
        self.streams.leave(outside, &mut self.names);
    }
}

fn too_deep() -> String {
    format!("loops and guards are nested more than {MAX_DEPTH} deep")
}

struct CallbackVerifier<'v, 'a> {
    around: &'v mut Verifier<'a>,
    values: Scope<'a, Value>,
}

impl<'a> CallbackVerifier<'_, 'a> {
    fn statements(&mut self, statements: &'a [Statement], depth: usize, guarded: bool) {
        let outside = self.values.order.len();
        for statement in statements {
            self.statement(statement, depth, guarded);
        }
        self.values.leave(outside, &mut self.around.names);
    }

    fn statement(&mut self, statement: &'a Statement, depth: usize, guarded: bool) {
        let checker = &mut self.around.checker;
        match statement {
            Statement::Let(value, expr) => {
                let span = self.values.span(*value);
                let ty = match expr {
                    Expr::FromStream(stream) => {
                        if guarded {
                            let sentence = "a callback takes from streams outside of guards";
                            checker.broken(OPERAND, span, sentence);
                        }
                        let stream = self.around.streams.used(*stream, span, checker);
                        stream.map(|data| data.ty)
                    }
                    Expr::Arith(arith) => self.values.arith(arith, span, checker),
                    Expr::Load { buffer, indices } => {
                        self.values.access(*buffer, indices, span, checker)
                    }
                };
                self.values
                    .define(*value, ty, &mut self.around.names, checker);
            }
            Statement::Store {
                buffer,
                indices,
                value,
                span,
            } => {
                if let Some(ty) = self.values.access(*buffer, indices, *span, checker) {
                    self.values.typed(*value, ty, TYPES, *span, checker);
                }
                if let Some(declared) = self.around.func.buffers.get(*buffer)
                    && !declared.is_written()
                {
                    checker.report(ROLE, *span, Problem::ReadOnly(declared.name.clone()));
                }
            }
            Statement::If {
                condition,
                then,
                otherwise,
                span,
            } => {
                self.values
                    .typed(*condition, ScalarType::BOOL, TYPES, *span, checker);
                if depth == MAX_DEPTH {
                    return checker.broken(DEPTH, *span, too_deep());
                }
                self.statements(then, depth + 1, true);
                self.statements(otherwise, depth + 1, true);
            }
        }
    }
}
