//! SCF to SLC: decouples a program as [`Decoupling`] decides.
//!
//! * Each loop becomes `slc.for`. A branch around a loop becomes a loop of one position or none.
//! * Each value placed on the access unit becomes a stream of its iteration; a constant, of the iterations that
//!   need it, or the bound that it is.
//! * Each code becomes the callback in its place. It starts with what it takes from streams, in the order
//!   of the streams' definitions. Constants and values placed anywhere are computed in front of the statement
//!   that uses them.
//! * A value that a later callback uses passes through a temporary of rank 0: stored where it is computed,
//!   loaded where it is used (an `index` as `s64`).
//!
//! Before:
//! ```text
//! scf.func @bag {
//!   input %table: f32[100,8]
//!   input %ids: s32[10]
//!   output %out: f32[8] = 0.0
//!   scf.for %l = 0 to 10 step 1 {
//!     %id = load %ids[%l]
//!     %row = convert %id to index
//!     scf.for %d = 0 to 8 step 1 {
//!       %x = load %table[%row, %d]
//!       %old = load %out[%d]
//!       %new = add %old, %x
//!       store %new, %out[%d]
//!     }
//!   }
//! }
//! ```
//! After:
//! ```text
//! slc.func @bag {
//!   input %table: f32[100,8]
//!   input %ids: s32[10]
//!   output %out: f32[8] = 0.0
//!   slc.for %l = 0 to 10 step 1 {
//!     %id = slc.mem_stream %ids[%l]
//!     %row = slc.alu_stream convert %id to index
//!     slc.for %d = 0 to 8 step 1 {
//!       %x = slc.mem_stream %table[%row, %d]
//!       slc.callback {
//!         %d_2 = slc.from_stream %d
//!         %x_2 = slc.from_stream %x
//!         %old = load %out[%d_2]
//!         %new = add %old, %x_2
//!         store %new, %out[%d_2]
//!       }
//!     }
//!   }
//! }
//! ```

use std::collections::BTreeMap;

use cranelift_entity::packed_option::ReservedValue as _;
use cranelift_entity::{PrimaryMap, SecondaryMap};
use hashbrown::HashMap;

use super::LowerError;
use crate::analysis::Decoupling;
use crate::analysis::decoupling::{Code, Iteration, Piece, Placement};
use crate::core::text::Names;
use crate::core::{
    self, Access, Arith, Buffer, BufferId, Compute, ElementType, Init, Ir as _, LoopHints,
    ReadHints, Role, Scalar, ScalarType, Span, Type, UnaryOp, ValueData,
};
use crate::{scf, slc};

/// Lowers a program; the errors are those of its verifier, or what keeps it from being decoupled.
pub fn scf_to_slc(func: &scf::Func) -> Result<slc::Func, LowerError> {
    func.verify()?;
    let choice = Decoupling::new(func)?;
    let mut names = Names::default();
    for buffer in func.buffers.values() {
        names.fresh(&buffer.name);
    }
    let mut buffers = func.buffers.clone();
    let carried = carry(&choice, &mut names, &mut buffers);
    let mut lowering = Lowering {
        choice: &choice,
        carried,
        names,
        streams: PrimaryMap::new(),
        stream_of: SecondaryMap::with_default(slc::Stream::reserved_value()),
        constants: Vec::new(),
    };
    let body = lowering.iteration(&choice.body);
    Ok(slc::Func {
        name: func.name.clone(),
        buffers,
        streams: lowering.streams,
        body,
    })
}

fn alu(arith: Arith<slc::Stream>) -> slc::StreamExpr {
    slc::StreamExpr::Compute(Compute::Arith(arith))
}

fn computed_by(arith: Arith<slc::Value>) -> slc::Expr {
    slc::Expr::Compute(Compute::Arith(arith))
}

/// The temporary of each value that is used in another code than the one that computes it.
type Carried = SecondaryMap<scf::Value, Option<BufferId>>;

fn carry(
    choice: &Decoupling<'_>,
    names: &mut Names,
    buffers: &mut PrimaryMap<BufferId, Buffer>,
) -> Carried {
    let mut codes = Vec::new();
    let mut iterations = vec![&choice.body];
    while let Some(iteration) = iterations.pop() {
        for piece in &iteration.steps {
            match piece {
                Piece::Loop { body, .. } | Piece::Branch { body, .. } => iterations.push(body),
                Piece::Code(code) => codes.push(code),
            }
        }
    }
    let mut home = SecondaryMap::new();
    for (number, code) in codes.iter().enumerate() {
        each_statement(choice, code, |statement| {
            if let scf::Statement::Let(value, _) = statement {
                home[*value] = Some(number);
            }
        });
    }
    let mut used_elsewhere = SecondaryMap::new();
    for (number, code) in codes.iter().enumerate() {
        each_statement(choice, code, |statement| {
            for value in operands(statement) {
                let here = home[value] == Some(number);
                if choice.placement[value] == Placement::Code && !here {
                    used_elsewhere[value] = true;
                }
            }
        });
    }
    let mut carried = SecondaryMap::new();
    for (value, data) in &choice.func.values {
        if used_elsewhere[value] {
            carried[value] = Some(buffers.push(Buffer {
                name: names.fresh(&data.name),
                element: match data.ty {
                    ScalarType::Index => ElementType::S64,
                    ScalarType::Element(element) => element,
                },
                dims: Vec::new(),
                role: Role::Temp(Init::Undefined),
                sorted: false,
                span: data.span,
            }));
        }
    }
    carried
}

