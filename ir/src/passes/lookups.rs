//! Look-ups: reads at places that the same iteration read before.

use hashbrown::HashSet;

use crate::core::Access;
use crate::slc::{Body, Loop, Step, Stream, StreamExpr};

/// A read at a place that was read.
pub(super) struct Lookup<'f> {
    pub access: &'f Access<Stream>,
    /// The loops around it in the loop of look-ups, from the outermost.
    pub inside: Vec<&'f Loop>,
}

/// The reads at places that each iteration of a loop reads itself. Where an inner loop begins may have been read; where it then
/// is, comes in order.
pub(super) fn of(around: &Loop) -> Vec<Lookup<'_>> {
    let mut visit = Visit {
        read: HashSet::new(),
        inside: Vec::new(),
        found: Vec::new(),
    };
    visit.body(&around.body);
    visit.found
}

struct Visit<'f> {
    /// Streams that are made from what was read.
    read: HashSet<Stream>,
    inside: Vec<&'f Loop>,
    found: Vec<Lookup<'f>>,
}

impl<'f> Visit<'f> {
    /// Recursion is as deep as loops nest.
    fn body(&mut self, body: &'f Body) {
        for def in &body.streams {
            let mut operands = def.expr.operands().into_iter();
            let depends = operands.any(|stream| self.read.contains(stream));
            if let StreamExpr::Mem { access, .. } = &def.expr {
                if access.indices.iter().any(|s| self.read.contains(s)) {
                    let inside = self.inside.clone();
                    self.found.push(Lookup { access, inside });
                }
                if depends || self.inside.is_empty() {
                    self.read.insert(def.stream);
                }
            } else if depends {
                self.read.insert(def.stream);
            }
        }
        for inner in body.loops() {
            self.inside.push(inner);
            self.body(&inner.body);
            self.inside.pop();
        }
    }
}

/// Changes every scalar loop that looks something up and has no such loop in it; whether there was one. Recursion is as deep as
/// loops nest.
pub(super) fn change(body: &mut Body, to: &mut dyn FnMut(&mut Loop)) -> bool {
    let mut any = false;
    for step in &mut body.steps {
        let Step::For(inner) = step else { continue };
        if change(&mut inner.body, to) {
            any = true;
        } else if inner.lanes.is_none() && !of(inner).is_empty() {
            any = true;
            to(inner);
        }
    }
    any
}
