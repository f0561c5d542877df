//! From values with known places to a program.

use cranelift_entity::SecondaryMap;
use cranelift_entity::packed_option::PackedOption;

use super::{Def, End, Lowering, Temp, TempData, Update};
use crate::core::text::Names;
use crate::core::{Arith, ValueData};
use crate::scf::{self, Bound, Builder};

impl Lowering<'_> {
    /// The values that a loop or a combine depends on.
    fn live(&self) -> SecondaryMap<Temp, bool> {
        let mut live = SecondaryMap::new();
        for update in &self.updates {
            let temps = update.indices.iter().chain(&update.condition);
            for temp in temps.chain([&update.value]).chain(&self.axes) {
                live[*temp] = true;
            }
        }
        for (temp, TempData { def, .. }) in self.temps.iter().rev() {
            if live[temp] {
                def.operands()
                    .iter()
                    .for_each(|operand| live[*operand] = true);
            }
        }
        live
    }

    /// Writes the loops from the outermost inwards; `None` where a value is used before its definition.
    pub(super) fn emit(self, builder: &mut Builder, visible: &mut Names) -> Option<()> {
        let live = self.live();
        let mut levels: Vec<Vec<Temp>> = vec![Vec::new(); self.axes.len() + 1];
        for (temp, TempData { level, .. }) in &self.temps {
            if live[temp] {
                levels.get_mut(*level)?.push(temp);
            }
        }
        let mut emitted: SecondaryMap<Temp, PackedOption<scf::Value>> = SecondaryMap::new();
        for (level, temps) in levels.iter().enumerate() {
            for &temp in temps {
                let TempData { data, def, .. } = &self.temps[temp];
                if level == 0 {
                    visible.fresh(&data.name);
                }
                let value = |temp: &Temp| emitted[*temp].expand();
                let new = match def {
                    Def::Position(begin, end) => {
                        let bound = |end: &End| match end {
                            End::Constant(n) => Some(Bound::Constant(*n)),
                            End::Temp(temp) => value(temp).map(Bound::Value),
                        };
                        let range = (bound(begin)?, bound(end)?, 1);
                        builder.open_for(&data.name, range, data.span)
                    }
                    Def::Arith(arith) => {
                        let arith = arith.try_map(|temp| value(temp).ok_or(())).ok()?;
                        builder.define(data.clone(), scf::Expr::Arith(arith))
                    }
                    Def::Load(buffer, addresses) => {
                        let load = scf::Expr::Load {
                            buffer: *buffer,
                            indices: addresses.iter().map(value).collect::<Option<_>>()?,
                        };
                        builder.define(data.clone(), load)
                    }
                };
                emitted[temp] = new.into();
            }
        }
        let mut names = self.names;
        for update in &self.updates {
            let value = |temp: &Temp| emitted[*temp].expand();
            let Update {
                op, buffer, span, ..
            } = *update;
            let indices: Vec<_> = update.indices.iter().map(value).collect::<Option<_>>()?;
            if let Some(condition) = &update.condition {
                builder.open_if(value(condition)?, span);
            }
            let mut new = value(&update.value)?;
            if let Some(op) = op.binary() {
                let declared = self.region.buffers.get(buffer)?;
                let mut data = |suffix: &str| ValueData {
                    name: names.fresh(&format!("{}_{suffix}", declared.name)),
                    ty: declared.element.into(),
                    span,
                };
                let load = scf::Expr::Load {
                    buffer,
                    indices: indices.clone(),
                };
                let old = builder.define(data("old"), load);
                let arith = Arith::Binary(op, old, new);
                new = builder.define(data("new"), scf::Expr::Arith(arith));
            }
            builder.store(new, buffer, indices, span);
            if update.condition.is_some() {
                builder.close();
            }
        }
        for _ in &self.axes {
            builder.close();
        }
        if self.axes.is_empty() {
            *visible = names;
        }
        Some(())
    }
}
