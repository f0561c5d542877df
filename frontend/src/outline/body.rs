//! A computation as it grows, and what its instructions are made of.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use hlo2dae_hlo::{
    Attribute, AttributeValue, ComputationId, Instruction, InstructionId, Layout, Module, Name,
    Opcode, Payload, Shape, Span,
};

use super::flat::ItemId;

/// A computation as it grows.
pub(super) struct Body {
    pub(super) parent: ComputationId,
    pub(super) placed: HashMap<ItemId, InstructionId>,
    pub(super) names: HashSet<Name>,
    pub(super) instructions: Vec<InstructionId>,
}

impl Body {
    /// Appends an instruction under its name, or one like it that is free.
    pub(super) fn push(
        &mut self,
        module: &mut Module,
        mut instruction: Instruction,
    ) -> InstructionId {
        instruction.name = free_name(instruction.name, &mut self.names);
        instruction.parent = self.parent;
        let id = module.instructions.push(instruction);
        self.instructions.push(id);
        id
    }

    pub(super) fn instruction(
        &self,
        name: &str,
        shape: Shape,
        opcode: Opcode,
        operands: Vec<InstructionId>,
        attributes: Vec<Attribute>,
    ) -> Instruction {
        Instruction {
            name: name.into(),
            shape: Arc::new(shape),
            opcode,
            operands: operands.into(),
            payload: Payload::None,
            attributes,
            parent: self.parent,
            span: Span::default(),
        }
    }

    /// The value in the shape that `wanted` makes of its own, through a copy where the layout differs.
    pub(super) fn with_layout(
        &mut self,
        module: &mut Module,
        value: InstructionId,
        wanted: impl Fn(&Shape) -> Shape,
    ) -> InstructionId {
        let source = &module.instructions[value];
        let shape = wanted(&source.shape);
        if *source.shape == shape {
            return value;
        }
        let name = format!("{}.copy", source.name);
        let copy = self.instruction(&name, shape, Opcode::Copy, vec![value], Vec::new());
        self.push(module, copy)
    }
}

/// The name, or one like it that is not taken; it is then.
pub(super) fn free_name(name: Name, taken: &mut HashSet<Name>) -> Name {
    let free = match taken.contains(&name) {
        true => (1..)
            .map(|n| Name::from(format!("{name}.{n}")))
            .find(|name| !taken.contains(name))
            .unwrap_or(name),
        false => name,
    };
    taken.insert(free.clone());
    free
}

pub(super) fn attribute(name: &'static str, value: AttributeValue) -> Attribute {
    Attribute {
        name,
        value,
        span: Span::default(),
    }
}

/// The same array with its last dimension varying fastest; unchanged where no layout is stated.
pub(super) fn row_major(shape: &Shape) -> Shape {
    let mut shape = shape.clone();
    if let Shape::Array(array) = &mut shape
        && array.layout.is_some()
    {
        let minor_to_major = (0..array.dims.len() as i64).rev().collect();
        array.layout = Some(Layout {
            minor_to_major,
            suffix: String::new(),
        });
    }
    shape
}

/// The text inside the quotes of an attribute in `backend_config`.
pub(super) fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
