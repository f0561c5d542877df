//! The access side: lookups decoded in blocks of columns.
//!
//! Each level fills a block with the positions inside of the block of the level around, and runs its steps on it. Blocks cross the borders of what
//! is around, so that short bags cost no more than long ones.

use hlo2dae_ir::core::{Scalar, ScalarType};

use super::Run;
use super::split::Part;
use crate::native::error::RunError;
use crate::native::kernels::column::index::{self, Decoded};
use crate::native::kernels::column::{BLOCK, Column, Operands, Slot, compute, with_column};
use crate::native::plan::level::{Level, Place, Step};

/// The columns of one thread, kept from run to run.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub blocks: Vec<Block>,
    pub windows: Vec<super::effects::Window>,
    /// Memory for sums of its own.
    pub sums: Vec<f32>,
    /// Lookups in the order of the rows that they write: of all, and of a range of rows.
    pub ranges: super::reached::Ranges,
    pub order: super::reached::Order,
}

/// The block of one level.
#[derive(Debug, Default)]
pub(crate) struct Block {
    /// The positions, as runs of them.
    runs: Vec<Positions>,
    /// For each position, the number of that around it, where runs are short; as long as a block, like the columns.
    around: Vec<Slot>,
    columns: Vec<Column>,
    /// For each position, where the level inside begins and ends.
    bounds: Vec<(i64, i64)>,
}

/// Positions one after the other inside of one position of the level around.
#[derive(Clone, Copy, Debug)]
struct Positions {
    /// The number of that around.
    around: Slot,
    first: i64,
    count: usize,
}

impl Block {
    /// Whether runs are so long that they are better filled than their positions picked one by one.
    fn has_long_runs(&self, n: usize) -> bool {
        self.runs.len() * 8 <= n
    }

    /// Writes down the number around for each position, where runs are short.
    fn spread(&mut self, n: usize) {
        if self.has_long_runs(n) {
            return;
        }
        let mut rest = self.around.as_mut_slice();
        for run in &self.runs {
            let Some((numbers, behind)) = rest.split_at_mut_checked(run.count) else {
                return;
            };
            numbers.fill(run.around);
            rest = behind;
        }
    }

    /// Makes the columns those of a level.
    fn prepare(&mut self, level: &Level) {
        self.around.resize(BLOCK, 0);
        let fits = self.columns.len() == level.columns.len()
            && self
                .columns
                .iter()
                .zip(&level.columns)
                .all(|(column, &ty)| column.holds(ty) && column.len() == BLOCK);
        if !fits {
            self.columns = level
                .columns
                .iter()
                .map(|&ty| Column::new(ty, BLOCK))
                .collect();
        }
    }

    /// The columns of `n` positions of an outermost level from `first` on; no more than a block has.
    pub fn columns(
        &mut self,
        run: &Run<'_>,
        level: &Level,
        (first, n): (i64, usize),
        uniforms: &[Scalar],
    ) -> Result<&[Column], RunError> {
        self.prepare(level);
        self.only(first, n);
        for step in &level.steps {
            run.step(level.step, step, None, self, n, uniforms)?;
        }
        Ok(&self.columns)
    }

    /// Makes the positions `n` from `first` on.
    fn only(&mut self, first: i64, n: usize) {
        self.runs.clear();
        self.runs.push(Positions {
            around: 0,
            first,
            count: n,
        });
    }
}

/// What is done with the decoded blocks of the innermost level.
pub(crate) trait Consumer {
    /// Called before the `n` positions of the outermost level from number `first` on are decoded.
    fn begin(&mut self, _first: u64, _n: u64) {}

    /// Takes what is inside of positions around, of which it gets the columns and, for each, where the innermost level begins and ends, or says
    /// that it wants to [`Self::take`] it decoded.
    fn take_inside(&mut self, _: &[Column], _: &[(i64, i64)]) -> Result<bool, RunError> {
        Ok(false)
    }

    /// Takes the first `n` values of the columns.
    fn take(&mut self, columns: &[Column], n: usize) -> Result<(), RunError>;
}

/// Decodes the lookups of one part.
pub(crate) struct Decoder<'a, 'b, C> {
    pub run: &'a Run<'a>,
    pub levels: &'a [Level],
    pub uniforms: &'a [Scalar],
    pub blocks: &'b mut [Block],
    pub consumer: &'b mut C,
}

