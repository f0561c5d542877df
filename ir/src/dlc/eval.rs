//! The reference evaluator: the module documentation of [`super`], executed.
//!
//! The queues are not bounded, and the execute program takes a turn after every callback, until it has no
//! token: with queues in between, when it runs cannot be observed.

use std::collections::VecDeque;

use cranelift_entity::SecondaryMap;

use super::{
    Access, AccessOp, Bound, Callback, CaseId, Event, Expr, Program, Statement, Stream, StreamExpr,
    Tu, Value,
};
use crate::core::{EvalError, Limits, Memory, Scalar, Span, Steps};

/// Runs a valid program.
pub(super) fn execute(
    program: &Program,
    memory: &mut Memory<'_>,
    limits: &Limits,
) -> Result<(), EvalError> {
    let mut machine = Machine {
        program,
        memory,
        steps: Steps::new(limits),
        order: order(&program.access),
        streams: SecondaryMap::with_default(Scalar::Bool(false)),
        queues: Queues::default(),
    };
    let roots = std::mem::take(&mut machine.order.roots);
    roots.iter().try_for_each(|&root| machine.activate(root))
}

/// What a unit does at each position and at its events.
#[derive(Clone, Default)]
struct Unit<'a> {
    streams: Vec<Stream>,
    children: Vec<Tu>,
    callbacks: Vec<&'a Callback>,
}

/// The access program, sorted by unit.
struct Order<'a> {
    roots: Vec<Tu>,
    units: SecondaryMap<Tu, Unit<'a>>,
}

fn order(access: &Access) -> Order<'_> {
    let mut order = Order {
        roots: Vec::new(),
        units: SecondaryMap::new(),
    };
    for op in &access.body {
        match op {
            AccessOp::NewTu(tu) => match access.units[*tu].parent {
                Some(parent) => order.units[parent].children.push(*tu),
                None => order.roots.push(*tu),
            },
            AccessOp::Stream(stream) => {
                let unit = access.streams[*stream].unit;
                order.units[unit].streams.push(*stream);
            }
            AccessOp::RegisterCallback(callback) => {
                order.units[callback.unit].callbacks.push(callback);
            }
        }
    }
    order
}

#[derive(Default)]
struct Queues {
    /// The tokens.
    control: VecDeque<CaseId>,
    /// The operands.
    data: VecDeque<Scalar>,
}

struct Machine<'a, 'm, 'b> {
    program: &'a Program,
    memory: &'m mut Memory<'b>,
    steps: Steps,
    order: Order<'a>,
    /// The current value of each stream.
    streams: SecondaryMap<Stream, Scalar>,
    queues: Queues,
}

