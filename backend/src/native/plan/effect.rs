//! What is done with decoded lookups: one effect for each combine, and the kernel that does it.

use hashbrown::HashMap;
use hlo2dae_ir::core::{
    Arith, BinaryOp, CombineOp, ElementType, Scalar, ScalarType, Span, UnaryOp,
};

use super::flat::Combine;
use super::graph::{Def, Graph, Val};
use super::level::Place;
use super::schedule::Scheduler;
use super::source::{BufferNumber, Source};
use crate::native::kernels::accumulate::{By, LONGEST, Op, Post, Step, StepOp, covers};
use crate::native::kernels::fold::{Last, Meet};

/// An effect: `buffer[dst] = op(buffer[dst], value)`, for each lookup whose guard is true.
#[derive(Clone, Debug)]
pub(crate) struct Effect {
    pub op: CombineOp,
    pub buffer: BufferNumber,
    pub guard: Option<Place>,
    /// The columns that it takes from the innermost level; the first is `dst`, in elements.
    pub exports: Vec<(Place, ScalarType)>,
    /// Whether `dst` is known from memory alone: its rows are to be fetched ahead.
    pub scattered: bool,
    pub kernel: Kernel,
    pub span: Span,
}

/// How an effect is done. Numbers are those of the exports.
#[derive(Clone, Debug)]
pub(crate) enum Kernel {
    /// One element for each lookup.
    Scalars { value: usize },
    /// Rows computed in tiles; `fold` combines all of a row into one element.
    Rows { program: RowProgram, fold: bool },
    /// Up to three rows reduced to one element.
    Fold {
        first: Table,
        others: [Option<(Meet, Table)>; 2],
        last: Last,
    },
    /// Rows of a table accumulated in registers.
    Accumulate {
        op: Op,
        post: Post,
        table: Table,
        scale: Option<usize>,
        bias: Option<usize>,
    },
    /// Rows of a table copied.
    Copy { table: Table },
}

impl Kernel {
    /// Whether rows that are done from a column on are given to it as rows that start there.
    pub fn is_shifted(&self) -> bool {
        matches!(self, Kernel::Rows { .. })
    }
}

/// The rows that a kernel reads.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub buffer: BufferNumber,
    /// Where the rows start; -1 for `fill`.
    pub src: usize,
    pub fill: Option<Scalar>,
    /// Whether `src` is known from memory alone: the rows are to be fetched ahead. The hardware follows others.
    pub scattered: bool,
    pub span: Span,
}

/// What is computed along a row.
#[derive(Clone, Debug, Default)]
pub(crate) struct RowProgram {
    pub steps: Vec<(RowStep, ScalarType)>,
    /// The step whose rows are the result.
    pub result: usize,
}

/// One step on a tile of rows; steps are numbered.
#[derive(Clone, Debug)]
pub(crate) enum RowStep {
    Load {
        table: Table,
        stride: i64,
    },
    /// A value of the lookup, along its row.
    Spread {
        export: usize,
    },
    Constant(Scalar),
    /// The position in the row.
    Position {
        begin: i64,
    },
    Arith(Arith<usize>),
}

/// An effect whose exports are values yet.
pub(crate) struct Draft {
    pub combine: Combine,
    pub exports: Vec<Val>,
    types: Vec<ScalarType>,
    scattered: bool,
    kernel: Kernel,
}

impl Draft {
    /// The effect, once values have places.
    pub fn finish(self, place: impl Fn(Val) -> Option<Place>) -> Option<Effect> {
        let exports = self.exports.iter().zip(&self.types);
        Some(Effect {
            op: self.combine.op,
            buffer: self.combine.buffer,
            guard: match self.combine.guard {
                None => None,
                Some(guard) => Some(place(guard)?),
            },
            exports: exports
                .map(|(&val, &ty)| Some((place(val)?, ty)))
                .collect::<Option<_>>()?,
            scattered: self.scattered,
            kernel: self.kernel,
            span: self.combine.span,
        })
    }
}

impl Effect {
    /// The tables that it reads rows of.
    pub fn tables(&self) -> impl Iterator<Item = &Table> {
        let none = (None, [].as_slice(), [].as_slice());
        let (one, others, steps) = match &self.kernel {
            Kernel::Accumulate { table, .. } | Kernel::Copy { table } => {
                (Some(table), none.1, none.2)
            }
            Kernel::Fold { first, others, .. } => (Some(first), others.as_slice(), none.2),
            Kernel::Rows { program, .. } => (None, none.1, program.steps.as_slice()),
            Kernel::Scalars { .. } => none,
        };
        let others = others.iter().flatten().map(|(_, table)| table);
        let loaded = steps.iter().filter_map(|(step, _)| match step {
            RowStep::Load { table, .. } => Some(table),
            RowStep::Spread { .. }
            | RowStep::Constant(_)
            | RowStep::Position { .. }
            | RowStep::Arith(_) => None,
        });
        one.into_iter().chain(others).chain(loaded)
    }

