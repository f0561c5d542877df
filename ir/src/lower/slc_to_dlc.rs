//! SLC to DLC: the streams become the access program, the callbacks the execute program.
//!
//! * Each loop becomes one traversal unit, child of the unit of the loop around it. If the function's own
//!   body has streams or effects, or fires a callback by itself, a unit `%once` of one position stands for it.
//! * Each stream and each effect becomes one of the unit of its body; a mask becomes a `get_mask`. Lanes and hints of a loop are
//!   those of its unit.
//! * Each callback becomes a case, registered for its event of its unit: begin and end of the loop
//!   that it stands before or behind, iterate of the loop that holds it alone.
//! * Each `slc.from_stream` and `slcv.from_buffer` becomes a `pop_operand` in its place and a registered operand of its
//!   stream; both sides keep the order of the text. Everything else in a callback stays what it is.
//!
//! Before:
//! ```text
//! slc.func @copy {
//!   input %x: f32[8]
//!   output %y: f32[8]
//!   slc.for %i = 0 to 8 step 1 {
//!     %e = slc.mem_stream %x[%i]
//!     slc.callback {
//!       %at = slc.from_stream %i
//!       %element = slc.from_stream %e
//!       store %element, %y[%at]
//!     }
//!   }
//! }
//! ```
//! After:
//! ```text
//! dlc.program @copy {
//!   input %x: f32[8]
//!   output %y: f32[8]
//!   access {
//!     %tu_i = new_tu dense 0 to 8 step 1
//!     %i = get_ind_var %tu_i
//!     %e = mem_stream %x[%i] in %tu_i
//!     register_callback %tu_i iterate @i_iterate {
//!       register_operand %i
//!       register_operand %e
//!     }
//!   }
//!   execute {
//!     compute_loop {
//!       case @i_iterate {
//!         %at = pop_operand: index
//!         %element = pop_operand: f32
//!         store %element, %y[%at]
//!       }
//!     }
//!   }
//! }
//! ```

use cranelift_entity::packed_option::ReservedValue as _;
use cranelift_entity::{PrimaryMap, SecondaryMap};

use super::LowerError;
use crate::core::text::Names;
use crate::core::{Ir as _, LoopHints, Span};
use crate::{dlc, slc};

/// Lowers a program; the errors are those of its verifier.
pub fn slc_to_dlc(func: &slc::Func) -> Result<dlc::Program, LowerError> {
    func.verify()?;
    let mut lowering = Lowering {
        func,
        streams: SecondaryMap::with_default(dlc::Stream::reserved_value()),
        names: Names::default(),
        case_names: Names::default(),
        access: dlc::Access::default(),
        cases: PrimaryMap::new(),
    };
    for buffer in func.buffers.values() {
        lowering.names.fresh(&buffer.name);
    }
    let alone = |(at, step): (usize, &slc::Step)| match step {
        slc::Step::Callback(_) => func.body.event(at) == slc::Event::Iterate,
        slc::Step::For(_) => false,
    };
    let fires = func.body.steps.iter().enumerate().any(alone);
    let once =
        (fires || !func.body.streams.is_empty() || !func.body.effects.is_empty()).then(|| {
            let unit = dlc::TuData {
                name: lowering.names.fresh("once"),
                parent: None,
                begin: dlc::Bound::Constant(0),
                end: dlc::Bound::Constant(1),
                step: 1,
                lanes: None,
                hints: LoopHints::default(),
                span: Span::default(),
            };
            Unit {
                tu: lowering.access.new_tu(unit),
                name: "once",
            }
        });
    lowering.body(&func.body, once);
    Ok(dlc::Program {
        name: func.name.clone(),
        buffers: func.buffers.clone(),
        access: lowering.access,
        execute: dlc::Execute {
            cases: lowering.cases,
        },
    })
}

/// A traversal unit and the name of what it iterates.
#[derive(Clone, Copy)]
struct Unit<'a> {
    tu: dlc::Tu,
    name: &'a str,
}

