//! Which attributes each opcode takes: one table for the parser and the printer.
//!
//! The order of a row is the order in which attributes are printed; those of [`COMMON`] follow.

use super::raw::{self, Reader};
use super::sharding;
use crate::opcode::{Opcode, binary_opcodes, unary_opcodes};

/// How an attribute's value is written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Bool,
    Integer,
    Float,
    Integers,
    IntegerLists,
    /// One of these words.
    Word(&'static [&'static str]),
    Text,
    TextOrJson,
    Computation,
    Computations,
    Instructions,
    Slices,
    Padding,
    Window,
    ConvolutionDims,
    Shape,
    Shapes,
    Signature,
    Literal,
    /// Read by this function and kept as text.
    Raw(Reader),
}

/// One attribute of an owner.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) required: bool,
    /// The value that says nothing: it is not kept.
    pub(crate) default: Default,
}

/// Values that mean the same as no attribute.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Default {
    /// No value does.
    None,
    /// `false`.
    False,
    /// This number.
    Integer(i64),
    /// This word, or this text.
    Word(&'static str),
    /// An empty list.
    Empty,
    /// Every value: the attribute is read for compatibility and means nothing.
    Any,
}

const fn may(name: &'static str, kind: Kind) -> Spec {
    Spec {
        name,
        kind,
        required: false,
        default: Default::None,
    }
}

const fn must(name: &'static str, kind: Kind) -> Spec {
    Spec {
        name,
        kind,
        required: true,
        default: Default::None,
    }
}

/// An optional attribute whose value `default` says nothing.
const fn or(name: &'static str, kind: Kind, default: Default) -> Spec {
    Spec {
        name,
        kind,
        required: false,
        default,
    }
}

const fn flag(name: &'static str) -> Spec {
    or(name, Kind::Bool, Default::False)
}

const fn raw(name: &'static str, reader: Reader) -> Spec {
    may(name, Kind::Raw(reader))
}

const GROUPS: Spec = raw("replica_groups", sharding::device_groups);
const PRECISION: Spec = raw("operand_precision", raw::precisions);

/// Algorithms of `dot`.
const ALGORITHMS: &[&str] = &[
    "unset",
    "dot_any_f8_any_f8_f32",
    "dot_any_f8_any_f8_f32_fast_accum",
    "dot_any_f8_any_f8_any",
    "dot_any_f8_any_f8_any_fast_accum",
    "dot_f16_f16_f16",
    "dot_f16_f16_f32",
    "dot_bf16_bf16_bf16",
    "dot_bf16_bf16_f32",
    "dot_bf16_bf16_f32_x3",
    "dot_bf16_bf16_f32_x6",
    "dot_bf16_bf16_f32_x9",
    "dot_tf32_tf32_f32",
    "dot_tf32_tf32_f32_x3",
    "dot_f32_f32_f32",
    "dot_f64_f64_f64",
];

/// Attributes of every instruction, in the order of printing.
pub(crate) const COMMON: &[Spec] = &[
    raw("parameter_replication", raw::booleans),
    raw("sharding", sharding::sharding),
    or(
        "frontend_attributes",
        Kind::Raw(raw::frontend_attributes),
        Default::Word("{}"),
    ),
    may("control-predecessors", Kind::Instructions),
    or(
        "statistics",
        Kind::Raw(raw::statistics),
        Default::Word("{}"),
    ),
    raw("origin", raw::origin),
    or("metadata", Kind::Raw(raw::metadata), Default::Word("{}")),
    or("backend_config", Kind::TextOrJson, Default::Word("")),
];

