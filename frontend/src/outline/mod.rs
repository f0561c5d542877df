//! Regions cut out of the module: they become custom calls that carry their programs.
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
//! Regions that nothing keeps apart share a call (`batch`).
//!
//! A region may reach into called computations: those calls are inlined where they stand, all others stay. A call whose
//! result a region takes as a whole, or as an element of a tuple, is not reached into. What is left over of a fusion stays in
//! fusions, one for each instruction, since some backends run operations such as `scatter` nowhere else.
//!
//! What nothing needs any more is left out, computations too. The order of what is left may change, since a
//! region with several outputs needs all its inputs first; data and control dependences are kept: a call waits for whatever an
//! instruction that it computes had to wait for, and is waited for in its place; what stood in an inlined call waits for what the call had to wait for. A region that could then only wait for
//! itself is not cut out.
//!
//! An output that starts as an array which the region does not read otherwise takes that array's place: the call says so, and XLA copies the
//! array before if somebody else still needs it.
//!
//! The call takes and gives row-major arrays: a value of another layout passes through a `copy`. The header (aliases, donors,
//! partitions, the schedule's flag: what is left is in an order that runs) stays as it is. Metadata, sharding and attributes for other
//! compilers that stand on an instruction whose value a region gives stand on what gives the value now.

mod batch;
mod body;
mod call;
mod flat;

use cranelift_entity::{EntityRef, PrimaryMap};
use hashbrown::{HashMap, HashSet};
use hlo2dae_hlo::{
    Attribute, AttributeValue, Computation, ComputationId, Instruction, InstructionId, Module,
    Name, Opcode, Payload, Shape,
};

use self::body::{Body, attribute, escape, free_name, row_major};
use self::flat::{Flat, Item, ItemId, Order};
use crate::error::FrontendError;
use crate::graph::Effects;
use crate::matches::ValueRef;

pub use self::call::{Call, Options, calls};

/// Name under which the custom call is registered.
pub const CUSTOM_CALL_TARGET: &str = "hlo2dae";

/// The attribute that names what an instruction waits for.
const CONTROL_PREDECESSORS: &str = "control-predecessors";

/// What is said about a value, whatever gives it.
const ABOUT_THE_VALUE: [&str; 4] = ["sharding", "frontend_attributes", "origin", "metadata"];

/// Puts each of `calls` in the place of what it computes.
///
/// # Errors
///
/// Your input: an instruction, or one of the calls, that depends on itself.
pub fn outline(module: &Module, calls: &[Call]) -> Result<Module, FrontendError> {
    let effects = Effects::of(module);
    let mut rewritten = Rewritten::new(module);
    for (id, computation) in &module.computations {
        let inside: Vec<&Call> = calls.iter().filter(|call| call.computation == id).collect();
        let flat = Flat::build(module, id, &inside);
        match flat.order(module, computation, &effects)? {
            Order::Ordered(order) => rewritten.computation(id, &flat, &order, &inside),
            Order::Circular(_) => return Err(depends_on_itself(module, computation)),
        }
    }
    Ok(rewritten.finish())
}

fn depends_on_itself(module: &Module, computation: &Computation) -> FrontendError {
    FrontendError::malformed(
        module,
        computation.root,
        "an instruction depends on its own result",
    )
}

