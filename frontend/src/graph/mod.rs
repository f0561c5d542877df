//! The flat def-use graph of a computation.
//!
//! Calls and fusions are inlined at every call site; tuples, `get-tuple-element` and what only
//! passes a value on (`opt-barrier`, `add-dependency`, `domain`) are seen through. A node is one
//! instruction reached through one path of calls. Parameters of the computation, and instructions
//! that give a tuple of their own (`while`, `sort`, ...), are nodes that nothing is known about.
//!
//! Node ids are topological: an operand's id is smaller than its users'. The bodies of loops and
//! conditionals, and callees that must not be inlined, are graphs of their own, listed by [`computations`]; those of counted
//! loops are part of the graph around them as well (see [`loops`]).

mod effects;
mod loops;

use cranelift_entity::{EntityRef, PrimaryMap, SecondaryMap, entity_impl};
use hashbrown::{HashMap, HashSet};
use std::rc::Rc;

use hlo2dae_hlo::{
    ArrayShape, AttributeValue, ComputationId, Instruction, InstructionId, Module, Opcode, Payload,
    Span,
};

use crate::error::FrontendError;
use crate::matches::ValueRef;

pub(crate) use effects::Effects;
pub(crate) use loops::{Loop, LoopId};

/// A node of a [`Graph`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeId(u32);
entity_impl!(NodeId, "node");

/// A path of calls.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct PathId(u32);
entity_impl!(PathId, "path");

/// One instruction at the end of one path of calls.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// The instruction.
    pub(crate) instruction: InstructionId,
    /// The calls that lead to it.
    pub(crate) path: PathId,
    /// What it takes; tuples are flattened.
    pub(crate) operands: Vec<NodeId>,
    /// What it stands for.
    pub(crate) role: Role,
    /// The loop of whose condition or body it is part.
    pub(crate) within: Option<LoopId>,
}

/// What a node stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Its instruction.
    Instruction,
    /// The index of the loop that it is part of, or what counts along.
    Index,
    /// A state of a loop before a round.
    State,
    /// A state of a loop after the last round. It has the name of the instruction that takes it from the loop's tuple.
    Result {
        /// The loop.
        of: LoopId,
        /// The state before a round.
        state: NodeId,
        /// Whether an instruction takes it.
        is_named: bool,
    },
    /// Something that nothing is known about.
    Opaque,
}

/// The calls entered to reach a node, as a linked list.
#[derive(Clone, Copy, Debug)]
struct Path {
    outer: Option<(PathId, InstructionId)>,
}

/// The flat graph of one computation.
pub(crate) struct Graph<'m> {
    /// The module.
    pub(crate) module: &'m Module,
    /// The computation that paths start from.
    pub(crate) computation: ComputationId,
    /// All nodes, operands first.
    pub(crate) nodes: PrimaryMap<NodeId, Node>,
    /// The live nodes that use a node, each once, ascending.
    pub(crate) users: SecondaryMap<NodeId, Vec<NodeId>>,
    /// Whether a node's value is part of the computation's result.
    pub(crate) is_result: SecondaryMap<NodeId, bool>,
    /// Whether the result, or a side effect, depends on the node.
    pub(crate) is_live: SecondaryMap<NodeId, bool>,
    /// The loops whose bodies are part of the graph.
    pub(crate) loops: PrimaryMap<LoopId, Loop>,
    paths: PrimaryMap<PathId, Path>,
}

/// What an instruction's value is made of.
#[derive(Clone)]
enum Value {
    Node(NodeId),
    Tuple(Rc<[Value]>),
}

impl Value {
    /// The nodes in it, in order.
    fn leaves(&self, into: &mut Vec<NodeId>) {
        let mut stack = vec![self.clone()];
        while let Some(value) = stack.pop() {
            match value {
                Value::Node(node) => into.push(node),
                Value::Tuple(elements) => stack.extend(elements.iter().rev().cloned()),
            }
        }
    }
}

/// A computation that is being walked.
struct Frame {
    computation: ComputationId,
    path: PathId,
    next: usize,
    values: HashMap<InstructionId, Value>,
    arguments: Vec<Value>,
    /// What becomes of the result.
    purpose: Purpose,
    /// The loop of whose condition or body this is part.
    within: Option<LoopId>,
}

