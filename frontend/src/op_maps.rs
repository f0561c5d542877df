//! How an index of an instruction's result maps to indices of its operands: one table over all
//! opcodes.
//!
//! Let `o` be an index of the result.
//!
//! | opcodes | value at `o` |
//! |---|---|
//! | elementwise arithmetic, `compare`, `select`, `clamp`, `convert` | the operation on the operands at `o` |
//! | `copy` | the operand at `o` |
//! | `bitcast` | the operand at the index of the same place in memory: as `reshape`, with both layouts |
//! | `broadcast` | the operand at the `o[d]` that `dimensions` lists |
//! | `reshape` | the operand at the index of the same linear position |
//! | `transpose`, `reverse`, `slice` | the operand at `o` permuted, mirrored, scaled and shifted |
//! | `pad`, `concatenate` | a `select` between operands by where `o` lies |
//! | `iota` | `o[d]` |
//! | `constant` | itself, where all elements agree; otherwise an array to read |
//! | `gather`, `dynamic-slice` | the operand at start indices read at `o`'s batch part and clamped, plus `o`'s window part |
//! | `reduce`, `dot`, `scatter`, counted `while` | none: they combine over an iteration space of their own |
//! | `custom-call` | known targets only: a sparse product combines over the entries of each row |
//!
//! Everything else has no map; [`Map::of`] says why.

use cranelift_entity::SecondaryMap;

use hlo2dae_hlo::{
    ArrayShape, AttributeValue, DotDims, GatherDims, Instruction, InstructionId, Literal, Module,
    Opcode, PrimitiveType, ScatterDims,
};
use hlo2dae_ir::core::{BinaryOp, CombineOp, CompareOp, ElementType, Scalar, ScalarType, UnaryOp};

