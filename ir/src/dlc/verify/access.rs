//! Rules 3 to 8: the access program.

use cranelift_entity::{EntitySet, SecondaryMap};

use super::{MAX_DEPTH, arith_type, expect_type};
use crate::core::check::Checker;
use crate::core::{BufferId, Problem, ScalarType, Span};
use crate::dlc::{
    AccessOp, Bound, Callback, Event, Program, Stream, StreamData, StreamExpr, Tu, TuData,
};

pub(super) fn verify(program: &Program, checker: &mut Checker<'_>) {
    let mut verifier = Verifier {
        program,
        checker,
        units: EntitySet::new(),
        streams: EntitySet::new(),
        depth: SecondaryMap::new(),
    };
    for op in &program.access.body {
        match op {
            AccessOp::NewTu(tu) => match program.access.units.get(*tu) {
                Some(data) => verifier.unit(*tu, data),
                None => verifier.dangling(tu.to_string(), Span::default()),
            },
            AccessOp::Stream(stream) => match program.access.streams.get(*stream) {
                Some(data) => verifier.stream(*stream, data),
                None => verifier.dangling(stream.to_string(), Span::default()),
            },
            AccessOp::RegisterCallback(callback) => verifier.callback(callback),
        }
    }
    verifier.all_defined();
}

/// Which of a unit's surroundings a use can see.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Streams of the unit and of its ancestors.
    Own,
    /// Streams of its ancestors.
    Ancestors,
}

struct Verifier<'a, 'b> {
    program: &'a Program,
    checker: &'a mut Checker<'b>,
    /// What the lines so far define.
    units: EntitySet<Tu>,
    streams: EntitySet<Stream>,
    /// Number of units around and including each unit.
    depth: SecondaryMap<Tu, usize>,
}

impl Verifier<'_, '_> {
    fn dangling(&mut self, id: String, span: Span) {
        self.checker.report(3, span, Problem::Dangling(id));
    }

    fn unit(&mut self, tu: Tu, data: &TuData) {
        if data.step < 1 {
            self.checker.broken(
                4,
                data.span,
                format!("%{} has step {}, expected at least 1", data.name, data.step),
            );
        }
        let mut depth = 1;
        if let Some(parent) = data.parent
            && self.defined_unit(parent, data.span)
        {
            depth = self.depth[parent] + 1;
            if depth > MAX_DEPTH {
                self.checker.broken(
                    4,
                    data.span,
                    format!(
                        "%{} is the {depth}th unit of a nest, at most {MAX_DEPTH} are taken",
                        data.name
                    ),
                );
            }
        }
        for bound in [data.begin, data.end] {
            let Bound::Stream(stream) = bound else {
                continue;
            };
            let ty = match data.parent {
                Some(parent) => self.seen(5, stream, parent, Reach::Own, data.span),
                None => {
                    self.checker.broken(
                        5,
                        data.span,
                        format!("%{} has no ancestor whose stream could bound it", data.name),
                    );
                    None
                }
            };
            self.expect_index(5, stream, ty, data.span);
        }
        if !self.units.insert(tu) {
            self.twice(&data.name, data.span);
        }
        self.depth[tu] = depth;
    }

    fn stream(&mut self, stream: Stream, data: &StreamData) {
        if self.defined_unit(data.unit, data.span) {
            let ty = match &data.expr {
                StreamExpr::InductionVariable => Some(ScalarType::Index),
                StreamExpr::Mem { buffer, indices } => {
                    let tys: Vec<_> = indices
                        .iter()
                        .map(|&index| self.seen(6, index, data.unit, Reach::Own, data.span))
                        .collect();
                    for (&index, ty) in indices.iter().zip(tys) {
                        self.expect_index(7, index, ty, data.span);
                    }
                    self.read(*buffer, indices.len(), data.span)
                }
                StreamExpr::Alu(arith) => arith
                    .try_map(|&operand| {
                        self.seen(6, operand, data.unit, Reach::Own, data.span)
                            .ok_or(())
                    })
                    .ok()
                    .and_then(|arith| arith_type(self.checker, 7, data.span, &arith)),
            };
            if let Some(ty) = ty {
                expect_type(self.checker, 7, data.span, &data.name, ty, data.ty);
            }
        }
        if !self.streams.insert(stream) {
            self.twice(&data.name, data.span);
        }
    }