/// What becomes of the result of a computation.
#[derive(Clone, Copy)]
enum Purpose {
    /// It is the graph's.
    Result,
    /// It is that of a call in the frame below.
    Call(InstructionId),
    /// It is the condition of a loop.
    Condition(LoopId),
    /// It is the state of a loop after a round.
    Body(LoopId),
}

/// The computation that stands for the instruction: the callee of a `call` or `fusion`, unless the module says that it must
/// stay a computation. The body of a partitioned loop over devices does: XLA looks for its call between two custom calls.
pub(crate) fn inlined(instruction: &Instruction) -> Option<ComputationId> {
    match instruction.opcode {
        Opcode::Call if stays_a_call(instruction) => None,
        Opcode::Call => instruction.called("to_apply"),
        Opcode::Fusion => instruction.called("calls"),
        _ => None,
    }
}

fn stays_a_call(call: &Instruction) -> bool {
    let attributes = match call.attribute("frontend_attributes") {
        Some(AttributeValue::Raw(text)) => text,
        _ => return false,
    };
    let stated = attributes.split_once("inlineable=\"");
    stated.is_some_and(|(_, value)| !value.starts_with("true\""))
}

/// The entry, and every computation reachable from it that is not inlined: what loops, conditionals and
/// [`inlined`]'s exceptions run; in the order of the module.
pub(crate) fn computations(module: &Module) -> Vec<ComputationId> {
    let mut seen: HashSet<_> = [module.entry].into_iter().collect();
    let mut graphs = seen.clone();
    let mut stack = vec![module.entry];
    while let Some(computation) = stack.pop() {
        for &id in &module.computations[computation].instructions {
            let instruction = &module.instructions[id];
            if !matches!(
                instruction.opcode,
                Opcode::Call | Opcode::Fusion | Opcode::While | Opcode::Conditional
            ) {
                continue;
            }
            let own_graph = inlined(instruction).is_none();
            for callee in instruction.called_computations() {
                if own_graph {
                    graphs.insert(callee);
                }
                if seen.insert(callee) {
                    stack.push(callee);
                }
            }
        }
    }
    let mut graphs: Vec<_> = graphs.into_iter().collect();
    graphs.sort_unstable();
    graphs
}

impl<'m> Graph<'m> {
    /// Flattens `computation`.
    pub(crate) fn build(
        module: &'m Module,
        effects: &Effects,
        computation: ComputationId,
        max_nodes: usize,
    ) -> Result<Self, FrontendError> {
        let mut graph = Graph {
            module,
            computation,
            nodes: PrimaryMap::new(),
            users: SecondaryMap::new(),
            is_result: SecondaryMap::new(),
            is_live: SecondaryMap::new(),
            loops: PrimaryMap::new(),
            paths: PrimaryMap::new(),
        };
        let path = graph.paths.push(Path { outer: None });
        let result = graph.flatten(effects, computation, path, max_nodes)?;
        let mut results = Vec::new();
        result.leaves(&mut results);
        graph.mark_live(effects, &results);
        Ok(graph)
    }

