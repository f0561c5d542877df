//! The operations that each instruction becomes.

use super::attributes::{self, raw};
use super::constant;
use super::error::Reason;
use super::function::{Op, Printer, Region, Value};
use super::text::{
    self, booleans, integer, integer32, integers, leaves, list, matrix, tensor_type, types,
};
use crate::attribute::{AttributeValue, WindowDim};
use crate::literal::Literal;
use crate::module::{ComputationId, Instruction, InstructionId, Payload};
use crate::opcode::{Opcode, binary_opcodes, unary_opcodes};
use crate::shape::{ArrayShape, PrimitiveType, Shape};

impl Printer<'_> {
    /// Writes an instruction; the values of its leaves.
    pub(super) fn instruction(&mut self, id: InstructionId) -> Result<Vec<Value>, Reason> {
        use Opcode as O;
        let module = self.module;
        let instruction = &module.instructions[id];
        let op = match instruction.opcode {
            unary_opcodes!()
            | binary_opcodes!()
            | O::StochasticConvert
            | O::Convert
            | O::Clamp
            | O::Select => self.elementwise(id),
            O::BitcastConvert => self.bitcast_convert(id),
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
            O::Reshape => self.reshape_instruction(id),
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
            O::Scatter => return self.scatter(id),
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
            O::RngBitGenerator => return self.rng_bit_generator(id),
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
            O::Scan => self.scan(id),
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
                let call = self.call(callee, self.operands(id))?;
                Ok(call.attributes(attributes::common(instruction)))
            }
            O::CustomCall => return self.custom_call(id),

            O::AllGather => self.all_gather(id),
            O::AllReduce => return self.all_reduce(id),
            O::AllToAll => self.all_to_all(id),
            O::CollectiveBroadcast => self.collective_broadcast(id),
            O::CollectivePermute => self.collective_permute(id),
            O::ReduceScatter => return self.reduce_scatter(id),
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
            O::AllReduceStart => return self.all_reduce(id),
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

            O::RaggedAllToAll | O::RngGetAndUpdateState | O::ScaledDot => Err(Reason::NoOperation),
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
    pub(super) fn with_dimension(
        &self,
        id: InstructionId,
        name: &str,
        key: &str,
    ) -> Result<Op, Reason> {
        let dims = integers_of(&self.module.instructions[id], "dimensions")?;
        match dims {
            [dim] => Ok(self.with_all(id, name)?.attribute(key, integer(*dim))),
            _ => Err(Reason::form("one dimension", dims.len().to_string())),
        }
    }

    /// An elementwise operation, which has the opcode's name in its dialect. HLO lets two floating-point types meet:
    /// operands are converted to the result's.
    fn elementwise(&mut self, id: InstructionId) -> Result<Op, Reason> {
        use Opcode as O;
        let instruction = &self.module.instructions[id];
        let dialect = match instruction.opcode {
            O::StochasticConvert => return Err(Reason::NoOperation),
            O::Acos
            | O::Acosh
            | O::Asin
            | O::Asinh
            | O::Atanh
            | O::Cosh
            | O::Erf
            | O::Mulhi
            | O::Sinh => "chlo",
            _ => "stablehlo",
        };
        let element = match instruction.opcode {
            O::Abs | O::Complex | O::Convert | O::Imag | O::IsFinite | O::Real | O::Select => None,
            _ => instruction.array().map(|array| array.element),
        };
        let name = instruction.opcode.name().replace('-', "_");
        let mut op = self.op(id, &format!("{dialect}.{name}"));
        match accuracy(instruction)? {
            Some(_) if dialect == "chlo" => {
                return Err(Reason::NoAttribute("result_accuracy".into()));
            }
            Some(accuracy) => op = op.attribute("result_accuracy", accuracy),
            None => {}
        }
        for number in 0..instruction.operands.len() {
            let value = match element {
                Some(element) => self.converted(id, number, element)?,
                None => self.operand(id, number)?,
            };
            op = op.operands([value]);
        }
        Ok(op.results(types(&instruction.shape)?))
    }

    /// An operand, converted if it has another element type.
    pub(super) fn converted(
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
        let count = leaves(&instruction.shape)?.len();
        let mut values = Vec::new();
        for (number, leaf) in literal.leaves().into_iter().enumerate() {
            let attributes = attributes::of_leaves(instruction, count, &[number]);
            values.push(self.constant_leaf(&instruction.name, leaf, attributes)?);
        }
        Ok(values)
    }

    pub(super) fn constant_leaf(
        &mut self,
        hint: &str,
        literal: &Literal,
        attributes: Vec<(String, String)>,
    ) -> Result<Value, Reason> {
        let of = text::leaf_type(&literal.shape())?;
        let op = Op::new("stablehlo.constant")
            .attributes(attributes)
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
}

/// `result_accuracy`, unless it is the usual one.
fn accuracy(instruction: &Instruction) -> Result<Option<String>, Reason> {
    let Some(text) = raw(&instruction.attributes, "result_accuracy") else {
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

/// `a = [1], b = [2], ` without the lists that are empty.
pub(super) fn numbered(lists: &[(&str, &Vec<i64>)]) -> String {
    let stated = lists.iter().filter(|(_, values)| !values.is_empty());
    stated
        .map(|(name, values)| format!("{name} = {}, ", list(*values)))
        .collect()
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