/// Visits the statements of a code, those in guards too.
fn each_statement<'a>(
    choice: &Decoupling<'a>,
    code: &Code<'a>,
    mut visit: impl FnMut(&'a scf::Statement),
) {
    let mut left = code.statements.clone();
    while let Some(statement) = left.pop() {
        visit(statement);
        if let scf::Statement::If {
            on_true, on_false, ..
        } = statement
        {
            for block in [Some(*on_true), *on_false].into_iter().flatten() {
                left.extend(choice.live_statements(block));
            }
        }
    }
}

/// What a statement of a code uses, without what is in its blocks.
fn operands(statement: &scf::Statement) -> Vec<scf::Value> {
    match statement {
        scf::Statement::Let(_, scf::Expr::Arith(arith)) => arith.operands().copied().collect(),
        scf::Statement::Let(_, scf::Expr::Load { indices, .. }) => indices.clone(),
        scf::Statement::Store { value, indices, .. } => {
            std::iter::once(value).chain(indices).copied().collect()
        }
        scf::Statement::If { condition, .. } => vec![*condition],
        // Loops are no code.
        scf::Statement::For { .. } => Vec::new(),
    }
}

struct Lowering<'c, 'a> {
    choice: &'c Decoupling<'a>,
    carried: Carried,
    /// Of buffers and streams.
    names: Names,
    streams: PrimaryMap<slc::Stream, ValueData<Type>>,
    stream_of: SecondaryMap<scf::Value, slc::Stream>,
    /// Constants that are visible streams.
    constants: Vec<scf::Value>,
}

impl Lowering<'_, '_> {
    /// Iterations nest to a limited depth.
    fn iteration(&mut self, iteration: &Iteration<'_>) -> slc::Body {
        let mut body = slc::Body::default();
        let outside = self.constants.len();
        for &(value, expr) in &iteration.streams {
            let into = &mut body.streams;
            let expr = match expr {
                scf::Expr::Arith(arith) => {
                    let arith = arith.map(|&v| self.operand(v, into));
                    alu(arith)
                }
                scf::Expr::Load { buffer, indices } => {
                    let indices = indices.iter().map(|&v| self.operand(v, into)).collect();
                    slc::StreamExpr::Mem {
                        access: Access::element(*buffer, indices),
                        hints: ReadHints::default(),
                    }
                }
            };
            let stream = self.stream_for(value);
            body.streams.push(slc::StreamDef { stream, expr });
        }
        // The streams that say how often branches run stand before the steps too.
        let mut counts = Vec::new();
        for piece in &iteration.steps {
            if let Piece::Branch {
                condition,
                holds,
                span,
                body: _,
            } = piece
            {
                counts.push(self.count(*condition, *holds, *span, &mut body.streams));
            }
        }
        let mut counts = counts.into_iter();
        for piece in &iteration.steps {
            body.steps.push(match piece {
                Piece::Loop {
                    position,
                    begin,
                    end,
                    step,
                    body,
                } => slc::Step::For(slc::Loop {
                    lower: self.bound(*begin),
                    upper: self.bound(*end),
                    step: *step,
                    lanes: None,
                    hints: LoopHints::default(),
                    induction: self.stream_for(*position),
                    span: self.choice.func.values[*position].span,
                    body: self.iteration(body),
                }),
                Piece::Branch { span, body, .. } => slc::Step::For(slc::Loop {
                    lower: slc::Bound::Constant(0),
                    upper: counts
                        .next()
                        .map_or(slc::Bound::Constant(0), slc::Bound::Value),
                    step: 1,
                    lanes: None,
                    hints: LoopHints::default(),
                    induction: self.stream("branch", ScalarType::Index, *span),
                    span: *span,
                    body: self.iteration(body),
                }),
                Piece::Code(code) => slc::Step::Callback(self.callback(code)),
            });
        }
        for constant in self.constants.drain(outside..) {
            self.stream_of[constant] = slc::Stream::reserved_value();
        }
        body
    }

