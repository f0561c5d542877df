//! Rules 3 to 8 and 13: the access program.

use cranelift_entity::{EntitySet, SecondaryMap};

use crate::core::access::expect;
use crate::core::check::Checker;
use crate::core::code::check_lane_loop;
use crate::core::stream::{Rules, check_effect, check_stream};
use crate::core::{Lanes, Problem, Span, Type};
use crate::dlc::{
    AccessOp, Bound, Callback, Effect, Event, MAX_DEPTH, Program, Stream, StreamData, StreamExpr,
    Tu, TuData,
};

const RULES: Rules = Rules {
    types: 7,
    access: 7,
    role: 7,
};

pub(super) fn verify(program: &Program, checker: &mut Checker<'_>) {
    let mut verifier = Verifier {
        program,
        checker,
        units: EntitySet::new(),
        sight: Sight {
            program,
            streams: EntitySet::new(),
            depth: SecondaryMap::new(),
        },
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
            AccessOp::Effect(unit, effect) => verifier.effect(*unit, effect),
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
    /// The units that the lines so far define.
    units: EntitySet<Tu>,
    sight: Sight<'a>,
}

/// Which streams can be used where.
struct Sight<'a> {
    program: &'a Program,
    /// What the lines so far define.
    streams: EntitySet<Stream>,
    /// Number of units around and including each unit.
    depth: SecondaryMap<Tu, usize>,
}

impl Sight<'_> {
    /// Name and type of a stream that is used in `unit`; an error if it cannot be.
    fn seen(
        &self,
        number: u32,
        stream: Stream,
        unit: Tu,
        reach: Reach,
        span: Span,
        checker: &mut Checker<'_>,
    ) -> Option<(String, Type)> {
        let Some(data) = self.program.access.streams.get(stream) else {
            checker.report(3, span, Problem::Dangling(stream.to_string()));
            return None;
        };
        if !self.streams.contains(stream) {
            checker.report(3, span, Problem::NotDefined(data.name.clone()));
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
                return Some((data.name.clone(), data.ty));
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
        checker.broken(number, span, sentence);
        None
    }
}

impl Verifier<'_, '_> {
    fn dangling(&mut self, id: String, span: Span) {
        self.checker.report(3, span, Problem::Dangling(id));
    }

    fn unit(&mut self, tu: Tu, data: &TuData) {
        let mask = self.program.access.mask(tu);
        check_lane_loop(
            4,
            [data.begin, data.end],
            data.step,
            data.lanes.map(|count| Lanes { count, mask }),
            data.span,
            self.checker,
        );
        let root = data.parent.is_none();
        data.hints.check(13, root, data.span, self.checker);
        let mut depth = 1;
        if let Some(parent) = data.parent
            && self.defined_unit(parent, data.span)
        {
            depth = self.sight.depth[parent] + 1;
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
            let Bound::Value(stream) = bound else {
                continue;
            };
            let ty = match data.parent {
                Some(parent) => {
                    let reach = Reach::Own;
                    self.sight
                        .seen(5, stream, parent, reach, data.span, self.checker)
                }
                None => {
                    self.checker.broken(
                        5,
                        data.span,
                        format!("%{} has no ancestor whose stream could bound it", data.name),
                    );
                    None
                }
            };
            if let Some((name, ty)) = ty {
                expect(5, data.span, name, Type::INDEX, ty, self.checker);
            }
        }
        if !self.units.insert(tu) {
            self.twice(&data.name, data.span);
        }
        self.sight.depth[tu] = depth;
    }

    fn stream(&mut self, stream: Stream, data: &StreamData) {
        if self.defined_unit(data.unit, data.span) {
            let ty = match &data.expr {
                StreamExpr::InductionVariable => Some(Type::INDEX),
                StreamExpr::Mask => self.mask(data),
                StreamExpr::Made(expr) => {
                    let sight = &self.sight;
                    check_stream(expr, RULES, data.span, self.checker, |stream, checker| {
                        sight.seen(6, stream, data.unit, Reach::Own, data.span, checker)
                    })
                }
            };
            if let Some(ty) = ty {
                expect(7, data.span, data.name.clone(), ty, data.ty, self.checker);
            }
        }
        if !self.sight.streams.insert(stream) {
            self.twice(&data.name, data.span);
        }
    }

    fn mask(&mut self, data: &StreamData) -> Option<Type> {
        let unit = self.program.access.units.get(data.unit)?;
        if unit.lanes.is_none() {
            let sentence = format!("%{} has no lanes to mask", unit.name);
            self.checker.broken(7, data.span, sentence);
        }
        Some(Type::Vector(Type::BOOL.scalar(), unit.lanes?))
    }

    fn effect(&mut self, unit: Tu, effect: &Effect) {
        let span = effect.span();
        if self.defined_unit(unit, span) {
            let sight = &self.sight;
            check_effect(effect, RULES, self.checker, |stream, checker| {
                sight.seen(6, stream, unit, Reach::Own, span, checker)
            });
        }
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
            let span = operand.span;
            self.sight
                .seen(8, operand.stream, callback.unit, reach, span, self.checker);
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
            if !self.sight.streams.contains(stream) {
                self.undefined(&data.name, data.span);
            }
        }
    }

    fn undefined(&mut self, name: &str, span: Span) {
        self.checker
            .broken(3, span, format!("%{name} is defined by no line"));
    }
}
