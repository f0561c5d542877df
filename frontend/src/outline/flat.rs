//! A computation with the calls inlined that custom calls reach into, and the order of what is left of it.

use hashbrown::{HashMap, HashSet};
use hlo2dae_hlo::{
    AttributeValue, Computation, ComputationId, InstructionId, Module, Opcode, Payload,
};

use crate::error::FrontendError;
use crate::graph::{Effects, inlined};
use crate::matches::ValueRef;

use super::{CONTROL_PREDECESSORS, Call, depends_on_itself};

/// Index of an [`Item`].
pub(super) type ItemId = usize;

/// An instruction of the computation as it will be.
#[derive(Debug)]
pub(super) enum Item {
    /// An instruction of the original, with the calls through which it was inlined.
    Original(ValueRef),
    /// A custom call, by its number.
    Custom(usize),
    /// One result of a custom call that has several.
    Result(usize, usize),
    /// One element of the tuple that a call gives.
    Element(ValueRef, usize),
}

/// What comes of an attempt to order the items.
pub(super) enum Order {
    /// The items that are needed, what is used before what uses it.
    Ordered(Vec<ItemId>),
    /// This custom call would have to wait for itself.
    Circular(usize),
}

/// A computation with the calls inlined that custom calls reach into.
pub(super) struct Flat {
    /// Everything that may be in the computation, in no order.
    pub(super) items: Vec<Item>,
    /// What an item uses, by the names of the original.
    uses: Vec<Vec<ValueRef>>,
    /// What an item has to wait for, by the names of the original.
    waits: Vec<Vec<ValueRef>>,
    /// The item that holds a value of the original.
    values: HashMap<ValueRef, ItemId>,
    /// The item of each custom call.
    pub(super) calls: Vec<ItemId>,
    /// The custom call that computes an instruction of the original.
    covered: HashMap<ValueRef, ItemId>,
}

impl Flat {
    /// The items of a computation that nothing is cut out of.
    pub(super) fn whole(module: &Module, computation: &Computation) -> Flat {
        let mut flat = Flat::empty();
        for &instruction in &computation.instructions {
            let value = ValueRef {
                call_path: Vec::new(),
                instruction,
            };
            let item = flat.push(Item::Original(value.clone()), Vec::new());
            flat.waits[item].extend(control_predecessors(module, &value));
            flat.values.insert(value, item);
        }
        flat
    }

    fn empty() -> Flat {
        Flat {
            items: Vec::new(),
            uses: Vec::new(),
            waits: Vec::new(),
            values: HashMap::new(),
            calls: Vec::new(),
            covered: HashMap::new(),
        }
    }

    /// The items of a computation, with custom calls in the place of what they compute. Which of its calls are inlined depends on all
    /// custom calls together, not on how many they are.
    pub(super) fn build(module: &Module, computation: ComputationId, customs: &[&Call]) -> Flat {
        let mut flat = Flat::empty();
        let mut open: HashSet<&[InstructionId]> = HashSet::new();
        for (number, custom) in customs.iter().enumerate() {
            let call = flat.push(Item::Custom(number), custom.inputs.clone());
            flat.calls.push(call);
            for (result, output) in custom.outputs.iter().enumerate() {
                let item = match custom.outputs.len() {
                    1 => call,
                    _ => flat.push(Item::Result(number, result), Vec::new()),
                };
                flat.values.insert(output.clone(), item);
            }
            for value in &custom.instructions {
                open.extend(prefixes(&value.call_path));
                flat.covered.insert(value.clone(), call);
                flat.waits[call].extend(control_predecessors(module, value));
            }
        }
        let inputs = customs.iter().flat_map(|custom| &custom.inputs);
        let mut inputs: Vec<&ValueRef> = inputs.collect();
        inputs.sort_unstable();
        inputs.dedup();
        let mut surfaced = Vec::new();
        for input in inputs {
            let outer = surface(module, input, &open);
            let depth = outer.value.call_path.len();
            open.extend(prefixes(&input.call_path[..depth]));
            surfaced.push((input, outer));
        }
        flat.walk(module, computation, &open);
        for (input, Surfaced { value, element }) in surfaced {
            let item = match element {
                Some(index) => Some(flat.push(Item::Element(value.clone(), index), vec![value])),
                None => flat.values.get(&value).copied(),
            };
            // What a loop's body has without arguments may stand outside of it.
            let lifted = || module.instructions[input.instruction].opcode == Opcode::Constant;
            let item = match item {
                None if lifted() => Some(flat.push(Item::Original(input.clone()), Vec::new())),
                item => item,
            };
            if let Some(item) = item {
                flat.values.entry(input.clone()).or_insert(item);
            }
        }
        flat
    }

