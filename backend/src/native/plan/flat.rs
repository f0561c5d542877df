//! Nests that run by columns: a chain of units, of which the inner ones are a row.
//!
//! The units of the chain but for the innermost dense ones, the *row*, are flattened to one sequence of lookups, which is decoded in blocks:
//! each stream is a column. What the cases do becomes effects, `buffer[dst] = op(buffer[dst], value)`, on whole rows or, without a
//! row, on elements. That is possible when
//!
//! * code stands in the innermost unit only, or before the row (where it computes what is the same for the row);
//! * a buffer that is written is not read, but for the old value of the one combine into it, and for temporaries of rank 0
//!   that hand a value from before the row into it, which become values;
//! * indices along the row are multiples of its position.
//!
//! As many units as possible are taken as row, none of them if need be. What does not fit at all is run by [`crate::native::run`]
//! as loops, one value at a time.

mod access;

use hashbrown::HashMap;
use hlo2dae_ir::core::{Arith, BinaryOp, CombineOp, ScalarType, Span, UnaryOp};
use hlo2dae_ir::dlc::Event;

use super::graph::{ANY, Def, Graph, Val};
use super::level::Flat;
use super::schedule::schedule;
use super::source::{Bound, BufferNumber, Instruction, Op, Reg, Source, Unit};

/// A combine for each lookup, before it is scheduled.
#[derive(Clone, Debug)]
pub(crate) struct Combine {
    pub op: CombineOp,
    pub buffer: BufferNumber,
    /// Where the row starts, in elements.
    pub dst: Val,
    /// For each dimension of the buffer, the index at which the row starts, and the last row position's multiple of it.
    pub indices: Vec<(Val, i128)>,
    /// Elements from one row position to the next: 1, or 0 for a reduction; no row, no value.
    pub stride: Option<i64>,
    pub value: Val,
    pub guard: Option<Val>,
    pub span: Span,
}

/// An index that must be inside whenever the guard is true.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    pub val: Val,
    pub low: i64,
    pub high: i64,
    pub guard: Option<Val>,
    pub level: usize,
    pub buffer: BufferNumber,
    pub span: Span,
}

/// A lookup unit.
#[derive(Clone, Debug)]
pub(crate) struct Positions {
    pub begin: End,
    pub end: End,
    pub step: i64,
}

/// A bound of a lookup unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Constant(i64),
    Val(Val),
}

/// A chain of units as values and combines.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    pub graph: Graph,
    /// The lookup units of more or less than one position, at least one.
    pub positions: Vec<Positions>,
    /// The units outside of the row.
    pub units: usize,
    /// Elements of a row; none without a row.
    pub row: Option<i64>,
    /// The first position of the row, if it is one unit; positions in rows of several units are no values.
    pub row_begin: Option<i64>,
    pub combines: Vec<Combine>,
    pub checks: Vec<Check>,
    /// A value that is the same for all lookups, and is asked for besides.
    pub idle: Option<Val>,
}

/// The chain that starts at a unit, scheduled, if it can run by columns.
pub(crate) fn flat(source: &Source, unit: &Unit) -> Option<Flat> {
    let units = chain(unit)?;
    let rows = units
        .iter()
        .rev()
        .take_while(|unit| extent(unit).is_some_and(|n| n > 0));
    let most = rows.count();
    (0..=most).rev().find_map(|rows| {
        let elements = units
            .iter()
            .rev()
            .take(rows)
            .try_fold(1i64, |n, unit| n.checked_mul(extent(unit)?))?;
        // A row of one element is a lookup.
        if rows > 0 && elements < 2 {
            return None;
        }
        let chain = Builder::new(source, &units, rows, elements).build()?;
        schedule(source, chain)
    })
}

/// The chain that starts at a unit, of which all but the outermost unit are the row.
pub(crate) fn by_row(source: &Source, unit: &Unit) -> Option<Chain> {
    let units = chain(unit)?;
    let inner = units.get(1..).unwrap_or(&[]).iter();
    let elements = inner
        .clone()
        .try_fold(1i64, |n, unit| n.checked_mul(extent(unit)?))?;
    match inner.len() {
        0 => None,
        rows => Builder::new(source, &units, rows, elements).build(),
    }
}

