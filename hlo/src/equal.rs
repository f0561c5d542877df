//! Equality of modules: the same graph under the canonical order and names.
//!
//! Spans are not compared, neither is the order of attributes, of independent instructions or of
//! computations: [`Module`]s are equal when nothing that runs them or prints them can tell them
//! apart.

use cranelift_entity::SecondaryMap;

use crate::attribute::{Attribute, AttributeValue};
use crate::canonical::Canonical;
use crate::module::{ComputationId, Instruction, InstructionId, Module};

/// A module with the place of everything in its canonical order.
struct View<'m> {
    module: &'m Module,
    canonical: Canonical,
    computations: SecondaryMap<ComputationId, usize>,
    instructions: SecondaryMap<InstructionId, usize>,
}

impl<'m> View<'m> {
    fn new(module: &'m Module) -> Self {
        let canonical = Canonical::new(module);
        let mut computations = SecondaryMap::new();
        let mut instructions = SecondaryMap::new();
        for (place, &id) in canonical.computations.iter().enumerate() {
            computations[id] = place;
            for (place, &member) in canonical.instructions[id].iter().enumerate() {
                instructions[member] = place;
            }
        }
        View {
            module,
            canonical,
            computations,
            instructions,
        }
    }
}

impl PartialEq for Module {
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (View::new(self), View::new(other));
        self.name == other.name
            && self.source_tables == other.source_tables
            && attributes_equal(&a, &b, &self.attributes, &other.attributes)
            && a.canonical.computations.len() == b.canonical.computations.len()
            && a.computations[self.entry] == b.computations[other.entry]
            && a.canonical
                .computations
                .iter()
                .zip(&b.canonical.computations)
                .all(|(&x, &y)| computations_equal(&a, &b, x, y))
    }
}

fn computations_equal(a: &View<'_>, b: &View<'_>, x: ComputationId, y: ComputationId) -> bool {
    let (cx, cy) = (&a.module.computations[x], &b.module.computations[y]);
    // The names inside a computation that is printed in place are not printed.
    let hidden = a.canonical.is_folded(x);
    let (members, others) = (&a.canonical.instructions[x], &b.canonical.instructions[y]);
    hidden == b.canonical.is_folded(y)
        && (hidden
            || a.canonical.computation_name(a.module, x)
                == b.canonical.computation_name(b.module, y))
        && a.instructions[cx.root] == b.instructions[cy.root]
        && attributes_equal(a, b, &cx.attributes, &cy.attributes)
        && members.len() == others.len()
        && members.iter().zip(others).all(|(&m, &n)| {
            (hidden || a.canonical.name(a.module, m) == b.canonical.name(b.module, n))
                && instructions_equal(a, b, &a.module.instructions[m], &b.module.instructions[n])
        })
}

fn instructions_equal(a: &View<'_>, b: &View<'_>, x: &Instruction, y: &Instruction) -> bool {
    x.opcode == y.opcode
        && x.shape == y.shape
        && x.payload == y.payload
        && places(&a.instructions, &x.operands).eq(places(&b.instructions, &y.operands))
        && attributes_equal(a, b, &x.attributes, &y.attributes)
}

fn places<'s>(
    map: &'s SecondaryMap<InstructionId, usize>,
    ids: &'s [InstructionId],
) -> impl Iterator<Item = usize> + 's {
    ids.iter().map(|&id| map[id])
}

fn attributes_equal(a: &View<'_>, b: &View<'_>, x: &[Attribute], y: &[Attribute]) -> bool {
    x.len() == y.len()
        && x.iter().all(|attribute| {
            y.iter()
                .find(|other| other.name == attribute.name)
                .is_some_and(|other| values_equal(a, b, &attribute.value, &other.value))
        })
}

fn values_equal(a: &View<'_>, b: &View<'_>, x: &AttributeValue, y: &AttributeValue) -> bool {
    use AttributeValue as V;
    match (x, y) {
        (V::Computation(x), V::Computation(y)) => a.computations[*x] == b.computations[*y],
        (V::Computations(x), V::Computations(y)) => {
            let place = |map: &SecondaryMap<ComputationId, usize>, ids: &[ComputationId]| {
                ids.iter().map(|&id| map[id]).collect::<Vec<_>>()
            };
            place(&a.computations, x) == place(&b.computations, y)
        }
        (V::Instructions(x), V::Instructions(y)) => {
            places(&a.instructions, x).eq(places(&b.instructions, y))
        }
        _ => x == y,
    }
}