    /// The stream of a value; a constant that is not visible yet becomes one here.
    fn operand(&mut self, value: scf::Value, into: &mut Vec<slc::StreamDef>) -> slc::Stream {
        if self.stream_of[value].is_reserved_value()
            && let Some(scalar) = self.choice.constant(value)
        {
            let stream = self.stream_for(value);
            let expr = alu(Arith::Constant(scalar));
            into.push(slc::StreamDef { stream, expr });
            self.constants.push(value);
        }
        self.stream_of[value]
    }

    fn stream(&mut self, name: &str, ty: ScalarType, span: Span) -> slc::Stream {
        self.streams.push(ValueData {
            name: self.names.fresh(name),
            ty: ty.into(),
            span,
        })
    }

    fn stream_for(&mut self, value: scf::Value) -> slc::Stream {
        let ValueData { name, ty, span } = &self.choice.func.values[value];
        let stream = self.stream(name, *ty, *span);
        self.stream_of[value] = stream;
        stream
    }

    fn bound(&self, bound: scf::Bound) -> slc::Bound {
        match bound {
            scf::Bound::Constant(position) => slc::Bound::Constant(position),
            scf::Bound::Value(value) => match self.choice.constant(value) {
                Some(Scalar::Index(position)) => slc::Bound::Constant(position),
                _ => slc::Bound::Value(self.stream_of[value]),
            },
        }
    }

    /// A stream of the number of times that a branch runs, 0 or 1.
    fn count(
        &mut self,
        condition: scf::Value,
        holds: bool,
        span: Span,
        into: &mut Vec<slc::StreamDef>,
    ) -> slc::Stream {
        let mut runs = self.operand(condition, into);
        let name = &self.choice.func.values[condition].name;
        if !holds {
            let expr = alu(Arith::Unary(UnaryOp::Not, runs));
            runs = self.stream(&format!("{name}_else"), ScalarType::BOOL, span);
            into.push(slc::StreamDef { stream: runs, expr });
        }
        let expr = alu(Arith::Convert(runs, ScalarType::Index));
        let stream = self.stream(&format!("{name}_count"), ScalarType::Index, span);
        into.push(slc::StreamDef { stream, expr });
        stream
    }

    fn callback(&self, code: &Code<'_>) -> slc::Callback {
        let mut lowering = CodeLowering {
            around: self,
            names: self.names.clone(),
            values: PrimaryMap::new(),
            known: HashMap::new(),
            order: Vec::new(),
        };
        let mut body = lowering.take(code);
        for statement in &code.statements {
            lowering.statement(statement, &mut body);
        }
        let span = match code.statements.first() {
            Some(scf::Statement::Let(value, _)) => self.choice.func.values[*value].span,
            Some(scf::Statement::Store { span, .. } | scf::Statement::If { span, .. }) => *span,
            Some(scf::Statement::For { .. }) | None => Span::default(),
        };
        let values = lowering.values;
        slc::Callback {
            code: core::Code { values, body },
            span,
        }
    }
}

struct CodeLowering<'l, 'c, 'a> {
    around: &'l Lowering<'c, 'a>,
    names: Names,
    values: PrimaryMap<slc::Value, ValueData<Type>>,
    /// What is visible here of each value.
    known: HashMap<scf::Value, slc::Value>,
    /// The keys of `known` in the order in which they came.
    order: Vec<scf::Value>,
}