    /// Bytes of the elements that one position of a row touches; for whole rows, times their size.
    pub fn bytes(&self, source: &Source) -> usize {
        let element = |buffer: BufferNumber| {
            source
                .buffers
                .get(buffer)
                .map_or(0, |data| data.element.bytes())
        };
        let tables: usize = self.tables().map(|t| element(t.buffer)).sum();
        tables + element(self.buffer)
    }

    /// Name of the kernel, for reports.
    pub fn name(&self) -> &'static str {
        match &self.kernel {
            Kernel::Scalars { .. } => "columns",
            Kernel::Fold { .. } => "fold",
            Kernel::Rows { fold: true, .. } => "row tiles, folded",
            Kernel::Rows { fold: false, .. } => "row tiles",
            Kernel::Accumulate { .. } => "accumulate",
            Kernel::Copy { .. } => "copy",
        }
    }
}

/// Chooses the kernel of a combine; none if its value is not one that rows can be computed of.
pub(super) fn draft(scheduler: &mut Scheduler, source: &Source, combine: Combine) -> Option<Draft> {
    let levels = scheduler.levels;
    let row_begin = scheduler.chain.row_begin;
    let mut exports = Exports {
        graph: &mut scheduler.chain.graph,
        levels,
        vals: vec![combine.dst],
    };
    let kernel = match combine.stride {
        None => Kernel::Scalars {
            value: exports.number(combine.value)?,
        },
        Some(stride) => {
            let fast = match stride {
                1 => accumulate(&mut exports, source, &combine)
                    .or_else(|| copy(&mut exports, source, &combine)),
                0 => fold(&mut exports, source, &combine),
                _ => None,
            };
            match fast {
                Some(kernel) => kernel,
                None => {
                    exports.vals.truncate(1);
                    let mut program = RowProgram::default();
                    let mut known = HashMap::new();
                    let result = exports.row(combine.value, &mut program, &mut known, row_begin)?;
                    program.result = result;
                    Kernel::Rows {
                        program,
                        fold: stride == 0,
                    }
                }
            }
        }
    };
    let types = exports.vals.iter().map(|&v| exports.graph.ty(v)).collect();
    let scattered = exports.graph.is_loaded(combine.dst);
    Some(Draft {
        scattered,
        exports: exports.vals,
        types,
        kernel,
        combine,
    })
}

/// The values that an effect takes from the innermost lookup level.
struct Exports<'a> {
    graph: &'a mut Graph,
    levels: usize,
    vals: Vec<Val>,
}