    fn push(&mut self, item: Item, uses: Vec<ValueRef>) -> ItemId {
        self.items.push(item);
        self.uses.push(uses);
        self.waits.push(Vec::new());
        self.items.len() - 1
    }

    fn walk(
        &mut self,
        module: &Module,
        computation: ComputationId,
        open: &HashSet<&[InstructionId]>,
    ) {
        let mut path: Vec<InstructionId> = Vec::new();
        let mut frames = vec![(computation, 0)];
        while let Some((computation, next)) = frames.last_mut() {
            let body = &module.computations[*computation];
            let Some(&id) = body.instructions.get(*next) else {
                frames.pop();
                let root = ValueRef {
                    call_path: path.clone(),
                    instruction: body.root,
                };
                if let (Some(call), Some(&item)) = (path.pop(), self.values.get(&root)) {
                    self.values.insert(
                        ValueRef {
                            call_path: path.clone(),
                            instruction: call,
                        },
                        item,
                    );
                }
                continue;
            };
            *next += 1;
            let value = ValueRef {
                call_path: path.clone(),
                instruction: id,
            };
            if self.values.contains_key(&value) {
                continue;
            }
            let instruction = &module.instructions[id];
            if let (Payload::Parameter(number), Some((&call, outer))) =
                (&instruction.payload, path.split_last())
            {
                let argument = usize::try_from(*number)
                    .ok()
                    .and_then(|n| module.instructions[call].operands.get(n));
                let argument = argument.map(|&instruction| ValueRef {
                    call_path: outer.to_vec(),
                    instruction,
                });
                if let Some(&item) = argument.and_then(|argument| self.values.get(&argument)) {
                    self.values.insert(value, item);
                }
                continue;
            }
            path.push(id);
            if open.contains(path.as_slice())
                && let Some(callee) = inlined(instruction)
            {
                frames.push((callee, 0));
                continue;
            }
            path.pop();
            let uses = instruction
                .operands
                .iter()
                .map(|&instruction| ValueRef {
                    call_path: path.clone(),
                    instruction,
                })
                .collect();
            let waits = control_predecessors(module, &value);
            let item = self.push(Item::Original(value.clone()), uses);
            self.waits[item] = waits;
            self.values.insert(value, item);
        }
    }

    /// The item that holds a value of the original.
    pub(super) fn item(&self, value: &ValueRef) -> Option<ItemId> {
        self.values.get(value).copied()
    }

    /// The items that an item has to wait for, though it does not use them.
    pub(super) fn predecessors(&self, item: ItemId) -> Vec<ItemId> {
        let mut items: Vec<ItemId> = self.waits[item]
            .iter()
            .filter_map(|value| self.covered.get(value).or(self.values.get(value)).copied())
            .filter(|&predecessor| predecessor != item)
            .collect();
        items.sort_unstable();
        items.dedup();
        items
    }