impl<C: Consumer> Decoder<'_, '_, C> {
    /// Decodes the lookups of the part's positions of the outermost level.
    pub fn decode(&mut self, part: &Part) -> Result<(), RunError> {
        for (block, level) in self.blocks.iter_mut().zip(self.levels) {
            block.prepare(level);
        }
        let Some(outermost) = self.levels.first() else {
            return Ok(());
        };
        let begin = self.run.uniform_index(outermost.begin, self.uniforms)?;
        let mut next = part.first;
        while next < part.last {
            let n = (part.last - next).min(BLOCK as u64);
            self.consumer.begin(next, n);
            let first = begin.wrapping_add((next as i64).wrapping_mul(outermost.step));
            if let Some(block) = self.blocks.first_mut() {
                block.only(first, n as usize);
            }
            self.block(0, n as usize)?;
            next += n;
        }
        Ok(())
    }

    /// Runs the steps of a level on the first `n` positions of its block, then everything inside. Recursion is as deep as units nest.
    fn block(&mut self, level: usize, n: usize) -> Result<(), RunError> {
        let (outer, inner) = self.blocks.split_at_mut(level);
        let (Some(block), Some(data)) = (inner.first_mut(), self.levels.get(level)) else {
            return Ok(());
        };
        for step in &data.steps {
            self.run
                .step(data.step, step, outer.last(), block, n, self.uniforms)?;
        }
        if level + 1 == self.levels.len() {
            return self.consumer.take(&block.columns, n);
        }
        self.inside(level, n)
    }

    /// Fills the blocks of the next level with the positions inside of the `n` positions of this level.
    fn inside(&mut self, level: usize, n: usize) -> Result<(), RunError> {
        let Some(next) = self.levels.get(level + 1) else {
            return Ok(());
        };
        let Some(block) = self.blocks.get_mut(level) else {
            return Ok(());
        };
        let mut bounds = std::mem::take(&mut block.bounds);
        let begin = self
            .run
            .indices(next.begin, &block.columns, self.uniforms)?;
        let end = self.run.indices(next.end, &block.columns, self.uniforms)?;
        bounds.clear();
        bounds.extend((0..n).map(|k| (begin.get(k), end.get(k))));
        let done = match level + 2 == self.levels.len()
            && self.consumer.take_inside(&block.columns, &bounds)?
        {
            true => Ok(()),
            false => self.between(level + 1, next.step, &bounds),
        };
        if let Some(block) = self.blocks.get_mut(level) {
            block.bounds = bounds;
        }
        done
    }

    /// Fills the blocks of a level with the positions between bounds, and runs them.
    fn between(&mut self, level: usize, step: i64, bounds: &[(i64, i64)]) -> Result<(), RunError> {
        let n = bounds.len();
        let at = |k: usize| bounds.get(k).copied().unwrap_or((0, 0));
        let mut around = 0;
        let (mut position, mut end) = at(0);
        while around < n {
            let Some(block) = self.blocks.get_mut(level) else {
                return Ok(());
            };
            let mut filled = 0;
            block.runs.clear();
            while around < n && filled < BLOCK {
                // Distances between two `i64` and the number of steps are unsigned.
                let left = match position < end {
                    true => (end.wrapping_sub(position) as u64).div_ceil(step as u64),
                    false => 0,
                };
                let take = left.min((BLOCK - filled) as u64) as usize;
                block.runs.push(Positions {
                    around: around as Slot,
                    first: position,
                    count: take,
                });
                filled += take;
                if take as u64 == left {
                    around += 1;
                    (position, end) = at(around);
                } else {
                    position = position.wrapping_add((take as i64).wrapping_mul(step));
                }
            }
            if filled > 0 {
                block.spread(filled);
                self.block(level, filled)?;
            }
        }
        Ok(())
    }
}

/// Positions from `first` on.
fn steps(positions: &mut [i64], first: i64, step: i64) {
    if step == 1 {
        // No product, which not all vector instructions have for 64 bits.
        for (k, position) in positions.iter_mut().enumerate() {
            *position = first.wrapping_add(k as i64);
        }
        return;
    }
    let mut next = first;
    for position in positions {
        *position = next;
        next = next.wrapping_add(step);
    }
}