impl Exports<'_> {
    /// The number of a value among the exports.
    fn number(&mut self, val: Val) -> Option<usize> {
        if self.graph.level(val) > self.levels {
            return None;
        }
        if let Some(known) = self.vals.iter().skip(1).position(|&v| v == val) {
            return Some(known + 1);
        }
        self.vals.push(val);
        Some(self.vals.len() - 1)
    }

    /// The rows that a value reads, and from one element to the next.
    fn table(&mut self, val: Val) -> Option<(Table, i64)> {
        let Def::RowLoad {
            buffer,
            base,
            stride,
            fill,
            span,
        } = self.graph.get(val).def.clone()
        else {
            return None;
        };
        let src = match fill {
            None => base,
            Some((condition, _)) => {
                let elsewhere = self.graph.index(-1);
                let src = Arith::Select(condition, base, elsewhere);
                self.graph.arith(src, ScalarType::Index)
            }
        };
        let table = Table {
            buffer,
            scattered: self.graph.is_loaded(src),
            src: self.number(src)?,
            fill: fill.map(|(_, value)| value),
            span,
        };
        Some((table, stride))
    }

    /// The step that computes a value along the row. Recursion is as deep as the expression of one case.
    fn row(
        &mut self,
        val: Val,
        program: &mut RowProgram,
        known: &mut HashMap<Val, usize>,
        begin: Option<i64>,
    ) -> Option<usize> {
        if let Some(&step) = known.get(&val) {
            return Some(step);
        }
        let data = self.graph.get(val).clone();
        let step = if let Some(value) = self.graph.as_constant(val) {
            RowStep::Constant(value)
        } else if data.level <= self.levels {
            RowStep::Spread {
                export: self.number(val)?,
            }
        } else {
            match data.def {
                Def::RowLoad { .. } => {
                    let (table, stride) = self.table(val)?;
                    RowStep::Load { table, stride }
                }
                Def::RowPosition(_) => RowStep::Position { begin: begin? },
                Def::Arith(arith) => {
                    let arith = arith
                        .try_map(|&v| self.row(v, program, known, begin).ok_or(()))
                        .ok()?;
                    RowStep::Arith(arith)
                }
                Def::Outer(_)
                | Def::Position(_)
                | Def::Decode(_, _)
                | Def::Load { .. }
                | Def::LoadRun { .. }
                | Def::Old { .. } => return None,
            }
        };
        program.steps.push((step, data.ty));
        known.insert(val, program.steps.len() - 1);
        Some(program.steps.len() - 1)
    }

    /// `x`, or what is converted to it.
    fn widened(&self, val: Val) -> Val {
        match self.graph.get(val).def {
            Def::Arith(Arith::Convert(from, to)) if to == F32 => from,
            _ => val,
        }
    }

    /// What a value along the row is computed of, one step after the other, each with a value of the lookup; and the steps, the first first.
    fn chain(&mut self, val: Val) -> Option<(Val, Vec<(StepOp, Val)>)> {
        let (mut row, mut steps) = (val, Vec::new());
        loop {
            let (of, op, by) = match self.graph.get(row).def.clone() {
                Def::Arith(Arith::Binary(BinaryOp::Mul, a, b)) => {
                    let (of, by) = self.sides(a, b)?;
                    (of, StepOp::Mul, by)
                }
                Def::Arith(Arith::Binary(BinaryOp::Add, a, b)) => {
                    let (of, by) = self.sides(a, b)?;
                    (of, StepOp::Add, by)
                }
                Def::Arith(Arith::Binary(BinaryOp::Div, of, by)) if !self.is_row(by) => {
                    (of, StepOp::Div, by)
                }
                // To subtract is to add the negative, to the bit.
                Def::Arith(Arith::Binary(BinaryOp::Sub, of, by)) if !self.is_row(by) => (
                    of,
                    StepOp::Add,
                    self.graph.arith(Arith::Unary(UnaryOp::Neg, by), F32),
                ),
                Def::Arith(Arith::Unary(UnaryOp::Neg, of)) => {
                    (of, StepOp::Mul, self.graph.constant(Scalar::F32(-1.0)))
                }
                _ => {
                    steps.reverse();
                    return Some((row, steps));
                }
            };
            row = of;
            steps.push((op, by));
        }
    }

    /// The post that does some steps, and the numbers of the values that it reads.
    fn post(
        &mut self,
        steps: &[(StepOp, Val)],
        covered: impl Fn(Post) -> bool,
    ) -> Option<(Post, Option<usize>, Option<usize>)> {
        let known = match *steps {
            [] => Some((Post::Plain, None, None)),
            [(StepOp::Mul, s)] => Some((Post::Scale, Some(s), None)),
            [(StepOp::Mul, s), (StepOp::Add, b)] => Some((Post::ScaleBias, Some(s), Some(b))),
            [(StepOp::Add, b), (StepOp::Mul, s)] => Some((Post::BiasScale, Some(s), Some(b))),
            _ => None,
        };
        let known = known.filter(|&(post, ..)| covered(post));
        let (post, scale, bias) = match known {
            Some(known) => known,
            None => self.chained(steps).filter(|&(post, ..)| covered(post))?,
        };
        let mut number = |val: Option<Val>| match val {
            None => Some(None),
            Some(val) => self.number(val).map(Some),
        };
        Some((post, number(scale)?, number(bias)?))
    }

    /// Steps as a chain, if it is not too long and reads no more than two values of a lookup.
    fn chained(&self, steps: &[(StepOp, Val)]) -> Option<(Post, Option<Val>, Option<Val>)> {
        let (mut chain, mut values) = ([None; LONGEST], [None; 2]);
        if steps.len() > chain.len() {
            return None;
        }
        for (slot, &(op, by)) in chain.iter_mut().zip(steps) {
            let by = match self.graph.as_constant(by) {
                Some(Scalar::F32(value)) => By::Constant(value),
                _ => match &mut values {
                    [scale, _] if scale.is_none_or(|known| known == by) => {
                        *scale = Some(by);
                        By::Scale
                    }
                    [_, bias] if bias.is_none_or(|known| known == by) => {
                        *bias = Some(by);
                        By::Bias
                    }
                    _ => return None,
                },
            };
            *slot = Some(Step { op, by });
        }
        let [scale, bias] = values;
        Some((Post::Chain(chain), scale, bias))
    }

    /// How two operands along the row meet in a value.
    fn meet(&self, val: Val) -> Option<(Meet, Val, Val)> {
        let Def::Arith(Arith::Binary(op, a, b)) = self.graph.get(val).def else {
            return None;
        };
        let meet = match op {
            BinaryOp::Add => Meet::Add,
            BinaryOp::Sub => Meet::Sub,
            BinaryOp::Mul => Meet::Mul,
            _ => return None,
        };
        Some((meet, a, b))
    }

    fn is_row(&self, val: Val) -> bool {
        self.graph.level(val) > self.levels
    }

    /// The operand along the row and the other one, of an operation that commutes.
    fn sides(&self, a: Val, b: Val) -> Option<(Val, Val)> {
        match (self.is_row(a), self.is_row(b)) {
            (true, false) => Some((a, b)),
            (false, true) => Some((b, a)),
            (true, true) | (false, false) => None,
        }
    }
}

