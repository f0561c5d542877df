//! The canonical order and names in which a module is printed and compared.
//!
//! * Instructions stand in post-order: roots (instructions without users) in the order of the
//!   text, each after its operands. In a scheduled module the order of the text is the schedule
//!   and is kept, except in fused computations, which have no schedule.
//! * Computations stand in post-order of the calls.
//! * Names are unique in the whole module: a name that an earlier instruction has gets the next
//!   free number, `p` becomes `p.1`.

use std::fmt::Write;

use cranelift_entity::{EntityRef, EntitySet, SecondaryMap};
use hashbrown::{HashMap, HashSet};

use crate::attribute::AttributeValue;
use crate::module::{ComputationId, Instruction, InstructionId, Module, Name};
use crate::opcode::Opcode;
use crate::parse::asynchronous::SHARED;
use crate::parse::spec::{COMMON, attributes};
use crate::shape::Shape;

/// Hands out names that it has not handed out before.
#[derive(Default)]
pub(crate) struct NameUniquer {
    /// Numbers in use, by the name without its number.
    used: HashMap<Box<str>, Numbers>,
}

/// Numbers in use; most names have one.
struct Numbers {
    first: u64,
    others: HashSet<u64>,
    /// The next one to try.
    next: u64,
}

impl Numbers {
    fn take(&mut self, number: u64) -> bool {
        number != self.first && self.others.insert(number)
    }

    /// `wanted`, or the next free number.
    fn grant(&mut self, wanted: u64) -> u64 {
        if self.take(wanted) {
            return wanted;
        }
        loop {
            self.next += 1;
            if self.take(self.next - 1) {
                return self.next - 1;
            }
        }
    }
}

impl NameUniquer {
    /// `name` if it is free, else `name` with another number; equal names differ in the number
    /// after their last dot.
    pub(crate) fn unique(&mut self, name: &Name) -> Name {
        let (stem, number) = split_number(name);
        let wanted = number.unwrap_or(0);
        let granted = match self.used.get_mut(stem) {
            Some(numbers) => numbers.grant(wanted),
            None => {
                let numbers = Numbers {
                    first: wanted,
                    others: HashSet::new(),
                    next: 0,
                };
                self.used.insert(stem.into(), numbers);
                wanted
            }
        };
        if granted == wanted && (number.is_none() || name.len() == stem.len() + 1 + digits(granted))
        {
            return name.clone();
        }
        let mut unique = String::with_capacity(name.len() + 4);
        unique.push_str(stem);
        if granted != 0 || number.is_some() {
            // Writing to a string cannot fail.
            let _ = write!(unique, ".{granted}");
        }
        unique.into()
    }
}

/// How many digits a number has.
fn digits(number: u64) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

/// `name` without the number after its last dot, and the number.
fn split_number(name: &str) -> (&str, Option<u64>) {
    match name.rsplit_once('.') {
        Some((stem, digits)) if !stem.is_empty() => match digits.parse::<u64>() {
            Ok(number) if !digits.starts_with('+') && number < i64::MAX as u64 => {
                (stem, Some(number))
            }
            _ => (name, None),
        },
        _ => (name, None),
    }
}

/// Orders and names of one module.
pub(crate) struct Canonical {
    /// Computations in the order of printing, those included that are folded into their start.
    pub(crate) computations: Vec<ComputationId>,
    /// Instructions of each computation in the order of printing.
    pub(crate) instructions: SecondaryMap<ComputationId, Vec<InstructionId>>,
    instruction_names: SecondaryMap<InstructionId, Option<Name>>,
    computation_names: SecondaryMap<ComputationId, Option<Name>>,
    /// Asynchronous computations that are not printed because their start says it all.
    folded: EntitySet<ComputationId>,
    /// The operation in such a computation, by start, updates and end.
    operations: HashMap<InstructionId, InstructionId>,
}

impl Canonical {
    pub(crate) fn new(module: &Module) -> Self {
        let mut instruction_names = SecondaryMap::with_capacity(module.instructions.len());
        let mut computation_names = SecondaryMap::with_capacity(module.computations.len());
        let (mut computation_uniquer, mut instruction_uniquer) =
            (NameUniquer::default(), NameUniquer::default());
        for (id, computation) in &module.computations {
            computation_names[id] = Some(computation_uniquer.unique(&computation.name));
            for &member in &computation.instructions {
                let name = &module.instructions[member].name;
                instruction_names[member] = Some(instruction_uniquer.unique(name));
            }
        }
        let scheduled = module
            .attributes
            .iter()
            .any(|a| a.name == "is_scheduled" && a.value == AttributeValue::Bool(true));
        let mut fused = EntitySet::new();
        for instruction in module.instructions.values() {
            if instruction.opcode == Opcode::Fusion {
                for id in instruction.called_computations() {
                    fused.insert(id);
                }
            }
        }
        let users = user_counts(module);
        let mut instructions: SecondaryMap<ComputationId, Vec<InstructionId>> =
            SecondaryMap::with_capacity(module.computations.len());
        for (id, computation) in &module.computations {
            instructions[id] = if scheduled && !fused.contains(id) {
                computation.instructions.clone()
            } else {
                post_order(module, &computation.instructions, &users)
            };
        }
        let (folded, operations) = folded(module);
        let computations = computation_order(module, &instructions);
        Canonical {
            folded,
            operations,
            computations,
            instructions,
            instruction_names,
            computation_names,
        }
    }