/// The units from the outermost to the innermost, if each has one inside.
pub(crate) fn chain(unit: &Unit) -> Option<Vec<&Unit>> {
    let mut units = vec![unit];
    let mut last = unit;
    while let [child] = last.children.as_slice() {
        units.push(child);
        last = child;
    }
    last.children.is_empty().then_some(units)
}

/// Positions of a dense unit of step 1.
fn extent(unit: &Unit) -> Option<i64> {
    match (unit.begin, unit.end, unit.step) {
        (Bound::Constant(begin), Bound::Constant(end), 1) => Some(end.checked_sub(begin)?.max(0)),
        _ => None,
    }
}

/// Whether a unit has one position: a level that is none.
pub(super) fn is_single(unit: &Unit) -> bool {
    extent(unit) == Some(1)
}

/// A place in a buffer, for all positions of a row.
struct Spot {
    /// The start of the row, in elements.
    offset: Val,
    /// Elements from one row position to the next.
    stride: i64,
    /// Each index at the start of the row, and what the last position adds to it.
    starts: Vec<(Val, i128)>,
}

/// Where code stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Once for a lookup, before the row.
    Before,
    /// At each position of the row; without a row, once for a lookup.
    Body,
}

struct Builder<'a> {
    source: &'a Source,
    /// The lookup units.
    lookups: &'a [&'a Unit],
    /// The units of the row.
    rows: &'a [&'a Unit],
    elements: i64,
    /// Level of the innermost lookup unit.
    levels: usize,
    graph: Graph,
    registers: HashMap<Reg, Val>,
    written: Vec<BufferNumber>,
    /// What a temporary of rank 0 holds from before the row on, and how often it was read.
    forwarded: HashMap<BufferNumber, (Val, usize)>,
    combines: Vec<Combine>,
    checks: Vec<Check>,
}

