//! Operations whose computations are regions, and calls.

use std::cmp::Ordering;

use super::attributes::{self, entries, raw};
use super::custom_call::check_dictionary;
use super::error::Reason;
use super::function::{Op, Printer, Region, Value};
use super::operation::{called, flag, integer_of, integers_of, numbered, padding, window};
use super::text::{self, integer32, integers, leaf_type, leaves, tensor_type, types};
use crate::attribute::{AttributeValue, WindowDim};
use crate::module::{ComputationId, InstructionId};
use crate::shape::{ArrayShape, Shape};

impl Printer<'_> {
    pub(super) fn call_instruction(&mut self, id: InstructionId) -> Result<Op, Reason> {
        let instruction = &self.module.instructions[id];
        let callee = called(instruction, "to_apply")?;
        if !flag(instruction, "is_composite") {
            let call = self.call(callee, self.operands(id))?;
            return Ok(call.attributes(attributes::common(instruction)));
        }
        let frontend = raw(&instruction.attributes, "frontend_attributes");
        let entries = frontend.map(entries).unwrap_or_default();
        let entry = |name: &str| entries.iter().find(|e| e.0 == name).map(|e| e.1.trim());
        let name = entry("composite.name").ok_or(Reason::Missing("composite.name"))?;
        let dictionary = entry("composite.attributes").unwrap_or("{}");
        check_dictionary(dictionary)?;
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

    pub(super) fn conditional(&self, id: InstructionId) -> Result<Op, Reason> {
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

    pub(super) fn map(&self, id: InstructionId) -> Result<Op, Reason> {
        let instruction = &self.module.instructions[id];
        let rank = instruction.array().map_or(0, ArrayShape::rank) as i64;
        Ok(self
            .with_all(id, "stablehlo.map")?
            .attribute("dimensions", integers(0..rank))
            .region(Region::Arguments(called(instruction, "to_apply")?)))
    }

    pub(super) fn reduce(&self, id: InstructionId) -> Result<Op, Reason> {
        let instruction = &self.module.instructions[id];
        let dims = integers_of(instruction, "dimensions")?;
        Ok(self
            .with_all(id, "stablehlo.reduce")?
            .attribute("dimensions", integers(dims.iter().copied()))
            .region(Region::Arguments(called(instruction, "to_apply")?)))
    }

    pub(super) fn reduce_window(&self, id: InstructionId) -> Result<Op, Reason> {
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

    pub(super) fn select_and_scatter(&self, id: InstructionId) -> Result<Op, Reason> {
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

    /// An operation with a computation that combines elements: all operands, of which each becomes an operand of the
    /// computation as its result number `combined`, or takes no part in it. Where HLO lets the computation be of another
    /// floating-point type than the arrays, these are converted to it and the results back.
    pub(super) fn combining(
        &mut self,
        id: InstructionId,
        mut op: Op,
        combined: impl Fn(usize) -> Option<usize>,
    ) -> Result<Vec<Value>, Reason> {
        let module = self.module;
        let instruction = &module.instructions[id];
        let callee = called(instruction, "to_apply")?;
        let combinations = leaves(&module.instructions[module.computations[callee].root].shape)?;
        let is_scalar = |shape: &&Shape| shape.as_array().is_some_and(|array| array.rank() == 0);
        if !combinations.iter().all(is_scalar) {
            return Err(Reason::form("a computation of scalars", "one of arrays"));
        }
        let element = |number: usize| Some(combinations.get(number)?.as_array()?.element);
        let is_combined = |(number, &parameter): (usize, &InstructionId)| {
            let parameter = module.instructions[parameter].array();
            let number = number.checked_rem(combinations.len());
            parameter.map(|array| array.element) == number.and_then(element)
        };
        let parameters = &module.computations[callee].parameters;
        if !parameters.iter().enumerate().all(is_combined) {
            return Err(Reason::form(
                "parameters of the computation of its results' types",
                "others",
            ));
        }
        for operand in 0..instruction.operands.len() {
            let value = match combined(operand).and_then(element) {
                Some(element) => self.converted(id, operand, element)?,
                None => self.operand(id, operand)?,
            };
            op = op.operands([value]);
        }
        let results = leaves(&instruction.shape)?;
        let elements = (0..).map(|number| element(combined(number)?));
        for (result, element) in results.iter().zip(elements) {
            op = op.results([match (result, element) {
                (Shape::Array(array), Some(element)) => tensor_type(&ArrayShape {
                    element,
                    ..array.clone()
                })?,
                (shape, _) => leaf_type(shape)?,
            }]);
        }
        let mut values = self.emit(&instruction.name, op.region(Region::Arguments(callee)));
        for (value, result) in values.iter_mut().zip(results) {
            let of = leaf_type(result)?;
            if value.of != of {
                let op = Op::new("stablehlo.convert").operands([value.clone()]);
                *value = self.emit_one(&instruction.name, op.results([of]))?;
            }
        }
        Ok(values)
    }

    pub(super) fn sort(&self, id: InstructionId) -> Result<Op, Reason> {
        let instruction = &self.module.instructions[id];
        let op = self.with_dimension(id, "stablehlo.sort", "dimension")?;
        Ok(op
            .attribute("is_stable", flag(instruction, "is_stable").to_string())
            .region(Region::Arguments(called(instruction, "to_apply")?)))
    }

    /// Operands are arrays and first carries, results are arrays and last carries; both numbers are stated.
    pub(super) fn scan(&self, id: InstructionId) -> Result<Op, Reason> {
        let instruction = &self.module.instructions[id];
        let carries = integer_of(instruction, "num_carries")?;
        let segments = |count: usize| -> Result<String, Reason> {
            let carried = usize::try_from(carries).ok();
            let arrays = carried.and_then(|carried| count.checked_sub(carried));
            let arrays = arrays.ok_or(Reason::Missing("num_carries"))?;
            Ok(format!("array<i32: {arrays}, {carries}>"))
        };
        let mut op = self
            .with_dimension(id, "chlo.scan", "dimension")?
            .attribute("is_reverse", flag(instruction, "is_reverse").to_string());
        if let Some(AttributeValue::Bool(true)) = instruction.attribute("is_associative") {
            op = op.attribute("is_associative", "true");
        }
        let results = leaves(&instruction.shape)?.len();
        Ok(op
            .attribute("operandSegmentSizes", segments(self.operands(id).len())?)
            .attribute("resultSegmentSizes", segments(results)?)
            .region(Region::Arguments(called(instruction, "to_apply")?)))
    }

    pub(super) fn gather(&self, id: InstructionId) -> Result<Op, Reason> {
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

    pub(super) fn scatter(&mut self, id: InstructionId) -> Result<Vec<Value>, Reason> {
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
        let op = self
            .op(id, "stablehlo.scatter")
            .attribute("indices_are_sorted", dims.indices_are_sorted.to_string())
            .attribute(
                "scatter_dimension_numbers",
                format!(
                    "#stablehlo.scatter<{numbers}index_vector_dim = {}>",
                    dims.index_vector_dim
                ),
            )
            .attribute("unique_indices", dims.unique_indices.to_string());
        // Arrays, one operand of indices, updates.
        let arrays = instruction.operands.len() / 2;
        self.combining(id, op, |operand| match operand.cmp(&arrays) {
            Ordering::Less => Some(operand),
            Ordering::Equal => None,
            Ordering::Greater => operand.checked_sub(arrays + 1),
        })
    }
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