    /// Whether a computation is not printed because its start says it all.
    pub(crate) fn is_folded(&self, id: ComputationId) -> bool {
        self.folded.contains(id)
    }

    /// The operation that an asynchronous instruction stands for, when its computation is folded.
    pub(crate) fn folded(&self, id: InstructionId) -> Option<InstructionId> {
        self.operations.get(&id).copied()
    }

    /// The instruction's name in the print.
    pub(crate) fn name<'m>(&'m self, module: &'m Module, id: InstructionId) -> &'m str {
        match &self.instruction_names[id] {
            Some(name) => name,
            None => &module.instructions[id].name,
        }
    }

    /// The computation's name in the print.
    pub(crate) fn computation_name<'m>(&'m self, module: &'m Module, id: ComputationId) -> &'m str {
        match &self.computation_names[id] {
            Some(name) => name,
            None => &module.computations[id].name,
        }
    }
}

type Operations = HashMap<InstructionId, InstructionId>;

/// Computations of an `async-start` that its short form stands for, and the operation in them.
fn folded(module: &Module) -> (EntitySet<ComputationId>, Operations) {
    let (mut folded, mut operations) = (EntitySet::new(), HashMap::new());
    for (id, instruction) in &module.instructions {
        let operation = match instruction.opcode {
            Opcode::AsyncStart => {
                let computation = instruction.called("calls");
                let foldable =
                    computation.and_then(|c| Some((c, foldable(module, instruction, c)?)));
                foldable.map(|(computation, operation)| {
                    folded.insert(computation);
                    operation
                })
            }
            Opcode::AsyncUpdate | Opcode::AsyncDone => {
                let continued = instruction.operands.first();
                continued.and_then(|continued| operations.get(continued).copied())
            }
            _ => None,
        };
        operations.extend(operation.map(|operation| (id, operation)));
    }
    (folded, operations)
}

/// The operation of `computation` if it is one operation on all that `start` passes, with the
/// result that the start states, and attributes that reading the short form gives both again.
fn foldable(
    module: &Module,
    start: &Instruction,
    computation: ComputationId,
) -> Option<InstructionId> {
    let computation = module.computations.get(computation)?;
    let operation = &module.instructions[computation.root];
    let trivial = computation.instructions.iter().all(|&member| {
        let instruction = &module.instructions[member];
        let passes = instruction.opcode == Opcode::Parameter && instruction.attributes.is_empty();
        member == computation.root || passes
    });
    let shape = |id: InstructionId| &module.instructions[id].shape;
    let passed = operation.operands[..] == computation.parameters[..]
        && computation.parameters.len() == start.operands.len()
        && std::iter::zip(&computation.parameters, &start.operands)
            .all(|(&p, &o)| shape(p) == shape(o));
    let output = match &*start.shape {
        Shape::Tuple(parts) => parts.get(1),
        Shape::Array(_) | Shape::Token | Shape::Opaque | Shape::Buffer(_) => None,
    };
    let returned = output == Some(&*operation.shape);
    let shared = COMMON.iter().all(|spec| {
        let stated = start.attribute(spec.name);
        operation.attribute(spec.name) == stated.filter(|_| SHARED.contains(&spec.name))
    });
    // What both may state is read as the operation's.
    let ambiguous = start.attributes.iter().any(|attribute| {
        let mut own = attributes(operation.opcode).iter();
        attribute.name != "calls" && own.any(|spec| spec.name == attribute.name)
    });
    let folds = operation.opcode.has_asynchronous_form() && trivial && passed && returned;
    (folds && shared && !ambiguous).then_some(computation.root)
}

fn user_counts(module: &Module) -> SecondaryMap<InstructionId, u32> {
    let mut users = SecondaryMap::with_capacity(module.instructions.len());
    for instruction in module.instructions.values() {
        for &operand in &instruction.operands {
            users[operand] += 1;
        }
    }
    users
}

fn predecessors(instruction: &Instruction) -> &[InstructionId] {
    match instruction.attribute("control-predecessors") {
        Some(AttributeValue::Instructions(ids)) => ids,
        _ => &[],
    }
}

