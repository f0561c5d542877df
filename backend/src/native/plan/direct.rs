//! Nests whose lookups need no columns: rows added up for indices that lie in memory in order.
//!
//! What the kernel takes of a lookup is computed from where it is: the row's offset from an index that is clamped, its factors from the same
//! position or the same row. Then nothing is decoded beforehand: the kernel reads indices as it goes, and knows all that come next. Which lookups
//! make up a bag says either the position around them, or an index beside theirs that is the same for all of a bag (segment ids). A factor
//! that is computed (attention, normalised edges) still comes from a column; of segments, the only one then.

use hlo2dae_ir::core::{ElementType, Span};

use super::effect::{Effect, Kernel};
use super::level::{Level, Place, Step, pruned};
use super::source::{BufferNumber, Source};
use crate::native::kernels::accumulate::{Op, Post};
use crate::native::kernels::column::index::{Bounds, Decode};

/// Elements of a buffer at the positions of the innermost level, from `base` on: a place of the level around.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct InOrder {
    pub buffer: BufferNumber,
    pub base: Place,
    pub span: Span,
}

impl InOrder {
    /// Whether they are the same elements.
    fn is_beside(self, other: InOrder) -> bool {
        self.buffer == other.buffer && self.base == other.base
    }
}

/// A value that the rows of a lookup are scaled by, or that is added to them.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Factor {
    /// One for each position.
    Position(InOrder),
    /// One for each row of the table.
    Row(BufferNumber),
    /// One for each lookup, as [`Direct::computed`] leaves it in this column.
    Column(usize),
}

/// Where the row is that a lookup is added to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bag {
    /// A place of the level around.
    Around(Place),
    /// By an index; nowhere, if that is not `inside`.
    Segment {
        ids: InOrder,
        decode: Decode,
        inside: Option<Decode>,
    },
}

/// What the kernel of the only effect of a nest takes.
#[derive(Clone, Debug)]
pub(crate) struct Direct {
    pub ids: InOrder,
    /// Clamps.
    pub decode: Decode,
    pub scale: Option<Factor>,
    pub bias: Option<Factor>,
    pub bag: Bag,
    /// The only level with no other steps than those that a factor in a column needs.
    pub computed: Option<Level>,
}

/// How the lookups of a nest are done without columns, if they can be.
pub(super) fn direct(source: &Source, levels: &[Level], effects: &[Effect]) -> Option<Direct> {
    let ([effect], Some(level)) = (effects, levels.last()) else {
        return None;
    };
    let Kernel::Accumulate {
        op: Op::Add,
        post,
        table,
        scale,
        bias,
    } = &effect.kernel
    else {
        return None;
    };
    let checked = |step: &Step| matches!(step, Step::Check { .. });
    if level.step != 1
        || table.fill.is_some()
        || matches!(post, Post::Chain(_))
        || level.steps.iter().any(checked)
    {
        return None;
    }
    let last = Written::of(source, level);
    let column = |export: usize| effect.exports.get(export).map(|&(place, _)| place);
    let (ids, decode) = last.indices(column(table.src)?)?;
    let Bounds::Clamp { .. } = decode.bounds else {
        return None;
    };
    if decode.low > decode.high {
        return None;
    }
    let alone = levels.len() == 1;
    let factor = |export: Option<usize>| match export {
        None => Some(None),
        Some(export) => {
            let place = column(export)?;
            // Only of rows of 8 bits a kernel finds factors as it finds rows.
            let bytes = source.buffers.get(table.buffer)?.element.bytes() == 1;
            let found = last.factor(place, (ids, decode));
            let found = found.filter(|factor| bytes || !matches!(factor, Factor::Row(_)));
            let computed = match place {
                Place::Column(column) if alone => Some(Factor::Column(column)),
                Place::Column(_) | Place::Constant(_) | Place::Uniform(_) => None,
            };
            found.or(computed).map(Some)
        }
    };
    let (scale, bias) = (factor(*scale)?, factor(*bias)?);
    let columns: Vec<Place> = [scale, bias]
        .into_iter()
        .flatten()
        .filter_map(Factor::column)
        .collect();
    let dst = column(0)?;
    let bag = match (last.around(dst), effect.guard) {
        (Some(place), None) if !alone => Bag::Around(place),
        (None, guard) if alone => {
            let (ids, decode) = last.indices(dst)?;
            let inside = match guard {
                None => None,
                Some(guard) => {
                    let (of, inside) = last.indices(guard)?;
                    // What is elsewhere is no offset of anything.
                    let same = of.is_beside(ids) && inside.bounds == Bounds::Inside;
                    Some(same.then_some(inside)?)
                }
            };
            match decode.bounds {
                Bounds::Clamp { .. } => Bag::Segment {
                    ids,
                    decode,
                    inside,
                },
                Bounds::Select { .. } | Bounds::Inside => return None,
            }
        }
        _ => return None,
    };
    Some(Direct {
        ids,
        decode,
        scale,
        bias,
        bag,
        computed: match columns.is_empty() {
            true => None,
            false => pruned(levels, columns).pop(),
        },
    })
}