/// Attributes of a module, in the order of printing.
pub(crate) const MODULE: &[Spec] = &[
    flag("is_scheduled"),
    or(
        "input_output_alias",
        Kind::Raw(raw::module_aliasing),
        Default::Word("{  }"),
    ),
    or(
        "buffer_donor",
        Kind::Raw(raw::buffer_donors),
        Default::Word("{  }"),
    ),
    flag("alias_passthrough_params"),
    may("entry_computation_layout", Kind::Signature),
    or(
        "allow_spmd_sharding_propagation_to_parameters",
        Kind::Raw(raw::booleans),
        Default::Word("{false}"),
    ),
    or(
        "allow_spmd_sharding_propagation_to_output",
        Kind::Raw(raw::booleans),
        Default::Word("{false}"),
    ),
    or("replica_count", Kind::Integer, Default::Integer(1)),
    or("num_partitions", Kind::Integer, Default::Integer(1)),
    or(
        "frontend_attributes",
        Kind::Raw(raw::frontend_attributes),
        Default::Word("{}"),
    ),
    raw("origin_recovery_table", raw::recovery_table),
    raw("debug_attributes", raw::debug_attributes),
];

/// Attributes of a conditional on a truth value.
pub(crate) const CONDITIONAL_ON_PRED: &[Spec] = &[
    must("true_computation", Kind::Computation),
    must("false_computation", Kind::Computation),
];

/// Attributes of a conditional on a number.
pub(crate) const CONDITIONAL_ON_INDEX: &[Spec] = &[must("branch_computations", Kind::Computations)];

/// Attributes of a computation.
pub(crate) const COMPUTATION: &[Spec] =
    &[or("execution_thread", Kind::Text, Default::Word("main"))];

const ACCURACY: &[Spec] = &[or(
    "result_accuracy",
    Kind::Raw(raw::accuracy),
    Default::Word("{mode=default}"),
)];
const GATHERING: &[Spec] = &[
    may("channel_id", Kind::Integer),
    GROUPS,
    flag("constrain_layout"),
    must("dimensions", Kind::Integers),
    flag("use_global_device_ids"),
];
const REDUCING: &[Spec] = &[
    may("channel_id", Kind::Integer),
    GROUPS,
    flag("constrain_layout"),
    flag("use_global_device_ids"),
    or(
        "mode",
        Kind::Word(&[
            "cross_replica",
            "cross_partition",
            "cross_replica_and_partition",
            "flattened_id",
        ]),
        Default::Any,
    ),
    must("to_apply", Kind::Computation),
];
const PERMUTING: &[Spec] = &[
    may("channel_id", Kind::Integer),
    must("source_target_pairs", Kind::IntegerLists),
    may("slice_sizes", Kind::IntegerLists),
];
const TRANSFER: &[Spec] = &[may("channel_id", Kind::Integer), flag("is_host_transfer")];
const DOT: &[Spec] = &[
    or("lhs_batch_dims", Kind::Integers, Default::Empty),
    may("lhs_contracting_dims", Kind::Integers),
    or("rhs_batch_dims", Kind::Integers, Default::Empty),
    may("rhs_contracting_dims", Kind::Integers),
    PRECISION,
    or("algorithm", Kind::Word(ALGORITHMS), Default::Word("unset")),
];
const BATCH_NORM: &[Spec] = &[
    must("epsilon", Kind::Float),
    must("feature_index", Kind::Integer),
];