use crate::compose::SliceIndices;
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
        use Opcode as O;
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
        let unary = |op| operands.same(1).map(|()| Map::Unary(op));
        let binary = |op| operands.same(2).map(|()| Map::Binary(op));
        match instruction.opcode {
            O::Abs => unary(UnaryOp::Abs),
            O::Negate => unary(UnaryOp::Neg),
            O::Not => unary(UnaryOp::Not),
            O::Sign => unary(UnaryOp::Sign),
            O::Ceil => unary(UnaryOp::Ceil),
            O::Floor => unary(UnaryOp::Floor),
            O::RoundNearestEven => unary(UnaryOp::RoundNearestEven),
            O::RoundNearestAfz => unary(UnaryOp::RoundNearestAfz),
            O::Sqrt => unary(UnaryOp::Sqrt),
            O::Rsqrt => unary(UnaryOp::Rsqrt),
            O::Cbrt => unary(UnaryOp::Cbrt),
            O::Exponential => unary(UnaryOp::Exp),
            O::ExponentialMinusOne => unary(UnaryOp::Expm1),
            O::Log => unary(UnaryOp::Log),
            O::LogPlusOne => unary(UnaryOp::Log1p),
            O::Logistic => unary(UnaryOp::Logistic),
            O::Tanh => unary(UnaryOp::Tanh),
            O::Erf => unary(UnaryOp::Erf),
            O::Sine => unary(UnaryOp::Sin),
            O::Cosine => unary(UnaryOp::Cos),
            O::Tan => unary(UnaryOp::Tan),
            O::Popcnt => unary(UnaryOp::Popcnt),
            O::CountLeadingZeros => unary(UnaryOp::Clz),
            O::IsFinite => unary(UnaryOp::IsFinite),
            O::Add => binary(BinaryOp::Add),
            O::Subtract => binary(BinaryOp::Sub),
            O::Multiply => binary(BinaryOp::Mul),
            O::Divide => binary(BinaryOp::Div),
            O::Remainder => binary(BinaryOp::Rem),
            O::Minimum => binary(BinaryOp::Min),
            O::Maximum => binary(BinaryOp::Max),
            O::Power => binary(BinaryOp::Pow),
            O::Atan2 => binary(BinaryOp::Atan2),
            O::And => binary(BinaryOp::And),
            O::Or => binary(BinaryOp::Or),
            O::Xor => binary(BinaryOp::Xor),
            O::ShiftLeft => binary(BinaryOp::Shl),
            O::ShiftRightArithmetic => binary(BinaryOp::ShrArithmetic),
            O::ShiftRightLogical => binary(BinaryOp::ShrLogical),
            O::Compare => {
                operands.same(2)?;
                Ok(Map::Compare(compare_op(instruction)?))
            }
            O::Select => operands.same(3).map(|()| Map::Select),
            O::Clamp => operands.same(3).map(|()| Map::Clamp),
            O::Convert => {
                operands.same(1)?;
                let to = element_type(operands.result()?.element);
                to.map(Map::Convert)
                    .ok_or(NoMap("its element type has no counterpart"))
            }
            O::Copy | O::Reshape => operands.reshape(),
            O::Bitcast => operands.bitcast(),
            O::Broadcast => operands.broadcast(instruction),
            O::Transpose => operands.transpose(instruction),
            O::Slice => operands.slice(instruction),
            O::Pad => operands.pad(instruction),
            O::Concatenate => operands.concatenate(instruction),
            O::Reverse => operands.reverse(instruction),
            O::Iota => {
                operands.count(0)?;
                let rank = operands.result()?.rank();
                dimension(instruction.integer("iota_dimension"), rank).map(Map::Iota)
            }
            O::Constant => {
                operands.count(0)?;
                let literal = instruction.literal().ok_or(NoMap("it has no value"))?;
                Ok(Map::Constant(splat(literal)))
            }
            O::Gather => operands.gather(instruction),
            O::DynamicSlice => operands.dynamic_slice(),
            O::Reduce => operands.reduce(graph.module, instruction),
            O::Dot => operands.dot(instruction),
            O::Scatter => operands.scatter(graph.module, instruction),
            O::Parameter
            | O::GetTupleElement
            | O::PartitionId
            | O::ReplicaId
            | O::Infeed
            | O::Recv
            | O::RecvDone => Err(NoMap("its value comes from outside")),
            O::Rng | O::RngBitGenerator | O::RngGetAndUpdateState | O::StochasticConvert => {
                Err(NoMap("its value is random"))
            }
            O::Call
            | O::Fusion
            | O::Tuple
            | O::OptBarrier
            | O::AddDependency
            | O::Domain
            | O::AfterAll
            | O::Outfeed
            | O::Send
            | O::SendDone
            | O::SetDimensionSize
            | O::GetDimensionSize
            | O::DynamicReshape => Err(NoMap("its value is not a plain array")),
            O::While | O::Conditional | O::AsyncStart | O::AsyncUpdate | O::AsyncDone => {
                Err(NoMap("it runs computations of its own"))
            }
            O::AllGather
            | O::AllGatherDone
            | O::AllGatherStart
            | O::AllReduce
            | O::AllReduceDone
            | O::AllReduceStart
            | O::AllToAll
            | O::CollectiveBroadcast
            | O::CollectivePermute
            | O::CollectivePermuteDone
            | O::CollectivePermuteStart
            | O::RaggedAllToAll
            | O::ReduceScatter => Err(NoMap("it communicates between devices")),
            O::CustomCall => {
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
            O::Acos
            | O::Acosh
            | O::Asin
            | O::Asinh
            | O::Atanh
            | O::Cosh
            | O::Sinh
            | O::Mulhi
            | O::Complex
            | O::Real
            | O::Imag
            | O::ReducePrecision
            | O::BitcastConvert => Err(NoMap("the region IR has no such arithmetic")),
            O::Map => Err(NoMap("it applies a computation to every element")),
            O::Sort | O::Topk => Err(NoMap("where an element goes depends on all others")),
            O::DynamicUpdateSlice => Err(NoMap("it overwrites a window of its operand")),
            O::CopyStart | O::CopyDone => Err(NoMap("it is asynchronous")),
            O::ReduceWindow
            | O::SelectAndScatter
            | O::Convolution
            | O::BatchNormGrad
            | O::BatchNormInference
            | O::BatchNormTraining
            | O::Cholesky
            | O::Fft
            | O::TriangularSolve
            | O::RaggedDot
            | O::ScaledDot
            | O::Scan => Err(NoMap("an element depends on many elements of its operands")),
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

fn compare_op(instruction: &Instruction) -> Result<CompareOp, NoMap> {
    if let Some(AttributeValue::Word(order)) = instruction.attribute("type")
        && &**order == "TOTALORDER"
    {
        return Err(NoMap("it compares floats in total order"));
    }
    match instruction.attribute("direction") {
        Some(AttributeValue::Word(word)) => match &**word {
            "EQ" => Ok(CompareOp::Eq),
            "NE" => Ok(CompareOp::Ne),
            "LT" => Ok(CompareOp::Lt),
            "LE" => Ok(CompareOp::Le),
            "GT" => Ok(CompareOp::Gt),
            "GE" => Ok(CompareOp::Ge),
            _ => Err(NoMap("its direction is unknown")),
        },
        _ => Err(NoMap("it has no direction")),
    }
}

/// The combine that a two-parameter scalar computation is.
pub(crate) fn combine_op(module: &Module, instruction: &Instruction) -> Option<CombineOp> {
    let body = &module.computations[instruction.called("to_apply")?];
    let &[element, value] = body.parameters.as_slice() else {
        return None;
    };
    let wide = |id: InstructionId| {
        let element = module.instructions[id].array().map(|array| array.element);
        element == Some(PrimitiveType::F32)
    };
    // Arithmetic of `f16` and `bf16` is that of `f32`, rounded: it may be spelled so.
    let through = |id: InstructionId, is_result: bool| {
        let conversion = &module.instructions[id];
        let inner = *conversion.operands.first()?;
        let narrow = |id: InstructionId| {
            matches!(
                module.instructions[id].array()?.element,
                PrimitiveType::F16 | PrimitiveType::BF16
            )
            .then_some(())
        };
        let (narrow_side, wide_side) = if is_result { (id, inner) } else { (inner, id) };
        (conversion.opcode == Opcode::Convert && wide(wide_side)).then_some(())?;
        narrow(narrow_side).map(|()| inner)
    };
    let root = through(body.root, true).unwrap_or(body.root);
    if root == value {
        return Some(CombineOp::Replace);
    }
    let is_widened = root != body.root;
    let root = &module.instructions[root];
    let &[lhs, rhs] = root.operands.as_slice() else {
        return None;
    };
    let (lhs, rhs) = match is_widened {
        true => (through(lhs, false)?, through(rhs, false)?),
        false => (lhs, rhs),
    };
    let in_order = (lhs, rhs) == (element, value);
    if !in_order && (rhs, lhs) != (element, value) {
        return None;
    }
    match root.opcode {
        Opcode::Add => Some(CombineOp::Add),
        Opcode::Multiply => Some(CombineOp::Mul),
        Opcode::Minimum => Some(CombineOp::Min),
        Opcode::Maximum => Some(CombineOp::Max),
        Opcode::And => Some(CombineOp::And),
        Opcode::Or => Some(CombineOp::Or),
        Opcode::Xor => Some(CombineOp::Xor),
        Opcode::Subtract if in_order => Some(CombineOp::Sub),
        _ => None,
    }
}

const RANKS: NoMap = NoMap("its attributes do not fit its shapes");

fn dimension(value: Option<i64>, rank: usize) -> Result<usize, NoMap> {
    value
        .and_then(|d| usize::try_from(d).ok())
        .filter(|&d| d < rank)
        .ok_or(RANKS)
}

/// Distinct dimensions below `rank`.
fn dimensions(values: &[i64], rank: usize) -> Result<Vec<usize>, NoMap> {
    let dims = values
        .iter()
        .map(|&d| dimension(Some(d), rank))
        .collect::<Result<Vec<_>, _>>()?;
    let mut seen = vec![false; rank];
    for &d in &dims {
        if std::mem::replace(&mut seen[d], true) {
            return Err(RANKS);
        }
    }
    Ok(dims)
}

/// The shapes around one node, for checking attributes against them.
struct Operands<'g, 'm> {
    graph: &'g Graph<'m>,
    node: NodeId,
}

impl<'g, 'm> Operands<'g, 'm> {
    fn new(graph: &'g Graph<'m>, node: NodeId) -> Self {
        Operands { graph, node }
    }

    fn array(&self, operand: usize) -> Result<&'m ArrayShape, NoMap> {
        let node = self.graph.nodes[self.node]
            .operands
            .get(operand)
            .ok_or(RANKS)?;
        self.graph
            .array(*node)
            .ok_or(NoMap("an operand is a tuple, a token or of dynamic size"))
    }

    fn result(&self) -> Result<&'m ArrayShape, NoMap> {
        self.graph
            .array(self.node)
            .ok_or(NoMap("its value is a tuple, a token or of dynamic size"))
    }

    fn count(&self, n: usize) -> Result<(), NoMap> {
        let fits = self.graph.nodes[self.node].operands.len() == n;
        fits.then_some(())
            .ok_or(NoMap("it has another number of operands"))
    }

    /// `n` operands, each of the result's dimensions or a scalar.
    fn same(&self, n: usize) -> Result<(), NoMap> {
        self.count(n)?;
        let dims = &self.result()?.dims;
        for operand in 0..n {
            let array = self.array(operand)?;
            if array.rank() != 0 && array.dims != *dims {
                return Err(RANKS);
            }
        }
        Ok(())
    }

    fn reshape(&self) -> Result<Map, NoMap> {
        self.count(1)?;
        let (result, operand) = (self.result()?, self.array(0)?);
        let fits =
            result.element == operand.element && result.element_count() == operand.element_count();
        fits.then_some(Map::Reshape).ok_or(RANKS)
    }

    fn bitcast(&self) -> Result<Map, NoMap> {
        self.reshape()?;
        // Where a dimension of size 1 stands makes no difference.
        let order = |array: &ArrayShape| {
            let rank = array.rank();
            let major_to_minor: Vec<usize> = match &array.layout {
                None => (0..rank).collect(),
                Some(layout) => dimensions(&layout.minor_to_major, rank)?
                    .into_iter()
                    .rev()
                    .collect(),
            };
            if major_to_minor.len() != rank {
                return Err(RANKS);
            }
            Ok(major_to_minor)
        };
        let (operand, result) = (self.array(0)?, self.result()?);
        let (from, to) = (order(operand)?, order(result)?);
        let is_plain = |array: &ArrayShape, order: &[usize]| {
            order.iter().filter(|&&d| array.dims[d] != 1).is_sorted()
        };
        Ok(match is_plain(operand, &from) && is_plain(result, &to) {
            true => Map::Reshape,
            false => Map::Bitcast(from, to),
        })
    }

    fn broadcast(&self, instruction: &Instruction) -> Result<Map, NoMap> {
        self.count(1)?;
        let (result, operand) = (self.result()?, self.array(0)?);
        let dims = dimensions(
            instruction.integers("dimensions").unwrap_or(&[]),
            result.rank(),
        )?;
        let fits = dims.len() == operand.rank()
            && dims
                .iter()
                .zip(&operand.dims)
                .all(|(&d, &n)| result.dims[d] == n);
        fits.then_some(Map::Broadcast(dims)).ok_or(RANKS)
    }

    fn transpose(&self, instruction: &Instruction) -> Result<Map, NoMap> {
        self.count(1)?;
        let (result, operand) = (self.result()?, self.array(0)?);
        let dims = dimensions(
            instruction.integers("dimensions").unwrap_or(&[]),
            operand.rank(),
        )?;
        let fits = dims.len() == result.rank()
            && dims.len() == operand.rank()
            && dims
                .iter()
                .zip(&result.dims)
                .all(|(&d, &n)| operand.dims[d] == n);
        fits.then_some(Map::Transpose(dims)).ok_or(RANKS)
    }

    fn slice(&self, instruction: &Instruction) -> Result<Map, NoMap> {
        self.count(1)?;
        let (result, operand) = (self.result()?, self.array(0)?);
        let Some(AttributeValue::Slices(slices)) = instruction.attribute("slice") else {
            return Err(RANKS);
        };
        let fits = slices.len() == operand.rank() && slices.len() == result.rank();
        if !fits {
            return Err(RANKS);
        }
        slices
            .iter()
            .zip(operand.dims.iter().zip(&result.dims))
            .map(|(&(start, _, stride), (&n, &taken))| {
                let last = (taken - 1)
                    .checked_mul(stride)
                    .and_then(|x| x.checked_add(start));
                let inside = start >= 0 && stride >= 1 && last.is_some_and(|last| last < n);
                (inside || taken == 0)
                    .then_some((start, stride))
                    .ok_or(RANKS)
            })
            .collect::<Result<Vec<_>, _>>()
            .map(Map::Slice)
    }

    fn pad(&self, instruction: &Instruction) -> Result<Map, NoMap> {
        self.count(2)?;
        let (result, operand) = (self.result()?, self.array(0)?);
        let Some(AttributeValue::Padding(padding)) = instruction.attribute("padding") else {
            return Err(RANKS);
        };
        let small = |x: i64| (-MAX_ELEMENTS..=MAX_ELEMENTS).contains(&x);
        let fits = padding.len() == operand.rank()
            && padding.len() == result.rank()
            && self.array(1)?.rank() == 0
            && padding.iter().all(|&(low, high, interior)| {
                small(low) && small(high) && small(interior) && interior >= 0
            });
        fits.then(|| {
            Map::Pad(
                padding
                    .iter()
                    .map(|&(low, _, interior)| (low, interior))
                    .collect(),
            )
        })
        .ok_or(RANKS)
    }

    fn concatenate(&self, instruction: &Instruction) -> Result<Map, NoMap> {
        let result = self.result()?;
        let &[d] = instruction.integers("dimensions").unwrap_or(&[]) else {
            return Err(RANKS);
        };
        let d = dimension(Some(d), result.rank())?;
        let mut total = 0i64;
        for operand in 0..self.graph.nodes[self.node].operands.len() {
            let array = self.array(operand)?;
            let agree = array.rank() == result.rank()
                && (0..array.rank()).all(|k| k == d || array.dims[k] == result.dims[k]);
            if !agree {
                return Err(RANKS);
            }
            total = total.checked_add(array.dims[d]).ok_or(RANKS)?;
        }
        (total == result.dims[d])
            .then_some(Map::Concatenate(d))
            .ok_or(RANKS)
    }

    fn reverse(&self, instruction: &Instruction) -> Result<Map, NoMap> {
        self.same(1)?;
        let rank = self.result()?.rank();
        let mut mirrored = vec![false; rank];
        for d in dimensions(instruction.integers("dimensions").unwrap_or(&[]), rank)? {
            mirrored[d] = true;
        }
        Ok(Map::Reverse(mirrored))
    }

    fn gather(&self, instruction: &Instruction) -> Result<Map, NoMap> {
        self.count(2)?;
        let dims = instruction.gather_dims().ok_or(RANKS)?;
        let (result, operand, indices) = (self.result()?, self.array(0)?, self.array(1)?);
        check_indexing(
            &SliceIndices {
                window_dims: &dims.offset_dims,
                missing_dims: &dims.collapsed_slice_dims,
                operand_batching: &dims.operand_batching_dims,
                indices_batching: &dims.start_indices_batching_dims,
                index_map: &dims.start_index_map,
                index_vector_dim: usize::try_from(dims.index_vector_dim).map_err(|_| RANKS)?,
            },
            operand,
            indices,
            result,
            |operand_dim, size| {
                let slice = dims.slice_sizes.get(operand_dim).copied();
                slice.is_some_and(|slice| {
                    slice <= operand.dims[operand_dim]
                        && size.is_none_or(|size| size == slice)
                        && (size.is_some() || slice == 1)
                })
            },
        )?;
        if dims.slice_sizes.len() != operand.rank() {
            return Err(RANKS);
        }
        Ok(Map::Gather(dims))
    }

    fn scatter(&self, module: &Module, instruction: &Instruction) -> Result<Map, NoMap> {
        self.count(3)
            .map_err(|_| NoMap("it scatters several arrays at once"))?;
        let dims = instruction.scatter_dims().ok_or(RANKS)?;
        let (operand, indices, updates) = (self.array(0)?, self.array(1)?, self.array(2)?);
        check_indexing(
            &SliceIndices {
                window_dims: &dims.update_window_dims,
                missing_dims: &dims.inserted_window_dims,
                operand_batching: &dims.input_batching_dims,
                indices_batching: &dims.scatter_indices_batching_dims,
                index_map: &dims.scatter_dims_to_operand_dims,
                index_vector_dim: usize::try_from(dims.index_vector_dim).map_err(|_| RANKS)?,
            },
            operand,
            indices,
            updates,
            |operand_dim, size| size.unwrap_or(1) <= operand.dims[operand_dim],
        )?;
        if !operand.same_dims(self.result()?) || operand.element != updates.element {
            return Err(RANKS);
        }
        let op = combine_op(module, instruction)
            .ok_or(NoMap("its combiner is not a single known operation"))?;
        Ok(Map::Scatter(dims, op))
    }

    fn sparse_dense(&self) -> Result<Map, NoMap> {
        self.count(4)?;
        let (result, dense) = (self.result()?, self.array(3)?);
        let (values, offsets, columns) = (self.array(0)?, self.array(1)?, self.array(2)?);
        let fits = values.rank() == 1
            && offsets.rank() == 1
            && values.dims == columns.dims
            && (1..=2).contains(&dense.rank())
            && result.rank() == dense.rank()
            && result.dims[1..] == dense.dims[1..]
            && offsets.dims[0].checked_sub(1) == Some(result.dims[0])
            && offsets.element.is_integer()
            && columns.element.is_integer()
            && values.element == result.element
            && dense.element == result.element;
        fits.then_some(Map::SparseDense).ok_or(RANKS)
    }

    fn dynamic_slice(&self) -> Result<Map, NoMap> {
        let (result, operand) = (self.result()?, self.array(0)?);
        self.count(1 + operand.rank())?;
        let mut fits = result.rank() == operand.rank()
            && result
                .dims
                .iter()
                .zip(&operand.dims)
                .all(|(&taken, &n)| taken <= n);
        for start in 0..operand.rank() {
            let start = self.array(1 + start)?;
            fits &= start.rank() == 0 && start.element.is_integer();
        }
        fits.then_some(Map::DynamicSlice).ok_or(RANKS)
    }

    fn reduce(&self, module: &Module, instruction: &Instruction) -> Result<Map, NoMap> {
        self.count(2)
            .map_err(|_| NoMap("it reduces several arrays at once"))?;
        let (result, operand, init) = (self.result()?, self.array(0)?, self.array(1)?);
        let dims = dimensions(
            instruction.integers("dimensions").unwrap_or(&[]),
            operand.rank(),
        )?;
        let kept = (0..operand.rank())
            .filter(|d| !dims.contains(d))
            .map(|d| operand.dims[d]);
        let fits = init.rank() == 0
            && init.element == result.element
            && operand.element == result.element
            && kept.eq(result.dims.iter().copied());
        if !fits {
            return Err(RANKS);
        }
        match combine_op(module, instruction) {
            None | Some(CombineOp::Replace | CombineOp::Sub) => {
                Err(NoMap("its combiner is not a single known operation"))
            }
            Some(op) => Ok(Map::Reduce(dims, op)),
        }
    }

    fn dot(&self, instruction: &Instruction) -> Result<Map, NoMap> {
        self.count(2)?;
        let dims = instruction.dot_dims().ok_or(RANKS)?;
        let (result, lhs, rhs) = (self.result()?, self.array(0)?, self.array(1)?);
        let sizes = |array: &ArrayShape, batch: &[i64], contracting: &[i64]| {
            let used = dimensions(&[batch, contracting].concat(), array.rank())?;
            let size = |d: &usize| array.dims[*d];
            let free = (0..array.rank()).filter(|d| !used.contains(d));
            Ok::<_, NoMap>((
                used.iter().map(size).collect::<Vec<_>>(),
                free.map(|d| array.dims[d]).collect::<Vec<_>>(),
            ))
        };
        let (lhs_used, lhs_free) = sizes(lhs, &dims.lhs_batch, &dims.lhs_contracting)?;
        let (rhs_used, rhs_free) = sizes(rhs, &dims.rhs_batch, &dims.rhs_contracting)?;
        let batch = lhs_used.get(..dims.lhs_batch.len()).unwrap_or(&[]);
        let expected = batch.iter().chain(&lhs_free).chain(&rhs_free);
        let fits = lhs_used == rhs_used
            && dims.lhs_batch.len() == dims.rhs_batch.len()
            && expected.eq(&result.dims);
        if !fits {
            return Err(RANKS);
        }
        let holds = |from: PrimitiveType| match (element_type(from), element_type(result.element)) {
            (Some(from), Some(to)) => keeps_values(from, to),
            _ => false,
        };
        if !holds(lhs.element) || !holds(rhs.element) {
            return Err(NoMap("its result cannot hold the values of its operands"));
        }
        Ok(Map::Dot(dims))
    }
}

