//! The opcodes of HLO.

use std::fmt;
use std::sync::LazyLock;

use hashbrown::HashMap;

macro_rules! opcodes {
    ($($variant:ident $name:literal,)*) => {
        /// What an instruction computes; named as in HLO text.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "the names are HLO's own")]
        pub enum Opcode {
            $($variant,)*
        }

        impl Opcode {
            /// All known opcodes.
            pub const ALL: &'static [Opcode] = &[$(Opcode::$variant,)*];

            /// HLO's spelling.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Opcode::$variant => $name,)*
                }
            }

            /// The opcode spelled `name`.
            pub fn from_name(name: &str) -> Option<Self> {
                static NAMES: LazyLock<HashMap<&str, Opcode>> =
                    LazyLock::new(|| Opcode::ALL.iter().map(|o| (o.name(), *o)).collect());
                NAMES.get(name).copied()
            }
        }
    };
}

opcodes! {
    Abs "abs",
    Acos "acos",
    Acosh "acosh",
    Add "add",
    AddDependency "add-dependency",
    AfterAll "after-all",
    AllGather "all-gather",
    AllGatherDone "all-gather-done",
    AllGatherStart "all-gather-start",
    AllReduce "all-reduce",
    AllReduceDone "all-reduce-done",
    AllReduceStart "all-reduce-start",
    AllToAll "all-to-all",
    And "and",
    Asin "asin",
    Asinh "asinh",
    AsyncDone "async-done",
    AsyncStart "async-start",
    AsyncUpdate "async-update",
    Atan2 "atan2",
    Atanh "atanh",
    BatchNormGrad "batch-norm-grad",
    BatchNormInference "batch-norm-inference",
    BatchNormTraining "batch-norm-training",
    Bitcast "bitcast",
    BitcastConvert "bitcast-convert",
    Broadcast "broadcast",
    Call "call",
    Cbrt "cbrt",
    Ceil "ceil",
    Cholesky "cholesky",
    Clamp "clamp",
    CollectiveBroadcast "collective-broadcast",
    CollectivePermute "collective-permute",
    CollectivePermuteDone "collective-permute-done",
    CollectivePermuteStart "collective-permute-start",
    Compare "compare",
    Complex "complex",
    Concatenate "concatenate",
    Conditional "conditional",
    Constant "constant",
    Convert "convert",
    Convolution "convolution",
    Copy "copy",
    CopyDone "copy-done",
    CopyStart "copy-start",
    Cosh "cosh",
    Cosine "cosine",
    CountLeadingZeros "count-leading-zeros",
    CustomCall "custom-call",
    Divide "divide",
    Domain "domain",
    Dot "dot",
    DynamicReshape "dynamic-reshape",
    DynamicSlice "dynamic-slice",
    DynamicUpdateSlice "dynamic-update-slice",
    Erf "erf",
    Exponential "exponential",
    ExponentialMinusOne "exponential-minus-one",
    Fft "fft",
    Floor "floor",
    Fusion "fusion",
    Gather "gather",
    GetDimensionSize "get-dimension-size",
    GetTupleElement "get-tuple-element",
    Imag "imag",
    Infeed "infeed",
    Iota "iota",
    IsFinite "is-finite",
    Log "log",
    LogPlusOne "log-plus-one",
    Logistic "logistic",
    Map "map",
    Maximum "maximum",
    Minimum "minimum",
    Mulhi "mulhi",
    Multiply "multiply",
    Negate "negate",
    Not "not",
    OptBarrier "opt-barrier",
    Or "or",
    Outfeed "outfeed",
    Pad "pad",
    Parameter "parameter",
    PartitionId "partition-id",
    Popcnt "popcnt",
    Power "power",
    RaggedAllToAll "ragged-all-to-all",
    RaggedDot "ragged-dot",
    Real "real",
    Recv "recv",
    RecvDone "recv-done",
    Reduce "reduce",
    ReducePrecision "reduce-precision",
    ReduceScatter "reduce-scatter",
    ReduceWindow "reduce-window",
    Remainder "remainder",
    ReplicaId "replica-id",
    Reshape "reshape",
    Reverse "reverse",
    Rng "rng",
    RngBitGenerator "rng-bit-generator",
    RngGetAndUpdateState "rng-get-and-update-state",
    RoundNearestAfz "round-nearest-afz",
    RoundNearestEven "round-nearest-even",
    Rsqrt "rsqrt",
    ScaledDot "scaled-dot",
    Scan "scan",
    Scatter "scatter",
    Select "select",
    SelectAndScatter "select-and-scatter",
    Send "send",
    SendDone "send-done",
    SetDimensionSize "set-dimension-size",
    ShiftLeft "shift-left",
    ShiftRightArithmetic "shift-right-arithmetic",
    ShiftRightLogical "shift-right-logical",
    Sign "sign",
    Sine "sine",
    Sinh "sinh",
    Slice "slice",
    Sort "sort",
    Sqrt "sqrt",
    StochasticConvert "stochastic-convert",
    Subtract "subtract",
    Tan "tan",
    Tanh "tanh",
    Topk "topk",
    Transpose "transpose",
    TriangularSolve "triangular-solve",
    Tuple "tuple",
    While "while",
    Xor "xor",
}