impl Column {
    /// Whether it is a column of this type.
    pub fn holds(&self, ty: ScalarType) -> bool {
        use hlo2dae_ir::core::{ElementType, Native};
        fn element<T: Native>(_: &[T]) -> ElementType {
            T::ELEMENT
        }
        let element = with_column!(self, |v| element(v.as_slice()));
        match ty {
            ScalarType::Index => element == ElementType::S64,
            ScalarType::Element(wanted) => element == wanted,
        }
    }
}

/// An index for each position of a level, or one for all.
#[derive(Clone, Copy)]
pub(super) enum Indices<'a> {
    Each(&'a [i64]),
    All(i64),
}

impl Indices<'_> {
    /// That of position `k`; -1 if there is none.
    #[inline]
    pub fn get(self, k: usize) -> i64 {
        match self {
            Indices::Each(values) => values.get(k).copied().unwrap_or(-1),
            Indices::All(value) => value,
        }
    }
}

impl Run<'_> {
    /// Hands the lookups of parts to a consumer, decoded by some levels.
    pub(super) fn decode<'p>(
        &self,
        levels: &[Level],
        uniforms: &[Scalar],
        blocks: &mut Vec<Block>,
        parts: impl IntoIterator<Item = &'p Part>,
        consumer: &mut impl Consumer,
    ) -> Result<(), RunError> {
        blocks.resize_with(levels.len(), Block::default);
        let mut decoder = Decoder {
            run: self,
            levels,
            uniforms,
            blocks,
            consumer,
        };
        parts.into_iter().try_for_each(|part| decoder.decode(part))
    }

    /// The indices at a place.
    pub(super) fn indices<'c>(
        &self,
        place: Place,
        columns: &'c [Column],
        uniforms: &[Scalar],
    ) -> Result<Indices<'c>, RunError> {
        let Place::Column(column) = place else {
            return self.uniform_index(place, uniforms).map(Indices::All);
        };
        match columns.get(column) {
            Some(Column::S64(values)) => Ok(Indices::Each(values)),
            _ => Err(self.broken("a column that is no index")),
        }
    }

    /// One step on the first `n` positions of a block, which are `by` apart.
    fn step(
        &self,
        by: i64,
        step: &Step,
        outer: Option<&Block>,
        block: &mut Block,
        n: usize,
        uniforms: &[Scalar],
    ) -> Result<(), RunError> {
        // A column is taken out while it is written: a step does not read what it writes.
        let take = |columns: &mut [Column], to: usize| {
            columns
                .get_mut(to)
                .map_or(Column::none(), |c| std::mem::replace(c, Column::none()))
        };
        match step {
            Step::Position { to } => {
                if let Some(Column::S64(column)) = block.columns.get_mut(*to) {
                    let mut rest = column.as_mut_slice();
                    for run in &block.runs {
                        let Some((positions, behind)) = rest.split_at_mut_checked(run.count) else {
                            break;
                        };
                        steps(positions, run.first, by);
                        rest = behind;
                    }
                }
            }
            Step::Pick { from, to } => {
                let from = outer.and_then(|outer| outer.columns.get(*from));
                let long = block.has_long_runs(n);
                if let (Some(from), Some(to)) = (from, block.columns.get_mut(*to)) {
                    if long {
                        to.pick_runs(from, block.runs.iter().map(|run| (run.around, run.count)));
                    } else {
                        to.pick(from, block.around.get(..n).unwrap_or(&[]));
                    }
                }
            }
            Step::Arith { arith, to } => {
                let mut out = take(&mut block.columns, *to);
                let operands =
                    arith.try_map(|&place| operand(place, &block.columns, uniforms).ok_or(()));
                let isa = self.options.isa;
                let done = match operands {
                    Ok(arith) => {
                        compute(isa, &arith, &mut out, n).map_err(|error| self.broken(error))
                    }
                    Err(()) => Err(self.no_operand()),
                };
                if let Some(column) = block.columns.get_mut(*to) {
                    *column = out;
                }
                done?;
            }
            Step::Decode { of, decode, to } => {
                let mut out = take(&mut block.columns, *to);
                let of = operand(*of, &block.columns, uniforms);
                let done = match of {
                    Some(Operands::Each(of)) => {
                        let done = index::decode(self.options.isa, *decode, of, &mut out, n);
                        done.map_err(|error| self.broken(error))
                    }
                    Some(Operands::All(_)) | None => Err(self.no_operand()),
                };
                if let Some(column) = block.columns.get_mut(*to) {
                    *column = out;
                }
                done?;
            }
            Step::Load {
                buffer,
                offset,
                to,
                span,
            } => {
                let mut out = take(&mut block.columns, *to);
                let outside = |_| self.outside(*buffer, *span);
                let offsets = operand(*offset, &block.columns, uniforms);
                let done = match offsets.ok_or_else(|| self.no_operand())? {
                    Operands::All(offset) => match offset {
                        Scalar::Index(offset) => {
                            let value = self.memory.load(*buffer, offset).map_err(outside);
                            value.map(|value| out.fill(n, value))
                        }
                        _ => Err(self.broken("an offset that is no index")),
                    },
                    Operands::Each(offsets) => {
                        let offsets = offsets.as_index().get(..n).unwrap_or(&[]);
                        with_column!(&mut out, |out| {
                            self.memory.gather(*buffer, offsets, out).map_err(outside)
                        })
                    }
                };
                if let Some(column) = block.columns.get_mut(*to) {
                    *column = out;
                }
                done?;
            }
            Step::LoadRun {
                buffer,
                base,
                decode,
                to,
                span,
            } => {
                let none = Block::default();
                let base = operand(*base, &outer.unwrap_or(&none).columns, uniforms);
                let (all, each) = match base.ok_or_else(|| self.no_operand())? {
                    Operands::All(Scalar::Index(base)) => (base, &[][..]),
                    Operands::Each(bases) => (0, bases.as_index()),
                    Operands::All(_) => return Err(self.broken("an offset that is no index")),
                };
                let runs = block.runs.iter().map(|run| {
                    let base = each.get(usize::from(run.around)).copied().unwrap_or(all);
                    (base.wrapping_add(run.first), run.count)
                });
                let Some(out) = block.columns.get_mut(*to) else {
                    return Err(self.no_operand());
                };
                let done = match decode {
                    None => with_column!(out, |out| self.memory.load_runs(*buffer, runs, out)),
                    Some(decode) => {
                        let out = Decoded::of(out).ok_or_else(|| self.no_operand())?;
                        let isa = self.options.isa;
                        self.memory.decode_runs(isa, *buffer, runs, *decode, out)
                    }
                };
                done.map_err(|_| self.outside(*buffer, *span))?;
            }
            Step::Check {
                val,
                low,
                high,
                guard,
                buffer,
                span,
            } => {
                let find = |place: Place| {
                    operand(place, &block.columns, uniforms).ok_or_else(|| self.no_operand())
                };
                let val = find(*val)?;
                let guard = match guard {
                    None => Operands::All(Scalar::Bool(true)),
                    Some(guard) => find(*guard)?,
                };
                let inside = |v: i64| *low <= v && v <= *high;
                let ok = match (val, guard) {
                    (_, Operands::All(Scalar::Bool(false))) => true,
                    (Operands::All(Scalar::Index(v)), Operands::All(_)) => inside(v),
                    (Operands::All(Scalar::Index(v)), Operands::Each(guard)) => {
                        inside(v) || !guard.as_bool().iter().take(n).any(|&g| g)
                    }
                    (Operands::Each(v), Operands::All(_)) => {
                        v.as_index().iter().take(n).all(|&v| inside(v))
                    }
                    (Operands::Each(v), Operands::Each(guard)) => {
                        let pairs = v.as_index().iter().zip(guard.as_bool()).take(n);
                        pairs.fold(true, |ok, (&v, &g)| ok & (inside(v) | !g))
                    }
                    (Operands::All(_), _) => false,
                };
                if !ok {
                    return Err(self.outside(*buffer, *span));
                }
            }
        }
        Ok(())
    }

    #[cold]
    fn no_operand(&self) -> RunError {
        self.broken("an operand that does not exist")
    }
}

/// The operand at a place.
#[inline]
fn operand<'c>(place: Place, columns: &'c [Column], uniforms: &[Scalar]) -> Option<Operands<'c>> {
    match place {
        Place::Column(n) => columns.get(n).map(Operands::Each),
        Place::Constant(value) => Some(Operands::All(value)),
        Place::Uniform(n) => uniforms.get(n).copied().map(Operands::All),
    }
}