/// Checks dimension numbers against the shapes. `window_fits` is asked for every dimension of the
/// operand, with its window size in the slices unless the slices lack the dimension.
fn check_indexing(
    dims: &SliceIndices,
    operand: &ArrayShape,
    indices: &ArrayShape,
    slices: &ArrayShape,
    window_fits: impl Fn(usize, Option<i64>) -> bool,
) -> Result<(), NoMap> {
    if !indices.element.is_integer() {
        return Err(NoMap("its indices are not integers"));
    }
    let window_dims = dimensions(dims.window_dims, slices.rank())?;
    let missing = dimensions(
        &[dims.missing_dims, dims.operand_batching].concat(),
        operand.rank(),
    )?;
    let index_map = dimensions(dims.index_map, operand.rank())?;
    let indices_batching = dimensions(dims.indices_batching, indices.rank())?;
    let vector_dim = dims.index_vector_dim;
    let components = match indices.dims.get(vector_dim) {
        Some(&n) => n,
        None if vector_dim == indices.rank() => 1,
        None => return Err(RANKS),
    };
    let batch_sizes = indices.dims.iter().enumerate();
    let batch_sizes = batch_sizes
        .filter(|&(d, _)| d != vector_dim)
        .map(|(_, &n)| n);
    let slice_batch = slices.dims.iter().enumerate();
    let slice_batch = slice_batch
        .filter(|(d, _)| !window_dims.contains(d))
        .map(|(_, &n)| n);
    let fits = components == dims.index_map.len() as i64
        && batch_sizes.eq(slice_batch)
        && dims.window_dims.is_sorted()
        && dims.window_dims.len() + missing.len() == operand.rank()
        && dims.operand_batching.len() == dims.indices_batching.len()
        && !index_map
            .iter()
            .any(|d| dims.operand_batching.contains(&(*d as i64)))
        && !indices_batching.contains(&vector_dim)
        && dims
            .operand_batching
            .iter()
            .zip(&indices_batching)
            .all(|(&o, &i)| operand.dims.get(o as usize) == indices.dims.get(i));
    if !fits {
        return Err(RANKS);
    }
    let mut windows = window_dims.iter();
    for d in 0..operand.rank() {
        let size = match missing.contains(&d) {
            true => None,
            false => windows.next().map(|&w| slices.dims[w]),
        };
        if !window_fits(d, size) {
            return Err(RANKS);
        }
    }
    Ok(())
}