/// The module as it grows.
struct Rewritten<'m> {
    original: &'m Module,
    module: Module,
    computations: HashMap<ComputationId, ComputationId>,
    /// Names of computations.
    names: HashSet<Name>,
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
            names: original
                .computations
                .values()
                .map(|computation| computation.name.clone())
                .collect(),
        }
    }

    fn computation(&mut self, id: ComputationId, flat: &Flat, order: &[ItemId], calls: &[&Call]) {
        let original = &self.original.computations[id];
        let mut wrappers: HashMap<ItemId, ComputationId> = HashMap::new();
        for &item in order {
            if let Item::Original(value) = &flat.items[item]
                && self.stood_in_fusion(value)
            {
                wrappers.insert(item, self.wrapper(value.instruction));
            }
        }
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
                    let mut instruction = self.copied(item, value, flat, &body);
                    if let Some(&wrapper) = wrappers.get(&item) {
                        self.wrap(&mut instruction, value, wrapper);
                    }
                    body.push(&mut self.module, instruction)
                }
                Item::Custom(number) => self.custom_call(calls[*number], item, flat, &mut body),
                Item::Result(number, result) => {
                    self.result(calls[*number], *result, flat.calls[*number], &mut body)
                }
                Item::Element(tuple, index) => self.element(tuple, *index, flat, &mut body),
            };
            body.placed.insert(item, placed);
        }
        let place = |&instruction: &InstructionId| {
            let value = ValueRef {
                call_path: Vec::new(),
                instruction,
            };
            flat.item(&value)
                .and_then(|item| body.placed.get(&item))
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
    fn copied(&self, item: ItemId, value: &ValueRef, flat: &Flat, body: &Body) -> Instruction {
        let mut instruction = self.again(value.instruction);
        let moved = |id: &InstructionId| {
            let value = ValueRef {
                call_path: value.call_path.clone(),
                instruction: *id,
            };
            flat.item(&value)
                .and_then(|item| body.placed.get(&item))
                .copied()
        };
        instruction.operands = instruction.operands.iter().filter_map(moved).collect();
        instruction
            .attributes
            .retain(|attribute| attribute.name != CONTROL_PREDECESSORS);
        instruction
            .attributes
            .extend(control_predecessors(item, flat, body));
        instruction
    }

    /// An instruction of the original that calls the computations as they are now.
    fn again(&self, id: InstructionId) -> Instruction {
        let mut instruction = self.original.instructions[id].clone();
        for attribute in &mut instruction.attributes {
            match &mut attribute.value {
                AttributeValue::Computation(id) => {
                    *id = self.computations.get(id).copied().unwrap_or(*id)
                }
                AttributeValue::Computations(ids) => {
                    ids.iter_mut()
                        .for_each(|id| *id = self.computations.get(id).copied().unwrap_or(*id));
                }
                _ => {}
            }
        }
        instruction
    }

    /// Whether a value is computed by an instruction that is left over of a fusion.
    fn stood_in_fusion(&self, value: &ValueRef) -> bool {
        let names_only = matches!(
            self.original.instructions[value.instruction].opcode,
            Opcode::Parameter
                | Opcode::Constant
                | Opcode::Tuple
                | Opcode::GetTupleElement
                | Opcode::Bitcast
                | Opcode::Fusion
        );
        let mut calls = value.call_path.iter();
        !names_only && calls.any(|&call| self.original.instructions[call].opcode == Opcode::Fusion)
    }

    /// A new computation of one instruction.
    fn wrapper(&mut self, id: InstructionId) -> ComputationId {
        let mut inside = self.again(id);
        let name = format!("wrapped_{}", inside.name).into();
        let name = free_name(name, &mut self.names);
        let parent = ComputationId::new(self.module.computations.len());
        let mut body = Body {
            parent,
            placed: HashMap::new(),
            names: HashSet::new(),
            instructions: Vec::new(),
        };
        let mut parameters: HashMap<InstructionId, InstructionId> = HashMap::new();
        for operand in distinct(&inside.operands) {
            let shape = (*self.original.instructions[operand].shape).clone();
            let parameter = Instruction {
                payload: Payload::Parameter(parameters.len() as u64),
                ..body.instruction("param", shape, Opcode::Parameter, Vec::new(), Vec::new())
            };
            parameters.insert(operand, body.push(&mut self.module, parameter));
        }
        let placed = body.instructions.clone();
        inside.operands = inside
            .operands
            .iter()
            .filter_map(|operand| parameters.get(operand).copied())
            .collect();
        inside
            .attributes
            .retain(|attribute| attribute.name != CONTROL_PREDECESSORS);
        let root = body.push(&mut self.module, inside);
        self.module.computations.push(Computation {
            name,
            instructions: body.instructions,
            parameters: placed,
            root,
            attributes: Vec::new(),
            span: Default::default(),
        })
    }

    /// Makes an instruction in its new place a fusion that calls `wrapper`.
    fn wrap(&self, instruction: &mut Instruction, value: &ValueRef, wrapper: ComputationId) {
        let original = &self.original.instructions[value.instruction];
        let places = distinct(&original.operands)
            .into_iter()
            .filter_map(|operand| original.operands.iter().position(|&id| id == operand));
        instruction.operands = places
            .filter_map(|place| instruction.operands.get(place).copied())
            .collect();
        instruction.opcode = Opcode::Fusion;
        instruction.attributes.retain(|attribute| {
            attribute.name == CONTROL_PREDECESSORS || ABOUT_THE_VALUE.contains(&attribute.name)
        });
        let kind = attribute("kind", AttributeValue::Word("kLoop"));
        let calls = attribute("calls", AttributeValue::Computation(wrapper));
        instruction.attributes.splice(0..0, [kind, calls]);
    }

    fn custom_call(
        &mut self,
        call: &Call,
        item: ItemId,
        flat: &Flat,
        body: &mut Body,
    ) -> InstructionId {
        let mut operands = Vec::with_capacity(call.inputs.len());
        for value in &call.inputs {
            if let Some(&operand) = flat.item(value).and_then(|item| body.placed.get(&item)) {
                operands.push(body.with_layout(&mut self.module, operand, row_major));
            }
        }
        let shapes: Vec<Shape> = call
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
        let config = format!("{{program = \"{}\"}}", escape(&call.region.to_string()));
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
        attributes.extend(aliases(call));
        attributes.push(attribute(
            "api_version",
            AttributeValue::Word("API_VERSION_TYPED_FFI"),
        ));
        attributes.extend(control_predecessors(item, flat, body));
        match call.outputs.as_slice() {
            [output] => attributes.extend(self.about(output)),
            outputs => attributes.extend(self.about_all(outputs)),
        }
        attributes.push(attribute(
            "backend_config",
            AttributeValue::Text(config.into()),
        ));
        let instruction = body.instruction(
            &call.region.name,
            shape,
            Opcode::CustomCall,
            operands,
            attributes,
        );
        let placed = body.push(&mut self.module, instruction);
        match call.outputs.as_slice() {
            [output] => self.restored(placed, output, body),
            _ => placed,
        }
    }

    /// The result of a call that has several.
    fn result(
        &mut self,
        call: &Call,
        result: usize,
        item: ItemId,
        body: &mut Body,
    ) -> InstructionId {
        let output = &call.outputs[result];
        let original = &self.original.instructions[output.instruction];
        let mut attributes = vec![attribute("index", AttributeValue::Integer(result as i64))];
        attributes.extend(self.about(output));
        let operands = body.placed.get(&item).copied().into_iter().collect();
        let element = body.instruction(
            &original.name,
            row_major(&original.shape),
            Opcode::GetTupleElement,
            operands,
            attributes,
        );
        let element = body.push(&mut self.module, element);
        self.restored(element, output, body)
    }

    /// An element of the tuple that a call gives.
    fn element(
        &mut self,
        tuple: &ValueRef,
        index: usize,
        flat: &Flat,
        body: &mut Body,
    ) -> InstructionId {
        let placed = flat.item(tuple).and_then(|item| body.placed.get(&item));
        let operands: Vec<InstructionId> = placed.copied().into_iter().collect();
        let call = &self.original.instructions[tuple.instruction];
        let shape = match &*call.shape {
            Shape::Tuple(elements) => elements.get(index).cloned(),
            _ => None,
        };
        let element = body.instruction(
            &call.name,
            shape.unwrap_or_else(|| (*call.shape).clone()),
            Opcode::GetTupleElement,
            operands,
            vec![attribute("index", AttributeValue::Integer(index as i64))],
        );
        body.push(&mut self.module, element)
    }

    /// What is said about a value.
    fn about(&self, value: &ValueRef) -> Vec<Attribute> {
        let attributes = &self.original.instructions[value.instruction].attributes;
        let of_the_value = |a: &&Attribute| ABOUT_THE_VALUE.contains(&a.name);
        attributes.iter().filter(of_the_value).cloned().collect()
    }

    /// What is said about the tuple of several values: where the first comes from, and how they are sharded, if that is said of all.
    fn about_all(&self, values: &[ValueRef]) -> Vec<Attribute> {
        let sharding = |value: &ValueRef| match self.original.instructions[value.instruction]
            .attribute("sharding")
        {
            Some(AttributeValue::Raw(text)) => Some(text.to_string()),
            _ => None,
        };
        let shardings: Option<Vec<String>> = values.iter().map(sharding).collect();
        let all = shardings.map(|all| {
            let text = format!("{{{}}}", all.join(", "));
            attribute("sharding", AttributeValue::Raw(text.into()))
        });
        let metadata = values.first().and_then(|first| {
            let instruction = &self.original.instructions[first.instruction];
            let mut attributes = instruction.attributes.iter();
            attributes.find(|a| a.name == "metadata").cloned()
        });
        all.into_iter().chain(metadata).collect()
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
        let flat = Flat::whole(module, computation);
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

/// The attribute that says what an item waits for, if it waits for anything.
fn control_predecessors(item: ItemId, flat: &Flat, body: &Body) -> Option<Attribute> {
    let placed = flat.predecessors(item);
    let ids: Vec<InstructionId> = placed
        .iter()
        .filter_map(|predecessor| body.placed.get(predecessor).copied())
        .collect();
    (!ids.is_empty()).then(|| attribute(CONTROL_PREDECESSORS, AttributeValue::Instructions(ids)))
}

/// Each operand once, in order.
fn distinct(operands: &[InstructionId]) -> Vec<InstructionId> {
    let mut seen = Vec::with_capacity(operands.len());
    for &operand in operands {
        if !seen.contains(&operand) {
            seen.push(operand);
        }
    }
    seen
}

/// Which results of a call take the place of which operands.
fn aliases(call: &Call) -> Option<Attribute> {
    let aliases: Vec<String> = (0..)
        .zip(call.region.in_place())
        .filter_map(|(output, input): (usize, _)| {
            let index = match call.outputs.len() {
                1 => String::new(),
                _ => output.to_string(),
            };
            Some(format!("{{{index}}}: ({}, {{}})", input?))
        })
        .collect();
    let text = format!("{{{}}}", aliases.join(", "));
    (!aliases.is_empty()).then(|| {
        attribute(
            "output_to_operand_aliasing",
            AttributeValue::Raw(text.into()),
        )
    })
}