impl Factor {
    /// The column that it is in, if it is.
    fn column(self) -> Option<Place> {
        match self {
            Factor::Column(column) => Some(Place::Column(column)),
            Factor::Position(_) | Factor::Row(_) => None,
        }
    }
}

/// The steps of a level, some of whose columns are looked at when all is done.
#[derive(Clone, Copy)]
struct Written<'a> {
    source: &'a Source,
    steps: &'a [Step],
}

impl<'a> Written<'a> {
    /// All steps.
    fn of(source: &'a Source, level: &'a Level) -> Written<'a> {
        Written {
            source,
            steps: &level.steps,
        }
    }

    /// The first `n` steps.
    fn before(self, n: usize) -> Option<Written<'a>> {
        let steps = self.steps.get(..n)?;
        Some(Written { steps, ..self })
    }

    /// The step that a column is from, and what was done before.
    fn by(self, place: Place) -> Option<(&'a Step, Written<'a>)> {
        let Place::Column(column) = place else {
            return None;
        };
        let writes = |step: &Step| match step {
            Step::Position { to }
            | Step::Pick { to, .. }
            | Step::Arith { to, .. }
            | Step::Decode { to, .. }
            | Step::Load { to, .. }
            | Step::LoadRun { to, .. } => *to == column,
            Step::Check { .. } => false,
        };
        let at = self.steps.iter().rposition(writes)?;
        Some((self.steps.get(at)?, self.before(at)?))
    }

    /// The place of the level around that a column repeats.
    fn around(self, place: Place) -> Option<Place> {
        match self.by(place)? {
            (Step::Pick { from, .. }, _) => Some(Place::Column(*from)),
            _ => None,
        }
    }

    /// Indices of 32 bits in order, and how they are decoded.
    fn indices(self, place: Place) -> Option<(InOrder, Decode)> {
        let (in_order, decode) = self.in_order(place)?;
        let element = self.source.buffers.get(in_order.buffer)?.element;
        (element == ElementType::S32).then_some((in_order, decode?))
    }

    fn in_order(self, place: Place) -> Option<(InOrder, Option<Decode>)> {
        match *self.by(place)?.0 {
            Step::LoadRun {
                buffer,
                base,
                decode,
                span,
                ..
            } => Some((InOrder { buffer, base, span }, decode)),
            _ => None,
        }
    }

    /// The factor that a column of `f32` is, where rows are found by `indices`.
    fn factor(self, place: Place, indices: (InOrder, Decode)) -> Option<Factor> {
        if let Some((in_order, None)) = self.in_order(place) {
            return Some(Factor::Position(in_order));
        }
        let (Step::Load { buffer, offset, .. }, before) = self.by(place)? else {
            return None;
        };
        let (ids, decode) = before.indices(*offset)?;
        let (of, row) = indices;
        let same = Decode {
            bounds: Bounds::Clamp { scale: 1 },
            ..row
        };
        let same = ids.is_beside(of) && decode == same;
        same.then_some(Factor::Row(*buffer))
    }
}
