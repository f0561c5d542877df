//! Hoist: what is the same in every iteration of a loop of the execute unit is computed before it.
//!
//! That is what [`crate::core::compute`] has, and the one element of a temporary or output of rank 0 that the loop does not store. (Streams
//! are hoisted by `simplify`.)
//!
//! Before:
//! ```text
//! slc.func @scaled {
//!   input %w: f32[4]
//!   output %y: f32[4,16] = 1.0
//!   slc.for %r = 0 to 4 step 1 {
//!     %f = slc.mem_stream %w[%r]
//!     slc.callback {
//!       %r_0 = slc.from_stream %r
//!       %f_0 = slc.from_stream %f
//!       scf.for<8> %d = 0 to 16 step 1 {
//!         %all = broadcast %f_0 : 8
//!         %old = load<8> %y[%r_0, %d]
//!         %new = mul %old, %all
//!         store<8> %new, %y[%r_0, %d]
//!       }
//!     }
//!   }
//! }
//! ```
//! After:
//! ```text
//! slc.func @scaled {
//!   input %w: f32[4]
//!   output %y: f32[4,16] = 1.0
//!   slc.for %r = 0 to 4 step 1 {
//!     %f = slc.mem_stream %w[%r]
//!     slc.callback {
//!       %r_0 = slc.from_stream %r
//!       %f_0 = slc.from_stream %f
//!       %all = broadcast %f_0 : 8
//!       scf.for<8> %d = 0 to 16 step 1 {
//!         %old = load<8> %y[%r_0, %d]
//!         %new = mul %old, %all
//!         store<8> %new, %y[%r_0, %d]
//!       }
//!     }
//!   }
//! }
//! ```

use hashbrown::HashSet;

use super::Options;
use crate::core::code::For;
use crate::core::{BufferId, Value};
use crate::slc::{Body, Expr, Func, Statement, Step, Stream};

pub(super) fn run(func: &mut Func, _: &Options) {
    visit(&mut func.body);
}

/// Recursion is as deep as loops nest.
fn visit(body: &mut Body) {
    for step in &mut body.steps {
        match step {
            Step::For(inner) => visit(&mut inner.body),
            Step::Callback(callback) => block(&mut callback.code.body),
        }
    }
}

/// Innermost loops first; recursion is as deep as blocks nest.
fn block(statements: &mut Vec<Statement>) {
    let mut kept = Vec::with_capacity(statements.len());
    for mut statement in std::mem::take(statements) {
        match &mut statement {
            Statement::For(inner) => {
                block(&mut inner.body);
                hoist(inner, &mut kept);
            }
            Statement::If {
                then, otherwise, ..
            } => {
                block(then);
                block(otherwise);
            }
            Statement::Let(_, _) | Statement::Store { .. } => {}
        }
        kept.push(statement);
    }
    *statements = kept;
}

/// Moves what is the same in every iteration in front.
fn hoist(inner: &mut For<Stream>, before: &mut Vec<Statement>) {
    let mut stored = HashSet::new();
    stores(&inner.body, &mut stored);
    let mut varying: HashSet<Value> = HashSet::new();
    varying.insert(inner.position);
    varying.extend(inner.lanes.and_then(|lanes| lanes.mask));
    let mut kept = Vec::with_capacity(inner.body.len());
    for statement in std::mem::take(&mut inner.body) {
        if let Statement::Let(value, expr) = &statement {
            let same = expr.operands().iter().all(|v| !varying.contains(v));
            let movable = match expr {
                Expr::Compute(_) => true,
                Expr::Load(access) => access.indices.is_empty() && !stored.contains(&access.buffer),
                Expr::Take(_) | Expr::Element { .. } | Expr::Reduce { .. } => false,
            };
            if same && movable {
                before.push(statement);
                continue;
            }
            varying.insert(*value);
        }
        kept.push(statement);
    }
    inner.body = kept;
}

/// Recursion is as deep as blocks nest.
fn stores(statements: &[Statement], found: &mut HashSet<BufferId>) {
    for statement in statements {
        if let Statement::Store { access, .. } = statement {
            found.insert(access.buffer);
        }
        for inner in statement.blocks() {
            stores(inner, found);
        }
    }
}
