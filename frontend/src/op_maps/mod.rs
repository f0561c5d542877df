//! How an index of an instruction's result maps to indices of its operands: one table over all
//! opcodes.
//!
//! `docs/opcodes.md` has the rule for each opcode, [`opcodes`] its name in the code. Everything else has no map;
//! [`Map::of`] says why.

mod combiner;
mod opcodes;
mod operands;

use cranelift_entity::SecondaryMap;

use hlo2dae_hlo::{
    AttributeValue, DotDims, GatherDims, Instruction, Literal, PrimitiveType, ScatterDims,
};
use hlo2dae_ir::core::{BinaryOp, CombineOp, CompareOp, ElementType, Scalar, ScalarType, UnaryOp};

use self::combiner::compare_op;
use self::opcodes::{Rule, rule};
use self::operands::{Operands, dimension};
use crate::graph::{Graph, LoopId, NodeId, Role};

/// Most elements of an array that takes part: far beyond any memory, and small enough that no
/// index arithmetic can overflow.
const MAX_ELEMENTS: i64 = 1 << 48;

/// The index map of one instruction, its attributes checked against its shapes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Map {
    /// A literal; with its value, if all its elements have one.
    Constant(Option<Scalar>),
    /// Counts along a dimension.
    Iota(usize),
    /// One operand at the same index.
    Unary(UnaryOp),
    /// Two operands at the same index.
    Binary(BinaryOp),
    /// Two operands at the same index.
    Compare(CompareOp),
    /// Three operands at the same index; the condition may be a scalar.
    Select,
    /// Three operands at the same index; the bounds may be scalars.
    Clamp,
    /// One operand at the same index.
    Convert(ElementType),
    /// The operand's dimension `d` is the result's `dims[d]`.
    Broadcast(Vec<usize>),
    /// Same linear position; covers `copy`.
    Reshape,
    /// Same place in memory: the dimensions of the operand and of the result, most major first.
    Bitcast(Vec<usize>, Vec<usize>),
    /// The result's dimension `d` is the operand's `permutation[d]`.
    Transpose(Vec<usize>),
    /// Start and stride of each dimension.
    Slice(Vec<(i64, i64)>),
    /// Low and interior padding of each dimension.
    Pad(Vec<(i64, i64)>),
    /// Operands one after the other along a dimension.
    Concatenate(usize),
    /// Which dimensions are mirrored.
    Reverse(Vec<bool>),
    /// Rows chosen by indices.
    Gather(GatherDims),
    /// One window chosen by scalar indices.
    DynamicSlice,
    /// Combines along dimensions.
    Reduce(Vec<usize>, CombineOp),
    /// Sums products.
    Dot(DotDims),
    /// Combines into places chosen by indices.
    Scatter(ScatterDims, CombineOp),
    /// The rounds of a loop: the loop, and the state before a round.
    Rounds(LoopId, NodeId),
    /// The index of a loop.
    LoopIndex,
    /// A sparse matrix (values, row offsets, columns) times a dense vector or matrix.
    SparseDense,
}

/// The custom calls whose meaning is known, by target.
const CUSTOM_CALLS: &[(&str, Map)] = &[("cpu_csr_sparse_dense_ffi", Map::SparseDense)];

/// Why an instruction has no index map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoMap(pub(crate) &'static str);

/// The element type of the IRs for one of HLO's.
pub(crate) fn element_type(primitive: PrimitiveType) -> Option<ElementType> {
    match primitive {
        PrimitiveType::Pred => Some(ElementType::Bool),
        PrimitiveType::S8 => Some(ElementType::S8),
        PrimitiveType::S16 => Some(ElementType::S16),
        PrimitiveType::S32 => Some(ElementType::S32),
        PrimitiveType::S64 => Some(ElementType::S64),
        PrimitiveType::U8 => Some(ElementType::U8),
        PrimitiveType::U16 => Some(ElementType::U16),
        PrimitiveType::U32 => Some(ElementType::U32),
        PrimitiveType::U64 => Some(ElementType::U64),
        PrimitiveType::F16 => Some(ElementType::F16),
        PrimitiveType::BF16 => Some(ElementType::BF16),
        PrimitiveType::F32 => Some(ElementType::F32),
        PrimitiveType::F64 => Some(ElementType::F64),
        PrimitiveType::S1
        | PrimitiveType::S2
        | PrimitiveType::S4
        | PrimitiveType::U1
        | PrimitiveType::U2
        | PrimitiveType::U4
        | PrimitiveType::F4E2M1FN
        | PrimitiveType::F8E3M4
        | PrimitiveType::F8E4M3
        | PrimitiveType::F8E4M3FN
        | PrimitiveType::F8E4M3B11FNUZ
        | PrimitiveType::F8E4M3FNUZ
        | PrimitiveType::F8E5M2
        | PrimitiveType::F8E5M2FNUZ
        | PrimitiveType::F8E8M0FNU
        | PrimitiveType::C64
        | PrimitiveType::C128 => None,
    }
}

