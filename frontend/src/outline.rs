//! Regions cut out of the module: each becomes one custom call that carries its program.
//!
//! Before:
//! ```text
//! rows = f32[6,4] gather(table, ids), ...
//! ROOT bags = f32[2,4] scatter(zeros, segments, rows), ..., to_apply=add
//! ```
//! After:
//! ```text
//! ROOT bags = f32[2,4] custom-call(table, ids, segments), custom_call_target="hlo2dae",
//!   api_version=API_VERSION_TYPED_FFI, backend_config={program = "region @embedding_bag ..."}
//! ```
//!
//! A region may reach into called computations: those calls are inlined where they stand, all others stay.
//! What nothing needs any more is left out, computations too. The order of what is left may change, since a
//! region with several outputs needs all its inputs first; data and control dependences are kept.
//! The call takes and gives row-major arrays: a value of another layout passes through a `copy`.

use std::sync::Arc;

use cranelift_entity::{EntityRef, PrimaryMap};
use hashbrown::{HashMap, HashSet};
use hlo2dae_hlo::{
    Attribute, AttributeValue, Computation, ComputationId, Instruction, InstructionId, Layout,
    Module, Opcode, Payload, Shape, Span,
};

use crate::error::FrontendError;
use crate::graph::Effects;
use crate::matches::{Match, ValueRef};

/// Name under which the custom call is registered.
pub const CUSTOM_CALL_TARGET: &str = "hlo2dae";

/// Replaces every region of `regions` by a custom call that carries the text `program` gives for it.
///
/// # Errors
///
/// Our bug: a region that depends on itself through instructions outside it.
pub fn outline(
    module: &Module,
    regions: &[Match],
    program: impl Fn(&Match) -> String,
) -> Result<Module, FrontendError> {
    let effects = Effects::of(module);
    let mut rewritten = Rewritten::new(module);
    for (id, computation) in &module.computations {
        let inside: Vec<(&Match, String)> = regions
            .iter()
            .filter(|region| region.computation == id)
            .map(|region| (region, program(region)))
            .collect();
        let flat = Flat::build(module, id, &inside);
        let order = flat.order(module, &effects, computation)?;
        rewritten.computation(id, &flat, &order, &inside);
    }
    Ok(rewritten.finish())
}

/// Index of an [`Item`].
type ItemId = usize;

/// An instruction of the computation as it will be.
#[derive(Debug)]
enum Item {
    /// An instruction of the original, with the calls through which it was inlined.
    Original(ValueRef),
    /// The custom call of a region.
    Region(usize),
    /// One result of a region that has several.
    Result(usize, usize),
}

/// A computation with the calls inlined that regions reach into.
struct Flat {
    items: Vec<Item>,
    /// What an item uses, by the names of the original.
    uses: Vec<Vec<ValueRef>>,
    /// The item that holds a value of the original.
    values: HashMap<ValueRef, ItemId>,
    /// The item of each region's custom call.
    calls: Vec<ItemId>,
}

impl Flat {
    fn build(module: &Module, computation: ComputationId, regions: &[(&Match, String)]) -> Flat {
        let mut flat = Flat {
            items: Vec::new(),
            uses: Vec::new(),
            values: HashMap::new(),
            calls: Vec::new(),
        };
        let mut open: HashSet<&[InstructionId]> = HashSet::new();
        for (number, (region, _)) in regions.iter().enumerate() {
            let call = flat.push(Item::Region(number), region.inputs.clone());
            flat.calls.push(call);
            for (result, output) in region.outputs.iter().enumerate() {
                let item = match region.outputs.len() {
                    1 => call,
                    _ => flat.push(Item::Result(number, result), Vec::new()),
                };
                flat.values.insert(output.clone(), item);
            }
            for value in region.instructions.iter().chain(&region.inputs) {
                open.extend((1..=value.call_path.len()).map(|depth| &value.call_path[..depth]));
            }
        }
        flat.walk(module, computation, &open);
        flat
    }

    fn push(&mut self, item: Item, uses: Vec<ValueRef>) -> ItemId {
        self.items.push(item);
        self.uses.push(uses);
        self.items.len() - 1
    }

