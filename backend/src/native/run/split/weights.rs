//! How much is inside of the positions of a nest, where that is not the same for all.

use hlo2dae_ir::core::Scalar;

use super::super::Run;
use super::super::decode::{Block, Consumer, Decoder};
use super::{Part, border, steps};
use crate::native::error::RunError;
use crate::native::kernels::column::Column;
use crate::native::plan::level::{Flat, Level, Place};

/// Positions that share a weight.
const GROUP: u64 = 64;

/// Lookups inside of each group of positions, where the second level is not fixed.
pub(super) fn weights(
    run: &Run<'_>,
    flat: &Flat,
    uniforms: &[Scalar],
    count: u64,
) -> Result<Vec<u64>, RunError> {
    /// Adds up positions of the second level.
    struct Weigh<'a> {
        begin: Option<i64>,
        end: Option<i64>,
        level: &'a Level,
        total: u64,
    }
    impl Consumer for Weigh<'_> {
        fn take(&mut self, columns: &[Column], n: usize) -> Result<(), RunError> {
            let at = |place: Place, fixed: Option<i64>, k: usize| match place {
                Place::Column(column) => columns
                    .get(column)
                    .and_then(|column| column.as_index().get(k).copied()),
                Place::Constant(_) | Place::Uniform(_) => fixed,
            };
            for k in 0..n {
                let begin = at(self.level.begin, self.begin, k).unwrap_or(0);
                let end = at(self.level.end, self.end, k).unwrap_or(0);
                let inside = steps(begin, end, self.level.step);
                // A position costs something, even if nothing is inside.
                self.total = self.total.saturating_add(inside.max(1));
            }
            Ok(())
        }
    }
    let Some(second) = flat.levels.get(1) else {
        return Ok(Vec::new());
    };
    let fixed = |place: Place| match place {
        Place::Column(_) => Ok(None),
        Place::Constant(_) | Place::Uniform(_) => run.uniform_index(place, uniforms).map(Some),
    };
    let (begin, end) = (fixed(second.begin)?, fixed(second.end)?);
    let mut blocks = vec![Block::default()];
    let mut weights = Vec::new();
    let mut first = 0;
    while first < count {
        let last = (first + GROUP).min(count);
        let mut weigh = Weigh {
            begin,
            end,
            level: second,
            total: 0,
        };
        Decoder {
            run,
            levels: &flat.bounds,
            uniforms,
            blocks: &mut blocks,
            consumer: &mut weigh,
        }
        .decode(&Part {
            first,
            last,
            ..Part::default()
        })?;
        weights.push(weigh.total);
        first = last;
    }
    Ok(weights)
}

/// All weights together; bounds that are read from memory can make them as large as numbers get.
pub(super) fn total(weights: &[u64]) -> u64 {
    let weights = weights.iter();
    weights.fold(0, |all: u64, weight| all.saturating_add(*weight))
}

/// Borders of tasks of about the same weight.
pub(super) fn balanced(weights: &[u64], count: u64, tasks: u64) -> Vec<u64> {
    let total = total(weights);
    let mut borders = vec![0];
    let mut passed = 0u64;
    for (group, weight) in weights.iter().enumerate() {
        passed = passed.saturating_add(*weight);
        if passed >= border(total, borders.len() as u64, tasks) {
            borders.push(((group as u64 + 1) * GROUP).min(count));
        }
    }
    borders.push(count);
    borders
}