const F32: ScalarType = ScalarType::Element(ElementType::F32);

/// Rows of a table, perhaps converted, scaled and shifted, accumulated into rows of `f32`.
fn accumulate(exports: &mut Exports<'_>, source: &Source, combine: &Combine) -> Option<Kernel> {
    let op = match combine.op {
        CombineOp::Add | CombineOp::Sub => Op::Add,
        CombineOp::Min => Op::Min,
        CombineOp::Max => Op::Max,
        CombineOp::Mul | CombineOp::And | CombineOp::Or | CombineOp::Xor | CombineOp::Replace => {
            return None;
        }
    };
    let value = combine.value;
    if source.buffers.get(combine.buffer)?.element != ElementType::F32
        || exports.graph.ty(value) != F32
    {
        return None;
    }
    let (row, mut steps) = exports.chain(value)?;
    if combine.op == CombineOp::Sub {
        // To subtract is to add the negative, to the bit.
        steps.push((StepOp::Mul, exports.graph.constant(Scalar::F32(-1.0))));
    }
    let row = exports.widened(row);
    let (table, stride) = exports.table(row)?;
    let element = source.buffers.get(table.buffer)?.element;
    if stride != 1 || table.buffer == combine.buffer {
        return None;
    }
    let (post, scale, bias) = exports.post(&steps, |post| covers(element, op, post))?;
    Some(Kernel::Accumulate {
        op,
        post,
        table,
        scale,
        bias,
    })
}

/// A term of up to three rows of `f32`, added up along the row.
fn fold(exports: &mut Exports<'_>, source: &Source, combine: &Combine) -> Option<Kernel> {
    let is_f32 = |buffer: BufferNumber| {
        source
            .buffers
            .get(buffer)
            .is_some_and(|data| data.element == ElementType::F32)
    };
    if combine.op != CombineOp::Add || !is_f32(combine.buffer) {
        return None;
    }
    let (term, last) = match exports.graph.get(combine.value).def {
        Def::Arith(Arith::Unary(UnaryOp::Abs, of)) => (of, Last::Abs),
        Def::Arith(Arith::Binary(BinaryOp::Mul, a, b)) if a == b && exports.meet(a).is_some() => {
            (a, Last::Square)
        }
        _ => (combine.value, Last::Nothing),
    };
    // The rows from the innermost outwards.
    let (first, others) = match exports.meet(term) {
        None => (term, [None, None]),
        Some((meet, a, b)) => {
            let (inner, outer) = match (exports.meet(a), exports.meet(b)) {
                (Some(inner), _) => (Some(inner), (meet, b)),
                // What commutes may stand the other way round.
                (None, Some(inner)) if meet != Meet::Sub => (Some(inner), (meet, a)),
                (None, _) => (None, (meet, b)),
            };
            match inner {
                Some((first, x, y)) => (x, [Some((first, y)), Some(outer)]),
                None => (a, [Some(outer), None]),
            }
        }
    };
    let mut filled = None;
    let mut row = |val: Val| {
        let (table, stride) = exports.table(val)?;
        // There is one row to fill with.
        let fill = match table.fill {
            None => true,
            Some(fill) => *filled.get_or_insert(fill) == fill,
        };
        let fits = stride == 1 && fill && table.buffer != combine.buffer;
        (fits && is_f32(table.buffer)).then_some(table)
    };
    let first = row(first)?;
    let mut tables = [None, None];
    for (slot, other) in tables.iter_mut().zip(others) {
        if let Some((meet, val)) = other {
            *slot = Some((meet, row(val)?));
        }
    }
    Some(Kernel::Fold {
        first,
        others: tables,
        last,
    })
}

/// Rows of a table in place of what was there.
fn copy(exports: &mut Exports<'_>, source: &Source, combine: &Combine) -> Option<Kernel> {
    if combine.op != CombineOp::Replace {
        return None;
    }
    exports.vals.truncate(1);
    let (table, stride) = exports.table(combine.value)?;
    let (from, to) = (
        source.buffers.get(table.buffer)?,
        source.buffers.get(combine.buffer)?,
    );
    (stride == 1 && from.element == to.element && table.buffer != combine.buffer)
        .then_some(Kernel::Copy { table })
}
