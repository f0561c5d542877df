//! The operations that each instruction becomes.

use super::constant;
use super::error::Reason;
use super::function::{Op, Printer, Region, Value};
use super::text::{
    self, Type, booleans, integer, integer32, integers, leaves, list, matrix, tensor_type, types,
};
use crate::attribute::{AttributeValue, WindowDim};
use crate::literal::Literal;
use crate::module::{ComputationId, Instruction, InstructionId, Payload};
use crate::opcode::Opcode;
use crate::shape::{ArrayShape, Layout, PrimitiveType, Shape};

impl Printer<'_> {
    /// Writes an instruction; the values of its leaves.
    pub(super) fn instruction(&mut self, id: InstructionId) -> Result<Vec<Value>, Reason> {
        use Opcode as O;
        let module = self.module;
        let instruction = &module.instructions[id];
        let op = match instruction.opcode {
            O::Abs => self.elementwise(id, "stablehlo.abs"),
            O::Acos => self.uniform(id, "chlo.acos"),
            O::Acosh => self.uniform(id, "chlo.acosh"),
            O::Add => self.uniform(id, "stablehlo.add"),
            O::And => self.uniform(id, "stablehlo.and"),
            O::Asin => self.uniform(id, "chlo.asin"),
            O::Asinh => self.uniform(id, "chlo.asinh"),
            O::Atan2 => self.uniform(id, "stablehlo.atan2"),
            O::Atanh => self.uniform(id, "chlo.atanh"),
            O::BitcastConvert => self.elementwise(id, "stablehlo.bitcast_convert"),
            O::Cbrt => self.uniform(id, "stablehlo.cbrt"),
            O::Ceil => self.uniform(id, "stablehlo.ceil"),
            O::Clamp => self.uniform(id, "stablehlo.clamp"),
            O::Complex => self.elementwise(id, "stablehlo.complex"),
            O::Convert => self.elementwise(id, "stablehlo.convert"),
            O::Cosh => self.uniform(id, "chlo.cosh"),
            O::Cosine => self.uniform(id, "stablehlo.cosine"),
            O::CountLeadingZeros => self.uniform(id, "stablehlo.count_leading_zeros"),
            O::Divide => self.uniform(id, "stablehlo.divide"),
            O::Erf => self.uniform(id, "chlo.erf"),
            O::Exponential => self.uniform(id, "stablehlo.exponential"),
            O::ExponentialMinusOne => self.uniform(id, "stablehlo.exponential_minus_one"),
            O::Floor => self.uniform(id, "stablehlo.floor"),
            O::Imag => self.elementwise(id, "stablehlo.imag"),
            O::IsFinite => self.elementwise(id, "stablehlo.is_finite"),
            O::Log => self.uniform(id, "stablehlo.log"),
            O::LogPlusOne => self.uniform(id, "stablehlo.log_plus_one"),
            O::Logistic => self.uniform(id, "stablehlo.logistic"),
            O::Maximum => self.uniform(id, "stablehlo.maximum"),
            O::Minimum => self.uniform(id, "stablehlo.minimum"),
            O::Multiply => self.uniform(id, "stablehlo.multiply"),
            O::Negate => self.uniform(id, "stablehlo.negate"),
            O::Not => self.uniform(id, "stablehlo.not"),
            O::Or => self.uniform(id, "stablehlo.or"),
            O::Popcnt => self.uniform(id, "stablehlo.popcnt"),
            O::Power => self.uniform(id, "stablehlo.power"),
            O::Real => self.elementwise(id, "stablehlo.real"),
            O::Remainder => self.uniform(id, "stablehlo.remainder"),
            O::RoundNearestAfz => self.uniform(id, "stablehlo.round_nearest_afz"),
            O::RoundNearestEven => self.uniform(id, "stablehlo.round_nearest_even"),
            O::Rsqrt => self.uniform(id, "stablehlo.rsqrt"),
            O::Select => self.elementwise(id, "stablehlo.select"),
            O::ShiftLeft => self.uniform(id, "stablehlo.shift_left"),
            O::ShiftRightArithmetic => self.uniform(id, "stablehlo.shift_right_arithmetic"),
            O::ShiftRightLogical => self.uniform(id, "stablehlo.shift_right_logical"),
            O::Sign => self.uniform(id, "stablehlo.sign"),
            O::Sine => self.uniform(id, "stablehlo.sine"),
            O::Sinh => self.uniform(id, "chlo.sinh"),
            O::Sqrt => self.uniform(id, "stablehlo.sqrt"),
            O::Subtract => self.uniform(id, "stablehlo.subtract"),
            O::Tan => self.uniform(id, "stablehlo.tan"),
            O::Tanh => self.uniform(id, "stablehlo.tanh"),
            O::Xor => self.uniform(id, "stablehlo.xor"),
            O::Compare => self.compare(id),

            O::Broadcast => self.with_all(id, "stablehlo.broadcast_in_dim").map(|op| {
                let dims = instruction.integers("dimensions").unwrap_or_default();
                op.attribute("broadcast_dimensions", integers(dims.iter().copied()))
            }),
            O::Concatenate => self.with_dimension(id, "stablehlo.concatenate", "dimension"),
            O::DynamicUpdateSlice => self.dynamic_update_slice(id),
            O::DynamicSlice => self.dynamic_slice(id),
            O::DynamicReshape => self.dynamic_reshape(id),
            O::GetDimensionSize => {
                self.with_dimension(id, "stablehlo.get_dimension_size", "dimension")
            }
            O::SetDimensionSize => {
                self.with_dimension(id, "stablehlo.set_dimension_size", "dimension")
            }
            O::Iota => self.with_all(id, "stablehlo.iota").and_then(|op| {
                let dim = integer_of(instruction, "iota_dimension")?;
                Ok(op.attribute("iota_dimension", integer(dim)))
            }),
            O::Pad => self.pad(id),
            O::Reshape => self.with_all(id, "stablehlo.reshape"),
            O::Reverse => self.with_all(id, "stablehlo.reverse").and_then(|op| {
                let dims = integers_of(instruction, "dimensions")?;
                Ok(op.attribute("dimensions", integers(dims.iter().copied())))
            }),
            O::Slice => self.slice(id),
            O::Transpose => self.with_all(id, "stablehlo.transpose").and_then(|op| {
                let dims = integers_of(instruction, "dimensions")?;
                Ok(op.attribute("permutation", integers(dims.iter().copied())))
            }),
            O::Bitcast => return self.bitcast(id),

            O::Gather => self.gather(id),
            O::Scatter => self.scatter(id),
            O::Dot => self.dot(id),
            O::RaggedDot => self.ragged_dot(id),
            O::Convolution => self.convolution(id),
            O::Fft => self.fft(id),
            O::Cholesky => self
                .with_all(id, "stablehlo.cholesky")
                .map(|op| op.attribute("lower", flag(instruction, "lower").to_string())),
            O::TriangularSolve => self.triangular_solve(id),
            O::BatchNormGrad => self.batch_norm(id, "stablehlo.batch_norm_grad"),
            O::BatchNormInference => self.batch_norm(id, "stablehlo.batch_norm_inference"),
            O::BatchNormTraining => self.batch_norm(id, "stablehlo.batch_norm_training"),
            O::Rng => self.rng(id),
            O::RngBitGenerator => self.rng_bit_generator(id),
            O::ReducePrecision => self
                .with_all(id, "stablehlo.reduce_precision")
                .and_then(|op| {
                    let exponent = integer_of(instruction, "exponent_bits")?;
                    let mantissa = integer_of(instruction, "mantissa_bits")?;
                    Ok(op
                        .attribute("exponent_bits", integer32(exponent))
                        .attribute("mantissa_bits", integer32(mantissa)))
                }),
            O::Topk => return self.topk(id),

            O::Map => self.map(id),
            O::Reduce => self.reduce(id),
            O::ReduceWindow => self.reduce_window(id),
            O::SelectAndScatter => self.select_and_scatter(id),
            O::Sort => self.sort(id),
            O::While => self.with_all(id, "stablehlo.while").and_then(|op| {
                Ok(op
                    .region(Region::Arguments(called(instruction, "condition")?))
                    .region(Region::Arguments(called(instruction, "body")?)))
            }),
            O::Conditional => self.conditional(id),
            O::Call => self.call_instruction(id),
            O::Fusion => {
                let callee = called(instruction, "calls")?;
                self.call(callee, self.operands(id))
            }
            O::CustomCall => return self.custom_call(id),

            O::AllGather => self.all_gather(id),
            O::AllReduce => self.all_reduce(id),
            O::AllToAll => self.all_to_all(id),
            O::CollectiveBroadcast => self.collective_broadcast(id),
            O::CollectivePermute => self.collective_permute(id),
            O::ReduceScatter => self.reduce_scatter(id),
            O::PartitionId => self.with_all(id, "stablehlo.partition_id"),
            O::ReplicaId => self.with_all(id, "stablehlo.replica_id"),

            O::AfterAll => self.with_all(id, "stablehlo.after_all"),
            O::Infeed => self.infeed(id),
            O::Outfeed => self.outfeed(id),
            O::Send => return self.send(id),
            O::Recv => return self.recv(id),
            O::SendDone => return self.send_done(id),
            O::RecvDone => return self.recv_done(id),
            O::OptBarrier => self.with_all(id, "stablehlo.optimization_barrier"),
            O::AddDependency => return self.add_dependency(id),

            O::AsyncStart => return self.async_start(id),
            O::AllGatherStart => {
                let op = self.all_gather(id)?;
                return self.started(id, op);
            }
            O::CollectivePermuteStart => {
                let op = self.collective_permute(id)?;
                return self.started(id, op);
            }
            // Its value is the result, which is not wrapped.
            O::AllReduceStart => self.all_reduce(id),
            O::CopyStart => return self.copy_start(id),
            O::AsyncDone | O::AllGatherDone | O::CollectivePermuteDone => {
                return self.element(id, 1);
            }
            O::CopyDone => return self.element(id, 0),

            // What these say is not said in StableHLO, or by tuples being flattened.
            O::AllReduceDone | O::AsyncUpdate | O::Copy | O::Domain => {
                return self.leaves_of(id, 0);
            }
            O::Tuple => return Ok(self.operands(id)),
            O::GetTupleElement => {
                let index = integer_of(instruction, "index")?;
                return self.element(id, index);
            }
            O::Constant => return self.constant(id),
            O::Parameter => return Err(Reason::form("parameters first", "another")),

            O::Mulhi
            | O::RaggedAllToAll
            | O::RngGetAndUpdateState
            | O::ScaledDot
            | O::Scan
            | O::StochasticConvert => Err(Reason::NoOperation),
        }?;
        Ok(self.emit(&instruction.name, op))
    }

    /// An operation with all operands and results of an instruction.
    pub(super) fn with_all(&self, id: InstructionId, name: &str) -> Result<Op, Reason> {
        let results = types(&self.module.instructions[id].shape)?;
        Ok(self
            .op(id, name)
            .operands(self.operands(id))
            .results(results))
    }

    /// [`Printer::with_all`] and the single one of `dimensions`.
    fn with_dimension(&self, id: InstructionId, name: &str, key: &str) -> Result<Op, Reason> {
        let dims = integers_of(&self.module.instructions[id], "dimensions")?;
        match dims {
            [dim] => Ok(self.with_all(id, name)?.attribute(key, integer(*dim))),
            _ => Err(Reason::form("one dimension", dims.len().to_string())),
        }
    }

    /// An elementwise operation, whose element types need not agree.
    fn elementwise(&self, id: InstructionId, name: &str) -> Result<Op, Reason> {
        let op = self.with_all(id, name)?;
        let Some(accuracy) = self.accuracy(id)? else {
            return Ok(op);
        };
        if name.starts_with("chlo.") {
            return Err(Reason::NoAttribute("result_accuracy".into()));
        }
        Ok(op.attribute("result_accuracy", accuracy))
    }

    /// An elementwise operation on arrays of one element type. HLO lets two floating-point types meet: operands are
    /// converted to the result's.
    fn uniform(&mut self, id: InstructionId, name: &str) -> Result<Op, Reason> {
        let instruction = &self.module.instructions[id];
        let operands = &instruction.operands;
        let Some(result) = instruction.array() else {
            return self.elementwise(id, name);
        };
        let differs = |operand: &InstructionId| {
            let operand = self.module.instructions[*operand].array();
            operand.is_some_and(|o| o.element != result.element)
        };
        if !operands.iter().any(differs) {
            return self.elementwise(id, name);
        }
        let mut op = self.op(id, name).results([tensor_type(result)?]);
        if let Some(accuracy) = self.accuracy(id)? {
            op = op.attribute("result_accuracy", accuracy);
        }
        for number in 0..operands.len() {
            let value = self.converted(id, number, result.element)?;
            op = op.operands([value]);
        }
        Ok(op)
    }

    /// An operand, converted if it has another element type.
    fn converted(
        &mut self,
        id: InstructionId,
        number: usize,
        element: PrimitiveType,
    ) -> Result<Value, Reason> {
        let value = self.operand(id, number)?;
        let operand = self.module.instructions[id].operands.get(number);
        let array = operand.and_then(|&operand| self.module.instructions[operand].array());
        match array {
            Some(array) if array.element != element => {
                let of = tensor_type(&ArrayShape {
                    element,
                    ..array.clone()
                })?;
                let op = Op::new("stablehlo.convert").operands([value]).results([of]);
                self.emit_one("converted", op)
            }
            _ => Ok(value),
        }
    }

    fn accuracy(&self, id: InstructionId) -> Result<Option<String>, Reason> {
        let attributes = &self.module.instructions[id].attributes;
        let Some(text) = super::attributes::raw(attributes, "result_accuracy") else {
            return Ok(None);
        };
        if let Some(tolerance) = text.strip_prefix("{tolerance={") {
            let parts = tolerance.trim_end_matches('}').split(',');
            let mut numbers = [0.0f64; 3];
            for (slot, part) in numbers.iter_mut().zip(parts) {
                *slot = part
                    .split_once('=')
                    .and_then(|(_, number)| number.parse().ok())
                    .ok_or(Reason::Missing("result_accuracy"))?;
            }
            return Ok(Some(format!(
                "#stablehlo.result_accuracy<atol = {}, rtol = {}, ulps = {}, mode = #stablehlo.result_accuracy_mode<TOLERANCE>>",
                constant::double(numbers[0]),
                constant::double(numbers[1]),
                numbers[2] as i64
            )));
        }
        Ok(text.contains("highest").then(|| {
            "#stablehlo.result_accuracy<mode = #stablehlo.result_accuracy_mode<HIGHEST>>".to_owned()
        }))
    }

    fn compare(&mut self, id: InstructionId) -> Result<Op, Reason> {
        let instruction = &self.module.instructions[id];
        let elements = instruction.operands.iter().filter_map(|&operand| {
            let array = self.module.instructions[operand].array()?;
            Some(array.element)
        });
        let widest = elements.max_by_key(|element| element.bits());
        let mut op = self
            .op(id, "stablehlo.compare")
            .results(types(&instruction.shape)?);
        for number in 0..instruction.operands.len() {
            let value = match widest {
                Some(element) if element.is_float() => self.converted(id, number, element)?,
                _ => self.operand(id, number)?,
            };
            op = op.operands([value]);
        }
        let direction = word(instruction, "direction")?;
        op = op.attribute(
            "comparison_direction",
            format!("#stablehlo<comparison_direction {direction}>"),
        );
        Ok(match word(instruction, "type") {
            Ok(kind) => op.attribute(
                "compare_type",
                format!("#stablehlo<comparison_type {kind}>"),
            ),
            Err(_) => op,
        })
    }

    fn constant(&mut self, id: InstructionId) -> Result<Vec<Value>, Reason> {
        let instruction = &self.module.instructions[id];
        let Payload::Constant(literal) = &instruction.payload else {
            return Err(Reason::Missing("value"));
        };
        // Layouts of shape and literal may differ, types may not.
        leaves(&instruction.shape)?;
        let mut values = Vec::new();
        for leaf in literal.leaves() {
            values.push(self.constant_leaf(&instruction.name, leaf)?);
        }
        Ok(values)
    }

    fn constant_leaf(&mut self, hint: &str, literal: &Literal) -> Result<Value, Reason> {
        let of = text::leaf_type(&literal.shape())?;
        let op = Op::new("stablehlo.constant")
            .attribute("value", constant::dense(literal)?)
            .results([of]);
        self.emit_one(hint, op)
    }

    /// A value of all zeros of a shape that is no tuple.
    pub(super) fn zeros(&mut self, shape: &Shape) -> Result<Value, Reason> {
        match shape {
            Shape::Token => {
                let op = Op::new("stablehlo.after_all").results(types(shape)?);
                self.emit_one("token", op)
            }
            Shape::Array(array) => {
                let zero = if array.element.is_float() {
                    "0.0"
                } else if array.element.is_complex() {
                    "(0.0, 0.0)"
                } else if array.element == PrimitiveType::Pred {
                    "false"
                } else {
                    "0"
                };
                let of = tensor_type(array)?;
                let op = Op::new("stablehlo.constant")
                    .attribute("value", format!("dense<{zero}> : {of}"))
                    .results([of]);
                self.emit_one("zero", op)
            }
            Shape::Tuple(_) | Shape::Opaque | Shape::Buffer(_) => {
                Err(Reason::NoType(shape.to_string()))
            }
        }
    }

    /// The leaves of one element of the first operand, a tuple.
    pub(super) fn element(&self, id: InstructionId, index: i64) -> Result<Vec<Value>, Reason> {
        let values = self.leaves_of(id, 0)?;
        let operand = self.module.instructions[id].operands.first();
        let shape = operand.map(|&operand| &*self.module.instructions[operand].shape);
        let Some(Shape::Tuple(parts)) = shape else {
            return Err(Reason::form("a tuple", "another value"));
        };
        let split = usize::try_from(index)
            .ok()
            .and_then(|i| parts.split_at_checked(i));
        let Some((before, [element, ..])) = split else {
            return Err(Reason::form(
                format!("an index below {}", parts.len()),
                index.to_string(),
            ));
        };
        let mut start = 0;
        for part in before {
            start += leaves(part)?.len();
        }
        let end = start + leaves(element)?.len();
        values
            .get(start..end)
            .map(<[Value]>::to_vec)
            .ok_or_else(|| Reason::form("a flattened tuple", "too few values"))
    }

    fn pad(&self, id: InstructionId) -> Result<Op, Reason> {
        let Some(AttributeValue::Padding(dims)) = self.module.instructions[id].attribute("padding")
        else {
            return Err(Reason::Missing("padding"));
        };
        let op = self.with_all(id, "stablehlo.pad")?;
        Ok(op
            .attribute("edge_padding_low", integers(dims.iter().map(|d| d.0)))
            .attribute("edge_padding_high", integers(dims.iter().map(|d| d.1)))
            .attribute("interior_padding", integers(dims.iter().map(|d| d.2))))
    }

    fn slice(&self, id: InstructionId) -> Result<Op, Reason> {
        let Some(AttributeValue::Slices(dims)) = self.module.instructions[id].attribute("slice")
        else {
            return Err(Reason::Missing("slice"));
        };
        let op = self.with_all(id, "stablehlo.slice")?;
        Ok(op
            .attribute("start_indices", integers(dims.iter().map(|d| d.0)))
            .attribute("limit_indices", integers(dims.iter().map(|d| d.1)))
            .attribute("strides", integers(dims.iter().map(|d| d.2))))
    }

    fn dynamic_slice(&mut self, id: InstructionId) -> Result<Op, Reason> {
        let instruction = &self.module.instructions[id];
        let sizes = integers_of(instruction, "dynamic_slice_sizes")?;
        let starts = self.starts(id, 1)?;
        Ok(self
            .op(id, "stablehlo.dynamic_slice")
            .operands([self.operand(id, 0)?])
            .operands(starts)
            .attribute("slice_sizes", integers(sizes.iter().copied()))
            .results(types(&instruction.shape)?))
    }

    fn dynamic_update_slice(&mut self, id: InstructionId) -> Result<Op, Reason> {
        let instruction = &self.module.instructions[id];
        let starts = self.starts(id, 2)?;
        Ok(self
            .op(id, "stablehlo.dynamic_update_slice")
            .operands([self.operand(id, 0)?, self.operand(id, 1)?])
            .operands(starts)
            .results(types(&instruction.shape)?))
    }

    /// Start indices as scalars; HLO also has them as one vector.
    fn starts(&mut self, id: InstructionId, first: usize) -> Result<Vec<Value>, Reason> {
        let operands = &self.module.instructions[id].operands;
        let vector = match operands.get(first..) {
            Some([only]) => self.module.instructions[*only].array(),
            _ => None,
        };
        let Some(vector) = vector.filter(|array| array.rank() == 1) else {
            return (first..operands.len())
                .map(|operand| self.operand(id, operand))
                .collect();
        };
        let value = self.operand(id, first)?;
        let [count] = vector.dims[..] else {
            return Err(Reason::form(
                "a vector of start indices",
                vector.rank().to_string(),
            ));
        };
        let one = tensor_type(&ArrayShape::new(vector.element, [1]))?;
        let scalar = tensor_type(&ArrayShape::new(vector.element, []))?;
        let mut starts = Vec::new();
        for at in 0..count {
            let slice = Op::new("stablehlo.slice")
                .operands([value.clone()])
                .attribute("start_indices", integers([at]))
                .attribute("limit_indices", integers([at + 1]))
                .attribute("strides", integers([1]))
                .results([one.clone()]);
            let slice = self.emit_one("start", slice)?;
            starts.push(self.reshape(slice, scalar.clone())?);
        }
        Ok(starts)
    }

    fn reshape(&mut self, value: Value, to: Type) -> Result<Value, Reason> {
        let hint = "reshaped";
        let op = Op::new("stablehlo.reshape").operands([value]).results([to]);
        self.emit_one(hint, op)
    }

    fn dynamic_reshape(&mut self, id: InstructionId) -> Result<Op, Reason> {
        let instruction = &self.module.instructions[id];
        let vector =
            |element, length: usize| tensor_type(&ArrayShape::new(element, [length as i64]));
        let sizes = instruction.operands.get(1..).unwrap_or_default();
        let element = sizes
            .first()
            .and_then(|&size| self.module.instructions[size].array())
            .map_or(PrimitiveType::S32, |array| array.element);
        let mut parts = Vec::new();
        for operand in 0..sizes.len() {
            let size = self.operand(id, operand + 1)?;
            parts.push(self.reshape(size, vector(element, 1)?)?);
        }
        let sizes = Op::new("stablehlo.concatenate")
            .operands(parts)
            .attribute("dimension", integer(0))
            .results([vector(element, sizes.len())?]);
        let sizes = self.emit_one("sizes", sizes)?;
        Ok(self
            .op(id, "stablehlo.dynamic_reshape")
            .operands([self.operand(id, 0)?, sizes])
            .results(types(&instruction.shape)?))
    }

    /// The operand's memory, read by the result's layout: operand to the order of memory, element type, dimensions, and
    /// back from the order of memory. Steps that change nothing are left out.
    fn bitcast(&mut self, id: InstructionId) -> Result<Vec<Value>, Reason> {
        let instruction = &self.module.instructions[id];
        let value = self.operand(id, 0)?;
        let operand = instruction.operands.first();
        let from = operand.and_then(|&operand| self.module.instructions[operand].array());
        let (Some(from), Some(to)) = (from, instruction.array()) else {
            return Err(Reason::form("arrays", "other values"));
        };
        let tiled = |array: &ArrayShape| {
            let layout = array.layout.as_ref();
            layout.is_some_and(|layout| layout.suffix.contains("T("))
        };
        if (tiled(from) || tiled(to)) && from != to {
            return Err(Reason::form(
                "layouts without tiles",
                instruction.shape.to_string(),
            ));
        }
        if from.is_dynamic() || to.is_dynamic() {
            return Err(Reason::form(
                "static dimensions",
                instruction.shape.to_string(),
            ));
        }
        let (order, back) = (major_to_minor(from)?, major_to_minor(to)?);
        let pick = |dims: &[i64], order: &[usize]| -> Vec<i64> {
            order.iter().filter_map(|&d| dims.get(d)).copied().collect()
        };
        let mut memory = ArrayShape::new(from.element, pick(&from.dims, &order));
        let mut value = self.transposed(value, &order, &memory)?;
        let wanted = ArrayShape::new(to.element, pick(&to.dims, &back));
        if from.element != to.element {
            let (narrow, wide) = (from.element.bits(), to.element.bits());
            let parts = i64::from(narrow.max(wide) / narrow.min(wide).max(1));
            // A cast to a wider type takes a dimension away, which must be the last one.
            if narrow < wide {
                let mut dims = wanted.dims.clone();
                dims.push(parts);
                memory = ArrayShape::new(from.element, dims);
                value = self.reshape(value, tensor_type(&memory)?)?;
                memory = ArrayShape::new(to.element, wanted.dims.clone());
            } else {
                memory.element = to.element;
                if narrow > wide {
                    memory.dims.push(parts);
                }
            }
            let op = Op::new("stablehlo.bitcast_convert")
                .operands([value])
                .results([tensor_type(&memory)?]);
            value = self.emit_one("bits", op)?;
        }
        if memory.dims != wanted.dims {
            value = self.reshape(value, tensor_type(&wanted)?)?;
        }
        let mut inverse = vec![0; back.len()];
        for (i, &dim) in back.iter().enumerate() {
            if let Some(slot) = inverse.get_mut(dim) {
                *slot = i;
            }
        }
        Ok(vec![self.transposed(value, &inverse, to)?])
    }

    fn transposed(
        &mut self,
        value: Value,
        order: &[usize],
        to: &ArrayShape,
    ) -> Result<Value, Reason> {
        if order.is_sorted() {
            return Ok(value);
        }
        let op = Op::new("stablehlo.transpose")
            .operands([value])
            .attribute("permutation", integers(order.iter().map(|&d| d as i64)))
            .results([tensor_type(to)?]);
        self.emit_one("transposed", op)
    }

    fn rng(&mut self, id: InstructionId) -> Result<Op, Reason> {
        let instruction = &self.module.instructions[id];
        let Some(array) = instruction.array() else {
            return Err(Reason::form("an array", instruction.shape.to_string()));
        };
        let distribution = match word(instruction, "distribution")? {
            "rng_normal" => "NORMAL",
            _ => "UNIFORM",
        };
        let dims = Literal::from_elements([array.rank() as i64], &array.dims);
        let dims = dims.map_err(|_| Reason::Missing("dimensions"))?;
        let dims = self.constant_leaf("dims", &dims)?;
        Ok(self
            .with_all(id, "stablehlo.rng")?
            .operands([dims])
            .attribute(
                "rng_distribution",
                format!("#stablehlo<rng_distribution {distribution}>"),
            ))
    }

    fn rng_bit_generator(&self, id: InstructionId) -> Result<Op, Reason> {
        let algorithm = match word(&self.module.instructions[id], "algorithm")? {
            "rng_three_fry" => "THREE_FRY",
            "rng_philox" => "PHILOX",
            _ => "DEFAULT",
        };
        Ok(self.with_all(id, "stablehlo.rng_bit_generator")?.attribute(
            "rng_algorithm",
            format!("#stablehlo<rng_algorithm {algorithm}>"),
        ))
    }

    /// The largest values; the smallest are the largest in the reversed order of values, which negation gives floats and
    /// complement gives integers.
    fn topk(&mut self, id: InstructionId) -> Result<Vec<Value>, Reason> {
        let instruction = &self.module.instructions[id];
        let k = integer_of(instruction, "k")?;
        let mut value = self.operand(id, 0)?;
        let operand = instruction.operands.first();
        let array = operand.and_then(|&operand| self.module.instructions[operand].array());
        let reverse = match array {
            Some(array) if array.element.is_float() => "stablehlo.negate",
            _ => "stablehlo.not",
        };
        let largest = flag(instruction, "largest");
        let reversed = |value: Value| {
            let of = value.of.clone();
            Op::new(reverse).operands([value]).results([of])
        };
        if !largest {
            value = self.emit_one("reversed", reversed(value))?;
        }
        let op = self
            .op(id, "chlo.top_k")
            .operands([value])
            .attribute("k", integer(k))
            .results(types(&instruction.shape)?);
        let mut results = self.emit(&instruction.name, op);
        if !largest && let Some(values) = results.first_mut() {
            *values = self.emit_one(&instruction.name, reversed(values.clone()))?;
        }
        Ok(results)
    }

    fn call_instruction(&mut self, id: InstructionId) -> Result<Op, Reason> {
        let instruction = &self.module.instructions[id];
        let callee = called(instruction, "to_apply")?;
        if !flag(instruction, "is_composite") {
            return self.call(callee, self.operands(id));
        }
        let frontend = super::attributes::raw(&instruction.attributes, "frontend_attributes");
        let entries = frontend.map(super::attributes::entries).unwrap_or_default();
        let entry = |name: &str| entries.iter().find(|e| e.0 == name).map(|e| e.1.trim());
        let name = entry("composite.name").ok_or(Reason::Missing("composite.name"))?;
        let dictionary = entry("composite.attributes").unwrap_or("{}");
        super::custom_call::check_dictionary(dictionary)?;
        let version = entry("composite.version").and_then(|v| v.parse().ok());
        let symbol = self.symbol(callee);
        Ok(Op::new("stablehlo.composite")
            .operands(self.operands(id))
            .attribute("name", text::string(name))
            .attribute("composite_attributes", dictionary)
            .attribute("decomposition", symbol)
            .attribute("version", integer32(version.unwrap_or(0)))
            .results(types(&instruction.shape)?))
    }

    fn conditional(&self, id: InstructionId) -> Result<Op, Reason> {
        let instruction = &self.module.instructions[id];
        let (name, branches): (_, Vec<ComputationId>) = match instruction
            .attribute("branch_computations")
        {
            Some(AttributeValue::Computations(branches)) => ("stablehlo.case", branches.clone()),
            _ => {
                let branches = ["true_computation", "false_computation"];
                let branches: Result<_, _> = branches
                    .map(|name| called(instruction, name))
                    .into_iter()
                    .collect();
                ("stablehlo.if", branches?)
            }
        };
        let mut op = self
            .op(id, name)
            .operands([self.operand(id, 0)?])
            .results(types(&instruction.shape)?);
        for (number, branch) in branches.into_iter().enumerate() {
            // Each branch takes one operand, which may be a tuple.
            let argument = self.leaves_of(id, number + 1)?;
            op = op.region(Region::Captures(branch, vec![argument]));
        }
        Ok(op)
    }

    fn map(&self, id: InstructionId) -> Result<Op, Reason> {
        let instruction = &self.module.instructions[id];
        let rank = instruction.array().map_or(0, ArrayShape::rank) as i64;
        Ok(self
            .with_all(id, "stablehlo.map")?
            .attribute("dimensions", integers(0..rank))
            .region(Region::Arguments(called(instruction, "to_apply")?)))
    }

    fn reduce(&self, id: InstructionId) -> Result<Op, Reason> {
        let instruction = &self.module.instructions[id];
        let dims = integers_of(instruction, "dimensions")?;
        Ok(self
            .with_all(id, "stablehlo.reduce")?
            .attribute("dimensions", integers(dims.iter().copied()))
            .region(Region::Arguments(called(instruction, "to_apply")?)))
    }

    fn reduce_window(&self, id: InstructionId) -> Result<Op, Reason> {
        let instruction = &self.module.instructions[id];
        let window = window(instruction);
        if window.iter().any(|dim| dim.reversal) {
            return Err(Reason::NoAttribute("rhs_reversal".into()));
        }
        let dilations = |of: fn(&WindowDim) -> i64| integers(window.iter().map(of));
        let op = windowed(self.with_all(id, "stablehlo.reduce_window")?, window);
        Ok(op
            .attribute("base_dilations", dilations(|dim| dim.base_dilation))
            .attribute("window_dilations", dilations(|dim| dim.window_dilation))
            .region(Region::Arguments(called(instruction, "to_apply")?)))
    }

    fn select_and_scatter(&self, id: InstructionId) -> Result<Op, Reason> {
        let instruction = &self.module.instructions[id];
        let window = window(instruction);
        let is_plain =
            |dim: &WindowDim| !dim.reversal && dim.base_dilation == 1 && dim.window_dilation == 1;
        if !window.iter().all(is_plain) {
            return Err(Reason::NoAttribute(
                "window with dilation or reversal".into(),
            ));
        }
        Ok(
            windowed(self.with_all(id, "stablehlo.select_and_scatter")?, window)
                .region(Region::Arguments(called(instruction, "select")?))
                .region(Region::Arguments(called(instruction, "scatter")?)),
        )
    }

    fn sort(&self, id: InstructionId) -> Result<Op, Reason> {
        let instruction = &self.module.instructions[id];
        let op = self.with_dimension(id, "stablehlo.sort", "dimension")?;
        Ok(op
            .attribute("is_stable", flag(instruction, "is_stable").to_string())
            .region(Region::Arguments(called(instruction, "to_apply")?)))
    }

    fn gather(&self, id: InstructionId) -> Result<Op, Reason> {
        let dims = self.module.instructions[id].gather_dims();
        let dims = dims.ok_or(Reason::Missing("offset_dims"))?;
        let numbers = numbered(&[
            ("offset_dims", &dims.offset_dims),
            ("collapsed_slice_dims", &dims.collapsed_slice_dims),
            ("operand_batching_dims", &dims.operand_batching_dims),
            (
                "start_indices_batching_dims",
                &dims.start_indices_batching_dims,
            ),
            ("start_index_map", &dims.start_index_map),
        ]);
        Ok(self
            .with_all(id, "stablehlo.gather")?
            .attribute(
                "dimension_numbers",
                format!(
                    "#stablehlo.gather<{numbers}index_vector_dim = {}>",
                    dims.index_vector_dim
                ),
            )
            .attribute("indices_are_sorted", dims.indices_are_sorted.to_string())
            .attribute("slice_sizes", integers(dims.slice_sizes)))
    }

    fn scatter(&self, id: InstructionId) -> Result<Op, Reason> {
        let instruction = &self.module.instructions[id];
        let dims = instruction.scatter_dims();
        let dims = dims.ok_or(Reason::Missing("update_window_dims"))?;
        let numbers = numbered(&[
            ("update_window_dims", &dims.update_window_dims),
            ("inserted_window_dims", &dims.inserted_window_dims),
            ("input_batching_dims", &dims.input_batching_dims),
            (
                "scatter_indices_batching_dims",
                &dims.scatter_indices_batching_dims,
            ),
            (
                "scatter_dims_to_operand_dims",
                &dims.scatter_dims_to_operand_dims,
            ),
        ]);
        Ok(self
            .with_all(id, "stablehlo.scatter")?
            .attribute("indices_are_sorted", dims.indices_are_sorted.to_string())
            .attribute(
                "scatter_dimension_numbers",
                format!(
                    "#stablehlo.scatter<{numbers}index_vector_dim = {}>",
                    dims.index_vector_dim
                ),
            )
            .attribute("unique_indices", dims.unique_indices.to_string())
            .region(Region::Arguments(called(instruction, "to_apply")?)))
    }
}