    /// Orders what the result, the side effects and the parameters need.
    pub(super) fn order(
        &self,
        module: &Module,
        computation: &Computation,
        effects: &Effects,
    ) -> Result<Order, FrontendError> {
        #[derive(Clone, Copy, PartialEq)]
        enum State {
            New,
            Open,
            Done,
        }
        let here = |&instruction: &InstructionId| {
            self.item(&ValueRef {
                call_path: Vec::new(),
                instruction,
            })
        };
        let kept = self
            .items
            .iter()
            .enumerate()
            .filter_map(|(item, kind)| match kind {
                Item::Original(value) => effects.has(module, value.instruction).then_some(item),
                Item::Custom(_) | Item::Result(..) | Item::Element(..) => None,
            });
        let parameters = computation.parameters.iter().filter_map(here);
        let needed = parameters.chain(kept).chain(here(&computation.root));
        let mut state = vec![State::New; self.items.len()];
        let mut order = Vec::new();
        for first in needed {
            let mut stack = vec![first];
            while let Some(&item) = stack.last() {
                match state[item] {
                    State::Done => {
                        stack.pop();
                    }
                    State::Open => {
                        stack.pop();
                        state[item] = State::Done;
                        order.push(item);
                    }
                    State::New => {
                        state[item] = State::Open;
                        for used in self.used(item) {
                            match state[used] {
                                State::New => stack.push(used),
                                State::Open => {
                                    let open = stack.iter().filter(|&&i| state[i] == State::Open);
                                    let custom = open.rev().find_map(|&i| match self.items[i] {
                                        Item::Custom(call) | Item::Result(call, _) => Some(call),
                                        Item::Original(_) | Item::Element(..) => None,
                                    });
                                    return custom
                                        .map(Order::Circular)
                                        .ok_or_else(|| depends_on_itself(module, computation));
                                }
                                State::Done => {}
                            }
                        }
                    }
                }
            }
        }
        Ok(Order::Ordered(order))
    }

    /// The items that an item uses or has to wait for.
    pub(super) fn used(&self, item: ItemId) -> Vec<ItemId> {
        let mut used = match self.items[item] {
            Item::Result(call, _) => vec![self.calls[call]],
            Item::Original(_) | Item::Custom(_) | Item::Element(..) => self.uses[item]
                .iter()
                .rev()
                .filter_map(|value| self.item(value))
                .collect(),
        };
        used.extend(self.predecessors(item));
        used
    }
}

/// All paths that lead to a place on the way of `path`, itself included.
fn prefixes(path: &[InstructionId]) -> impl Iterator<Item = &[InstructionId]> {
    (1..=path.len()).map(|depth| &path[..depth])
}

/// A value as seen from as far outside as it can be.
struct Surfaced {
    /// The value, or the call that gives a tuple with it.
    value: ValueRef,
    /// Its place in that tuple.
    element: Option<usize>,
}

/// Follows a value out of the calls that give it, up to those that are opened in any case.
fn surface(module: &Module, value: &ValueRef, open: &HashSet<&[InstructionId]>) -> Surfaced {
    let mut value = value.clone();
    let mut element = None;
    while !open.contains(value.call_path.as_slice())
        && let Some(call) = value.call_path.pop()
    {
        let callee = inlined(&module.instructions[call]);
        let root = callee.map(|callee| module.computations[callee].root);
        let place = root.and_then(|root| {
            let tuple = &module.instructions[root];
            let operands = (tuple.opcode == Opcode::Tuple).then_some(tuple.operands.as_slice());
            operands?.iter().position(|&id| id == value.instruction)
        });
        if root == Some(value.instruction) {
            value.instruction = call;
        } else if place.is_some() {
            value.instruction = call;
            element = place;
            break;
        } else {
            value.call_path.push(call);
            break;
        }
    }
    Surfaced { value, element }
}

/// What an instruction has to wait for: what it names, and what each call that it is reached through names.
fn control_predecessors(module: &Module, value: &ValueRef) -> Vec<ValueRef> {
    let calls = value.call_path.iter().enumerate();
    let all = calls.chain([(value.call_path.len(), &value.instruction)]);
    all.flat_map(|(depth, &waiting)| {
        let ids: &[InstructionId] =
            match module.instructions[waiting].attribute(CONTROL_PREDECESSORS) {
                Some(AttributeValue::Instructions(ids)) => ids,
                _ => &[],
            };
        let call_path = value.call_path.get(..depth).unwrap_or_default();
        ids.iter().map(|&instruction| ValueRef {
            call_path: call_path.to_vec(),
            instruction,
        })
    })
    .collect()
}
