//! From a DLC program to what the engine runs.
//!
//! | module | job |
//! |---|---|
//! | [`source`] | DLC as one tree of units and code |
//! | [`share`] | what several nests compute, computed once |
//! | [`graph`] | values, their levels and ranges |
//! | [`fuse`] | what is done to an index, as one step |
//! | [`flat`] | a chain of units as lookups, rows and combines |
//! | [`effect`] | the kernel of each combine |
//! | [`direct`] | lookups that need no columns |
//! | [`schedule`] | the order of it all |

pub(crate) mod direct;
pub(crate) mod effect;
pub(crate) mod flat;
mod fuse;
pub(crate) mod graph;
pub(crate) mod level;
mod schedule;
pub(crate) mod share;
pub(crate) mod source;

use effect::Kernel;
use hlo2dae_ir::core::{CombineOp, ScalarType};
use level::Flat;
use source::{BufferNumber, Source, Unit};

/// A part of the program.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// By columns; nests that have nothing to do with one another, and run at the same time.
    Flat(Vec<Flat>),
    /// One position after the other; the unit's children are the nodes.
    Loop(Box<Unit>, Vec<Node>),
}

/// The parts of the program, in order; nests that run by columns have the number of their types among all `types`. Recursion is as deep as
/// units nest, which the verifier bounds.
pub(crate) fn nodes(
    source: &Source,
    units: &[Unit],
    types: &mut Vec<Vec<ScalarType>>,
) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for unit in units {
        let Some(flat) = flat::flat(source, unit) else {
            let children = self::nodes(source, &unit.children, types);
            let unit = Unit {
                children: Vec::new(),
                ..unit.clone()
            };
            nodes.push(Node::Loop(Box::new(unit), children));
            continue;
        };
        let these = flat.types();
        let known = types.iter().position(|known| *known == these);
        let number = known.unwrap_or(types.len());
        if known.is_none() {
            types.push(these);
        }
        let flat = Flat { number, ..flat };
        match nodes.last_mut() {
            Some(Node::Flat(group)) if group.iter().all(|other| other.is_apart_from(&flat)) => {
                group.push(flat);
            }
            _ => nodes.push(Node::Flat(vec![flat])),
        }
    }
    nodes
}

/// Bytes of all tables that are looked up at random.
pub(crate) fn tables(source: &Source, nodes: &[Node]) -> usize {
    fn add(nodes: &[Node], tables: &mut Vec<BufferNumber>) {
        for node in nodes {
            match node {
                Node::Flat(group) => {
                    let effects = group.iter().flat_map(|flat| &flat.effects);
                    let all = effects.flat_map(|effect| effect.tables());
                    tables.extend(
                        all.filter(|table| table.scattered)
                            .map(|table| table.buffer),
                    );
                }
                Node::Loop(_, children) => add(children, tables),
            }
        }
    }
    let mut tables = Vec::new();
    add(nodes, &mut tables);
    tables.sort_unstable();
    tables.dedup();
    let bytes = tables
        .into_iter()
        .filter_map(|table| Some(source.buffers.get(table)?.bytes));
    bytes.fold(0, usize::saturating_add)
}

/// Leaves nests to start the buffers that nothing else touches before them; the numbers of these.
pub(crate) fn starts(nodes: &mut [Node]) -> Vec<BufferNumber> {
    let mut started = Vec::new();
    for n in 0..nodes.len() {
        let (before, rest) = nodes.split_at_mut(n);
        let Some(Node::Flat(group)) = rest.first_mut() else {
            // What stands in loops starts nothing, and neither does what comes after them.
            rest.iter_mut().for_each(starts_nothing);
            break;
        };
        // The nests of a group do not touch what the others write.
        let touched = |buffer: BufferNumber| {
            before.iter().any(|node| match node {
                Node::Flat(group) => group.iter().any(|flat| flat.touches(buffer)),
                Node::Loop(..) => true,
            })
        };
        for flat in group {
            flat.starts.retain(|start| !touched(start.buffer));
            started.extend(flat.starts.iter().map(|start| start.buffer));
        }
    }
    started
}

/// Recursion is as deep as units nest, which the verifier bounds.
fn starts_nothing(node: &mut Node) {
    match node {
        Node::Flat(group) => group.iter_mut().for_each(|flat| flat.starts.clear()),
        Node::Loop(_, children) => children.iter_mut().for_each(starts_nothing),
    }
}

/// Whether a row of floats is reduced to one value by an operation that rounds.
pub(crate) fn reassociates(source: &Source, nodes: &[Node]) -> bool {
    nodes.iter().any(|node| match node {
        Node::Flat(group) => group.iter().flat_map(|flat| &flat.effects).any(|effect| {
            let buffer = source.buffers.get(effect.buffer);
            let folds = matches!(
                effect.kernel,
                Kernel::Fold { .. } | Kernel::Rows { fold: true, .. }
            );
            folds
                && matches!(effect.op, CombineOp::Add | CombineOp::Mul)
                && buffer.is_some_and(|data| ScalarType::from(data.element).is_float())
        }),
        Node::Loop(_, children) => reassociates(source, children),
    })
}

/// Tells one line for each part and effect, with its depth.
pub(crate) fn describe(
    source: &Source,
    nodes: &[Node],
    depth: usize,
    tell: &mut impl FnMut(usize, &str),
) {
    for node in nodes {
        match node {
            Node::Flat(group) => {
                for flat in group {
                    let levels = flat.levels.len();
                    let row = flat.row;
                    tell(depth, &format!("lookups of {levels} levels, rows of {row}"));
                    for effect in &flat.effects {
                        let buffer = source.buffers.get(effect.buffer);
                        let name = buffer.map_or("?", |data| data.name.as_str());
                        let (op, kernel) = (effect.op, effect.name());
                        tell(depth + 1, &format!("{op} into %{name}: {kernel}"));
                    }
                }
            }
            Node::Loop(_, children) => {
                tell(depth, "loop");
                describe(source, children, depth + 1, tell);
            }
        }
    }
}