/// Whether every value of one type is a value of another.
fn keeps_values(from: ElementType, to: ElementType) -> bool {
    use ElementType::{BF16, Bool, F16, F32, F64};
    let bits = |element: ElementType| element.bytes() * 8 - usize::from(element.is_signed());
    match (from, to) {
        _ if from == to => true,
        (Bool, _) => true,
        (F16 | BF16, F32 | F64) | (F32, F64) => true,
        _ if from.is_integer() && to.is_integer() => {
            bits(from) <= bits(to) && (to.is_signed() || !from.is_signed())
        }
        _ => false,
    }
}

/// One element of a literal, by its row-major position.
pub(crate) fn literal_element(literal: &Literal, position: usize) -> Option<Scalar> {
    let (shape, data) = literal.as_array()?;
    let element = element_type(shape.element)?;
    let bytes = data.chunks_exact(element.bytes()).nth(position)?;
    let bits = bytes
        .iter()
        .rev()
        .fold(0u64, |bits, &byte| bits << 8 | u64::from(byte));
    Some(Scalar::from_bits(ScalarType::Element(element), bits))
}

/// The value that all elements of a literal have.
fn splat(literal: &Literal) -> Option<Scalar> {
    let (shape, data) = literal.as_array()?;
    let mut elements = data.chunks_exact(element_type(shape.element)?.bytes());
    let first = elements.next()?;
    elements
        .all(|element| element == first)
        .then(|| literal_element(literal, 0))?
}

/// Element type and sizes of a node's array, if regions can hold it.
pub(crate) fn buffer_shape(graph: &Graph, node: NodeId) -> Result<(ElementType, Vec<i64>), NoMap> {
    let array = graph
        .array(node)
        .ok_or(NoMap("its value is a tuple, a token or of dynamic size"))?;
    let element =
        element_type(array.element).ok_or(NoMap("its element type has no counterpart"))?;
    let count = array
        .element_count()
        .and_then(|n| i64::try_from(n).ok())
        .filter(|&n| n <= MAX_ELEMENTS)
        .ok_or(NoMap("it has too many elements"))?;
    if count == 0 {
        return Err(NoMap("it has no elements"));
    }
    Ok((element, array.dims.clone()))
}

/// The index maps of all nodes of a graph.
pub(crate) struct Maps(SecondaryMap<NodeId, Result<Map, NoMap>>);

impl Maps {
    /// Reads the map of every node.
    pub(crate) fn of(graph: &Graph) -> Self {
        let mut maps = SecondaryMap::with_default(Err(NoMap("it is not part of the graph")));
        for node in graph.nodes.keys() {
            maps[node] = Map::of(graph, node);
        }
        Maps(maps)
    }

    /// The map of a node, or why it has none.
    pub(crate) fn get(&self, node: NodeId) -> Result<&Map, NoMap> {
        self.0[node].as_ref().map_err(|why| *why)
    }

    /// Whether the node has a map for which `condition` holds.
    pub(crate) fn is(&self, node: NodeId, condition: impl FnOnce(&Map) -> bool) -> bool {
        self.0[node].as_ref().is_ok_and(condition)
    }
}

impl Map {
    /// The index map of a node.
    pub(crate) fn of(graph: &Graph, node: NodeId) -> Result<Map, NoMap> {
        let instruction = graph.instruction(node);
        let map = Map::of_opcode(graph, node, instruction)?;
        // The shapes themselves: what flows through the map must be representable.
        if map.is_combine() || matches!(map, Map::Gather(_)) {
            buffer_shape(graph, node)?;
        } else if graph.array(node).is_none() {
            return Err(NoMap("its value is a tuple, a token or of dynamic size"));
        }
        for &operand in &graph.nodes[node].operands {
            buffer_shape(graph, operand)?;
        }
        buffer_shape(graph, node)?;
        Ok(map)
    }

