//! Rows are full when they are taken: a rule of SLC and DLC, which differ in how they write loops only.
//!
//! In each iteration of the body that states a row, exactly its number of elements is appended, all of them before
//! it is taken. What is appended is counted: an append without mask appends all lanes; one under the mask of a loop
//! around it appends, over that loop, as many elements as there are positions; any other mask could be anything.
//! So the bounds of all loops between the row and its appends are constant.

use cranelift_entity::{EntityRef, SecondaryMap};

use super::check::Checker;
use super::types::Span;

/// What matters to rows, in the order in which one iteration does it.
#[derive(Clone, Debug)]
pub(crate) enum Step<V> {
    /// The row is empty now.
    New { row: V, elements: u64, span: Span },
    /// Elements are appended.
    Append {
        row: V,
        lanes: Option<u32>,
        mask: Option<V>,
        span: Span,
    },
    /// The row is taken.
    Take { row: V, span: Span },
    /// A loop; `positions` if they can be counted.
    Loop {
        positions: Option<u64>,
        lanes: Option<u32>,
        mask: Option<V>,
        body: Vec<Step<V>>,
    },
}

struct LoopData<V> {
    positions: Option<u64>,
    lanes: Option<u32>,
    mask: Option<V>,
}

#[derive(Clone, Default)]
struct Row {
    elements: u64,
    span: Span,
    /// Loops around the body that states the row.
    depth: usize,
    /// Elements appended so far; `None` if that cannot be counted.
    count: Option<u64>,
    /// Loops around this place that append more.
    filling: u32,
}

/// Checks the rule on what the program's own body does; recursion is as deep as loops nest.
pub(crate) fn check<V: EntityRef>(
    rule: u32,
    steps: &[Step<V>],
    checker: &mut Checker<'_>,
    name: &dyn Fn(V) -> String,
) {
    let mut visit = Visit {
        rule,
        checker,
        name,
        rows: SecondaryMap::new(),
        path: Vec::new(),
    };
    visit.body(steps);
}

struct Visit<'v, 'c, V: EntityRef> {
    rule: u32,
    checker: &'v mut Checker<'c>,
    name: &'v dyn Fn(V) -> String,
    rows: SecondaryMap<V, Row>,
    path: Vec<LoopData<V>>,
}

impl<V: EntityRef> Visit<'_, '_, V> {
    fn body(&mut self, steps: &[Step<V>]) {
        let mut stated = Vec::new();
        for step in steps {
            match step {
                Step::New {
                    row,
                    elements,
                    span,
                } => {
                    self.rows[*row] = Row {
                        elements: *elements,
                        span: *span,
                        depth: self.path.len(),
                        count: Some(0),
                        filling: 0,
                    };
                    stated.push(*row);
                }
                Step::Append {
                    row,
                    lanes,
                    mask,
                    span,
                } => {
                    let appended = self.appended(self.rows[*row].depth, *lanes, *mask);
                    if appended.is_none() {
                        let name = (self.name)(*row);
                        let sentence = format!(
                            "how many elements are appended to %{name} is not known: the loops around have constant bounds, and a mask is that of a loop around"
                        );
                        self.checker.broken(self.rule, *span, sentence);
                    }
                    let count = &mut self.rows[*row].count;
                    *count = count.zip(appended).and_then(|(c, a)| c.checked_add(a));
                }
                Step::Take { row, span } => {
                    let data = &self.rows[*row];
                    let full = data.filling == 0 && data.count == Some(data.elements);
                    if !full && data.count.is_some() {
                        let sentence =
                            format!("%{} is taken when it is not full", (self.name)(*row));
                        self.checker.broken(self.rule, *span, sentence);
                    }
                }
                Step::Loop {
                    positions,
                    lanes,
                    mask,
                    body,
                } => {
                    let filled = appends(body);
                    filled.iter().for_each(|&row| self.rows[row].filling += 1);
                    self.path.push(LoopData {
                        positions: *positions,
                        lanes: *lanes,
                        mask: *mask,
                    });
                    self.body(body);
                    self.path.pop();
                    for row in filled {
                        let filling = &mut self.rows[row].filling;
                        *filling = filling.saturating_sub(1);
                    }
                }
            }
        }
        for row in stated {
            let Row {
                elements,
                span,
                count,
                ..
            } = self.rows[row];
            if let Some(count) = count
                && count != elements
            {
                let name = (self.name)(row);
                let sentence = format!(
                    "%{name} has {elements} elements, but {count} are appended in each iteration"
                );
                self.checker.broken(self.rule, span, sentence);
            }
        }
    }

    /// Elements that one append appends in one iteration of the body inside `depth` loops.
    fn appended(&self, depth: usize, lanes: Option<u32>, mask: Option<V>) -> Option<u64> {
        let mut masked = false;
        let mut total = 1u64;
        for around in self.path.iter().skip(depth) {
            let positions = around.positions?;
            let times = if mask.is_some() && around.mask == mask {
                masked = true;
                positions
            } else {
                positions.div_ceil(around.lanes.unwrap_or(1).max(1).into())
            };
            total = total.checked_mul(times)?;
        }
        match (mask, masked) {
            (None, _) => total.checked_mul(lanes.unwrap_or(1).into()),
            (Some(_), true) => Some(total),
            (Some(_), false) => None,
        }
    }
}

/// The rows that something inside appends to.
fn appends<V: EntityRef>(body: &[Step<V>]) -> Vec<V> {
    let mut found = Vec::new();
    let mut left: Vec<&[Step<V>]> = vec![body];
    while let Some(steps) = left.pop() {
        for step in steps {
            match step {
                Step::Append { row, .. } => found.push(*row),
                Step::Loop { body, .. } => left.push(body),
                Step::New { .. } | Step::Take { .. } => {}
            }
        }
    }
    found
}
