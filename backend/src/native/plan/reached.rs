//! Updates of the rows that lookups reach, and of no others.
//!
//! A step of gradient descent sums rows up from nothing and adds something of every sum to a table. Where a sum is nothing, so is what is added, for
//! nearly all rows if the table is large. So two nests are one part of the program, if the first combines into a temporary that nothing
//! else touches, and the second adds to each row of another buffer what depends on that row of the temporary alone: a run
//! then starts, sums up and adds the rows that lookups reach. Results are the same to the bit, since what is left
//! out adds negative zeros.

use hashbrown::HashMap;
use hlo2dae_ir::core::{CombineOp, Init, Role, Scalar};
use hlo2dae_ir::dlc::Event;

use super::flat::{End, by_row, flat, stores};
use super::graph::{Def, Graph, Val};
use super::level::{Flat, Place, Uniform};
use super::schedule::schedule;
use super::source::{BufferNumber, Instruction, Op, Source, Unit};

/// Two nests, of which the second is done for the rows that the first reaches.
#[derive(Clone, Debug)]
pub(crate) struct Reached {
    /// The nest that combines into the temporary, its only effect; it starts nothing.
    pub sums: Flat,
    /// Elements that a lookup of it writes, one behind the other, inside of one row.
    pub written: usize,
    /// The temporary, and what it starts with.
    pub buffer: BufferNumber,
    pub start: Scalar,
    /// The second nest.
    pub all: Flat,
    /// The same with a lookup for each row; its exports are where the row is, in both buffers, and what is the same for all rows.
    pub rows: Flat,
    /// Rows of the temporary.
    pub count: u64,
    /// What the second nest adds where the first has not been, of the uniforms of `rows`.
    pub idle: Place,
}

/// Two units one after the other as one part; how the first runs is known.
pub(crate) fn reached(
    source: &Source,
    [first, second]: [&Unit; 2],
    sums: &Flat,
) -> Option<Reached> {
    let [effect] = sums.effects.as_slice() else {
        return None;
    };
    let buffer = effect.buffer;
    let Role::Temp(Init::Splat(start)) = source.buffers.get(buffer)?.role else {
        return None;
    };
    let mut chain = by_row(source, second)?;
    let ([combine], [positions]) = (chain.combines.as_slice(), chain.positions.as_slice()) else {
        return None;
    };
    let (dst, value) = (combine.dst, combine.value);
    let plain = combine.op == CombineOp::Add && combine.guard.is_none();
    if !plain || combine.stride != Some(1) || !chain.checks.is_empty() {
        return None;
    }
    let (End::Constant(0), End::Constant(end), 1) =
        (positions.begin, positions.end, positions.step)
    else {
        return None;
    };
    let row = usize::try_from(chain.row?).ok()?;
    let (count, elements) = (u64::try_from(end).ok()?, source.buffers.get(buffer)?.len());
    let whole = usize::try_from(count).ok()?.checked_mul(row) == Some(elements);
    let mut roots = source.roots.iter();
    let alone = roots.all(|unit| !touches(unit, buffer, [first, second]));
    // No lookup writes parts of two rows; it writes its own, or one element.
    let written = if sums.columns { sums.row } else { 1 };
    let inside = sums.apart && row.is_multiple_of(written);
    if !whole || !inside || combine.buffer == buffer || !alone {
        return None;
    }
    let idle = at_start(
        &mut chain.graph,
        value,
        (buffer, dst),
        start,
        &mut HashMap::new(),
    )?;
    chain.idle = Some(idle);
    let rows = schedule(source, chain)?;
    // What is the same for all rows is known before the first nest runs.
    let known = |uniform: &Uniform| match uniform {
        Uniform::Load { buffer, .. } => sums.effects.iter().all(|e| e.buffer != *buffer),
        Uniform::Outer(_) | Uniform::Arith(_) => true,
    };
    let [effect] = rows.effects.as_slice() else {
        return None;
    };
    let (place, mut others) = (effect.exports.first()?.0, effect.exports.iter());
    let is_row = |export: Place| !matches!(export, Place::Column(_)) || export == place;
    if !rows.uniforms.iter().all(known) || !others.all(|&(export, _)| is_row(export)) {
        return None;
    }
    Some(Reached {
        sums: Flat {
            starts: Vec::new(),
            ..sums.clone()
        },
        written,
        buffer,
        start,
        all: Flat {
            starts: Vec::new(),
            ..flat(source, second)?
        },
        idle: rows.idle?,
        rows: Flat {
            starts: Vec::new(),
            direct: None,
            ..rows
        },
        count,
    })
}

/// Whether a unit reads or writes a buffer anywhere but in these two; recursion is as deep as units nest, which the verifier bounds.
fn touches(unit: &Unit, buffer: BufferNumber, but: [&Unit; 2]) -> bool {
    if but.iter().any(|&other| std::ptr::eq(unit, other)) {
        return false;
    }
    let loads = |op: &Op| matches!(op, Op::Load { buffer: of, .. } if *of == buffer);
    let mut code = Event::ALL.into_iter().map(|event| unit.on(event));
    let mut children = unit.children.iter();
    unit.streams.iter().any(|(_, op, _)| loads(op))
        || code.any(|code| {
            let mut written = Vec::new();
            stores(code, &mut written);
            written.contains(&buffer) || code_loads(code, &loads)
        })
        || children.any(|child| touches(child, buffer, but))
}

fn code_loads(code: &[Instruction], loads: &impl Fn(&Op) -> bool) -> bool {
    code.iter().any(|instruction| match instruction {
        Instruction::Let(_, op, _) => loads(op),
        Instruction::Store { .. } => false,
        Instruction::If {
            condition: _,
            then,
            otherwise,
        } => code_loads(then, loads) || code_loads(otherwise, loads),
    })
}

/// A value along rows, where the row of a buffer at the same place holds what it started with; none if it depends on anything else that
/// differs from row to row, or along them. Recursion is as deep as the expression of one case.
fn at_start(
    graph: &mut Graph,
    val: Val,
    (buffer, place): (BufferNumber, Val),
    start: Scalar,
    known: &mut HashMap<Val, Val>,
) -> Option<Val> {
    if let Some(&value) = known.get(&val) {
        return Some(value);
    }
    if graph.level(val) == 0 {
        return Some(val);
    }
    let ty = graph.ty(val);
    let value = match graph.get(val).def.clone() {
        Def::RowLoad {
            buffer: of,
            base,
            stride: 1,
            fill: None,
            span: _,
        } if of == buffer && base == place => graph.constant(start),
        Def::Arith(arith) => {
            let arith =
                arith.try_map(|&of| at_start(graph, of, (buffer, place), start, known).ok_or(()));
            graph.arith(arith.ok()?, ty)
        }
        _ => return None,
    };
    known.insert(val, value);
    Some(value)
}