    fn of_opcode(graph: &Graph, node: NodeId, instruction: &Instruction) -> Result<Map, NoMap> {
        let operands = Operands::new(graph, node);
        match graph.nodes[node].role {
            Role::Instruction => {}
            Role::Index => return Ok(Map::LoopIndex),
            Role::Result {
                of,
                state,
                is_named: true,
            } => return Ok(Map::Rounds(of, state)),
            Role::Result { .. } => return Err(NoMap("it is taken from a loop as a whole")),
            Role::State | Role::Opaque => return Err(NoMap("its value comes from outside")),
        }
        match rule(instruction.opcode) {
            Rule::Unary(op) => operands.same(1).map(|()| Map::Unary(op)),
            Rule::Binary(op) => operands.same(2).map(|()| Map::Binary(op)),
            Rule::Compare => {
                operands.same(2)?;
                Ok(Map::Compare(compare_op(instruction)?))
            }
            Rule::Select => operands.same(3).map(|()| Map::Select),
            Rule::Clamp => operands.same(3).map(|()| Map::Clamp),
            Rule::Convert => {
                operands.same(1)?;
                let to = element_type(operands.result()?.element);
                to.map(Map::Convert)
                    .ok_or(NoMap("its element type has no counterpart"))
            }
            Rule::Reshape => operands.reshape(),
            Rule::Bitcast => operands.bitcast(),
            Rule::Broadcast => operands.broadcast(instruction),
            Rule::Transpose => operands.transpose(instruction),
            Rule::Slice => operands.slice(instruction),
            Rule::Pad => operands.pad(instruction),
            Rule::Concatenate => operands.concatenate(instruction),
            Rule::Reverse => operands.reverse(instruction),
            Rule::Iota => {
                operands.count(0)?;
                let rank = operands.result()?.rank();
                dimension(instruction.integer("iota_dimension"), rank).map(Map::Iota)
            }
            Rule::Constant => {
                operands.count(0)?;
                let literal = instruction.literal().ok_or(NoMap("it has no value"))?;
                Ok(Map::Constant(splat(literal)))
            }
            Rule::Gather => operands.gather(instruction),
            Rule::DynamicSlice => operands.dynamic_slice(),
            Rule::Reduce => operands.reduce(graph.module, instruction),
            Rule::Dot => operands.dot(instruction),
            Rule::Scatter => operands.scatter(graph.module, instruction),
            Rule::CustomCall => {
                let known = CUSTOM_CALLS.iter().find(|(target, _)| {
                    matches!(instruction.attribute("custom_call_target"),
                        Some(AttributeValue::Text(text)) if **text == **target)
                });
                match known {
                    Some((_, Map::SparseDense)) => operands.sparse_dense(),
                    Some((_, map)) => Ok(map.clone()),
                    None => Err(NoMap("what it computes is not known")),
                }
            }
            Rule::None(why) => Err(NoMap(why)),
        }
    }

    /// Whether the map only moves elements.
    pub(crate) fn is_view(&self) -> bool {
        match self {
            Map::Broadcast(_)
            | Map::Reshape
            | Map::Bitcast(..)
            | Map::Transpose(_)
            | Map::Slice(_)
            | Map::Reverse(_) => true,
            Map::Constant(_)
            | Map::Iota(_)
            | Map::Unary(_)
            | Map::Binary(_)
            | Map::Compare(_)
            | Map::Select
            | Map::Clamp
            | Map::Convert(_)
            | Map::Pad(_)
            | Map::Concatenate(_)
            | Map::Gather(_)
            | Map::DynamicSlice
            | Map::Reduce(..)
            | Map::Dot(_)
            | Map::Scatter(..)
            | Map::Rounds(..)
            | Map::LoopIndex
            | Map::SparseDense => false,
        }
    }

    /// Whether the map is arithmetic on operands at the result's own index.
    pub(crate) fn is_elementwise(&self) -> bool {
        match self {
            Map::Unary(_)
            | Map::Binary(_)
            | Map::Compare(_)
            | Map::Select
            | Map::Clamp
            | Map::Convert(_) => true,
            Map::Constant(_)
            | Map::Iota(_)
            | Map::Broadcast(_)
            | Map::Reshape
            | Map::Bitcast(..)
            | Map::Transpose(_)
            | Map::Slice(_)
            | Map::Pad(_)
            | Map::Concatenate(_)
            | Map::Reverse(_)
            | Map::Gather(_)
            | Map::DynamicSlice
            | Map::Reduce(..)
            | Map::Dot(_)
            | Map::Scatter(..)
            | Map::Rounds(..)
            | Map::LoopIndex
            | Map::SparseDense => false,
        }
    }

    /// Whether the map combines over an iteration space of its own.
    pub(crate) fn is_combine(&self) -> bool {
        matches!(
            self,
            Map::Reduce(..) | Map::Dot(_) | Map::Scatter(..) | Map::Rounds(..) | Map::SparseDense
        )
    }

    /// Whether one result costs a library call's worth of work rather than an instruction or two.
    pub(crate) fn is_expensive(&self) -> bool {
        match self {
            Map::Unary(op) => matches!(
                op,
                UnaryOp::Cbrt
                    | UnaryOp::Exp
                    | UnaryOp::Expm1
                    | UnaryOp::Log
                    | UnaryOp::Log1p
                    | UnaryOp::Logistic
                    | UnaryOp::Tanh
                    | UnaryOp::Erf
                    | UnaryOp::Sin
                    | UnaryOp::Cos
                    | UnaryOp::Tan
            ),
            Map::Binary(op) => matches!(op, BinaryOp::Pow | BinaryOp::Atan2),
            _ => false,
        }
    }
}