/// `a = [1], b = [2], ` without the lists that are empty.
pub(super) fn numbered(lists: &[(&str, &Vec<i64>)]) -> String {
    let stated = lists.iter().filter(|(_, values)| !values.is_empty());
    stated
        .map(|(name, values)| format!("{name} = {}, ", list(*values)))
        .collect()
}

fn windowed(op: Op, window: &[WindowDim]) -> Op {
    op.attribute(
        "window_dimensions",
        integers(window.iter().map(|dim| dim.size)),
    )
    .attribute(
        "window_strides",
        integers(window.iter().map(|dim| dim.stride)),
    )
    .attribute("padding", padding(window))
}

/// Low and high padding of each dimension.
pub(super) fn padding(window: &[WindowDim]) -> String {
    let rows: Vec<Vec<i64>> = window
        .iter()
        .map(|dim| vec![dim.padding_low, dim.padding_high])
        .collect();
    matrix(&rows, 2)
}

/// `array<i1: ...>`: which dimensions of a window are read backwards.
pub(super) fn reversal(window: &[WindowDim]) -> String {
    booleans(window.iter().map(|dim| dim.reversal))
}

pub(super) fn window(instruction: &Instruction) -> &[WindowDim] {
    match instruction.attribute("window") {
        Some(AttributeValue::Window(dims)) => dims,
        _ => &[],
    }
}