/// Attributes of `opcode` beside [`COMMON`], in the order of printing.
pub(crate) const fn attributes(opcode: Opcode) -> &'static [Spec] {
    match opcode {
        Opcode::Acos
        | Opcode::Acosh
        | Opcode::Asin
        | Opcode::Asinh
        | Opcode::Atanh
        | Opcode::Cbrt
        | Opcode::Cosh
        | Opcode::Cosine
        | Opcode::Erf
        | Opcode::Exponential
        | Opcode::ExponentialMinusOne
        | Opcode::Log
        | Opcode::LogPlusOne
        | Opcode::Logistic
        | Opcode::Rsqrt
        | Opcode::Sine
        | Opcode::Sinh
        | Opcode::Sqrt
        | Opcode::Tan
        | Opcode::Tanh => ACCURACY,
        Opcode::AllGather | Opcode::AllGatherStart => GATHERING,
        Opcode::AllReduce | Opcode::AllReduceStart => REDUCING,
        Opcode::ReduceScatter => {
            const {
                &[
                    may("channel_id", Kind::Integer),
                    GROUPS,
                    flag("constrain_layout"),
                    flag("use_global_device_ids"),
                    or(
                        "mode",
                        Kind::Word(&[
                            "cross_replica",
                            "cross_partition",
                            "cross_replica_and_partition",
                            "flattened_id",
                        ]),
                        Default::Any,
                    ),
                    must("dimensions", Kind::Integers),
                    must("to_apply", Kind::Computation),
                ]
            }
        }
        Opcode::AllToAll => {
            const {
                &[
                    may("channel_id", Kind::Integer),
                    GROUPS,
                    flag("constrain_layout"),
                    may("dimensions", Kind::Integers),
                ]
            }
        }
        Opcode::RaggedAllToAll => {
            const {
                &[
                    may("channel_id", Kind::Integer),
                    GROUPS,
                    may("dimensions", Kind::Integers),
                ]
            }
        }
        Opcode::CollectiveBroadcast => {
            const {
                &[
                    may("channel_id", Kind::Integer),
                    GROUPS,
                    flag("has_dynamic_root"),
                ]
            }
        }
        Opcode::CollectivePermute | Opcode::CollectivePermuteStart => PERMUTING,
        Opcode::AsyncStart => {
            const {
                &[
                    or(
                        "output_to_operand_aliasing",
                        Kind::Raw(raw::operand_aliasing),
                        Default::Word("{}"),
                    ),
                    or("async_execution_thread", Kind::Text, Default::Word("main")),
                    may("calls", Kind::Computation),
                ]
            }
        }
        Opcode::AsyncUpdate | Opcode::AsyncDone => {
            const {
                &[
                    or("async_execution_thread", Kind::Text, Default::Word("main")),
                    may("calls", Kind::Computation),
                ]
            }
        }
        Opcode::BatchNormGrad | Opcode::BatchNormInference | Opcode::BatchNormTraining => {
            BATCH_NORM
        }
        Opcode::Broadcast => const { &[may("dimensions", Kind::Integers)] },
        Opcode::Call => const { &[must("to_apply", Kind::Computation), flag("is_composite")] },
        Opcode::Cholesky => const { &[flag("lower")] },
        Opcode::Compare => {
            const {
                &[
                    must(
                        "direction",
                        Kind::Word(&["EQ", "NE", "LT", "GT", "LE", "GE"]),
                    ),
                    may(
                        "type",
                        Kind::Word(&["SIGNED", "UNSIGNED", "FLOAT", "TOTALORDER"]),
                    ),
                ]
            }
        }
        Opcode::Concatenate => const { &[must("dimensions", Kind::Integers)] },
        Opcode::Conditional => {
            const {
                &[
                    may("true_computation", Kind::Computation),
                    may("false_computation", Kind::Computation),
                    may("branch_computations", Kind::Computations),
                ]
            }
        }
        Opcode::Convolution => {
            const {
                &[
                    or("window", Kind::Window, Default::Empty),
                    must("dim_labels", Kind::ConvolutionDims),
                    or("feature_group_count", Kind::Integer, Default::Integer(1)),
                    or("batch_group_count", Kind::Integer, Default::Integer(1)),
                    or(
                        "convolution_kind",
                        Kind::Word(&["unset", "fprop", "wgrad", "dgrad"]),
                        Default::Word("unset"),
                    ),
                    raw("sparsity_config", raw::structure),
                    PRECISION,
                ]
            }
        }
        Opcode::CopyStart => const { &[may("cross_program_prefetch_index", Kind::Integer)] },
        Opcode::CustomCall => {
            const {
                &[
                    // A window of no dimensions is kept, unlike that of a convolution.
                    may("window", Kind::Window),
                    may("dim_labels", Kind::ConvolutionDims),
                    or("feature_group_count", Kind::Integer, Default::Integer(1)),
                    or("batch_group_count", Kind::Integer, Default::Integer(1)),
                    PRECISION,
                    may(
                        "padding_type",
                        Kind::Word(&["PADDING_INVALID", "PADDING_VALID", "PADDING_SAME"]),
                    ),
                    must("custom_call_target", Kind::Text),
                    may("operand_layout_constraints", Kind::Shapes),
                    flag("custom_call_has_side_effect"),
                    may("literal", Kind::Literal),
                    or(
                        "output_to_operand_aliasing",
                        Kind::Raw(raw::operand_aliasing),
                        Default::Word("{}"),
                    ),
                    or(
                        "schedule",
                        Kind::Word(&["SCHEDULE_NONE", "SCHEDULE_LATEST", "SCHEDULE_EARLIEST"]),
                        Default::Word("SCHEDULE_NONE"),
                    ),
                    or(
                        "api_version",
                        Kind::Word(&[
                            "API_VERSION_ORIGINAL",
                            "API_VERSION_STATUS_RETURNING",
                            "API_VERSION_STATUS_RETURNING_UNIFIED",
                            "API_VERSION_TYPED_FFI",
                        ]),
                        Default::Word("API_VERSION_ORIGINAL"),
                    ),
                    may("to_apply", Kind::Computation),
                    may("called_computations", Kind::Computations),
                ]
            }
        }
        Opcode::Domain => const { &[must("domain", Kind::Raw(raw::domain))] },
        Opcode::Dot | Opcode::ScaledDot => DOT,
        Opcode::RaggedDot => {
            const {
                &[
                    or("lhs_batch_dims", Kind::Integers, Default::Empty),
                    may("lhs_contracting_dims", Kind::Integers),
                    or("rhs_batch_dims", Kind::Integers, Default::Empty),
                    may("rhs_contracting_dims", Kind::Integers),
                    must("lhs_ragged_dims", Kind::Integers),
                    may("rhs_group_dims", Kind::Integers),
                    PRECISION,
                ]
            }
        }
        Opcode::DynamicSlice => const { &[must("dynamic_slice_sizes", Kind::Integers)] },
        Opcode::Fft => {
            const {
                &[
                    must("fft_type", Kind::Word(&["FFT", "IFFT", "RFFT", "IRFFT"])),
                    must("fft_length", Kind::Integers),
                ]
            }
        }
        Opcode::Fusion => {
            const {
                &[
                    must(
                        "kind",
                        Kind::Word(&["kLoop", "kInput", "kOutput", "kCustom"]),
                    ),
                    or(
                        "output_to_operand_aliasing",
                        Kind::Raw(raw::operand_aliasing),
                        Default::Word("{}"),
                    ),
                    must("calls", Kind::Computation),
                ]
            }
        }
        Opcode::Gather => {
            const {
                &[
                    must("offset_dims", Kind::Integers),
                    must("collapsed_slice_dims", Kind::Integers),
                    must("start_index_map", Kind::Integers),
                    or("operand_batching_dims", Kind::Integers, Default::Empty),
                    or(
                        "start_indices_batching_dims",
                        Kind::Integers,
                        Default::Empty,
                    ),
                    must("index_vector_dim", Kind::Integer),
                    must("slice_sizes", Kind::Integers),
                    flag("indices_are_sorted"),
                ]
            }
        }
        Opcode::Scatter => {
            const {
                &[
                    must("update_window_dims", Kind::Integers),
                    must("inserted_window_dims", Kind::Integers),
                    must("scatter_dims_to_operand_dims", Kind::Integers),
                    or("input_batching_dims", Kind::Integers, Default::Empty),
                    or(
                        "scatter_indices_batching_dims",
                        Kind::Integers,
                        Default::Empty,
                    ),
                    must("index_vector_dim", Kind::Integer),
                    flag("indices_are_sorted"),
                    flag("unique_indices"),
                    must("to_apply", Kind::Computation),
                ]
            }
        }
        Opcode::GetDimensionSize | Opcode::SetDimensionSize => {
            const { &[must("dimensions", Kind::Integers)] }
        }
        Opcode::GetTupleElement => const { &[must("index", Kind::Integer)] },
        Opcode::Infeed => const { &[or("infeed_config", Kind::Text, Default::Word(""))] },
        Opcode::Outfeed => {
            const {
                &[
                    may("outfeed_shape", Kind::Shape),
                    or("outfeed_config", Kind::Text, Default::Word("")),
                ]
            }
        }
        Opcode::Iota => const { &[must("iota_dimension", Kind::Integer)] },
        Opcode::Map => {
            const {
                &[
                    may("dimensions", Kind::Integers),
                    must("to_apply", Kind::Computation),
                ]
            }
        }
        Opcode::Pad => const { &[must("padding", Kind::Padding)] },
        Opcode::Recv | Opcode::RecvDone | Opcode::Send | Opcode::SendDone => TRANSFER,
        Opcode::Reduce => {
            const {
                &[
                    must("dimensions", Kind::Integers),
                    must("to_apply", Kind::Computation),
                ]
            }
        }
        Opcode::ReducePrecision => {
            const {
                &[
                    must("exponent_bits", Kind::Integer),
                    must("mantissa_bits", Kind::Integer),
                ]
            }
        }
        Opcode::ReduceWindow => {
            const {
                &[
                    or("window", Kind::Window, Default::Empty),
                    must("to_apply", Kind::Computation),
                ]
            }
        }
        Opcode::Reshape => {
            const {
                &[or(
                    "inferred_dimension",
                    Kind::Integer,
                    Default::Integer(-1),
                )]
            }
        }
        Opcode::Reverse | Opcode::Transpose => const { &[must("dimensions", Kind::Integers)] },
        Opcode::Rng => {
            const {
                &[must(
                    "distribution",
                    Kind::Word(&["rng_uniform", "rng_normal"]),
                )]
            }
        }
        Opcode::RngBitGenerator => {
            const {
                &[must(
                    "algorithm",
                    Kind::Word(&["rng_default", "rng_three_fry", "rng_philox"]),
                )]
            }
        }
        Opcode::RngGetAndUpdateState => const { &[must("delta", Kind::Integer)] },
        Opcode::Scan => {
            const {
                &[
                    must("dimensions", Kind::Integers),
                    may("num_carries", Kind::Integer),
                    flag("is_reverse"),
                    may("is_associative", Kind::Bool),
                    must("to_apply", Kind::Computation),
                ]
            }
        }
        Opcode::SelectAndScatter => {
            const {
                &[
                    or("window", Kind::Window, Default::Empty),
                    must("select", Kind::Computation),
                    must("scatter", Kind::Computation),
                ]
            }
        }
        Opcode::Slice => const { &[must("slice", Kind::Slices)] },
        Opcode::Sort => {
            const {
                &[
                    must("dimensions", Kind::Integers),
                    flag("is_stable"),
                    must("to_apply", Kind::Computation),
                ]
            }
        }
        Opcode::Topk => {
            const {
                &[
                    must("k", Kind::Integer),
                    may("largest", Kind::Bool),
                    flag("is_stable"),
                ]
            }
        }
        Opcode::TriangularSolve => {
            const {
                &[
                    flag("left_side"),
                    flag("lower"),
                    flag("unit_diagonal"),
                    may(
                        "transpose_a",
                        Kind::Word(&["NO_TRANSPOSE", "TRANSPOSE", "ADJOINT"]),
                    ),
                ]
            }
        }
        Opcode::While => {
            const {
                &[
                    must("condition", Kind::Computation),
                    must("body", Kind::Computation),
                ]
            }
        }
        Opcode::Abs
        | Opcode::Add
        | Opcode::AddDependency
        | Opcode::AfterAll
        | Opcode::AllGatherDone
        | Opcode::AllReduceDone
        | Opcode::And
        | Opcode::Atan2
        | Opcode::Bitcast
        | Opcode::BitcastConvert
        | Opcode::Ceil
        | Opcode::Clamp
        | Opcode::CollectivePermuteDone
        | Opcode::Complex
        | Opcode::Constant
        | Opcode::Convert
        | Opcode::Copy
        | Opcode::CopyDone
        | Opcode::CountLeadingZeros
        | Opcode::Divide
        | Opcode::DynamicReshape
        | Opcode::DynamicUpdateSlice
        | Opcode::Floor
        | Opcode::Imag
        | Opcode::IsFinite
        | Opcode::Maximum
        | Opcode::Minimum
        | Opcode::Mulhi
        | Opcode::Multiply
        | Opcode::Negate
        | Opcode::Not
        | Opcode::OptBarrier
        | Opcode::Or
        | Opcode::Parameter
        | Opcode::PartitionId
        | Opcode::Popcnt
        | Opcode::Power
        | Opcode::Real
        | Opcode::Remainder
        | Opcode::ReplicaId
        | Opcode::RoundNearestAfz
        | Opcode::RoundNearestEven
        | Opcode::Select
        | Opcode::ShiftLeft
        | Opcode::ShiftRightArithmetic
        | Opcode::ShiftRightLogical
        | Opcode::Sign
        | Opcode::StochasticConvert
        | Opcode::Subtract
        | Opcode::Tuple
        | Opcode::Xor => &[],
    }
}

