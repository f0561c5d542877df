//! Looks at the destinations of lookups.

use hlo2dae_ir::core::Scalar;

use super::Run;
use super::decode::Consumer;
use super::effects::active;
use crate::native::error::RunError;
use crate::native::kernels::column::{Column, Slot};
use crate::native::plan::effect::Effect;
use crate::native::plan::level::Place;

/// Shows the destinations that one effect writes, if they differ from lookup to lookup.
pub(super) struct Look<'a, F> {
    run: &'a Run<'a>,
    effect: &'a Effect,
    uniforms: &'a [Scalar],
    which: Vec<Slot>,
    see: F,
}

impl<'a, F: FnMut(i64)> Look<'a, F> {
    pub fn new(
        run: &'a Run<'a>,
        effect: &'a Effect,
        uniforms: &'a [Scalar],
        see: F,
    ) -> Look<'a, F> {
        Look {
            run,
            effect,
            uniforms,
            which: Vec::new(),
            see,
        }
    }
}

impl<F: FnMut(i64)> Consumer for Look<'_, F> {
    fn take(&mut self, columns: &[Column], n: usize) -> Result<(), RunError> {
        let Some((Place::Column(dst), _)) = self.effect.exports.first() else {
            return Ok(());
        };
        let dst = columns.get(*dst).map_or(&[][..], Column::as_index);
        let dst = dst.get(..n).unwrap_or(&[]);
        let which = &mut self.which;
        match active(
            self.run,
            self.effect,
            None,
            columns,
            n,
            self.uniforms,
            which,
        )? {
            None => {}
            Some(true) => dst.iter().for_each(|&dst| (self.see)(dst)),
            Some(false) => {
                let seen = which.iter().filter_map(|&k| dst.get(usize::from(k)));
                seen.for_each(|&dst| (self.see)(dst));
            }
        }
        Ok(())
    }
}