/// Dimensions from the slowest varying in memory to the fastest.
fn major_to_minor(array: &ArrayShape) -> Result<Vec<usize>, Reason> {
    let row_major = Layout::row_major(array.rank());
    let layout = array.layout.as_ref();
    let stated = layout.filter(|layout| layout.minor_to_major.len() == array.rank());
    let order: Option<Vec<usize>> = stated
        .unwrap_or(&row_major)
        .minor_to_major
        .iter()
        .rev()
        .map(|&dim| usize::try_from(dim).ok().filter(|&dim| dim < array.rank()))
        .collect();
    order.ok_or_else(|| Reason::form("a layout of the array's dimensions", "another"))
}

pub(super) fn called(
    instruction: &Instruction,
    name: &'static str,
) -> Result<ComputationId, Reason> {
    instruction.called(name).ok_or(Reason::Missing(name))
}

pub(super) fn integer_of(instruction: &Instruction, name: &'static str) -> Result<i64, Reason> {
    instruction.integer(name).ok_or(Reason::Missing(name))
}

pub(super) fn integers_of<'i>(
    instruction: &'i Instruction,
    name: &'static str,
) -> Result<&'i [i64], Reason> {
    instruction.integers(name).ok_or(Reason::Missing(name))
}

pub(super) fn word<'i>(
    instruction: &'i Instruction,
    name: &'static str,
) -> Result<&'i str, Reason> {
    match instruction.attribute(name) {
        Some(AttributeValue::Word(word)) => Ok(word),
        _ => Err(Reason::Missing(name)),
    }
}

pub(super) fn flag(instruction: &Instruction, name: &str) -> bool {
    instruction.attribute(name) == Some(&AttributeValue::Bool(true))
}