    /// The element type of an input that a stream reads.
    fn read(&mut self, buffer: BufferId, indices: usize, span: Span) -> Option<ScalarType> {
        let data = self.checker.access(7, buffer, indices, span)?;
        if data.is_written() {
            let sentence = format!("%{} is written: a stream can read inputs only", data.name);
            self.checker.broken(7, span, sentence);
        }
        Some(data.element.into())
    }

    fn callback(&mut self, callback: &Callback) {
        if !self.defined_unit(callback.unit, callback.span) {
            return;
        }
        if !self.program.execute.cases.is_valid(callback.case) {
            self.dangling(callback.case.to_string(), callback.span);
        }
        let reach = match callback.event {
            Event::Iterate => Reach::Own,
            Event::Begin | Event::End => Reach::Ancestors,
        };
        for operand in &callback.operands {
            self.seen(8, operand.stream, callback.unit, reach, operand.span);
        }
    }

    fn expect_index(&mut self, number: u32, stream: Stream, ty: Option<ScalarType>, span: Span) {
        if let (Some(ty), Some(data)) = (ty, self.program.access.streams.get(stream)) {
            expect_type(
                self.checker,
                number,
                span,
                &data.name,
                ScalarType::Index,
                ty,
            );
        }
    }

    /// Whether a unit can be used here.
    fn defined_unit(&mut self, tu: Tu, span: Span) -> bool {
        let Some(data) = self.program.access.units.get(tu) else {
            self.dangling(tu.to_string(), span);
            return false;
        };
        if !self.units.contains(tu) {
            self.checker
                .report(3, span, Problem::NotDefined(data.name.clone()));
            return false;
        }
        true
    }

    /// The type of a stream that is used in `unit`; an error if it cannot be.
    fn seen(
        &mut self,
        number: u32,
        stream: Stream,
        unit: Tu,
        reach: Reach,
        span: Span,
    ) -> Option<ScalarType> {
        let Some(data) = self.program.access.streams.get(stream) else {
            self.dangling(stream.to_string(), span);
            return None;
        };
        if !self.streams.contains(stream) {
            self.checker
                .report(3, span, Problem::NotDefined(data.name.clone()));
            return None;
        }
        let units = &self.program.access.units;
        let start = match reach {
            Reach::Own => Some(unit),
            Reach::Ancestors => units.get(unit).and_then(|data| data.parent),
        };
        // Parents are defined before their children, so the walk ends.
        let mut around = start;
        while let Some(tu) = around {
            if tu == data.unit {
                return Some(data.ty);
            }
            around = units
                .get(tu)
                .and_then(|data| data.parent)
                .filter(|&parent| self.depth[parent] < self.depth[tu]);
        }
        let of = |tu: Tu| units.get(tu).map_or("?", |data| data.name.as_str());
        let whose = match reach {
            Reach::Own => "that unit or of an ancestor",
            Reach::Ancestors => "an ancestor: outside its iterations a unit has no values",
        };
        let sentence = format!(
            "%{}, a stream of %{}, is used in %{}, where it must be a stream of {whose}",
            data.name,
            of(data.unit),
            of(unit)
        );
        self.checker.broken(number, span, sentence);
        None
    }

    fn twice(&mut self, name: &str, span: Span) {
        self.checker
            .broken(3, span, format!("%{name} is defined by two lines"));
    }

    fn all_defined(&mut self) {
        for (tu, data) in &self.program.access.units {
            if !self.units.contains(tu) {
                self.undefined(&data.name, data.span);
            }
        }
        for (stream, data) in &self.program.access.streams {
            if !self.streams.contains(stream) {
                self.undefined(&data.name, data.span);
            }
        }
    }

    fn undefined(&mut self, name: &str, span: Span) {
        self.checker
            .broken(3, span, format!("%{name} is defined by no line"));
    }
}
