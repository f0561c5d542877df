//! Operations that move elements: slices, padding, dynamic shapes, bitcasts.

use super::error::Reason;
use super::function::{Op, Printer, Value};
use super::operation::integers_of;
use super::text::{Type, integer, integers, tensor_type, types};
use crate::attribute::AttributeValue;
use crate::infer::with_element;
use crate::module::InstructionId;
use crate::shape::{ArrayShape, Layout, PrimitiveType};

impl Printer<'_> {
    pub(super) fn pad(&self, id: InstructionId) -> Result<Op, Reason> {
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

    pub(super) fn slice(&self, id: InstructionId) -> Result<Op, Reason> {
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

    pub(super) fn dynamic_slice(&mut self, id: InstructionId) -> Result<Op, Reason> {
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

    pub(super) fn dynamic_update_slice(&mut self, id: InstructionId) -> Result<Op, Reason> {
        let instruction = &self.module.instructions[id];
        let starts = self.starts(id, 2)?;
        Ok(self
            .op(id, "stablehlo.dynamic_update_slice")
            .operands([self.operand(id, 0)?, self.operand(id, 1)?])
            .operands(starts)
            .results(types(&instruction.shape)?))
    }

    /// Start indices as scalars; HLO also has them as one vector.
    pub(super) fn starts(&mut self, id: InstructionId, first: usize) -> Result<Vec<Value>, Reason> {
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

    pub(super) fn reshape_instruction(&self, id: InstructionId) -> Result<Op, Reason> {
        let array = self.module.instructions[id].array();
        let dynamic = array.map_or(0, |array| array.dynamic.iter().filter(|&&d| d).count());
        if dynamic > 1 {
            return Err(Reason::form(
                "at most one dynamic dimension",
                dynamic.to_string(),
            ));
        }
        self.with_all(id, "stablehlo.reshape")
    }

    /// The same bits as another type. A truth value is a byte of HLO and a bit of StableHLO: it becomes a byte first.
    pub(super) fn bitcast_convert(&mut self, id: InstructionId) -> Result<Op, Reason> {
        let instruction = &self.module.instructions[id];
        let is_truth =
            |array: Option<&ArrayShape>| array.is_some_and(|a| a.element == PrimitiveType::Pred);
        let byte = PrimitiveType::U8;
        let operand = instruction.operands.first();
        let from = operand.and_then(|&operand| self.module.instructions[operand].array());
        let value = match is_truth(from) {
            true => self.converted(id, 0, byte)?,
            false => self.operand(id, 0)?,
        };
        let op = self.op(id, "stablehlo.bitcast_convert").operands([value]);
        match instruction.array() {
            Some(to) if to.element == PrimitiveType::Pred => {
                let bytes = op.results([tensor_type(&with_element(to, byte))?]);
                let bytes = self.emit_one("bytes", bytes)?;
                let op = Op::new("stablehlo.convert").operands([bytes]);
                Ok(op.results([tensor_type(to)?]))
            }
            _ => Ok(op.results(types(&instruction.shape)?)),
        }
    }

    pub(super) fn reshape(&mut self, value: Value, to: Type) -> Result<Value, Reason> {
        let hint = "reshaped";
        let op = Op::new("stablehlo.reshape").operands([value]).results([to]);
        self.emit_one(hint, op)
    }

    pub(super) fn dynamic_reshape(&mut self, id: InstructionId) -> Result<Op, Reason> {
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
    pub(super) fn bitcast(&mut self, id: InstructionId) -> Result<Vec<Value>, Reason> {
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
            if [from.element, to.element].contains(&PrimitiveType::Pred) {
                return Err(Reason::form("no truth values", from.to_string()));
            }
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

    pub(super) fn transposed(
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
