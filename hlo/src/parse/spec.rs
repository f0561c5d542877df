//! Which attributes each opcode takes: one table for the parser and the printer.
//!
//! The order of a row is the order in which attributes are printed; those of [`COMMON`] follow.

use crate::opcode::Opcode;

/// How an attribute's value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Integer,
    Float,
    Integers,
    IntegerLists,
    Word,
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
    Raw,
}

/// One attribute of an owner.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) required: bool,
}

const fn may(name: &'static str, kind: Kind) -> Spec {
    Spec {
        name,
        kind,
        required: false,
    }
}

const fn must(name: &'static str, kind: Kind) -> Spec {
    Spec {
        name,
        kind,
        required: true,
    }
}

/// Attributes of every instruction, in the order of printing.
pub(crate) const COMMON: &[Spec] = &[
    may("parameter_replication", Kind::Raw),
    may("sharding", Kind::Raw),
    may("frontend_attributes", Kind::Raw),
    may("control-predecessors", Kind::Instructions),
    may("statistics", Kind::Raw),
    may("origin", Kind::Raw),
    may("metadata", Kind::Raw),
    may("backend_config", Kind::TextOrJson),
];

/// Attributes of a module, in the order of printing.
pub(crate) const MODULE: &[Spec] = &[
    may("is_scheduled", Kind::Bool),
    may("input_output_alias", Kind::Raw),
    may("buffer_donor", Kind::Raw),
    may("alias_passthrough_params", Kind::Bool),
    may("entry_computation_layout", Kind::Signature),
    may("allow_spmd_sharding_propagation_to_parameters", Kind::Raw),
    may("allow_spmd_sharding_propagation_to_output", Kind::Raw),
    may("replica_count", Kind::Integer),
    may("num_partitions", Kind::Integer),
    may("frontend_attributes", Kind::Raw),
    may("origin_recovery_table", Kind::Raw),
    may("debug_attributes", Kind::Raw),
];

/// Attributes of a computation.
pub(crate) const COMPUTATION: &[Spec] = &[may("execution_thread", Kind::Text)];

