//! What runs: the lookup levels of a nest, each some steps on columns, and the effects of its lookups.

use hashbrown::HashSet;
use hlo2dae_ir::core::{Arith, Scalar, ScalarType, Span};

use super::direct::Direct;
use super::effect::{Effect, Kernel};
use super::source::{BufferNumber, Reg};
use crate::native::kernels::column::index::Decode;

/// Where a value is when a level's steps run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Place {
    Constant(Scalar),
    /// The same for all lookups.
    Uniform(usize),
    /// A column of the level.
    Column(usize),
}

/// What a value that is the same for all lookups is.
#[derive(Clone, Debug)]
pub(crate) enum Uniform {
    Outer(Reg),
    Arith(Arith<Place>),
    Load {
        buffer: BufferNumber,
        offset: Place,
        span: Span,
    },
}

/// One step on columns.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// The positions of the level's unit.
    Position {
        to: usize,
    },
    /// A column of the level around, for each position inside.
    Pick {
        from: usize,
        to: usize,
    },
    Arith {
        arith: Arith<Place>,
        to: usize,
    },
    /// Integers as indices.
    Decode {
        of: Place,
        decode: Decode,
        to: usize,
    },
    Load {
        buffer: BufferNumber,
        offset: Place,
        to: usize,
        span: Span,
    },
    /// Elements one behind the other: at the positions of the level's unit, from `base` on, which is a place of the level around; decoded, if
    /// they are indices.
    LoadRun {
        buffer: BufferNumber,
        base: Place,
        decode: Option<Decode>,
        to: usize,
        span: Span,
    },
    Check {
        val: Place,
        low: i64,
        high: i64,
        guard: Option<Place>,
        buffer: BufferNumber,
        span: Span,
    },
}

/// A lookup level.
#[derive(Clone, Debug)]
pub(crate) struct Level {
    /// First position and the one behind the last: places of the level around.
    pub begin: Place,
    pub end: Place,
    pub step: i64,
    /// Types of the columns.
    pub columns: Vec<ScalarType>,
    pub steps: Vec<Step>,
}

/// A buffer that a nest starts by itself, just before it is added to: it is in the cache then, or not needed there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    pub buffer: BufferNumber,
    pub value: Scalar,
    pub how: Starting,
}

/// Who starts which elements of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Starting {
    /// Each outermost position as many; those of the first come first.
    Position(usize),
    /// The kernel of the only effect: rows as lookups come to them, and what they pass over. Those of an outermost position are as many, if its
    /// lookups write nothing else.
    Lookup(Option<usize>),
}

/// A nest that runs by columns.
#[derive(Clone, Debug)]
pub(crate) struct Flat {
    /// The number of its [`Flat::types`].
    pub number: usize,
    pub uniforms: Vec<Uniform>,
    /// The value that was asked for besides, if it is the same for all lookups.
    pub idle: Option<Place>,
    pub levels: Vec<Level>,
    /// The levels with no other steps than those that destinations and guards need.
    pub destinations: Vec<Level>,
    /// The outermost level with no other steps than those that the bounds of the second need.
    pub bounds: Vec<Level>,
    pub effects: Vec<Effect>,
    /// How the lookups of the only effect are done without columns, if they can be.
    pub direct: Option<Direct>,
    /// The units of the chain outside of the row.
    pub units: usize,
    /// Elements of a row; 1 without rows.
    pub row: usize,
    /// The buffers that it starts.
    pub starts: Vec<Start>,
    /// The effects that may write one element at different positions of the outermost level.
    pub shared: Vec<usize>,
    /// Whether lookups whose destinations differ write different elements.
    pub apart: bool,
    /// Whether all effects are on rows, so that the row can be divided.
    pub columns: bool,
    /// Bytes that one lookup touches, about.
    pub bytes: usize,
}

impl Flat {
    /// Whether the two may run at the same time: neither writes what the other touches.
    pub fn is_apart_from(&self, other: &Flat) -> bool {
        let writes =
            |flat: &Flat, buffer: BufferNumber| flat.effects.iter().any(|e| e.buffer == buffer);
        let clear = |one: &Flat, other: &Flat| {
            one.effects
                .iter()
                .all(|effect| !writes(other, effect.buffer))
                && one.reads().all(|buffer| !writes(other, buffer))
        };
        clear(self, other) && clear(other, self)
    }

