//! The rule for every opcode; `docs/opcodes.md` is the page of it.

use hlo2dae_hlo::Opcode;
use hlo2dae_ir::core::{BinaryOp, UnaryOp};

/// How instructions of an opcode are read, if their attributes and shapes allow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    Unary(UnaryOp),
    Binary(BinaryOp),
    Compare,
    Select,
    Clamp,
    Convert,
    Reshape,
    Bitcast,
    Broadcast,
    Transpose,
    Slice,
    Pad,
    Concatenate,
    Reverse,
    Iota,
    Constant,
    Gather,
    DynamicSlice,
    Reduce,
    Dot,
    Scatter,
    /// By its target.
    CustomCall,
    /// Never, and why.
    None(&'static str),
}

/// The rule for an opcode.
pub(super) fn rule(opcode: Opcode) -> Rule {
    use Opcode as O;
    match opcode {
        O::Abs => Rule::Unary(UnaryOp::Abs),
        O::Negate => Rule::Unary(UnaryOp::Neg),
        O::Not => Rule::Unary(UnaryOp::Not),
        O::Sign => Rule::Unary(UnaryOp::Sign),
        O::Ceil => Rule::Unary(UnaryOp::Ceil),
        O::Floor => Rule::Unary(UnaryOp::Floor),
        O::RoundNearestEven => Rule::Unary(UnaryOp::RoundNearestEven),
        O::RoundNearestAfz => Rule::Unary(UnaryOp::RoundNearestAfz),
        O::Sqrt => Rule::Unary(UnaryOp::Sqrt),
        O::Rsqrt => Rule::Unary(UnaryOp::Rsqrt),
        O::Cbrt => Rule::Unary(UnaryOp::Cbrt),
        O::Exponential => Rule::Unary(UnaryOp::Exp),
        O::ExponentialMinusOne => Rule::Unary(UnaryOp::Expm1),
        O::Log => Rule::Unary(UnaryOp::Log),
        O::LogPlusOne => Rule::Unary(UnaryOp::Log1p),
        O::Logistic => Rule::Unary(UnaryOp::Logistic),
        O::Tanh => Rule::Unary(UnaryOp::Tanh),
        O::Erf => Rule::Unary(UnaryOp::Erf),
        O::Sine => Rule::Unary(UnaryOp::Sin),
        O::Cosine => Rule::Unary(UnaryOp::Cos),
        O::Tan => Rule::Unary(UnaryOp::Tan),
        O::Popcnt => Rule::Unary(UnaryOp::Popcnt),
        O::CountLeadingZeros => Rule::Unary(UnaryOp::Clz),
        O::IsFinite => Rule::Unary(UnaryOp::IsFinite),
        O::Add => Rule::Binary(BinaryOp::Add),
        O::Subtract => Rule::Binary(BinaryOp::Sub),
        O::Multiply => Rule::Binary(BinaryOp::Mul),
        O::Divide => Rule::Binary(BinaryOp::Div),
        O::Remainder => Rule::Binary(BinaryOp::Rem),
        O::Minimum => Rule::Binary(BinaryOp::Min),
        O::Maximum => Rule::Binary(BinaryOp::Max),
        O::Power => Rule::Binary(BinaryOp::Pow),
        O::Atan2 => Rule::Binary(BinaryOp::Atan2),
        O::And => Rule::Binary(BinaryOp::And),
        O::Or => Rule::Binary(BinaryOp::Or),
        O::Xor => Rule::Binary(BinaryOp::Xor),
        O::ShiftLeft => Rule::Binary(BinaryOp::Shl),
        O::ShiftRightArithmetic => Rule::Binary(BinaryOp::ShrArithmetic),
        O::ShiftRightLogical => Rule::Binary(BinaryOp::ShrLogical),
        O::Compare => Rule::Compare,
        O::Select => Rule::Select,
        O::Clamp => Rule::Clamp,
        O::Convert => Rule::Convert,
        O::Copy | O::Reshape => Rule::Reshape,
        O::Bitcast => Rule::Bitcast,
        O::Broadcast => Rule::Broadcast,
        O::Transpose => Rule::Transpose,
        O::Slice => Rule::Slice,
        O::Pad => Rule::Pad,
        O::Concatenate => Rule::Concatenate,
        O::Reverse => Rule::Reverse,
        O::Iota => Rule::Iota,
        O::Constant => Rule::Constant,
        O::Gather => Rule::Gather,
        O::DynamicSlice => Rule::DynamicSlice,
        O::Reduce => Rule::Reduce,
        O::Dot => Rule::Dot,
        O::Scatter => Rule::Scatter,
        O::CustomCall => Rule::CustomCall,
        O::Parameter
        | O::GetTupleElement
        | O::PartitionId
        | O::ReplicaId
        | O::Infeed
        | O::Recv
        | O::RecvDone => Rule::None("its value comes from outside"),
        O::Rng | O::RngBitGenerator | O::RngGetAndUpdateState | O::StochasticConvert => {
            Rule::None("its value is random")
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
        | O::DynamicReshape => Rule::None("its value is not a plain array"),
        O::While | O::Conditional | O::AsyncStart | O::AsyncUpdate | O::AsyncDone => {
            Rule::None("it runs computations of its own")
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
        | O::ReduceScatter => Rule::None("it communicates between devices"),
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
        | O::BitcastConvert => Rule::None("the region IR has no such arithmetic"),
        O::Map => Rule::None("it applies a computation to every element"),
        O::Sort | O::Topk => Rule::None("where an element goes depends on all others"),
        O::DynamicUpdateSlice => Rule::None("it overwrites a window of its operand"),
        O::CopyStart | O::CopyDone => Rule::None("it is asynchronous"),
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
        | O::Scan => Rule::None("an element depends on many elements of its operands"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// The page: for each opcode in backquotes in a first cell, the section and the second cell.
    fn page() -> BTreeMap<&'static str, Vec<(&'static str, &'static str)>> {
        let mut rows: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let mut section = "";
        for line in include_str!("../../docs/opcodes.md").lines() {
            if let Some(title) = line.strip_prefix("## ") {
                section = title;
            }
            let cells = line.strip_prefix("| ").and_then(|l| l.strip_suffix(" |"));
            if let Some((opcodes, rest)) = cells.and_then(|cells| cells.split_once(" | ")) {
                for opcode in opcodes.split('`').skip(1).step_by(2) {
                    rows.entry(opcode).or_default().push((section, rest));
                }
            }
        }
        rows
    }

    #[test]
    fn the_page_has_the_rule_of_every_opcode() {
        let mut page = page();
        for &opcode in Opcode::ALL {
            let rows = page.remove(opcode.name()).unwrap_or_default();
            let with_map: Vec<_> = rows
                .iter()
                .filter(|(section, _)| *section == "With an index map")
                .collect();
            let without: Vec<_> = rows
                .iter()
                .filter(|(section, _)| *section == "Without")
                .collect();
            match rule(opcode) {
                Rule::None(why) => {
                    assert!(with_map.is_empty(), "{opcode} has no map");
                    assert!(
                        matches!(without.as_slice(), [(_, reason)] if *reason == why),
                        "{opcode}: {why}"
                    );
                }
                _ => {
                    assert_eq!(with_map.len(), 1, "{opcode} has a map");
                    assert!(without.is_empty(), "{opcode} has a map");
                }
            }
        }
        assert!(page.is_empty(), "no opcodes: {:?}", page.keys());
    }
}
