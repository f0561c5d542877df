//! The rules of the SCF IR.
//!
//! 1. Names can be read back; the name of a value is distinct from all names visible where it is defined.
//! 2. Buffers can be allocated; `{sorted}` stands on an input that has an axis; an initial value has the buffer's
//!    type, or is an input of the same type and dimensions.
//! 3. Every block is the body of exactly one loop, one branch, or the function.
//! 4. Every value is defined once, and is used where it is visible.
//! 5. A value has the type that its definition gives; operations take their operands; positions and bounds of
//!    loops are `index`, conditions `bool`.
//! 6. An access gives one `index` for each dimension of a buffer that exists. A store goes to an output
//!    or temporary, and stores a value of its element type.
//! 7. The step of a loop is positive.

use cranelift_entity::{EntitySet, SecondaryMap};
use hashbrown::HashSet;

use super::{Block, Bound, Expr, Func, Statement, Value, Visit};
use crate::core::check::Checker;
use crate::core::{Diagnostics, Ir as _, Problem, ScalarType, Span, ValueData};

/// Checks all rules.
pub(super) fn verify(func: &Func) -> Result<(), Diagnostics> {
    let mut checker = Checker::new(Func::NAME, &func.buffers);
    let names = checker.program_names(1, &func.name);
    checker.buffers(2);
    let mut verifier = Verifier {
        func,
        checker,
        names,
        visible: SecondaryMap::new(),
        defined: EntitySet::new(),
        order: Vec::new(),
        blocks: Vec::new(),
    };
    verifier.owners();
    for visit in func.walk() {
        match visit {
            Visit::Statement(statement) => verifier.statement(statement),
            Visit::Else(_) => {
                verifier.leave();
                verifier.enter();
            }
            Visit::End(_) => verifier.leave(),
        }
    }
    verifier.checker.finish()
}

struct Verifier<'f> {
    func: &'f Func,
    checker: Checker<'f>,
    /// The names visible here.
    names: HashSet<&'f str>,
    /// The values visible here.
    visible: SecondaryMap<Value, bool>,
    defined: EntitySet<Value>,
    /// The values visible here, in the order of their definitions.
    order: Vec<Value>,
    /// Number of values visible when each open block began.
    blocks: Vec<usize>,
}