impl Machine<'_, '_, '_> {
    /// One activation of a unit; recursion is as deep as units nest, which the verifier bounds.
    fn activate(&mut self, tu: Tu) -> Result<(), EvalError> {
        let data = &self.program.access.units[tu];
        let unit = self.order.units[tu].clone();
        let (mut position, end) = (self.bound(data.begin)?, self.bound(data.end)?);
        self.event(&unit, Event::Begin)?;
        while position < end {
            self.steps.step()?;
            for &stream in &unit.streams {
                self.streams[stream] = self.advance(stream, position)?;
            }
            self.event(&unit, Event::Iterate)?;
            for &child in &unit.children {
                self.activate(child)?;
            }
            match position.checked_add(data.step) {
                Some(next) => position = next,
                None => break,
            }
        }
        self.event(&unit, Event::End)
    }

    fn bound(&self, bound: Bound) -> Result<i64, EvalError> {
        match bound {
            Bound::Constant(value) => Ok(value),
            Bound::Stream(stream) => self.index(stream),
        }
    }

    fn index(&self, stream: Stream) -> Result<i64, EvalError> {
        match self.streams[stream] {
            Scalar::Index(value) => Ok(value),
            other => Err(EvalError::stuck(
                self.program.access.streams[stream].span,
                format!("a value of {} where an index is needed", other.ty()),
            )),
        }
    }

    /// The value of a stream at a position of its unit.
    fn advance(&self, stream: Stream, position: i64) -> Result<Scalar, EvalError> {
        let data = &self.program.access.streams[stream];
        match &data.expr {
            StreamExpr::InductionVariable => Ok(Scalar::Index(position)),
            StreamExpr::Mem { buffer, indices } => {
                let indices = indices.iter().map(|&index| self.index(index));
                let indices = indices.collect::<Result<Vec<_>, _>>()?;
                self.memory.load(*buffer, &indices, data.span)
            }
            StreamExpr::Alu(arith) => arith
                .map(|&operand| self.streams[operand])
                .evaluate()
                .map_err(|error| EvalError::stuck(data.span, error)),
        }
    }

    /// Pushes what the callbacks of an event push, then lets the execute program run.
    fn event(&mut self, unit: &Unit<'_>, event: Event) -> Result<(), EvalError> {
        for callback in unit.callbacks.iter().filter(|c| c.event == event) {
            self.queues.control.push_back(callback.case);
            for operand in &callback.operands {
                self.queues.data.push_back(self.streams[operand.stream]);
            }
            self.compute_loop()?;
        }
        Ok(())
    }

    /// Runs cases until there is no token.
    fn compute_loop(&mut self) -> Result<(), EvalError> {
        while let Some(id) = self.queues.control.pop_front() {
            let case = &self.program.execute.cases[id];
            let mut run = Run {
                memory: self.memory,
                data: &mut self.queues.data,
                steps: &mut self.steps,
                case,
                values: SecondaryMap::with_default(Scalar::Bool(false)),
            };
            run.block(&case.body)?;
        }
        Ok(())
    }
}

/// One run of a case.
struct Run<'a, 'm, 'b> {
    memory: &'m mut Memory<'b>,
    data: &'m mut VecDeque<Scalar>,
    steps: &'m mut Steps,
    case: &'a super::Case,
    values: SecondaryMap<Value, Scalar>,
}

impl Run<'_, '_, '_> {
    /// Recursion is as deep as `scf.if`s nest, which the verifier bounds.
    fn block(&mut self, statements: &[Statement]) -> Result<(), EvalError> {
        for statement in statements {
            self.steps.step()?;
            match statement {
                Statement::Let(value, expr) => self.values[*value] = self.expr(*value, expr)?,
                Statement::Store {
                    buffer,
                    indices,
                    value,
                    span,
                } => {
                    let indices = self.indices(indices, *span)?;
                    let value = self.values[*value];
                    self.memory.store(*buffer, &indices, value, *span)?;
                }
                Statement::If {
                    condition,
                    then,
                    otherwise,
                    span,
                } => match self.values[*condition] {
                    Scalar::Bool(true) => self.block(then)?,
                    Scalar::Bool(false) => self.block(otherwise)?,
                    other => {
                        let what = format!("a condition of {}", other.ty());
                        return Err(EvalError::stuck(*span, what));
                    }
                },
            }
        }
        Ok(())
    }

    fn expr(&mut self, value: Value, expr: &Expr) -> Result<Scalar, EvalError> {
        let span = self.case.values[value].span;
        match expr {
            Expr::Pop => self
                .data
                .pop_front()
                .ok_or_else(|| EvalError::stuck(span, "a pop from an empty data queue")),
            Expr::Arith(arith) => arith
                .map(|&operand| self.values[operand])
                .evaluate()
                .map_err(|error| EvalError::stuck(span, error)),
            Expr::Load { buffer, indices } => {
                let indices = self.indices(indices, span)?;
                self.memory.load(*buffer, &indices, span)
            }
        }
    }

    fn indices(&self, indices: &[Value], span: Span) -> Result<Vec<i64>, EvalError> {
        let index = |&index: &Value| match self.values[index] {
            Scalar::Index(value) => Ok(value),
            other => Err(EvalError::stuck(
                span,
                format!("a value of {} where an index is needed", other.ty()),
            )),
        };
        indices.iter().map(index).collect()
    }
}
