//! Values that several nests compute, computed once.
//!
//! Nests over the same lookups often need the same value of each: in message passing the score of an edge goes into the maximum
//! of its segment, into the sum of exponentials, and into the weights of rows. The first nest that computes it keeps it in a temporary, one element for each
//! lookup, in order; later nests read it there. A value that a nest stores for each lookup anyway is read where it is.
//!
//! # Law
//!
//! A nest may read a value where an earlier one kept it when
//!
//! * both have the same expression of it, made of positions, constants, arithmetic, and loads from buffers that no nest
//!   writes from the earlier one to the later one, both included;
//! * the units that its positions belong to, all units around rows, are the same: dense, from 0 on, of constant extents;
//! * the earlier nest does its loads for every lookup, under no guard. What it computes more than before is arithmetic, which never fails.
//!
//! A buffer that a nest stores a value into for every lookup, under no guard, and that nothing else writes, keeps it as a temporary does.
//! Then what is read is to the bit what would be computed, and whatever is outside of a buffer was found outside by the earlier nest.
//!
//! It is done where it pays, [`values::WORTH`], and where both nests run by columns before and after.

mod values;

use std::collections::BTreeSet;

use hashbrown::HashMap;
use hlo2dae_ir::core::{Init, Role, ScalarType, Span};
use hlo2dae_ir::dlc::Event;

use self::values::{Expr, Id, Nest, Values};
use super::source::{BufferData, BufferNumber, Instruction, Op, Reg, Source, Unit};

/// Lets nests share what they compute.
pub(crate) fn share(source: &mut Source) {
    if source.roots.len() < 2 {
        return;
    }
    let mut values = Values::default();
    let mut versions = vec![0; source.buffers.len()];
    let mut nests: Vec<Nest> = Vec::new();
    let mut kept: HashMap<Id, BufferNumber> = HashMap::new();
    let mut all = Vec::new();
    source.roots.iter().for_each(|unit| stores(unit, &mut all));
    let once = |buffer: BufferNumber| all.iter().filter(|&&b| b == buffer).count() == 1;
    for root in 0..source.roots.len() {
        let mut written = Vec::new();
        if let Some(unit) = source.roots.get(root) {
            stores(unit, &mut written);
            written.sort_unstable();
            written.dedup();
        }
        let found = values.nest(source, root, &versions, &written);
        for buffer in written {
            if let Some(version) = versions.get_mut(buffer) {
                *version += 1;
            }
        }
        let Some(mut nest) = found else { continue };
        // What takes others comes first: they may not be needed any more.
        let candidates: Vec<Id> = values.needed(&nest).into_iter().rev().collect();
        for id in candidates {
            if !values.pays(&nest, id) {
                continue;
            }
            let shared = match kept.get(&id) {
                Some(&temporary) => {
                    let mut changed = source.clone();
                    read(&mut changed, &nest, id, temporary);
                    nest.runs(&changed).then_some((changed, temporary))
                }
                None => nests
                    .iter()
                    .find_map(|earlier| values.share(source, earlier, &nest, id)),
            };
            if let Some((changed, temporary)) = shared {
                *source = changed;
                kept.insert(id, temporary);
                nest.kept.insert(id, temporary);
            }
        }
        let stored = nest.stored.iter().filter(|(_, buffer)| once(*buffer));
        for &(id, buffer) in stored {
            kept.entry(id).or_insert(buffer);
        }
        nests.push(nest);
    }
}

impl Values {
    /// The program in which `earlier` keeps a value and `later` reads it, with the temporary; none if that may not be.
    fn share(
        &self,
        source: &Source,
        earlier: &Nest,
        later: &Nest,
        id: Id,
    ) -> Option<(Source, BufferNumber)> {
        let value = self.values.get(id)?;
        if earlier.extents != value.extents || !self.needed(earlier).contains(&id) {
            return None;
        }
        let cone = self.cone(&[id], |id| earlier.kept.contains_key(&id));
        let done = |id: &Id| match self.values.get(*id).map(|value| &value.expr) {
            Some(Expr::Position(_) | Expr::Arith(_)) => true,
            Some(Expr::Load { .. }) => earlier.always.contains(id) || earlier.kept.contains_key(id),
            Some(Expr::Unique) | None => earlier.kept.contains_key(id),
        };
        if !cone.iter().all(done) {
            return None;
        }
        let mut changed = source.clone();
        let temporary = temporary(&mut changed, &value.extents, value.ty)?;
        self.keep(&mut changed, earlier, &cone, id, temporary)?;
        read(&mut changed, later, id, temporary);
        (earlier.runs(&changed) && later.runs(&changed)).then_some((changed, temporary))
    }