impl<'f> Verifier<'f> {
    fn owners(&mut self) {
        let mut owners: SecondaryMap<Block, u32> = SecondaryMap::new();
        let mut own = |checker: &mut Checker<'_>, block: Block, span: Span| {
            if self.func.blocks.get(block).is_none() {
                checker.report(3, span, Problem::Dangling(block.to_string()));
            } else {
                owners[block] += 1;
            }
        };
        own(&mut self.checker, self.func.body, Span::default());
        for statement in self.func.blocks.values().flatten() {
            match statement {
                Statement::Let(..) | Statement::Store { .. } => {}
                Statement::For { position, body, .. } => {
                    let span = self.func.span_of(*position);
                    own(&mut self.checker, *body, span);
                }
                Statement::If {
                    on_true,
                    on_false,
                    span,
                    ..
                } => {
                    own(&mut self.checker, *on_true, *span);
                    if let Some(on_false) = on_false {
                        own(&mut self.checker, *on_false, *span);
                    }
                }
            }
        }
        for block in self.func.blocks.keys() {
            if owners[block] != 1 {
                let sentence = format!("{block} is the body of {} things", owners[block]);
                self.checker.broken(3, Span::default(), sentence);
            }
        }
        // With one owner each, blocks that nothing reaches can only own one another in a circle.
        let mut reached: HashSet<Block> = HashSet::from_iter([self.func.body]);
        for visit in self.func.walk() {
            match visit {
                Visit::Statement(Statement::For { body, .. }) => reached.extend([*body]),
                Visit::Statement(Statement::If {
                    on_true, on_false, ..
                }) => reached.extend([*on_true].into_iter().chain(*on_false)),
                Visit::Statement(Statement::Let(..) | Statement::Store { .. })
                | Visit::Else(_)
                | Visit::End(_) => {}
            }
        }
        for block in self.func.blocks.keys() {
            if owners[block] == 1 && !reached.contains(&block) {
                let sentence = format!("{block} is not part of the function's body");
                self.checker.broken(3, Span::default(), sentence);
            }
        }
    }

    fn statement(&mut self, statement: &'f Statement) {
        match statement {
            Statement::Let(value, expr) => {
                let ty = self.expr(expr, self.func.span_of(*value));
                self.define(*value, ty);
            }
            Statement::Store {
                value,
                buffer,
                indices,
                span,
            } => {
                let declared = self.checker.write(6, *buffer, indices.len(), *span);
                self.indices(indices, *span);
                if let Some(data) = self.used(*value, *span)
                    && let Some(declared) = declared
                {
                    self.checker
                        .has_type(6, data, declared.element.into(), *span);
                }
            }
            Statement::For {
                position,
                begin,
                end,
                step,
                body: _,
            } => {
                let span = self.func.span_of(*position);
                for bound in [begin, end] {
                    if let Bound::Value(value) = bound
                        && let Some(data) = self.used(*value, span)
                    {
                        self.checker.has_type(5, data, ScalarType::Index, span);
                    }
                }
                if *step <= 0 {
                    self.checker
                        .broken(7, span, format!("the step {step} is not positive"));
                }
                self.enter();
                self.define(*position, Some(ScalarType::Index));
            }
            Statement::If {
                condition,
                on_true: _,
                on_false: _,
                span,
            } => {
                if let Some(data) = self.used(*condition, *span) {
                    self.checker.has_type(5, data, ScalarType::BOOL, *span);
                }
                self.enter();
            }
        }
    }

    /// Checks a definition and gives its type, if the operands let it have one.
    fn expr(&mut self, expr: &Expr, span: Span) -> Option<ScalarType> {
        match expr {
            Expr::Arith(arith) => {
                let types = arith.try_map(|v| self.used(*v, span).map(|data| data.ty).ok_or(()));
                match types.ok()?.result_type() {
                    Ok(ty) => Some(ty),
                    Err(error) => {
                        self.checker.report(5, span, Problem::Operands(error));
                        None
                    }
                }
            }
            Expr::Load { buffer, indices } => {
                let declared = self.checker.access(6, *buffer, indices.len(), span);
                self.indices(indices, span);
                declared.map(|declared| declared.element.into())
            }
        }
    }

    fn indices(&mut self, indices: &[Value], span: Span) {
        for &index in indices {
            if let Some(data) = self.used(index, span) {
                self.checker.has_type(6, data, ScalarType::Index, span);
            }
        }
    }

    /// A value that is visible here.
    fn used(&mut self, value: Value, span: Span) -> Option<&'f ValueData> {
        let Some(data) = self.func.values.get(value) else {
            self.checker
                .report(4, span, Problem::Dangling(format!("%{value}")));
            return None;
        };
        if !self.visible[value] {
            self.checker
                .report(4, span, Problem::NotDefined(data.name.clone()));
        }
        Some(data)
    }

    fn define(&mut self, value: Value, ty: Option<ScalarType>) {
        let Some(data) = self.func.values.get(value) else {
            let problem = Problem::Dangling(format!("%{value}"));
            self.checker.report(4, Span::default(), problem);
            return;
        };
        self.checker.name(1, &data.name, data.span);
        let again = !self.defined.insert(value);
        if again || !self.names.insert(&data.name) {
            let rule = if again { 4 } else { 1 };
            let problem = Problem::DuplicateName(data.name.clone());
            self.checker.report(rule, data.span, problem);
        } else {
            self.order.push(value);
        }
        self.visible[value] = true;
        if let Some(ty) = ty {
            self.checker.has_type(5, data, ty, data.span);
        }
    }

    fn enter(&mut self) {
        self.blocks.push(self.order.len());
    }

    fn leave(&mut self) {
        let length = self.blocks.pop().unwrap_or(0).min(self.order.len());
        for value in self.order.drain(length..) {
            self.visible[value] = false;
            if let Some(data) = self.func.values.get(value) {
                self.names.remove(data.name.as_str());
            }
        }
    }
}

impl Func {
    /// Where a value is defined.
    pub(super) fn span_of(&self, value: Value) -> Span {
        self.values
            .get(value)
            .map_or(Span::default(), |data| data.span)
    }
}