/// Collectives of one channel run together: each comes after the earlier ones of its channel.
fn channel_dependencies(
    module: &Module,
    members: &[InstructionId],
) -> HashMap<InstructionId, Vec<InstructionId>> {
    let mut channels: HashMap<i64, Vec<InstructionId>> = HashMap::new();
    let mut dependencies = HashMap::new();
    for &member in members {
        let instruction = &module.instructions[member];
        if matches!(
            instruction.opcode,
            Opcode::AllReduce
                | Opcode::AllGather
                | Opcode::AllToAll
                | Opcode::CollectiveBroadcast
                | Opcode::CollectivePermute
                | Opcode::RaggedAllToAll
                | Opcode::ReduceScatter
        ) && let Some(channel) = instruction.integer("channel_id")
        {
            let earlier = channels.entry(channel).or_default();
            if !earlier.is_empty() {
                dependencies.insert(member, earlier.clone());
            }
            earlier.push(member);
        }
    }
    dependencies
}

fn post_order(
    module: &Module,
    members: &[InstructionId],
    users: &SecondaryMap<InstructionId, u32>,
) -> Vec<InstructionId> {
    #[derive(Clone, Copy, Default, PartialEq)]
    enum State {
        #[default]
        New,
        Entered,
        Done,
    }
    let Some(&first) = members.iter().min() else {
        return Vec::new();
    };
    // Members may be interleaved with those of computations written in place, never far apart.
    let mut states: HashMap<InstructionId, State> = HashMap::new();
    let span = members
        .iter()
        .max()
        .map_or(0, |last| last.index() - first.index() + 1);
    let mut dense = vec![State::New; if span <= 4 * members.len() { span } else { 0 }];
    let channels = channel_dependencies(module, members);
    let mut order = Vec::with_capacity(members.len());
    let mut stack = Vec::new();
    for &root in members {
        if users[root] > 0 {
            continue;
        }
        stack.push(root);
        while let Some(&current) = stack.last() {
            let state = match dense.get_mut(current.index().wrapping_sub(first.index())) {
                Some(state) => state,
                None => states.entry(current).or_default(),
            };
            match *state {
                State::New => *state = State::Entered,
                State::Entered => {
                    *state = State::Done;
                    order.push(current);
                    stack.pop();
                    continue;
                }
                State::Done => {
                    stack.pop();
                    continue;
                }
            }
            if current != root {
                stack.extend(channels.get(&current).into_iter().flatten());
            }
            let instruction = &module.instructions[current];
            stack.extend(instruction.operands.iter().rev());
            stack.extend(predecessors(instruction));
        }
    }
    order
}

/// The computations that an instruction calls, in the order in which its attributes are printed.
fn called_by(module: &Module, id: InstructionId) -> Vec<ComputationId> {
    let instruction = &module.instructions[id];
    let mut called: Vec<_> = instruction.called_computations().collect();
    if called.len() > 1 {
        let specs = attributes(instruction.opcode).iter();
        let stated = specs.filter_map(|spec| instruction.attribute(spec.name));
        called = stated
            .flat_map(AttributeValue::computations)
            .copied()
            .collect();
    }
    // A while calls its body before its condition.
    if instruction.opcode == Opcode::While {
        called.reverse();
    }
    called
}

fn computation_order(
    module: &Module,
    instructions: &SecondaryMap<ComputationId, Vec<InstructionId>>,
) -> Vec<ComputationId> {
    let calls = |id: ComputationId| -> Vec<ComputationId> {
        let members = instructions[id].iter();
        members.flat_map(|&i| called_by(module, i)).collect()
    };
    let mut called = EntitySet::new();
    for instruction in module.instructions.values() {
        for id in instruction.called_computations() {
            called.insert(id);
        }
    }
    let mut visited = EntitySet::new();
    let mut order = Vec::with_capacity(module.computations.len());
    for root in module.computations.keys() {
        if called.contains(root) {
            continue;
        }
        // The calls that are left of each open computation. A computation is visited when its turn
        // comes, not when its caller is: one that a `while` and its body both call comes before the body.
        let mut stack = vec![(root, calls(root).into_iter())];
        while let Some((computation, rest)) = stack.last_mut() {
            match rest.next() {
                Some(callee) if visited.insert(callee) => {
                    stack.push((callee, calls(callee).into_iter()));
                }
                Some(_) => {}
                None => {
                    order.push(*computation);
                    stack.pop();
                }
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_name_gets_the_next_free_number() {
        let mut names = NameUniquer::default();
        let mut unique = |name: &str| names.unique(&name.into()).to_string();
        assert_eq!(unique("p"), "p");
        assert_eq!(unique("p"), "p.1");
        assert_eq!(unique("p.1"), "p.2");
        assert_eq!(unique("p.7"), "p.7");
        assert_eq!(unique("add.anon"), "add.anon");
        assert_eq!(unique("q.0"), "q.0");
        assert_eq!(unique("q"), "q.1");
        assert_eq!(unique("r.1"), "r.1");
        assert_eq!(unique("r.1"), "r.0");
    }
}