struct Lowering<'a> {
    func: &'a slc::Func,
    streams: SecondaryMap<slc::Stream, dlc::Stream>,
    /// Of buffers, units and streams.
    names: Names,
    case_names: Names,
    access: dlc::Access,
    cases: PrimaryMap<dlc::CaseId, dlc::Case>,
}

impl<'a> Lowering<'a> {
    /// The unit iterates the body. Loops nest to a limited depth (rule 10 of SLC).
    fn body(&mut self, body: &'a slc::Body, unit: Option<Unit<'a>>) {
        // A body without unit is the function's own, and then has no streams and is no event.
        if let Some(unit) = unit {
            for def in &body.streams {
                let expr = def.expr.map(|&s| self.streams[s]);
                self.stream(def.stream, unit.tu, dlc::StreamExpr::Made(expr));
            }
            for effect in &body.effects {
                let effect = effect.map(|&s| self.streams[s]);
                self.access.effect(unit.tu, effect);
            }
        }
        let mut begin = None;
        let mut last = None;
        for (at, step) in body.steps.iter().enumerate() {
            match step {
                slc::Step::For(inner) => {
                    let tu = self.unit(inner, unit.map(|unit| unit.tu));
                    let position = dlc::StreamExpr::InductionVariable;
                    self.stream(inner.induction, tu.tu, position);
                    if let Some(mask) = inner.lanes.and_then(|lanes| lanes.mask) {
                        self.stream(mask, tu.tu, dlc::StreamExpr::Mask);
                    }
                    if let Some(callback) = begin.take() {
                        self.callback(callback, tu, dlc::Event::Begin);
                    }
                    self.body(&inner.body, Some(tu));
                    last = Some(tu);
                }
                slc::Step::Callback(callback) => match (body.event(at), last, unit) {
                    (slc::Event::Begin(_), _, _) => begin = Some(callback),
                    (slc::Event::End(_), Some(tu), _) => {
                        self.callback(callback, tu, dlc::Event::End);
                    }
                    (slc::Event::Iterate, _, Some(unit)) => {
                        self.callback(callback, unit, dlc::Event::Iterate);
                    }
                    (slc::Event::End(_), None, _) | (slc::Event::Iterate, _, None) => {}
                },
            }
        }
    }

    fn unit(&mut self, inner: &'a slc::Loop, parent: Option<dlc::Tu>) -> Unit<'a> {
        let name = &self.func.streams[inner.induction].name;
        let bound = |bound: slc::Bound| bound.map(|s| self.streams[s]);
        let unit = dlc::TuData {
            name: self.names.fresh(&format!("tu_{name}")),
            parent,
            begin: bound(inner.lower),
            end: bound(inner.upper),
            step: inner.step,
            lanes: inner.lanes.map(|lanes| lanes.count),
            hints: inner.hints,
            span: inner.span,
        };
        Unit {
            tu: self.access.new_tu(unit),
            name,
        }
    }

    fn stream(&mut self, stream: slc::Stream, unit: dlc::Tu, expr: dlc::StreamExpr) {
        let data = &self.func.streams[stream];
        self.streams[stream] = self.access.stream(dlc::StreamData {
            name: self.names.fresh(&data.name),
            ty: data.ty,
            unit,
            expr,
            span: data.span,
        });
    }

    fn callback(&mut self, callback: &slc::Callback, unit: Unit<'a>, event: dlc::Event) {
        let name = format!("{}_{}", unit.name, event.name());
        let operands = callback.code.takes().map(|(value, &stream)| dlc::Operand {
            stream: self.streams[stream],
            span: callback.code.values[value].span,
        });
        let operands = operands.collect();
        let case = self.cases.push(dlc::Case {
            name: self.case_names.fresh(&name),
            code: callback.code.map(|_| dlc::Pop),
            span: callback.span,
        });
        self.access.register(dlc::Callback {
            unit: unit.tu,
            event,
            case,
            operands,
            span: callback.span,
        });
    }
}
