//! Runs SLC: the semantics of the [module documentation](super), line by line.
//!
//! Access and execute unit take turns here, the execute unit as early as it can. Any other order
//! that keeps the callbacks' sequence gives the same result, for streams read inputs only.

use cranelift_entity::SecondaryMap;

use super::{Body, Bound, Func, Loop, Step, Stream};
use crate::core::code::{Data, Run as CodeRun, get};
use crate::core::compute::{loop_mask, next_position};
use crate::core::stream::{advance, perform};
use crate::core::{Datum, EvalError, Limits, Memory, Scalar, Span, Steps};

/// Runs a valid program.
pub(super) fn run(func: &Func, memory: &mut Memory<'_>, limits: &Limits) -> Result<(), EvalError> {
    let mut run = Run {
        func,
        memory,
        steps: Steps::new(limits),
        streams: SecondaryMap::new(),
    };
    run.iteration(&func.body)
}

struct Run<'a, 'm, 'b> {
    func: &'a Func,
    memory: &'m mut Memory<'b>,
    steps: Steps,
    /// What each stream holds now.
    streams: Data<Stream>,
}

impl Run<'_, '_, '_> {
    fn iteration(&mut self, body: &Body) -> Result<(), EvalError> {
        for def in &body.streams {
            self.steps.step()?;
            let data = self.func.streams.get(def.stream);
            let span = data.map_or_else(Span::default, |data| data.span);
            let datum = advance(&def.expr, self.memory, &self.streams, span)?;
            self.streams[def.stream] = Some(datum);
        }
        for effect in &body.effects {
            self.steps.step()?;
            perform(effect, self.memory, &mut self.streams)?;
        }
        for step in &body.steps {
            match step {
                Step::For(inner) => self.traverse(inner)?,
                Step::Callback(callback) => {
                    let streams = &self.streams;
                    CodeRun::run(
                        &callback.code,
                        self.memory,
                        &mut self.steps,
                        callback.span,
                        |&stream: &Stream, span| get(streams, stream, span).cloned(),
                    )?;
                }
            }
        }
        Ok(())
    }

    fn traverse(&mut self, inner: &Loop) -> Result<(), EvalError> {
        let mut position = self.bound(inner.lower, inner.span)?;
        let upper = self.bound(inner.upper, inner.span)?;
        let count = inner.lanes.map(|lanes| lanes.count);
        while position < upper {
            self.steps.step()?;
            self.streams[inner.induction] = Some(Datum::Scalar(Scalar::Index(position)));
            if let Some(lanes) = inner.lanes
                && let Some(mask) = lanes.mask
            {
                self.streams[mask] = Some(loop_mask(position, upper, inner.step, lanes.count));
            }
            self.iteration(&inner.body)?;
            match next_position(position, inner.step, count) {
                Some(next) => position = next,
                // No position beyond is below the upper bound.
                None => break,
            }
        }
        Ok(())
    }

    fn bound(&self, bound: Bound, span: Span) -> Result<i64, EvalError> {
        match bound {
            Bound::Constant(position) => Ok(position),
            Bound::Value(stream) => get(&self.streams, stream, span)?.index(span),
        }
    }
}
