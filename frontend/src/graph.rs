//! The flat def-use graph of a computation.
//!
//! Calls and fusions are inlined at every call site; tuples, `get-tuple-element` and what only
//! passes a value on (`opt-barrier`, `add-dependency`, `domain`) are seen through. A node is one
//! instruction reached through one path of calls. Parameters of the computation, and instructions
//! that give a tuple of their own (`while`, `sort`, ...), are nodes that nothing is known about.
//!
//! Node ids are topological: an operand's id is smaller than its users'. The bodies of loops and
//! conditionals are graphs of their own, listed by [`computations`].

use cranelift_entity::{EntityRef, PrimaryMap, SecondaryMap, entity_impl};
use hashbrown::{HashMap, HashSet};
use std::rc::Rc;

use hlo2dae_hlo::{
    ArrayShape, ComputationId, Instruction, InstructionId, Module, Opcode, Payload, Span,
};

use crate::error::FrontendError;
use crate::matches::ValueRef;

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
    /// The call in the frame below that takes the result.
    call: Option<InstructionId>,
}

/// The entry, and every computation that a loop or conditional reachable from it runs; in the
/// order of the module.
pub(crate) fn computations(module: &Module) -> Vec<ComputationId> {
    let mut seen: HashSet<_> = [module.entry].into_iter().collect();
    let mut graphs = seen.clone();
    let mut stack = vec![module.entry];
    while let Some(computation) = stack.pop() {
        for &id in &module.computations[computation].instructions {
            let instruction = &module.instructions[id];
            let own_graph = match instruction.opcode {
                Opcode::Call | Opcode::Fusion => false,
                Opcode::While | Opcode::Conditional => true,
                _ => continue,
            };
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
            paths: PrimaryMap::new(),
        };
        let path = graph.paths.push(Path { outer: None });
        let result = graph.flatten(computation, path, max_nodes)?;
        let mut results = Vec::new();
        result.leaves(&mut results);
        graph.mark_live(&results);
        Ok(graph)
    }

    fn flatten(
        &mut self,
        computation: ComputationId,
        path: PathId,
        max_nodes: usize,
    ) -> Result<Value, FrontendError> {
        let module = self.module;
        let frame = |computation, path, arguments, call| Frame {
            computation,
            path,
            next: 0,
            values: HashMap::new(),
            arguments,
            call,
        };
        let mut steps = 0usize;
        let mut stack = vec![frame(computation, path, Vec::new(), None)];
        while let Some(top) = stack.last_mut() {
            let body = &module.computations[top.computation];
            let Some(&id) = body.instructions.get(top.next) else {
                // The computation is done: its root is the call's value.
                let result = top.values.get(&body.root).cloned().ok_or_else(|| {
                    FrontendError::malformed(
                        module,
                        body.root,
                        "the root is not in its computation",
                    )
                })?;
                let call = top.call;
                stack.pop();
                match (stack.last_mut(), call) {
                    (Some(caller), Some(call)) => {
                        caller.values.insert(call, result);
                        continue;
                    }
                    _ => return Ok(result),
                }
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
            let callee = match instruction.opcode {
                Opcode::Call => instruction.called("to_apply"),
                Opcode::Fusion => instruction.called("calls"),
                _ => None,
            };
            if let Some(callee) = callee {
                let path = self.paths.push(Path {
                    outer: Some((top.path, id)),
                });
                let callee = frame(callee, path, operands, Some(id));
                stack.push(callee);
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
                    }))
                }
            };
            top.values.insert(id, value);
        }
        Err(FrontendError::malformed(
            module,
            module.computations[computation].root,
            "the computation is empty",
        ))
    }

    fn mark_live(&mut self, results: &[NodeId]) {
        for &node in results {
            self.is_result[node] = true;
        }
        let mut stack: Vec<_> = results.to_vec();
        stack.extend(self.nodes.iter().filter_map(|(id, node)| {
            has_side_effect(self.module.instructions[node.instruction].opcode).then_some(id)
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

    /// The node's opcode.
    pub(crate) fn opcode(&self, node: NodeId) -> Opcode {
        self.instruction(node).opcode
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

/// Whether the instruction must stay even if nothing uses its value.
pub(crate) fn has_side_effect(opcode: Opcode) -> bool {
    matches!(
        opcode,
        Opcode::Outfeed
            | Opcode::Infeed
            | Opcode::Send
            | Opcode::SendDone
            | Opcode::Recv
            | Opcode::RecvDone
            | Opcode::CustomCall
            | Opcode::While
            | Opcode::Conditional
            | Opcode::AsyncStart
            | Opcode::RngGetAndUpdateState
    )
}
