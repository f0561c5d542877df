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
//! | [`reached`] | nests that are done for the rows that others reach |

pub(crate) mod direct;
pub(crate) mod effect;
pub(crate) mod flat;
mod fuse;
pub(crate) mod graph;
pub(crate) mod level;
pub(crate) mod reached;
mod schedule;
pub(crate) mod share;
pub(crate) mod source;

use effect::Kernel;
use hlo2dae_ir::core::{CombineOp, ScalarType};
use level::Flat;
use reached::{Reached, reached};
use source::{BufferNumber, Source, Unit};

/// A part of the program.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// By columns; nests that have nothing to do with one another, and run at the same time.
    Flat(Vec<Flat>),
    /// Two nests, of which the second is done for the rows that the first reaches.
    Reached(Box<Reached>),
    /// One position after the other; the unit's children are the nodes.
    Loop(Box<Unit>, Vec<Node>),
}

/// The parts of the program, in order; nests that run by columns have the number of their types among all `types`.
pub(crate) fn nodes(source: &Source, types: &mut Vec<Vec<ScalarType>>) -> Vec<Node> {
    parts(source, &source.roots, true, types)
}

/// The parts that units are, which run once or again and again. Recursion is as deep as units nest, which the verifier bounds.
fn parts(
    source: &Source,
    units: &[Unit],
    once: bool,
    types: &mut Vec<Vec<ScalarType>>,
) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    let mut rest = units.iter();
    while let Some(unit) = rest.next() {
        let Some(mut flat) = flat::flat(source, unit) else {
            let children = parts(source, &unit.children, once && flat::is_single(unit), types);
            let unit = Unit {
                children: Vec::new(),
                ..unit.clone()
            };
            nodes.push(Node::Loop(Box::new(unit), children));
            continue;
        };
        // Temporaries are started once.
        let next = rest.as_slice().first().filter(|_| once);
        if let Some(mut reached) = next.and_then(|next| reached(source, [unit, next], &flat)) {
            rest.next();
            for flat in [&mut reached.sums, &mut reached.all, &mut reached.rows] {
                flat.number = number(flat, types);
            }
            nodes.push(Node::Reached(Box::new(reached)));
            continue;
        }
        flat.number = number(&flat, types);
        match nodes.last_mut() {
            Some(Node::Flat(group)) if group.iter().all(|other| other.is_apart_from(&flat)) => {
                group.push(flat);
            }
            _ => nodes.push(Node::Flat(vec![flat])),
        }
    }
    nodes
}

/// The number of the types of a nest.
fn number(flat: &Flat, types: &mut Vec<Vec<ScalarType>>) -> usize {
    let these = flat.types();
    types
        .iter()
        .position(|known| *known == these)
        .unwrap_or_else(|| {
            types.push(these);
            types.len() - 1
        })
}

impl Node {
    /// The nests by columns of this part, without those of the parts inside of it.
    pub fn flats(&self) -> Vec<&Flat> {
        match self {
            Node::Flat(group) => group.iter().collect(),
            Node::Reached(reached) => vec![&reached.sums, &reached.all],
            Node::Loop(..) => Vec::new(),
        }
    }

    /// The parts inside of this one.
    fn children(&self) -> &[Node] {
        match self {
            Node::Flat(_) | Node::Reached(_) => &[],
            Node::Loop(_, children) => children,
        }
    }
}

/// Bytes of all tables that are looked up at random.
pub(crate) fn tables(source: &Source, nodes: &[Node]) -> usize {
    fn add(nodes: &[Node], tables: &mut Vec<BufferNumber>) {
        for node in nodes {
            let effects = node.flats().into_iter().flat_map(|flat| &flat.effects);
            let all = effects.flat_map(|effect| effect.tables());
            tables.extend(
                all.filter(|table| table.scattered)
                    .map(|table| table.buffer),
            );
            add(node.children(), tables);
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
        let group = match rest.first_mut() {
            Some(Node::Flat(group)) => group,
            // Its nests start nothing, and the part itself the temporary.
            Some(Node::Reached(reached)) => {
                started.push(reached.buffer);
                continue;
            }
            Some(Node::Loop(..)) | None => {
                // What stands in loops starts nothing, and neither does what comes after them.
                rest.iter_mut()
                    .for_each(|node| starts_nothing(node, &mut started));
                break;
            }
        };
        // The nests of a group do not touch what the others write.
        let touched = |buffer: BufferNumber| {
            let mut flats = before.iter().flat_map(Node::flats);
            flats.any(|flat| flat.touches(buffer))
        };
        for flat in group {
            flat.starts.retain(|start| !touched(start.buffer));
            started.extend(flat.starts.iter().map(|start| start.buffer));
        }
    }
    started
}

/// Leaves nothing to nests but what parts start in any case. Recursion is as deep as units nest, which the verifier bounds.
fn starts_nothing(node: &mut Node, started: &mut Vec<BufferNumber>) {
    match node {
        Node::Flat(group) => group.iter_mut().for_each(|flat| flat.starts.clear()),
        Node::Reached(reached) => started.push(reached.buffer),
        Node::Loop(_, children) => {
            let children = children.iter_mut();
            children.for_each(|child| starts_nothing(child, started));
        }
    }
}

/// Whether a row of floats is reduced to one value by an operation that rounds.
pub(crate) fn reassociates(source: &Source, nodes: &[Node]) -> bool {
    nodes.iter().any(|node| {
        let mut effects = node.flats().into_iter().flat_map(|flat| &flat.effects);
        effects.any(|effect| {
            let buffer = source.buffers.get(effect.buffer);
            let folds = matches!(
                effect.kernel,
                Kernel::Fold { .. } | Kernel::Rows { fold: true, .. }
            );
            folds
                && matches!(effect.op, CombineOp::Add | CombineOp::Mul)
                && buffer.is_some_and(|data| ScalarType::from(data.element).is_float())
        }) || reassociates(source, node.children())
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
        let mut inside = depth;
        match node {
            Node::Flat(_) => {}
            Node::Reached(_) => {
                tell(depth, "rows that lookups reach");
                inside += 1;
            }
            Node::Loop(..) => tell(depth, "loop"),
        }
        for flat in node.flats() {
            let levels = flat.levels.len();
            let row = flat.row;
            tell(
                inside,
                &format!("lookups of {levels} levels, rows of {row}"),
            );
            for effect in &flat.effects {
                let buffer = source.buffers.get(effect.buffer);
                let name = buffer.map_or("?", |data| data.name.as_str());
                let (op, kernel) = (effect.op, effect.name());
                tell(inside + 1, &format!("{op} into %{name}: {kernel}"));
            }
        }
        describe(source, node.children(), depth + 1, tell);
    }
}