impl CodeLowering<'_, '_, '_> {
    /// Everything that the code takes from streams, in the order of the streams.
    fn take(&mut self, code: &Code<'_>) -> Vec<slc::Statement> {
        let choice = self.around.choice;
        let mut needs = Vec::new();
        each_statement(choice, code, |statement| needs.extend(operands(statement)));
        let mut taken = BTreeMap::new();
        let mut seen = SecondaryMap::new();
        while let Some(value) = needs.pop() {
            if std::mem::replace(&mut seen[value], true) || choice.constant(value).is_some() {
                continue;
            }
            match choice.placement[value] {
                Placement::Stream => {
                    taken.insert(self.around.stream_of[value], value);
                }
                Placement::Anywhere => {
                    if let Some(scf::Expr::Arith(arith)) = choice.definitions[value] {
                        needs.extend(arith.operands());
                    }
                }
                Placement::Code | Placement::Dead => {}
            }
        }
        let mut statements = Vec::new();
        for (stream, value) in taken {
            let taken = self.define(value);
            statements.push(slc::Statement::Let(taken, slc::Expr::Take(stream)));
        }
        statements
    }

    fn value(&mut self, name: &str, ty: ScalarType, span: Span) -> slc::Value {
        self.values.push(ValueData {
            name: self.names.fresh(name),
            ty: ty.into(),
            span,
        })
    }

    /// From here on `value` is known.
    fn define(&mut self, value: scf::Value) -> slc::Value {
        let ValueData { name, ty, span } = &self.around.choice.func.values[value];
        let defined = self.value(name, *ty, *span);
        self.known.insert(value, defined);
        self.order.push(value);
        defined
    }

    /// Makes a value known: computes it, or loads what another callback has left.
    fn available(&mut self, value: scf::Value, into: &mut Vec<slc::Statement>) -> slc::Value {
        let choice = self.around.choice;
        // Operands first; a value comes up again when they are known.
        let mut left = vec![value];
        while let Some(&next) = left.last() {
            if self.known.contains_key(&next) {
                left.pop();
                continue;
            }
            if let Some(buffer) = self.around.carried[next] {
                self.restore(next, buffer, into);
                continue;
            }
            let Some(scf::Expr::Arith(arith)) = choice.definitions[next] else {
                // Streams and loads are known already; if not, the verifier of what is made finds this one.
                self.known.insert(next, slc::Value::reserved_value());
                self.order.push(next);
                continue;
            };
            let unknown = left.len();
            left.extend(arith.operands().filter(|v| !self.known.contains_key(*v)));
            if left.len() == unknown {
                let arith = arith.map(|v| self.known_as(*v));
                let computed = self.define(next);
                into.push(slc::Statement::Let(computed, computed_by(arith)));
            }
        }
        self.known_as(value)
    }

    fn known_as(&self, value: scf::Value) -> slc::Value {
        let known = self.known.get(&value).copied();
        known.unwrap_or(slc::Value::reserved_value())
    }

    fn restore(&mut self, value: scf::Value, buffer: BufferId, into: &mut Vec<slc::Statement>) {
        let ValueData { name, ty, span } = &self.around.choice.func.values[value];
        let load = slc::Expr::Load(Access::element(buffer, Vec::new()));
        let expr = match ty {
            ScalarType::Element(_) => load,
            ScalarType::Index => {
                let kept = self.value(name, ElementType::S64.into(), *span);
                into.push(slc::Statement::Let(kept, load));
                computed_by(Arith::Convert(kept, ScalarType::Index))
            }
        };
        let restored = self.define(value);
        into.push(slc::Statement::Let(restored, expr));
    }

    fn keep(&mut self, value: scf::Value, buffer: BufferId, into: &mut Vec<slc::Statement>) {
        let ValueData { name, ty, span } = &self.around.choice.func.values[value];
        let mut kept = self.known_as(value);
        if *ty == ScalarType::Index {
            let s64 = ScalarType::from(ElementType::S64);
            let convert = computed_by(Arith::Convert(kept, s64));
            kept = self.value(name, s64, *span);
            into.push(slc::Statement::Let(kept, convert));
        }
        into.push(slc::Statement::Store {
            access: Access::element(buffer, Vec::new()),
            value: kept,
            span: *span,
        });
    }

    /// Guards nest to a limited depth.
    fn statement(&mut self, statement: &scf::Statement, into: &mut Vec<slc::Statement>) {
        for operand in operands(statement) {
            self.available(operand, into);
        }
        match statement {
            scf::Statement::Let(value, expr) => {
                let expr = match expr {
                    scf::Expr::Arith(arith) => computed_by(arith.map(|v| self.known_as(*v))),
                    scf::Expr::Load { buffer, indices } => {
                        let indices = indices.iter().map(|v| self.known_as(*v)).collect();
                        slc::Expr::Load(Access::element(*buffer, indices))
                    }
                };
                let defined = self.define(*value);
                into.push(slc::Statement::Let(defined, expr));
                if let Some(buffer) = self.around.carried[*value] {
                    self.keep(*value, buffer, into);
                }
            }
            scf::Statement::Store {
                value,
                buffer,
                indices,
                span,
            } => into.push(slc::Statement::Store {
                access: Access::element(
                    *buffer,
                    indices.iter().map(|v| self.known_as(*v)).collect(),
                ),
                value: self.known_as(*value),
                span: *span,
            }),
            scf::Statement::If {
                condition,
                on_true,
                on_false,
                span,
            } => {
                let condition = self.known_as(*condition);
                let then = self.block(*on_true);
                let otherwise = on_false.map_or_else(Vec::new, |block| self.block(block));
                into.push(slc::Statement::If {
                    condition,
                    then,
                    otherwise,
                    span: *span,
                });
            }
            // Loops are no code.
            scf::Statement::For { .. } => {}
        }
    }

    fn block(&mut self, block: scf::Block) -> Vec<slc::Statement> {
        let outside = self.order.len();
        let mut statements = Vec::new();
        for statement in self.around.choice.live_statements(block) {
            self.statement(statement, &mut statements);
        }
        for value in self.order.drain(outside..) {
            self.known.remove(&value);
        }
        statements
    }
}