    /// Computes a value once more at the end of what is done for each lookup, where the plan finds that it is there already, and stores it.
    fn keep(
        &self,
        source: &mut Source,
        nest: &Nest,
        cone: &BTreeSet<Id>,
        id: Id,
        temporary: BufferNumber,
    ) -> Option<()> {
        let positions = positions(source, nest);
        let mut registers: HashMap<Id, Reg> = HashMap::new();
        let mut code = Vec::new();
        for &id in cone {
            let value = self.values.get(id)?;
            let reg = |id: &Id| registers.get(id).copied();
            let op = match (&value.expr, nest.kept.get(&id)) {
                (_, Some(&buffer)) => Op::Load {
                    buffer,
                    indices: positions.clone(),
                },
                (Expr::Position(extents), None) => {
                    registers.insert(id, *positions.get(extents.len().checked_sub(1)?)?);
                    continue;
                }
                (Expr::Arith(arith), None) => {
                    Op::Arith(arith.try_map(|id| reg(id).ok_or(())).ok()?)
                }
                (
                    Expr::Load {
                        buffer,
                        version: _,
                        indices,
                    },
                    None,
                ) => Op::Load {
                    buffer: *buffer,
                    indices: indices.iter().map(reg).collect::<Option<_>>()?,
                },
                (Expr::Unique, None) => return None,
            };
            if let Op::Load { buffer, .. } = &op {
                *source.loads.get_mut(*buffer)? += 1;
            }
            source.types.push(value.ty);
            let new = source.types.len() - 1;
            registers.insert(id, new);
            code.push(Instruction::Let(new, op, value.span));
        }
        code.push(Instruction::Store {
            buffer: temporary,
            indices: positions,
            value: registers.get(&id).copied()?,
            span: self.values.get(id)?.span,
        });
        let innermost = nest.extents.len().checked_sub(1)?;
        let [_, each, _] = &mut unit_at(source.roots.get_mut(nest.root)?, innermost)?.on;
        each.extend(code);
        Some(())
    }
}

/// A new temporary of such extents; none if all of the program's buffers are less than it.
fn temporary(source: &mut Source, extents: &[i64], ty: ScalarType) -> Option<BufferNumber> {
    let ScalarType::Element(element) = ty else {
        return None;
    };
    let mut strides = vec![1i64; extents.len()];
    let mut elements = 1i64;
    for (stride, &extent) in strides.iter_mut().zip(extents).rev() {
        *stride = elements;
        elements = elements.checked_mul(extent)?;
    }
    let bytes = usize::try_from(elements)
        .ok()?
        .checked_mul(element.bytes())?;
    let all = source.buffers.iter().map(|buffer| buffer.bytes);
    if bytes > all.fold(0, usize::saturating_add) {
        return None;
    }
    let name = (0..).map(|n| format!("kept_{n}"));
    let name = name
        .into_iter()
        .find(|name| source.buffers.iter().all(|b| b.name != *name))?;
    source.buffers.push(BufferData {
        name,
        element,
        dims: extents.to_vec(),
        strides,
        bytes,
        role: Role::Temp(Init::Undefined),
    });
    source.loads.push(0);
    Some(source.buffers.len() - 1)
}

/// A value of a nest becomes what a temporary holds.
fn read(source: &mut Source, nest: &Nest, id: Id, temporary: BufferNumber) {
    let positions = positions(source, nest);
    let load = Op::Load {
        buffer: temporary,
        indices: positions,
    };
    let mut loads = 0;
    let mut replace = |reg: Reg, op: &mut Op| {
        if nest.registers.get(&reg) == Some(&id) {
            *op = load.clone();
            loads += 1;
        }
    };
    let mut next = source.roots.get_mut(nest.root);
    while let Some(unit) = next {
        for (reg, op, _) in &mut unit.streams {
            replace(*reg, op);
        }
        for code in &mut unit.on {
            definitions(code, &mut replace);
        }
        next = unit.children.first_mut();
    }
    if let Some(count) = source.loads.get_mut(temporary) {
        *count += loads;
    }
}

/// Calls `f` for whatever code defines. Recursion is as deep as `if`s nest, which the verifier bounds.
fn definitions(code: &mut [Instruction], f: &mut impl FnMut(Reg, &mut Op)) {
    for instruction in code {
        match instruction {
            Instruction::Let(reg, op, _) => f(*reg, op),
            Instruction::Store { .. } => {}
            Instruction::If {
                condition: _,
                then,
                otherwise,
            } => {
                definitions(then, f);
                definitions(otherwise, f);
            }
        }
    }
}

/// The registers of the positions of a nest's lookup units.
fn positions(source: &mut Source, nest: &Nest) -> Vec<Reg> {
    let mut registers = Vec::new();
    let Source { roots, types, .. } = source;
    let mut next = roots.get_mut(nest.root);
    for _ in &nest.extents {
        let Some(unit) = next else { break };
        let known = unit
            .streams
            .iter()
            .find(|(_, op, _)| matches!(op, Op::Position));
        registers.push(match known {
            Some((reg, ..)) => *reg,
            None => {
                types.push(ScalarType::Index);
                let stream = (types.len() - 1, Op::Position, Span::default());
                unit.streams.insert(0, stream);
                types.len() - 1
            }
        });
        next = unit.children.first_mut();
    }
    registers
}

/// The unit so deep inside of another, in a chain.
fn unit_at(mut unit: &mut Unit, depth: usize) -> Option<&mut Unit> {
    for _ in 0..depth {
        unit = unit.children.first_mut()?;
    }
    Some(unit)
}

/// The buffers that a unit and what is inside of it write, once for each store. Recursion is as deep as units nest, which the verifier bounds.
fn stores(unit: &Unit, written: &mut Vec<BufferNumber>) {
    for event in Event::ALL {
        super::flat::stores(unit.on(event), written);
    }
    for child in &unit.children {
        stores(child, written);
    }
}
