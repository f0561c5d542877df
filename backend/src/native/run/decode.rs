//! The access side: lookups decoded in blocks of columns.
//!
//! Each level fills a block with the positions inside of the block of the level around, and runs its steps on it. Blocks cross the borders of what
//! is around, so that short bags cost no more than long ones.

use hlo2dae_ir::core::{Scalar, ScalarType};

use super::Run;
use super::split::Part;
use crate::native::error::RunError;
use crate::native::kernels::column::{Column, Operands, compute, with_column};
use crate::native::plan::schedule::{Flat, Level, Place, Step};

/// Lookups decoded at a time.
pub(crate) const BLOCK: usize = 256;

/// The columns of one thread, kept from run to run.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub levels: Vec<Block>,
    pub windows: Vec<super::effects::Window>,
    pub which: Vec<u32>,
}

/// The block of one level.
#[derive(Debug, Default)]
pub(crate) struct Block {
    /// For each position, the number of that around it.
    around: Vec<u32>,
    positions: Vec<i64>,
    pub columns: Vec<Column>,
}

impl Block {
    /// Makes the columns those of a level.
    fn prepare(&mut self, level: &Level) {
        self.around.clear();
        self.positions.clear();
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
}

/// What is done with the decoded blocks of the innermost level.
pub(crate) trait Consumer {
    /// Takes the first `n` values of the columns.
    fn take(&mut self, columns: &[Column], n: usize) -> Result<(), RunError>;
}

/// Decodes the lookups of one part.
pub(crate) struct Decoder<'a, 'b, C> {
    pub run: &'a Run<'a>,
    pub flat: &'a Flat,
    pub uniforms: &'a [Scalar],
    pub levels: &'b mut [Block],
    pub consumer: &'b mut C,
}

impl<C: Consumer> Decoder<'_, '_, C> {
    /// Decodes the lookups of the part's positions of the outermost level.
    pub fn decode(&mut self, part: &Part) -> Result<(), RunError> {
        let flat = self.flat;
        for (block, level) in self.levels.iter_mut().zip(&flat.levels) {
            block.prepare(level);
        }
        let Some(outermost) = flat.levels.first() else {
            return Ok(());
        };
        let begin = self.run.uniform_index(outermost.begin, self.uniforms)?;
        let mut next = part.first;
        while next < part.last {
            let n = (part.last - next).min(BLOCK as u64);
            let first = begin.wrapping_add((next as i64).wrapping_mul(outermost.step));
            if let Some(block) = self.levels.first_mut() {
                block.positions.clear();
                let steps = 0..n as i64;
                block
                    .positions
                    .extend(steps.map(|k| first.wrapping_add(k.wrapping_mul(outermost.step))));
            }
            self.block(0)?;
            next += n;
        }
        Ok(())
    }

    /// Runs the steps of a level on its block, then everything inside. Recursion is as deep as units nest.
    fn block(&mut self, level: usize) -> Result<(), RunError> {
        let flat = self.flat;
        let (outer, inner) = self.levels.split_at_mut(level);
        let (Some(block), Some(data)) = (inner.first_mut(), flat.levels.get(level)) else {
            return Ok(());
        };
        let n = block.positions.len();
        if n == 0 {
            return Ok(());
        }
        for step in &data.steps {
            self.run.step(step, outer.last(), block, n, self.uniforms)?;
        }
        if level + 1 == flat.levels.len() {
            return self.consumer.take(&block.columns, n);
        }
        self.inside(level, n)
    }

    /// Fills the blocks of the next level with the positions inside of the `n` positions of this level.
    fn inside(&mut self, level: usize, n: usize) -> Result<(), RunError> {
        let flat = self.flat;
        let Some(next) = flat.levels.get(level + 1) else {
            return Ok(());
        };
        let fixed = |place: Place| match place {
            Place::Column(_) => Ok(None),
            Place::Constant(_) | Place::Uniform(_) => {
                self.run.uniform_index(place, self.uniforms).map(Some)
            }
        };
        let (begin, end) = (fixed(next.begin)?, fixed(next.end)?);
        for around in 0..n {
            let at = |place: Place, fixed: Option<i64>, levels: &[Block]| match place {
                Place::Column(column) => levels
                    .get(level)
                    .and_then(|block| block.columns.get(column))
                    .and_then(|column| column.as_index().get(around).copied()),
                Place::Constant(_) | Place::Uniform(_) => fixed,
            };
            let begin = at(next.begin, begin, self.levels);
            let end = at(next.end, end, self.levels);
            let (Some(mut position), Some(end)) = (begin, end) else {
                return Err(self.run.broken("a bound that is no index"));
            };
            while position < end {
                let Some(block) = self.levels.get_mut(level + 1) else {
                    return Ok(());
                };
                let space = BLOCK - block.positions.len();
                // Distances between two `i64` and the number of steps are unsigned.
                let left = (end.wrapping_sub(position) as u64).div_ceil(next.step as u64);
                let take = left.min(space as u64) as usize;
                block
                    .around
                    .extend(std::iter::repeat_n(around as u32, take));
                let steps = 0..take as i64;
                block
                    .positions
                    .extend(steps.map(|k| position.wrapping_add(k.wrapping_mul(next.step))));
                let passed = position.checked_add((take as i64).wrapping_mul(next.step));
                if take == space {
                    self.flush(level + 1)?;
                }
                match passed {
                    Some(passed) => position = passed,
                    None => break,
                }
            }
        }
        self.flush(level + 1)
    }

    fn flush(&mut self, level: usize) -> Result<(), RunError> {
        self.block(level)?;
        if let Some(block) = self.levels.get_mut(level) {
            block.around.clear();
            block.positions.clear();
        }
        Ok(())
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

impl Run<'_> {
    /// One step on the first `n` positions of a block.
    fn step(
        &self,
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
                    for (to, &position) in column.iter_mut().zip(&block.positions) {
                        *to = position;
                    }
                }
            }
            Step::Pick { from, to } => {
                let from = outer.and_then(|outer| outer.columns.get(*from));
                if let (Some(from), Some(to)) = (from, block.columns.get_mut(*to)) {
                    to.pick(from, &block.around);
                }
            }
            Step::Arith { arith, to } => {
                let mut out = take(&mut block.columns, *to);
                let operands =
                    arith.try_map(|&place| self.operands(place, &block.columns, uniforms));
                let isa = self.options.isa;
                let done = operands.and_then(|arith| {
                    compute(isa, &arith, &mut out, n).map_err(|error| self.broken(error))
                });
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
                let done = match self.operands(*offset, &block.columns, uniforms)? {
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
            Step::Check {
                val,
                low,
                high,
                guard,
                buffer,
                span,
            } => {
                let val = self.operands(*val, &block.columns, uniforms)?;
                let guard = match guard {
                    None => Operands::All(Scalar::Bool(true)),
                    Some(guard) => self.operands(*guard, &block.columns, uniforms)?,
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

    /// The operand at a place.
    fn operands<'c>(
        &self,
        place: Place,
        columns: &'c [Column],
        uniforms: &[Scalar],
    ) -> Result<Operands<'c>, RunError> {
        match place {
            Place::Column(n) => {
                let column = columns.get(n).map(Operands::Each);
                column.ok_or_else(|| self.broken("a column that does not exist"))
            }
            Place::Constant(_) | Place::Uniform(_) => {
                self.uniform(place, uniforms).map(Operands::All)
            }
        }
    }
}