/// The pattern of the opcodes that compute each element from that of one operand, and whose result has
/// the operand's dimensions.
macro_rules! unary_opcodes {
    () => {
        $crate::Opcode::Abs
            | $crate::Opcode::Acos
            | $crate::Opcode::Acosh
            | $crate::Opcode::Asin
            | $crate::Opcode::Asinh
            | $crate::Opcode::Atanh
            | $crate::Opcode::Cbrt
            | $crate::Opcode::Ceil
            | $crate::Opcode::Cosh
            | $crate::Opcode::Cosine
            | $crate::Opcode::CountLeadingZeros
            | $crate::Opcode::Erf
            | $crate::Opcode::Exponential
            | $crate::Opcode::ExponentialMinusOne
            | $crate::Opcode::Floor
            | $crate::Opcode::Imag
            | $crate::Opcode::IsFinite
            | $crate::Opcode::Log
            | $crate::Opcode::LogPlusOne
            | $crate::Opcode::Logistic
            | $crate::Opcode::Negate
            | $crate::Opcode::Not
            | $crate::Opcode::Popcnt
            | $crate::Opcode::Real
            | $crate::Opcode::RoundNearestAfz
            | $crate::Opcode::RoundNearestEven
            | $crate::Opcode::Rsqrt
            | $crate::Opcode::Sign
            | $crate::Opcode::Sine
            | $crate::Opcode::Sinh
            | $crate::Opcode::Sqrt
            | $crate::Opcode::Tan
            | $crate::Opcode::Tanh
    };
}
pub(crate) use unary_opcodes;

/// The same of two operands, of one element type.
macro_rules! binary_opcodes {
    () => {
        $crate::Opcode::Add
            | $crate::Opcode::And
            | $crate::Opcode::Atan2
            | $crate::Opcode::Complex
            | $crate::Opcode::Divide
            | $crate::Opcode::Maximum
            | $crate::Opcode::Minimum
            | $crate::Opcode::Mulhi
            | $crate::Opcode::Multiply
            | $crate::Opcode::Or
            | $crate::Opcode::Power
            | $crate::Opcode::Remainder
            | $crate::Opcode::ShiftLeft
            | $crate::Opcode::ShiftRightArithmetic
            | $crate::Opcode::ShiftRightLogical
            | $crate::Opcode::Subtract
            | $crate::Opcode::Xor
    };
}
pub(crate) use binary_opcodes;

impl Opcode {
    /// Whether `-start`, `-update` and `-done` after the name make an asynchronous operation of it. Where one of these
    /// is an opcode of its own, they do not.
    pub(crate) const fn has_asynchronous_form(self) -> bool {
        !matches!(
            self,
            Opcode::AllGather
                | Opcode::AllReduce
                | Opcode::AsyncDone
                | Opcode::AsyncStart
                | Opcode::AsyncUpdate
                | Opcode::CollectivePermute
                | Opcode::Constant
                | Opcode::Copy
                | Opcode::Parameter
                | Opcode::Recv
                | Opcode::Send
        )
    }

    /// How many operands an opcode has that computes each element from the operands' elements at the
    /// same place; `None` when it is none of these.
    pub const fn elementwise_arity(self) -> Option<usize> {
        match self {
            unary_opcodes!()
            | Opcode::BitcastConvert
            | Opcode::Convert
            | Opcode::Copy
            | Opcode::ReducePrecision => Some(1),
            binary_opcodes!() | Opcode::Compare | Opcode::StochasticConvert => Some(2),
            Opcode::Clamp | Opcode::Select => Some(3),
            _ => None,
        }
    }
}

impl fmt::Display for Opcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