/// An attribute of this name, whoever has it.
pub(crate) fn find(name: &str) -> Option<Spec> {
    let of_opcodes = Opcode::ALL.iter().flat_map(|&o| attributes(o));
    [MODULE, COMMON, COMPUTATION]
        .into_iter()
        .flatten()
        .chain(of_opcodes)
        .find(|spec| spec.name == name)
        .copied()
}

/// How many operands `opcode` takes, where the parser insists on a number.
pub(crate) const fn arity(opcode: Opcode) -> Option<usize> {
    use Opcode as O;
    match opcode {
        O::Iota | O::PartitionId | O::ReplicaId | O::RngGetAndUpdateState => Some(0),
        unary_opcodes!()
        | O::AllGatherDone
        | O::AllReduceDone
        | O::Bitcast
        | O::BitcastConvert
        | O::Broadcast
        | O::Cholesky
        | O::CollectivePermuteDone
        | O::Convert
        | O::Copy
        | O::CopyDone
        | O::CopyStart
        | O::Domain
        | O::Fft
        | O::GetDimensionSize
        | O::GetTupleElement
        | O::Infeed
        | O::OptBarrier
        | O::Recv
        | O::RecvDone
        | O::ReducePrecision
        | O::Reshape
        | O::Reverse
        | O::RngBitGenerator
        | O::SendDone
        | O::Slice
        | O::Topk
        | O::Transpose
        | O::While => Some(1),
        binary_opcodes!()
        | O::AddDependency
        | O::Compare
        | O::Convolution
        | O::Gather
        | O::Outfeed
        | O::Pad
        | O::Send
        | O::SetDimensionSize
        | O::StochasticConvert
        | O::TriangularSolve => Some(2),
        O::BatchNormTraining | O::Clamp | O::RaggedDot | O::Select | O::SelectAndScatter => Some(3),
        O::BatchNormGrad | O::BatchNormInference => Some(5),
        O::AfterAll
        | O::AllGather
        | O::AllGatherStart
        | O::AllReduce
        | O::AllReduceStart
        | O::AllToAll
        | O::AsyncDone
        | O::AsyncStart
        | O::AsyncUpdate
        | O::Call
        | O::CollectiveBroadcast
        | O::CollectivePermute
        | O::CollectivePermuteStart
        | O::Concatenate
        | O::Conditional
        | O::Constant
        | O::CustomCall
        | O::Dot
        | O::DynamicReshape
        | O::DynamicSlice
        | O::DynamicUpdateSlice
        | O::Fusion
        | O::Map
        | O::Parameter
        | O::RaggedAllToAll
        | O::Reduce
        | O::ReduceScatter
        | O::ReduceWindow
        | O::Rng
        | O::ScaledDot
        | O::Scan
        | O::Scatter
        | O::Sort
        | O::Tuple => None,
    }
}