    fn walk(
        &mut self,
        module: &Module,
        computation: ComputationId,
        open: &HashSet<&[InstructionId]>,
    ) {
        let mut path: Vec<InstructionId> = Vec::new();
        let mut frames = vec![(computation, 0)];
        while let Some((computation, next)) = frames.last_mut() {
            let body = &module.computations[*computation];
            let Some(&id) = body.instructions.get(*next) else {
                frames.pop();
                let root = ValueRef {
                    call_path: path.clone(),
                    instruction: body.root,
                };
                if let (Some(call), Some(&item)) = (path.pop(), self.values.get(&root)) {
                    self.values.insert(
                        ValueRef {
                            call_path: path.clone(),
                            instruction: call,
                        },
                        item,
                    );
                }
                continue;
            };
            *next += 1;
            let value = ValueRef {
                call_path: path.clone(),
                instruction: id,
            };
            if self.values.contains_key(&value) {
                continue;
            }
            let instruction = &module.instructions[id];
            if let (Payload::Parameter(number), Some((&call, outer))) =
                (&instruction.payload, path.split_last())
            {
                let argument = usize::try_from(*number)
                    .ok()
                    .and_then(|n| module.instructions[call].operands.get(n));
                let argument = argument.map(|&instruction| ValueRef {
                    call_path: outer.to_vec(),
                    instruction,
                });
                if let Some(&item) = argument.and_then(|argument| self.values.get(&argument)) {
                    self.values.insert(value, item);
                }
                continue;
            }
            path.push(id);
            if open.contains(path.as_slice())
                && let Some(callee) = instruction.called_computations().next()
            {
                frames.push((callee, 0));
                continue;
            }
            path.pop();
            let uses = instruction
                .operands
                .iter()
                .chain(control_predecessors(instruction))
                .map(|&instruction| ValueRef {
                    call_path: path.clone(),
                    instruction,
                })
                .collect();
            let item = self.push(Item::Original(value.clone()), uses);
            self.values.insert(value, item);
        }
    }

    /// The items that are needed, what is used before what uses it.
    fn order(
        &self,
        module: &Module,
        effects: &Effects,
        computation: &Computation,
    ) -> Result<Vec<ItemId>, FrontendError> {
        #[derive(Clone, Copy, PartialEq)]
        enum State {
            New,
            Open,
            Done,
        }
        let here = |&instruction: &InstructionId| {
            self.values
                .get(&ValueRef {
                    call_path: Vec::new(),
                    instruction,
                })
                .copied()
        };
        let kept = self
            .items
            .iter()
            .enumerate()
            .filter_map(|(item, kind)| match kind {
                Item::Original(value) => effects.has(module, value.instruction).then_some(item),
                Item::Region(_) | Item::Result(..) => None,
            });
        let parameters = computation.parameters.iter().filter_map(here);
        let needed = parameters.chain(kept).chain(here(&computation.root));
        let mut state = vec![State::New; self.items.len()];
        let mut order = Vec::new();
        for first in needed {
            let mut stack = vec![first];
            while let Some(&item) = stack.last() {
                match state[item] {
                    State::Done => {
                        stack.pop();
                    }
                    State::Open => {
                        stack.pop();
                        state[item] = State::Done;
                        order.push(item);
                    }
                    State::New => {
                        state[item] = State::Open;
                        for used in self.used(item) {
                            match state[used] {
                                State::New => stack.push(used),
                                State::Open => {
                                    return Err(FrontendError::malformed(
                                        module,
                                        computation.root,
                                        "a region depends on its own result",
                                    ));
                                }
                                State::Done => {}
                            }
                        }
                    }
                }
            }
        }
        Ok(order)
    }

    fn used(&self, item: ItemId) -> Vec<ItemId> {
        match self.items[item] {
            Item::Result(region, _) => vec![self.calls[region]],
            Item::Original(_) | Item::Region(_) => self.uses[item]
                .iter()
                .rev()
                .filter_map(|value| self.values.get(value).copied())
                .collect(),
        }
    }
}

fn control_predecessors(instruction: &Instruction) -> &[InstructionId] {
    match instruction.attribute("control-predecessors") {
        Some(AttributeValue::Instructions(ids)) => ids,
        _ => &[],
    }
}

/// The module as it grows.
struct Rewritten<'m> {
    original: &'m Module,
    module: Module,
    computations: HashMap<ComputationId, ComputationId>,
}