    /// Whether it reads a buffer, or combines into it.
    pub fn touches(&self, buffer: BufferNumber) -> bool {
        self.effects.iter().any(|effect| effect.buffer == buffer)
            || self.reads().any(|read| read == buffer)
    }

    /// The types of all that is kept between runs: nests of equal types can use the same memory one after the other.
    pub fn types(&self) -> Vec<ScalarType> {
        let levels = self
            .levels
            .iter()
            .flat_map(|level| level.columns.iter().copied());
        let effects = self.effects.iter().flat_map(|effect| {
            let tiles = match &effect.kernel {
                Kernel::Rows { program, .. } => program.steps.as_slice(),
                Kernel::Scalars { .. }
                | Kernel::Fold { .. }
                | Kernel::Accumulate { .. }
                | Kernel::Copy { .. } => &[],
            };
            let exports = effect.exports.iter().map(|&(_, ty)| ty);
            exports.chain(tiles.iter().map(|&(_, ty)| ty))
        });
        levels.chain(effects).collect()
    }

    /// The buffers that are read, beside those that are combined into.
    fn reads(&self) -> impl Iterator<Item = BufferNumber> {
        let uniforms = self.uniforms.iter().filter_map(|uniform| match uniform {
            Uniform::Load { buffer, .. } => Some(*buffer),
            Uniform::Outer(_) | Uniform::Arith(_) => None,
        });
        let steps = self.levels.iter().flat_map(|level| &level.steps);
        let steps = steps.filter_map(|step| match step {
            Step::Load { buffer, .. } | Step::LoadRun { buffer, .. } => Some(*buffer),
            Step::Position { .. }
            | Step::Pick { .. }
            | Step::Arith { .. }
            | Step::Decode { .. }
            | Step::Check { .. } => None,
        });
        let tables = self.effects.iter().flat_map(|effect| effect.tables());
        uniforms
            .chain(steps)
            .chain(tables.map(|table| table.buffer))
    }
}

/// The levels with no other steps than what these columns of the innermost need. Nothing is checked.
pub(super) fn pruned(levels: &[Level], places: impl IntoIterator<Item = Place>) -> Vec<Level> {
    let column = |place: Place| match place {
        Place::Column(column) => Some(column),
        Place::Constant(_) | Place::Uniform(_) => None,
    };
    let mut needed: HashSet<usize> = places.into_iter().filter_map(column).collect();
    let mut kept = Vec::new();
    for level in levels.iter().rev() {
        let mut outside: HashSet<usize> = [level.begin, level.end]
            .into_iter()
            .filter_map(column)
            .collect();
        let mut steps = Vec::new();
        for step in level.steps.iter().rev() {
            // A column may be written again and again: what is before the step that is needed is not.
            match step {
                Step::Position { to } if needed.remove(to) => {}
                Step::Pick { from, to } if needed.remove(to) => {
                    outside.insert(*from);
                }
                Step::Arith { arith, to } if needed.remove(to) => {
                    needed.extend(arith.operands().filter_map(|&place| column(place)));
                }
                Step::Load { offset, to, .. } if needed.remove(to) => {
                    needed.extend(column(*offset))
                }
                Step::Decode { of, to, .. } if needed.remove(to) => needed.extend(column(*of)),
                Step::LoadRun { base, to, .. } if needed.remove(to) => {
                    outside.extend(column(*base))
                }
                Step::Position { .. }
                | Step::Pick { .. }
                | Step::Arith { .. }
                | Step::Decode { .. }
                | Step::Load { .. }
                | Step::LoadRun { .. }
                | Step::Check { .. } => continue,
            }
            steps.push(step.clone());
        }
        steps.reverse();
        kept.push(Level {
            steps,
            ..level.clone()
        });
        needed = outside;
    }
    kept.reverse();
    kept
}