impl<'a> Builder<'a> {
    fn new(source: &'a Source, units: &'a [&'a Unit], rows: usize, elements: i64) -> Builder<'a> {
        let (lookups, rows) = units.split_at(units.len() - rows);
        let mut written = Vec::new();
        for unit in units {
            for event in Event::ALL {
                stores(unit.on(event), &mut written);
            }
        }
        Builder {
            source,
            lookups,
            rows,
            elements,
            levels: lookups
                .iter()
                .filter(|unit| !is_single(unit))
                .count()
                .max(1),
            graph: Graph::default(),
            registers: HashMap::new(),
            written,
            forwarded: HashMap::new(),
            combines: Vec::new(),
            checks: Vec::new(),
        }
    }

    fn row_level(&self) -> usize {
        self.levels + 1
    }

    fn build(mut self) -> Option<Chain> {
        let mut positions = Vec::new();
        for unit in self.lookups {
            if is_single(unit) {
                let position = self.graph.index(constant(unit.begin)?);
                self.streams(unit, position, positions.len().max(1))?;
                continue;
            }
            let level = positions.len() + 1;
            let begin = self.end(unit.begin);
            let end = self.end(unit.end);
            let low = self.end_range(begin).0;
            let high = (self.end_range(end).1 - 1).max(low);
            positions.push(Positions {
                begin,
                end,
                step: unit.step,
            });
            let position = Def::Position(level);
            let position = self
                .graph
                .add(position, ScalarType::Index, level, (low, high));
            self.streams(unit, position, level)?;
        }
        if positions.is_empty() {
            positions.push(Positions {
                begin: End::Constant(0),
                end: End::Constant(1),
                step: 1,
            });
        }
        self.code()?;
        if self.combines.iter().any(|combine| self.reads_old(combine)) {
            return None;
        }
        // What a temporary handed on is a value; nobody else looks at it.
        let (source, forwarded) = (self.source, &self.forwarded);
        self.combines.retain(|combine| {
            forwarded
                .get(&combine.buffer)
                .is_none_or(|&(_, reads)| source.loads.get(combine.buffer) != Some(&reads))
        });
        let mut buffers: Vec<_> = self.combines.iter().map(|c| c.buffer).collect();
        buffers.sort_unstable();
        if buffers.windows(2).any(|pair| pair.first() == pair.last()) {
            return None;
        }
        Some(Chain {
            graph: self.graph,
            positions,
            units: self.lookups.len(),
            row: (!self.rows.is_empty()).then_some(self.elements),
            row_begin: match self.rows {
                [unit] => Some(constant(unit.begin)?),
                _ => None,
            },
            combines: self.combines,
            checks: self.checks,
            idle: None,
        })
    }

    /// Defines the streams of a unit whose position is a value.
    fn streams(&mut self, unit: &Unit, position: Val, level: usize) -> Option<()> {
        for (reg, op, span) in &unit.streams {
            let val = match op {
                Op::Position => position,
                Op::Arith(arith) => self.arith(arith, *reg)?,
                Op::Load { buffer, indices } => {
                    let indices = self.vals(indices);
                    self.load(*buffer, &indices, None, level, *span)?
                }
            };
            self.registers.insert(*reg, val);
        }
        Some(())
    }

    /// The units of the row, and all code.
    fn code(&mut self) -> Option<()> {
        let (lookups, rows) = (self.lookups, self.rows);
        for (n, unit) in rows.iter().enumerate() {
            let (begin, extent) = (constant(unit.begin)?, extent(unit)?);
            let range = (
                i128::from(begin),
                i128::from(begin) + i128::from(extent) - 1,
            );
            let level = self.row_level();
            let position = Def::RowPosition(n);
            let position = self.graph.add(position, ScalarType::Index, level, range);
            self.streams(unit, position, level)?;
        }
        let units = lookups.len() + rows.len();
        for (n, unit) in lookups.iter().chain(rows).enumerate() {
            for event in Event::ALL {
                let code = unit.on(event);
                if code.is_empty() {
                    continue;
                }
                let before_row = !rows.is_empty();
                let phase = match event {
                    Event::Iterate if n + 1 == units => Phase::Body,
                    Event::Iterate if before_row && n + 1 == lookups.len() => Phase::Before,
                    Event::Begin if before_row && n == lookups.len() => Phase::Before,
                    Event::Begin | Event::Iterate | Event::End => return None,
                };
                self.block(code, None, phase)?;
            }
        }
        Some(())
    }

    fn block(&mut self, code: &[Instruction], guard: Option<Val>, phase: Phase) -> Option<()> {
        let level = match phase {
            Phase::Body if !self.rows.is_empty() => self.row_level(),
            Phase::Body | Phase::Before => self.levels,
        };
        for instruction in code {
            match instruction {
                Instruction::Let(reg, op, span) => {
                    let val = match op {
                        Op::Position => return None,
                        Op::Arith(arith) => self.arith(arith, *reg)?,
                        Op::Load { buffer, indices } => {
                            let indices = self.vals(indices);
                            if self.written.contains(buffer) {
                                self.read_written(*buffer, indices, level)
                            } else {
                                self.load(*buffer, &indices, guard, level, *span)?
                            }
                        }
                    };
                    self.registers.insert(*reg, val);
                }
                Instruction::Store {
                    buffer,
                    indices,
                    value,
                    span,
                } => {
                    let indices = self.vals(indices);
                    let value = self.val(*value);
                    self.store(*buffer, &indices, value, guard, phase, *span)?;
                }
                Instruction::If {
                    condition,
                    then,
                    otherwise,
                } => {
                    let condition = self.val(*condition);
                    if self.graph.level(condition) > self.levels {
                        return None;
                    }
                    let both = self.and(guard, condition);
                    self.block(then, Some(both), phase)?;
                    if !otherwise.is_empty() {
                        let not = self
                            .graph
                            .arith(Arith::Unary(UnaryOp::Not, condition), ScalarType::BOOL);
                        let both = self.and(guard, not);
                        self.block(otherwise, Some(both), phase)?;
                    }
                }
            }
        }
        Some(())
    }

    fn and(&mut self, guard: Option<Val>, condition: Val) -> Val {
        match guard {
            None => condition,
            Some(guard) => self.graph.arith(
                Arith::Binary(BinaryOp::And, guard, condition),
                ScalarType::BOOL,
            ),
        }
    }

    /// The value of a register; one of the loops around if the chain does not define it.
    fn val(&mut self, reg: Reg) -> Val {
        if let Some(&val) = self.registers.get(&reg) {
            return val;
        }
        let ty = self.source.types.get(reg).copied();
        let val = self
            .graph
            .add(Def::Outer(reg), ty.unwrap_or(ScalarType::Index), 0, ANY);
        self.registers.insert(reg, val);
        val
    }

    fn vals(&mut self, registers: &[Reg]) -> Vec<Val> {
        registers.iter().map(|&reg| self.val(reg)).collect()
    }

    fn end(&mut self, bound: Bound) -> End {
        match bound {
            Bound::Constant(value) => End::Constant(value),
            Bound::Reg(reg) => End::Val(self.val(reg)),
        }
    }

    fn end_range(&self, end: End) -> (i128, i128) {
        match end {
            End::Constant(value) => (value.into(), value.into()),
            End::Val(val) => self.graph.get(val).range,
        }
    }

    fn arith(&mut self, arith: &Arith<Reg>, reg: Reg) -> Option<Val> {
        let arith = arith.map(|&reg| self.val(reg));
        let ty = *self.source.types.get(reg)?;
        if let Arith::Select(condition, on_true, on_false) = arith
            && self.graph.level(condition) <= self.levels
        {
            if let Some(filled) = self.filled(condition, on_true, on_false) {
                return Some(filled);
            }
            if self.graph.as_constant(on_true).is_some() {
                let not = Arith::Unary(UnaryOp::Not, condition);
                let not = self.graph.arith(not, ScalarType::BOOL);
                if let Some(filled) = self.filled(not, on_false, on_true) {
                    return Some(filled);
                }
            }
        }
        Some(self.graph.arith(arith, ty))
    }

    /// Whether a combine needs an old value beside its own.
    fn reads_old(&self, combine: &Combine) -> bool {
        let mut left: Vec<Val> = vec![combine.value, combine.dst];
        left.extend(combine.guard);
        let mut seen = vec![false; self.graph.vals.len()];
        while let Some(val) = left.pop() {
            match seen.get_mut(val.0) {
                Some(seen) if !*seen => *seen = true,
                _ => continue,
            }
            if matches!(self.graph.get(val).def, Def::Old { .. }) {
                return true;
            }
            left.extend(self.graph.operands(val));
        }
        false
    }
}

/// The combine that a binary operation on the old value is.
fn combine(op: BinaryOp) -> Option<CombineOp> {
    Some(match op {
        BinaryOp::Add => CombineOp::Add,
        BinaryOp::Sub => CombineOp::Sub,
        BinaryOp::Mul => CombineOp::Mul,
        BinaryOp::Min => CombineOp::Min,
        BinaryOp::Max => CombineOp::Max,
        BinaryOp::And => CombineOp::And,
        BinaryOp::Or => CombineOp::Or,
        BinaryOp::Xor => CombineOp::Xor,
        BinaryOp::Div
        | BinaryOp::Rem
        | BinaryOp::Pow
        | BinaryOp::Atan2
        | BinaryOp::Shl
        | BinaryOp::ShrArithmetic
        | BinaryOp::ShrLogical => return None,
    })
}

fn constant(bound: Bound) -> Option<i64> {
    match bound {
        Bound::Constant(value) => Some(value),
        Bound::Reg(_) => None,
    }
}

/// The buffers that code writes.
pub(crate) fn stores(code: &[Instruction], written: &mut Vec<BufferNumber>) {
    for instruction in code {
        match instruction {
            Instruction::Let(..) => {}
            Instruction::Store { buffer, .. } => written.push(*buffer),
            Instruction::If {
                condition: _,
                then,
                otherwise,
            } => {
                stores(then, written);
                stores(otherwise, written);
            }
        }
    }
}
