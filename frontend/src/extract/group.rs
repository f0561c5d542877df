//! Groups: which tasks share a nest, and in which order its axes stand.

use hashbrown::{HashMap, HashSet};

use super::task::Task;
use crate::compose::Composer;
use crate::index_map::{Axis, Expr, ExprId};

/// Tasks over one space.
pub(super) struct Group {
    pub(super) axes: Vec<Axis>,
    pub(super) tasks: Vec<Task>,
}

/// Puts tasks over equal spaces that look up by equal indices into one group, each after the
/// groups that it reads from.
pub(super) fn group(composer: &Composer, tasks: Vec<Task>) -> Vec<Group> {
    let mut groups: Vec<(Group, HashSet<ExprId>)> = Vec::new();
    for task in tasks {
        let (read, lookups) = task.reads(composer);
        let after = groups
            .iter()
            .rposition(|(group, _)| group.tasks.iter().any(|t| read.contains(&t.target)))
            .map_or(0, |last| last + 1);
        let joined = groups[after..]
            .iter_mut()
            .find(|(group, shared)| group.axes == task.axes && !shared.is_disjoint(&lookups));
        match joined {
            Some((group, shared)) => {
                shared.extend(lookups);
                group.tasks.push(task);
            }
            None => groups.push((
                Group {
                    axes: task.axes.clone(),
                    tasks: vec![task],
                },
                lookups,
            )),
        }
    }
    groups.into_iter().map(|(group, _)| group).collect()
}

impl Group {
    /// The axes in nesting order, and whether looked-up positions depend on each.
    pub(super) fn ordered_axes(&self, composer: &Composer) -> Vec<(Axis, bool)> {
        let arena = &composer.arena;
        let roots: Vec<_> = self.tasks.iter().flat_map(Task::roots).collect();
        // Axes below each expression, and those below any index.
        let mut below: HashMap<ExprId, HashSet<Axis>> = HashMap::new();
        let mut looked_up: HashSet<Axis> = HashSet::new();
        let mut contiguous = Vec::new();
        let mut ranges: Vec<Axis> = Vec::new();
        arena.postorder(&roots, |id| {
            let mut axes: HashSet<Axis> = HashSet::new();
            for operand in arena.operands(id) {
                if let Some(inner) = below.get(&operand) {
                    axes.extend(inner);
                }
            }
            match arena.expr(id) {
                Expr::Axis(axis) => {
                    // Bounds that are read are looked-up positions.
                    looked_up.extend(&axes);
                    if arena.count(*axis).is_none() {
                        ranges.push(*axis);
                    }
                    axes.insert(*axis);
                }
                Expr::Index(_) => looked_up.extend(&axes),
                Expr::Read(read) => {
                    let through = read.indices.iter().any(|&i| composer.arena.has_index(i));
                    if let (true, Some(&last)) = (through, read.indices.last()) {
                        contiguous.extend(unit_axis(composer, last));
                    }
                }
                _ => {}
            }
            below.insert(id, axes);
        });
        let mut dense: Vec<_> = self
            .axes
            .iter()
            .copied()
            .filter(|&a| arena.count(a) != Some(1))
            .collect();
        let is_ordered = self.tasks.iter().any(|t| t.is_ordered);
        let (mut outer, mut inner): (Vec<Axis>, Vec<Axis>) = match is_ordered {
            true => (dense, Vec::new()),
            false => {
                // An axis stands behind those that its bounds depend on.
                ranges.retain(|axis| self.axes.contains(axis));
                dense.retain(|axis| !ranges.contains(axis));
                let (mut outer, inner): (Vec<Axis>, _) =
                    dense.into_iter().partition(|a| looked_up.contains(a));
                outer.append(&mut ranges);
                (outer, inner)
            }
        };
        if outer.is_empty() {
            // Nothing is looked up: the places written decide.
            contiguous = self
                .tasks
                .iter()
                .filter_map(|t| unit_axis(composer, *t.place.last()?))
                .collect();
        }
        if let Some(at) = inner.iter().rposition(|a| contiguous.contains(a)) {
            let axis = inner.remove(at);
            inner.push(axis);
        }
        outer.append(&mut inner);
        outer
            .into_iter()
            .map(|a| (a, looked_up.contains(&a)))
            .collect()
    }
}

/// The axis along which a position grows by one.
fn unit_axis(composer: &Composer, position: ExprId) -> Option<Axis> {
    match composer.arena.expr(position) {
        Expr::Axis(axis) => Some(*axis),
        Expr::Linear(terms, _) => {
            terms
                .iter()
                .find_map(|&(term, factor)| match *composer.arena.expr(term) {
                    Expr::Axis(axis) if factor == 1 => Some(axis),
                    _ => None,
                })
        }
        _ => None,
    }
}
