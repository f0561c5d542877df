//! The reference evaluator: the module documentation of [`super`], executed.
//!
//! The queues are not bounded, and the execute program takes a turn after every callback, until it has no
//! token: with queues in between, when it runs cannot be observed.

use std::collections::VecDeque;

use cranelift_entity::SecondaryMap;

use super::{
    Access, AccessOp, Bound, Callback, CaseId, Effect, Event, Pop, Program, Stream, StreamExpr, Tu,
};
use crate::core::code::{Data, Run as CodeRun, get};
use crate::core::compute::{loop_mask, next_position};
use crate::core::stream::{advance, perform};
use crate::core::{Datum, EvalError, Limits, Memory, Scalar, Span, Steps};

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
        streams: SecondaryMap::new(),
        queues: Queues::default(),
    };
    let roots = std::mem::take(&mut machine.order.roots);
    roots.iter().try_for_each(|&root| machine.activate(root))
}

/// What a unit does at each position and at its events.
#[derive(Clone, Default)]
struct Unit<'a> {
    streams: Vec<Stream>,
    effects: Vec<&'a Effect>,
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
            AccessOp::Effect(unit, effect) => order.units[*unit].effects.push(effect),
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
    data: VecDeque<Datum>,
}

struct Machine<'a, 'm, 'b> {
    program: &'a Program,
    memory: &'m mut Memory<'b>,
    steps: Steps,
    order: Order<'a>,
    /// What each stream holds now.
    streams: Data<Stream>,
    queues: Queues,
}

impl Machine<'_, '_, '_> {
    /// One activation of a unit; recursion is as deep as units nest, which the verifier bounds.
    fn activate(&mut self, tu: Tu) -> Result<(), EvalError> {
        let data = &self.program.access.units[tu];
        let unit = self.order.units[tu].clone();
        let (mut position, end) = (
            self.bound(data.begin, data.span)?,
            self.bound(data.end, data.span)?,
        );
        self.event(&unit, Event::Begin)?;
        while position < end {
            self.steps.step()?;
            for &stream in &unit.streams {
                let held = &self.program.access.streams[stream];
                let datum = match &held.expr {
                    StreamExpr::InductionVariable => Datum::Scalar(Scalar::Index(position)),
                    StreamExpr::Mask => {
                        loop_mask(position, end, data.step, data.lanes.unwrap_or_default())
                    }
                    StreamExpr::Made(expr) => advance(expr, self.memory, &self.streams, held.span)?,
                };
                self.streams[stream] = Some(datum);
            }
            for effect in &unit.effects {
                perform(effect, self.memory, &mut self.streams)?;
            }
            self.event(&unit, Event::Iterate)?;
            for &child in &unit.children {
                self.activate(child)?;
            }
            match next_position(position, data.step, data.lanes) {
                Some(next) => position = next,
                None => break,
            }
        }
        self.event(&unit, Event::End)
    }

    fn bound(&self, bound: Bound, span: Span) -> Result<i64, EvalError> {
        match bound {
            Bound::Constant(value) => Ok(value),
            Bound::Value(stream) => get(&self.streams, stream, span)?.index(span),
        }
    }

    /// Pushes what the callbacks of an event push, then lets the execute program run.
    fn event(&mut self, unit: &Unit<'_>, event: Event) -> Result<(), EvalError> {
        for callback in unit.callbacks.iter().filter(|c| c.event == event) {
            self.queues.control.push_back(callback.case);
            for operand in &callback.operands {
                let datum = get(&self.streams, operand.stream, operand.span)?;
                self.queues.data.push_back(datum.clone());
            }
            self.compute_loop()?;
        }
        Ok(())
    }

    /// Runs cases until there is no token.
    fn compute_loop(&mut self) -> Result<(), EvalError> {
        while let Some(id) = self.queues.control.pop_front() {
            let case = &self.program.execute.cases[id];
            let data = &mut self.queues.data;
            let take = |_: &Pop, span| {
                data.pop_front()
                    .ok_or_else(|| EvalError::stuck(span, "a pop from an empty data queue"))
            };
            CodeRun::run(&case.code, self.memory, &mut self.steps, case.span, take)?;
        }
        Ok(())
    }
}