impl<'m> Rewritten<'m> {
    fn new(original: &'m Module) -> Self {
        let module = Module {
            computations: PrimaryMap::new(),
            instructions: PrimaryMap::new(),
            ..original.clone()
        };
        Rewritten {
            original,
            module,
            computations: HashMap::new(),
        }
    }

    fn computation(
        &mut self,
        id: ComputationId,
        flat: &Flat,
        order: &[ItemId],
        regions: &[(&Match, String)],
    ) {
        let original = &self.original.computations[id];
        let parent = ComputationId::new(self.module.computations.len());
        let mut body = Body {
            parent,
            placed: HashMap::new(),
            names: HashSet::new(),
            instructions: Vec::new(),
        };
        for &item in order {
            let placed = match &flat.items[item] {
                Item::Original(value) => {
                    let instruction = self.copied(value, flat, &body);
                    body.push(&mut self.module, instruction)
                }
                Item::Region(number) => self.custom_call(&regions[*number], flat, &mut body),
                Item::Result(number, result) => {
                    self.result(regions[*number].0, *result, flat.calls[*number], &mut body)
                }
            };
            body.placed.insert(item, placed);
        }
        let place = |&instruction: &InstructionId| {
            let value = ValueRef {
                call_path: Vec::new(),
                instruction,
            };
            flat.values
                .get(&value)
                .and_then(|item| body.placed.get(item))
                .copied()
        };
        let root = place(&original.root)
            .or(body.instructions.last().copied())
            .unwrap_or(original.root);
        let parameters = original.parameters.iter().filter_map(place).collect();
        let new = self.module.computations.push(Computation {
            instructions: body.instructions,
            parameters,
            root,
            ..original.clone()
        });
        self.computations.insert(id, new);
    }

    /// An instruction of the original in its new place.
    fn copied(&self, value: &ValueRef, flat: &Flat, body: &Body) -> Instruction {
        let mut instruction = self.original.instructions[value.instruction].clone();
        let moved = |id: &InstructionId| {
            let value = ValueRef {
                call_path: value.call_path.clone(),
                instruction: *id,
            };
            flat.values
                .get(&value)
                .and_then(|item| body.placed.get(item))
                .copied()
        };
        instruction.operands = instruction.operands.iter().filter_map(moved).collect();
        for attribute in &mut instruction.attributes {
            match &mut attribute.value {
                AttributeValue::Computation(id) => {
                    *id = self.computations.get(id).copied().unwrap_or(*id)
                }
                AttributeValue::Computations(ids) => {
                    ids.iter_mut()
                        .for_each(|id| *id = self.computations.get(id).copied().unwrap_or(*id));
                }
                AttributeValue::Instructions(ids) => *ids = ids.iter().filter_map(moved).collect(),
                _ => {}
            }
        }
        instruction
    }

    fn custom_call(
        &mut self,
        (region, program): &(&Match, String),
        flat: &Flat,
        body: &mut Body,
    ) -> InstructionId {
        let mut operands = Vec::with_capacity(region.inputs.len());
        for value in &region.inputs {
            if let Some(&operand) = flat
                .values
                .get(value)
                .and_then(|item| body.placed.get(item))
            {
                operands.push(body.with_layout(&mut self.module, operand, row_major));
            }
        }
        let shapes: Vec<Shape> = region
            .outputs
            .iter()
            .map(|value| row_major(&self.original.instructions[value.instruction].shape))
            .collect();
        let constraints = operands
            .iter()
            .map(|&operand| self.module.instructions[operand].shape.clone())
            .collect::<Vec<_>>();
        let shape = match shapes.as_slice() {
            [shape] => shape.clone(),
            _ => Shape::Tuple(shapes),
        };
        let config = format!("{{program = \"{}\"}}", escape(program));
        let mut attributes = vec![attribute(
            "custom_call_target",
            AttributeValue::Text(CUSTOM_CALL_TARGET.into()),
        )];
        if constraints
            .iter()
            .any(|shape| shape.as_array().is_some_and(|array| array.layout.is_some()))
        {
            attributes.push(attribute(
                "operand_layout_constraints",
                AttributeValue::Shapes(constraints),
            ));
        }
        attributes.push(attribute(
            "api_version",
            AttributeValue::Word("API_VERSION_TYPED_FFI".into()),
        ));
        attributes.push(attribute(
            "backend_config",
            AttributeValue::Raw(config.into()),
        ));
        let call = body.instruction(
            &region.region.name,
            shape,
            Opcode::CustomCall,
            operands,
            attributes,
        );
        let call = body.push(&mut self.module, call);
        match region.outputs.as_slice() {
            [output] => self.restored(call, output, body),
            _ => call,
        }
    }

