//! Loops whose rounds are counted: `for i in begin..end`.
//!
//! A `while` over a tuple is such a loop if its body gives a tuple in which
//!
//! * some elements are handed on as they came;
//! * one, the *index*, grows by 1, and the condition is that it lies below a bound that no round changes; others may
//!   count along, from a begin of their own;
//! * the others, the *state*, are what the rounds compute.
//!
//! Condition and body are then part of the graph of the computation around them, once: what is handed on stands for its
//! initial value, and the index and the state before a round are nodes of their own. A *result* is a node for a state
//! after the last round; it takes the initial value, begin and end, and the value after a round. Maps compose over one round
//! as over anything else; what a result combines is for extraction to see. Other `while`s stay opaque.

use cranelift_entity::entity_impl;
use hlo2dae_hlo::{ComputationId, Instruction, InstructionId, Module, Opcode};

use super::effects::Effects;
use super::{Graph, Node, NodeId, PathId, Role, Value};

/// A loop of a [`Graph`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LoopId(u32);
entity_impl!(LoopId, "loop");

/// Most instructions of condition and body.
const MAX_BODY: usize = 256;

/// A counted loop.
pub(crate) struct Loop {
    /// The `while`.
    pub(crate) instruction: InstructionId,
    /// The calls that lead to it.
    pub(super) outer: PathId,
    /// The calls that lead into it.
    pub(super) inner: PathId,
    /// The first node of condition and body.
    first: usize,
    body: ComputationId,
    initial: Vec<Value>,
    /// The nodes of what changes from round to round.
    state: Vec<Option<NodeId>>,
    /// The condition's value.
    pub(super) condition: Option<NodeId>,
    /// The index and what counts along, with their initial values; empty until the loop turns out to be counted.
    pub(crate) counters: Vec<(NodeId, NodeId)>,
    /// Where the index begins, and what it stays below; only of a counted loop.
    pub(crate) bounds: Option<(NodeId, NodeId)>,
}

impl Loop {
    /// What the loop's condition and body take.
    pub(super) fn arguments(&self) -> Value {
        let both = self.initial.iter().zip(&self.state);
        let elements = both.map(|(initial, state)| match state {
            Some(node) => Value::Node(*node),
            None => initial.clone(),
        });
        Value::Tuple(elements.collect())
    }

    /// The condition and the body.
    pub(super) fn computations(module: &Module, id: InstructionId) -> Option<[ComputationId; 2]> {
        let instruction = &module.instructions[id];
        Some([
            instruction.called("condition")?,
            instruction.called("body")?,
        ])
    }
}

/// Which elements of its state a `while` hands on; `None` if it cannot be a counted loop.
fn handed_on(module: &Module, effects: &Effects, id: InstructionId) -> Option<Vec<bool>> {
    let [condition, body] = Loop::computations(module, id)?.map(|c| &module.computations[c]);
    if condition.instructions.len() + body.instructions.len() > MAX_BODY || effects.has(module, id)
    {
        return None;
    }
    let root = &module.instructions[body.root];
    let &[parameter] = body.parameters.as_slice() else {
        return None;
    };
    let is_element = |mut at: InstructionId, k: usize| {
        for _ in 0..4 {
            let instruction = &module.instructions[at];
            match (instruction.opcode, instruction.operands.as_slice()) {
                (Opcode::Copy, &[operand]) => at = operand,
                (Opcode::GetTupleElement, &[operand]) => {
                    return operand == parameter && instruction.integer("index") == Some(k as i64);
                }
                _ => return false,
            }
        }
        false
    };
    (root.opcode == Opcode::Tuple).then(|| {
        let elements = root.operands.iter().enumerate();
        elements
            .map(|(k, &element)| is_element(element, k))
            .collect()
    })
}