    fn flatten(
        &mut self,
        effects: &Effects,
        computation: ComputationId,
        path: PathId,
        max_nodes: usize,
    ) -> Result<Value, FrontendError> {
        let module = self.module;
        let frame = |computation, path, arguments, purpose, within| Frame {
            computation,
            path,
            next: 0,
            values: HashMap::new(),
            arguments,
            purpose,
            within,
        };
        let mut steps = 0usize;
        let mut stack = vec![frame(computation, path, Vec::new(), Purpose::Result, None)];
        while let Some(top) = stack.last_mut() {
            let body = &module.computations[top.computation];
            let Some(&id) = body.instructions.get(top.next) else {
                // The computation is done.
                let result = top.values.get(&body.root).cloned().ok_or_else(|| {
                    FrontendError::malformed(
                        module,
                        body.root,
                        "the root is not in its computation",
                    )
                })?;
                let purpose = top.purpose;
                stack.pop();
                let (call, result) = match purpose {
                    Purpose::Result => return Ok(result),
                    Purpose::Call(call) => (call, result),
                    Purpose::Condition(of) => {
                        if let Value::Node(condition) = result {
                            self.loops[of].condition = Some(condition);
                        }
                        let info = &self.loops[of];
                        if let Some([_, body]) = Loop::computations(module, info.instruction) {
                            let arguments = vec![info.arguments()];
                            let purpose = Purpose::Body(of);
                            stack.push(frame(body, info.inner, arguments, purpose, Some(of)));
                        }
                        continue;
                    }
                    Purpose::Body(of) => (self.loops[of].instruction, self.close_loop(of, &result)),
                };
                if let Some(caller) = stack.last_mut() {
                    caller.values.insert(call, result);
                }
                continue;
            };
            top.next += 1;
            steps += 1;
            if steps > max_nodes {
                let computation = &module.computations[computation];
                return Err(FrontendError::TooLarge {
                    computation: computation.name.to_string(),
                    limit: max_nodes,
                    span: computation.span.into(),
                });
            }
            let instruction = &module.instructions[id];
            let operands = instruction
                .operands
                .iter()
                .map(|operand| top.values.get(operand).cloned())
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| {
                    FrontendError::malformed(module, id, "an operand is not defined before it")
                })?;
            if let Some(callee) = inlined(instruction) {
                let within = top.within;
                let path = self.paths.push(Path {
                    outer: Some((top.path, id)),
                });
                let callee = frame(callee, path, operands, Purpose::Call(id), within);
                stack.push(callee);
                continue;
            }
            // A loop in a loop stays opaque in the graph around both.
            if instruction.opcode == Opcode::While
                && top.within.is_none()
                && let Some([condition, _]) = Loop::computations(module, id)
                && let Some(of) = self.open_loop(effects, id, top.path, &operands)
            {
                let info = &self.loops[of];
                let arguments = vec![info.arguments()];
                let purpose = Purpose::Condition(of);
                stack.push(frame(condition, info.inner, arguments, purpose, Some(of)));
                continue;
            }
            let value = match seen_through(instruction, &operands, &top.arguments) {
                Some(value) => value,
                None => {
                    let mut leaves = Vec::with_capacity(operands.len());
                    for operand in &operands {
                        operand.leaves(&mut leaves);
                    }
                    Value::Node(self.nodes.push(Node {
                        instruction: id,
                        path: top.path,
                        operands: leaves,
                        role: Role::Instruction,
                        within: top.within,
                    }))
                }
            };
            if let (Opcode::GetTupleElement, Value::Node(node)) = (instruction.opcode, &value)
                && let Node {
                    role: Role::Result { is_named, .. },
                    instruction: name,
                    path,
                    ..
                } = &mut self.nodes[*node]
                && !std::mem::replace(is_named, true)
            {
                (*name, *path) = (id, top.path);
            }
            top.values.insert(id, value);
        }
        Err(FrontendError::malformed(
            module,
            module.computations[computation].root,
            "the computation is empty",
        ))
    }

    fn mark_live(&mut self, effects: &Effects, results: &[NodeId]) {
        for &node in results {
            self.is_result[node] = true;
        }
        let mut stack: Vec<_> = results.to_vec();
        stack.extend(self.nodes.iter().filter_map(|(id, node)| {
            let is_effect =
                node.role == Role::Instruction && effects.has(self.module, node.instruction);
            is_effect.then_some(id)
        }));
        while let Some(node) = stack.pop() {
            if !std::mem::replace(&mut self.is_live[node], true) {
                stack.extend(&self.nodes[node].operands);
            }
        }
        for (id, node) in self.nodes.iter() {
            if self.is_live[id] {
                for &operand in &node.operands {
                    if self.users[operand].last() != Some(&id) {
                        self.users[operand].push(id);
                    }
                }
            }
        }
    }

    /// The node's instruction.
    pub(crate) fn instruction(&self, node: NodeId) -> &'m Instruction {
        &self.module.instructions[self.nodes[node].instruction]
    }

    /// The node's opcode; `while` for what a loop gives, and `parameter` for what a round of one is given.
    pub(crate) fn opcode(&self, node: NodeId) -> Opcode {
        match self.nodes[node].role {
            Role::Instruction => self.instruction(node).opcode,
            Role::Result { .. } => Opcode::While,
            Role::Index | Role::State | Role::Opaque => Opcode::Parameter,
        }
    }

    /// The conditions and bodies of the loops all of whose results that anything uses are computed elsewhere.
    pub(crate) fn computed_bodies(
        &self,
        is_computed: impl Fn(NodeId) -> bool,
    ) -> HashSet<ComputationId> {
        let mut computed: HashSet<LoopId> = HashSet::new();
        let mut remaining: HashSet<LoopId> = HashSet::new();
        for (id, node) in self.nodes.iter() {
            if let (Role::Result { of, .. }, true) = (node.role, self.is_live[id]) {
                match is_computed(id) {
                    true => computed.insert(of),
                    false => remaining.insert(of),
                };
            }
        }
        if computed.is_empty() {
            return HashSet::new();
        }
        // A computation that another loop runs as well is still to be looked at.
        let callees = |id: InstructionId| Loop::computations(self.module, id).into_iter().flatten();
        let instructions: HashSet<InstructionId> = computed
            .difference(&remaining)
            .map(|&of| self.loops[of].instruction)
            .collect();
        let mut bodies: HashSet<ComputationId> =
            instructions.iter().flat_map(|&id| callees(id)).collect();
        for (id, instruction) in &self.module.instructions {
            if instruction.opcode == Opcode::While && !instructions.contains(&id) {
                callees(id).for_each(|callee| {
                    bodies.remove(&callee);
                });
            }
        }
        bodies
    }

    /// The nodes of one round of a loop that a result of it depends on.
    pub(crate) fn round(&self, result: NodeId) -> Vec<NodeId> {
        let mut round = Vec::new();
        let Role::Result { of, .. } = self.nodes[result].role else {
            return round;
        };
        let mut seen = HashSet::new();
        let mut stack: Vec<NodeId> = self.nodes[result].operands.clone();
        while let Some(node) = stack.pop() {
            if self.nodes[node].within == Some(of) && seen.insert(node) {
                round.push(node);
                stack.extend(&self.nodes[node].operands);
            }
        }
        round.sort_unstable();
        round
    }

    /// The node's shape, if it is an array of static shape.
    pub(crate) fn array(&self, node: NodeId) -> Option<&'m ArrayShape> {
        self.instruction(node).array().filter(|a| !a.is_dynamic())
    }

    /// Elements of the node's array; 0 if it is none.
    pub(crate) fn elements(&self, node: NodeId) -> u64 {
        self.array(node)
            .and_then(ArrayShape::element_count)
            .map_or(0, |n| n as u64)
    }

    /// Bytes of the node's array; 0 if it is none.
    pub(crate) fn bytes(&self, node: NodeId) -> u64 {
        self.array(node)
            .and_then(ArrayShape::byte_size)
            .map_or(0, |n| n as u64)
    }

    /// Where the node's instruction stands.
    pub(crate) fn span(&self, node: NodeId) -> Span {
        self.instruction(node).span
    }

    /// The name of the node's value for callers.
    pub(crate) fn value_ref(&self, node: NodeId) -> ValueRef {
        let node = &self.nodes[node];
        let mut call_path = Vec::new();
        let mut path = node.path;
        while let Some((outer, call)) = self.paths[path].outer {
            call_path.push(call);
            path = outer;
        }
        call_path.reverse();
        ValueRef {
            call_path,
            instruction: node.instruction,
        }
    }

    /// Whether something outside `members` uses the node's value.
    pub(crate) fn escapes(&self, node: NodeId, members: &HashSet<NodeId>) -> bool {
        self.is_result[node] || self.users[node].iter().any(|u| !members.contains(u))
    }

    /// One past the last node.
    pub(crate) fn len(&self) -> usize {
        self.nodes.next_key().index()
    }
}

/// The value of an instruction that only names other values.
fn seen_through(
    instruction: &Instruction,
    operands: &[Value],
    arguments: &[Value],
) -> Option<Value> {
    match instruction.opcode {
        Opcode::Parameter => match instruction.payload {
            Payload::Parameter(number) => arguments.get(usize::try_from(number).ok()?).cloned(),
            Payload::None | Payload::Constant(_) => None,
        },
        Opcode::Tuple => Some(Value::Tuple(operands.into())),
        Opcode::GetTupleElement => match operands.first()? {
            Value::Tuple(elements) => {
                let index = usize::try_from(instruction.integer("index")?).ok()?;
                elements.get(index).cloned()
            }
            Value::Node(_) => None,
        },
        Opcode::OptBarrier | Opcode::AddDependency | Opcode::Domain => operands.first().cloned(),
        _ => None,
    }
}