    /// The result of a call that has several.
    fn result(
        &mut self,
        region: &Match,
        result: usize,
        call: ItemId,
        body: &mut Body,
    ) -> InstructionId {
        let output = &region.outputs[result];
        let original = &self.original.instructions[output.instruction];
        let index = attribute("index", AttributeValue::Integer(result as i64));
        let operands = body.placed.get(&call).copied().into_iter().collect();
        let element = body.instruction(
            &original.name,
            row_major(&original.shape),
            Opcode::GetTupleElement,
            operands,
            vec![index],
        );
        let element = body.push(&mut self.module, element);
        self.restored(element, output, body)
    }

    /// The value in the layout of the instruction that it replaces.
    fn restored(
        &mut self,
        value: InstructionId,
        output: &ValueRef,
        body: &mut Body,
    ) -> InstructionId {
        let shape = self.original.instructions[output.instruction].shape.clone();
        body.with_layout(&mut self.module, value, |_| (*shape).clone())
    }

    /// The module without the computations that nothing calls any more.
    fn finish(mut self) -> Module {
        self.module.entry = self
            .computations
            .get(&self.original.entry)
            .copied()
            .unwrap_or(self.original.entry);
        without_unused_computations(&self.module)
    }
}

/// The module without the computations that nothing reachable from the entry calls.
fn without_unused_computations(module: &Module) -> Module {
    let mut used: HashSet<ComputationId> = HashSet::from([module.entry]);
    let mut pending = vec![module.entry];
    while let Some(id) = pending.pop() {
        let instructions = module.computations[id].instructions.iter();
        let called = instructions.flat_map(|&id| module.instructions[id].called_computations());
        pending.extend(called.filter(|&callee| used.insert(callee)));
    }
    let mut kept = Rewritten::new(module);
    for (id, computation) in module
        .computations
        .iter()
        .filter(|(id, _)| used.contains(id))
    {
        let mut flat = Flat {
            items: Vec::new(),
            uses: Vec::new(),
            values: HashMap::new(),
            calls: Vec::new(),
        };
        for &instruction in &computation.instructions {
            let value = ValueRef {
                call_path: Vec::new(),
                instruction,
            };
            let item = flat.push(Item::Original(value.clone()), Vec::new());
            flat.values.insert(value, item);
        }
        let order: Vec<ItemId> = (0..flat.items.len()).collect();
        kept.computation(id, &flat, &order, &[]);
    }
    kept.module.entry = kept
        .computations
        .get(&module.entry)
        .copied()
        .unwrap_or(module.entry);
    kept.module
}

/// A computation as it grows.
struct Body {
    parent: ComputationId,
    placed: HashMap<ItemId, InstructionId>,
    names: HashSet<Arc<str>>,
    instructions: Vec<InstructionId>,
}

impl Body {
    /// Appends an instruction under its name, or one like it that is free.
    fn push(&mut self, module: &mut Module, mut instruction: Instruction) -> InstructionId {
        if self.names.contains(&instruction.name) {
            let name = (1..)
                .map(|n| Arc::from(format!("{}.{n}", instruction.name)))
                .find(|name| !self.names.contains(name));
            instruction.name = name.unwrap_or(instruction.name);
        }
        self.names.insert(instruction.name.clone());
        instruction.parent = self.parent;
        let id = module.instructions.push(instruction);
        self.instructions.push(id);
        id
    }

    fn instruction(
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
            operands,
            payload: Payload::None,
            attributes,
            parent: self.parent,
            span: Span::default(),
        }
    }

    /// The value in the shape that `wanted` makes of its own, through a copy where the layout differs.
    fn with_layout(
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

fn attribute(name: &str, value: AttributeValue) -> Attribute {
    Attribute {
        name: name.into(),
        value,
        span: Span::default(),
    }
}

/// The same array with its last dimension varying fastest; unchanged where no layout is stated.
fn row_major(shape: &Shape) -> Shape {
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
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