impl Graph<'_> {
    /// Starts on a `while` that may be a counted loop.
    pub(super) fn open_loop(
        &mut self,
        effects: &Effects,
        id: InstructionId,
        outer: PathId,
        operands: &[Value],
    ) -> Option<LoopId> {
        let [Value::Tuple(initial)] = operands else {
            return None;
        };
        let handed_on = handed_on(self.module, effects, id)?;
        let is_node = |value: &Value| matches!(value, Value::Node(_));
        let [_, body] = Loop::computations(self.module, id)?;
        let root = &self.module.instructions[self.module.computations[body].root];
        if handed_on.len() != initial.len() || !initial.iter().all(is_node) {
            return None;
        }
        let inner = self.paths.push(super::Path {
            outer: Some((outer, id)),
        });
        let first = self.len();
        let within = self.loops.next_key();
        let mut state = Vec::with_capacity(initial.len());
        for (&is_handed_on, &element) in handed_on.iter().zip(&root.operands) {
            // The value after a round has the shape of the value before it.
            state.push((!is_handed_on).then(|| {
                self.nodes.push(Node {
                    instruction: element,
                    path: inner,
                    operands: Vec::new(),
                    role: Role::State,
                    within: Some(within),
                })
            }));
        }
        Some(self.loops.push(Loop {
            instruction: id,
            outer,
            inner,
            first,
            body,
            initial: initial.to_vec(),
            state,
            condition: None,
            counters: Vec::new(),
            bounds: None,
        }))
    }

    /// The value of a loop whose body gives `after`.
    pub(super) fn close_loop(&mut self, id: LoopId, after: &Value) -> Value {
        let Some(results) = self.results(id, after) else {
            return self.opaque(id);
        };
        Value::Tuple(results.into())
    }

    fn results(&mut self, id: LoopId, after: &Value) -> Option<Vec<Value>> {
        let info = &self.loops[id];
        let Value::Tuple(after) = after else {
            return None;
        };
        let after: Vec<NodeId> = after
            .iter()
            .map(|value| match value {
                Value::Node(node) => Some(*node),
                Value::Tuple(_) => None,
            })
            .collect::<Option<_>>()?;
        let (at, end) = self.bound(info.condition?)?;
        let position = info.state.iter().position(|state| *state == Some(at))?;
        if !self.is_next(*after.get(position)?, at) {
            return None;
        }
        let Value::Node(begin) = info.initial.get(position)?.clone() else {
            return None;
        };
        let (outer, first) = (info.outer, info.first);
        let is_outer = |node: NodeId| {
            (node.as_u32() as usize) < first || self.opcode(node) == Opcode::Constant
        };
        if !is_outer(end) {
            return None;
        }
        let elements: Vec<_> = info
            .initial
            .iter()
            .zip(&info.state)
            .map(|(initial, state)| (initial.clone(), *state))
            .collect();
        let body_root = self.module.computations[info.body].root;
        let instructions = &self.module.instructions[body_root].operands;
        let mut counters = vec![(at, begin)];
        let mut results = Vec::with_capacity(elements.len());
        for (k, (initial, state)) in elements.into_iter().enumerate() {
            let (Value::Node(first), Some(state)) = (&initial, state) else {
                results.push(initial);
                continue;
            };
            let after = *after.get(k)?;
            let is_counter = self.is_next(after, state);
            if is_counter && state != at {
                counters.push((state, *first));
            }
            results.push(Value::Node(self.nodes.push(Node {
                instruction: *instructions.get(k)?,
                path: outer,
                operands: vec![*first, begin, end, after],
                role: match is_counter {
                    true => Role::Opaque,
                    false => Role::Result {
                        of: id,
                        state,
                        is_named: false,
                    },
                },
                within: None,
            })));
        }
        for &(counter, _) in &counters {
            self.nodes[counter].role = Role::Index;
        }
        self.loops[id].counters = counters;
        self.loops[id].bounds = Some((begin, end));
        Some(results)
    }

    /// The `while` as one node; what was made of its body is forgotten.
    fn opaque(&mut self, id: LoopId) -> Value {
        let info = &self.loops[id];
        let (instruction, path, first) = (info.instruction, info.outer, info.first);
        let mut operands = Vec::new();
        for initial in &info.initial {
            initial.leaves(&mut operands);
        }
        let inside: Vec<NodeId> = self.nodes.keys().skip(first).collect();
        for node in inside {
            self.nodes[node].role = Role::Opaque;
            self.nodes[node].operands.clear();
        }
        Value::Node(self.nodes.push(Node {
            instruction,
            path,
            operands,
            role: Role::Instruction,
            within: None,
        }))
    }

    /// What a condition compares: an index that must lie below a bound.
    fn bound(&self, condition: NodeId) -> Option<(NodeId, NodeId)> {
        let compare = self.instruction(condition);
        let &[lhs, rhs] = self.nodes[condition].operands.as_slice() else {
            return None;
        };
        if self.opcode(condition) != Opcode::Compare {
            return None;
        }
        let (lhs, rhs) = (self.unwrapped(lhs), self.unwrapped(rhs));
        match direction(compare)? {
            "LT" => Some((lhs, rhs)),
            "GT" => Some((rhs, lhs)),
            _ => None,
        }
    }

    /// Whether a node is the index plus 1.
    fn is_next(&self, node: NodeId, index: NodeId) -> bool {
        let next = self.unwrapped(node);
        let &[lhs, rhs] = self.nodes[next].operands.as_slice() else {
            return false;
        };
        let is_one = |node: NodeId| {
            let node = self.unwrapped(node);
            let literal = self.instruction(node).literal();
            let one = literal.and_then(|literal| crate::op_maps::literal_element(literal, 0));
            self.opcode(node) == Opcode::Constant && one.and_then(|one| one.as_integer()) == Some(1)
        };
        let is_index = |node: NodeId| self.unwrapped(node) == index;
        self.opcode(next) == Opcode::Add
            && ((is_index(lhs) && is_one(rhs)) || (is_index(rhs) && is_one(lhs)))
    }

    /// The scalar that a node is a copy of.
    fn unwrapped(&self, node: NodeId) -> NodeId {
        let mut at = node;
        for _ in 0..8 {
            let passes = matches!(
                self.opcode(at),
                Opcode::Copy | Opcode::Convert | Opcode::Bitcast | Opcode::Reshape
            );
            match self.nodes[at].operands.as_slice() {
                &[operand] if passes && self.shape(operand) == self.shape(at) => at = operand,
                _ => break,
            }
        }
        at
    }

    /// Element type of a scalar.
    fn shape(&self, node: NodeId) -> Option<hlo2dae_hlo::PrimitiveType> {
        let array = self.array(node)?;
        (array.element_count() == Some(1)).then_some(array.element)
    }
}

fn direction(compare: &Instruction) -> Option<&str> {
    match compare.attribute("direction") {
        Some(hlo2dae_hlo::AttributeValue::Word(word)) => Some(word),
        _ => None,
    }
}