const ACCURACY: &[Spec] = &[may("result_accuracy", Kind::Raw)];
const GATHERING: &[Spec] = &[
    may("channel_id", Kind::Integer),
    must("replica_groups", Kind::Raw),
    may("constrain_layout", Kind::Bool),
    may("use_global_device_ids", Kind::Bool),
    must("dimensions", Kind::Integers),
];
const REDUCING: &[Spec] = &[
    may("channel_id", Kind::Integer),
    may("replica_groups", Kind::Raw),
    may("constrain_layout", Kind::Bool),
    may("use_global_device_ids", Kind::Bool),
    may("mode", Kind::Word),
    must("to_apply", Kind::Computation),
];
const PERMUTING: &[Spec] = &[
    may("channel_id", Kind::Integer),
    must("source_target_pairs", Kind::IntegerLists),
    may("slice_sizes", Kind::IntegerLists),
];
const TRANSFER: &[Spec] = &[
    may("channel_id", Kind::Integer),
    may("is_host_transfer", Kind::Bool),
];
const DOT: &[Spec] = &[
    may("lhs_batch_dims", Kind::Integers),
    may("lhs_contracting_dims", Kind::Integers),
    may("rhs_batch_dims", Kind::Integers),
    may("rhs_contracting_dims", Kind::Integers),
    may("operand_precision", Kind::Raw),
    may("algorithm", Kind::Word),
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
                    may("replica_groups", Kind::Raw),
                    may("constrain_layout", Kind::Bool),
                    may("use_global_device_ids", Kind::Bool),
                    may("mode", Kind::Word),
                    must("dimensions", Kind::Integers),
                    must("to_apply", Kind::Computation),
                ]
            }
        }
        Opcode::AllToAll => {
            const {
                &[
                    may("channel_id", Kind::Integer),
                    may("replica_groups", Kind::Raw),
                    may("constrain_layout", Kind::Bool),
                    may("dimensions", Kind::Integers),
                ]
            }
        }
        Opcode::RaggedAllToAll => {
            const {
                &[
                    may("channel_id", Kind::Integer),
                    may("replica_groups", Kind::Raw),
                    may("dimensions", Kind::Integers),
                ]
            }
        }
        Opcode::CollectiveBroadcast => {
            const {
                &[
                    may("channel_id", Kind::Integer),
                    may("replica_groups", Kind::Raw),
                    may("has_dynamic_root", Kind::Bool),
                ]
            }
        }
        Opcode::CollectivePermute | Opcode::CollectivePermuteStart => PERMUTING,
        Opcode::AsyncStart => {
            const {
                &[
                    may("async_execution_thread", Kind::Text),
                    may("calls", Kind::Computation),
                ]
            }
        }
        Opcode::AsyncUpdate | Opcode::AsyncDone => {
            const {
                &[
                    may("async_execution_thread", Kind::Text),
                    may("calls", Kind::Computation),
                ]
            }
        }
        Opcode::BatchNormGrad | Opcode::BatchNormInference | Opcode::BatchNormTraining => {
            BATCH_NORM
        }
        Opcode::Broadcast => const { &[may("dimensions", Kind::Integers)] },
        Opcode::Call => {
            const {
                &[
                    must("to_apply", Kind::Computation),
                    may("is_composite", Kind::Bool),
                ]
            }
        }
        Opcode::Cholesky => const { &[may("lower", Kind::Bool)] },
        Opcode::Compare => const { &[must("direction", Kind::Word), may("type", Kind::Word)] },
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
                    may("window", Kind::Window),
                    must("dim_labels", Kind::ConvolutionDims),
                    may("feature_group_count", Kind::Integer),
                    may("batch_group_count", Kind::Integer),
                    may("convolution_kind", Kind::Word),
                    may("sparsity_config", Kind::Raw),
                    may("operand_precision", Kind::Raw),
                ]
            }
        }
        Opcode::CopyStart => const { &[may("cross_program_prefetch_index", Kind::Integer)] },
        Opcode::CustomCall => {
            const {
                &[
                    may("window", Kind::Window),
                    may("dim_labels", Kind::ConvolutionDims),
                    may("feature_group_count", Kind::Integer),
                    may("batch_group_count", Kind::Integer),
                    may("padding_type", Kind::Word),
                    must("custom_call_target", Kind::Text),
                    may("operand_layout_constraints", Kind::Shapes),
                    may("custom_call_has_side_effect", Kind::Bool),
                    may("literal", Kind::Literal),
                    may("output_to_operand_aliasing", Kind::Raw),
                    may("schedule", Kind::Word),
                    may("api_version", Kind::Word),
                    may("operand_precision", Kind::Raw),
                    may("to_apply", Kind::Computation),
                    may("called_computations", Kind::Computations),
                ]
            }
        }
        Opcode::Domain => const { &[must("domain", Kind::Raw)] },
        Opcode::Dot | Opcode::ScaledDot => DOT,
        Opcode::RaggedDot => {
            const {
                &[
                    may("lhs_batch_dims", Kind::Integers),
                    may("lhs_contracting_dims", Kind::Integers),
                    may("rhs_batch_dims", Kind::Integers),
                    may("rhs_contracting_dims", Kind::Integers),
                    must("lhs_ragged_dims", Kind::Integers),
                    may("rhs_group_dims", Kind::Integers),
                    may("operand_precision", Kind::Raw),
                ]
            }
        }
        Opcode::DynamicSlice => const { &[must("dynamic_slice_sizes", Kind::Integers)] },
        Opcode::Fft => {
            const {
                &[
                    must("fft_type", Kind::Word),
                    must("fft_length", Kind::Integers),
                ]
            }
        }
        Opcode::Fusion => {
            const {
                &[
                    must("kind", Kind::Word),
                    may("output_to_operand_aliasing", Kind::Raw),
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
                    may("operand_batching_dims", Kind::Integers),
                    may("start_indices_batching_dims", Kind::Integers),
                    must("index_vector_dim", Kind::Integer),
                    must("slice_sizes", Kind::Integers),
                    may("indices_are_sorted", Kind::Bool),
                ]
            }
        }
        Opcode::Scatter => {
            const {
                &[
                    must("update_window_dims", Kind::Integers),
                    must("inserted_window_dims", Kind::Integers),
                    must("scatter_dims_to_operand_dims", Kind::Integers),
                    may("input_batching_dims", Kind::Integers),
                    may("scatter_indices_batching_dims", Kind::Integers),
                    must("index_vector_dim", Kind::Integer),
                    may("indices_are_sorted", Kind::Bool),
                    may("unique_indices", Kind::Bool),
                    must("to_apply", Kind::Computation),
                ]
            }
        }
        Opcode::GetDimensionSize | Opcode::SetDimensionSize => {
            const { &[must("dimensions", Kind::Integers)] }
        }
        Opcode::GetTupleElement => const { &[must("index", Kind::Integer)] },
        Opcode::Infeed => const { &[may("infeed_config", Kind::Text)] },
        Opcode::Outfeed => {
            const {
                &[
                    may("outfeed_shape", Kind::Shape),
                    may("outfeed_config", Kind::Text),
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
                    may("window", Kind::Window),
                    must("to_apply", Kind::Computation),
                ]
            }
        }
        Opcode::Reshape => const { &[may("inferred_dimension", Kind::Integer)] },
        Opcode::Reverse | Opcode::Transpose => const { &[must("dimensions", Kind::Integers)] },
        Opcode::Rng => const { &[must("distribution", Kind::Word)] },
        Opcode::RngBitGenerator => const { &[must("algorithm", Kind::Word)] },
        Opcode::RngGetAndUpdateState => const { &[must("delta", Kind::Integer)] },
        Opcode::Scan => {
            const {
                &[
                    must("dimensions", Kind::Integers),
                    may("is_reverse", Kind::Bool),
                    may("is_associative", Kind::Bool),
                    may("num_carries", Kind::Integer),
                    must("to_apply", Kind::Computation),
                ]
            }
        }
        Opcode::SelectAndScatter => {
            const {
                &[
                    may("window", Kind::Window),
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
                    may("is_stable", Kind::Bool),
                    must("to_apply", Kind::Computation),
                ]
            }
        }
        Opcode::Topk => {
            const {
                &[
                    must("k", Kind::Integer),
                    must("largest", Kind::Bool),
                    may("is_stable", Kind::Bool),
                ]
            }
        }
        Opcode::TriangularSolve => {
            const {
                &[
                    may("left_side", Kind::Bool),
                    may("lower", Kind::Bool),
                    may("unit_diagonal", Kind::Bool),
                    may("transpose_a", Kind::Word),
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
