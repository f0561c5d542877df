//! Scalar computations, compiled once and run on many lanes.
//!
//! `reduce`, `scatter`, `sort`, `map` and their kin apply a computation of scalars to many
//! elements. It becomes a straight list of steps over registers, each of which holds some lanes
//! of one element type; calls are inlined.

use super::domain::CHUNK;
use super::elementwise::{self, Lanes};
use super::error::{Fault, Outcome};
use crate::literal::Literal;
use crate::module::{ComputationId, Instruction, Module, Payload};
use crate::opcode::Opcode;
use crate::shape::{PrimitiveType, Shape};

/// Calls inside one another that are inlined, and steps in all.
const MAX_DEPTH: usize = 50;
const MAX_STEPS: usize = 20_000;

/// A compiled scalar computation.
pub(super) struct Program {
    /// Lanes that a register holds.
    capacity: usize,
    registers: Vec<Register>,
    /// The bytes of all registers.
    memory: Vec<u8>,
    steps: Vec<Step>,
    /// The registers of the parameters.
    parameters: Vec<usize>,
    /// The registers of the result, a tuple's elements one by one.
    results: Vec<usize>,
}

struct Register {
    element: PrimitiveType,
    offset: usize,
}

struct Step {
    function: Lanes,
    inputs: Vec<usize>,
    output: usize,
}

/// A value while compiling.
#[derive(Clone)]
enum Value {
    Scalar(usize),
    Tuple(Vec<Value>),
}

impl Program {
    /// Compiles `computation` for up to `lanes` (at most [`CHUNK`]) at a time.
    pub(super) fn compile(
        module: &Module,
        computation: ComputationId,
        lanes: usize,
    ) -> Outcome<Program> {
        let mut program = Program {
            capacity: lanes.clamp(1, CHUNK),
            registers: Vec::new(),
            memory: Vec::new(),
            steps: Vec::new(),
            parameters: Vec::new(),
            results: Vec::new(),
        };
        let mut arguments = Vec::new();
        for &parameter in &module.computations[computation].parameters {
            let element = scalar(&module.instructions[parameter])?;
            let register = program.register(element);
            program.parameters.push(register);
            arguments.push(Value::Scalar(register));
        }
        let result = program.inline(module, computation, &arguments, 0)?;
        let elements = match result {
            Value::Scalar(_) => vec![result],
            Value::Tuple(elements) => elements,
        };
        for element in elements {
            match element {
                Value::Scalar(register) => program.results.push(register),
                Value::Tuple(_) => return Err(Fault::unsupported("a nested tuple of scalars")),
            }
        }
        Ok(program)
    }

    fn register(&mut self, element: PrimitiveType) -> usize {
        self.registers.push(Register {
            element,
            offset: self.memory.len(),
        });
        let size = self.memory.len() + self.capacity * element.bytes();
        self.memory.resize(size, 0);
        self.registers.len() - 1
    }

    fn inline(
        &mut self,
        module: &Module,
        computation: ComputationId,
        arguments: &[Value],
        depth: usize,
    ) -> Outcome<Value> {
        if depth > MAX_DEPTH {
            return Err(Fault::unsupported("so many calls in a scalar computation"));
        }
        let computation = &module.computations[computation];
        let mut values: hashbrown::HashMap<_, Value> = hashbrown::HashMap::new();
        for &id in &computation.instructions {
            let instruction = &module.instructions[id];
            let operands = instruction
                .operands
                .iter()
                .map(|operand| values.get(operand).cloned())
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| Fault::malformed("an operand is not defined before its use"))?;
            let value = self.instruction(module, instruction, operands, arguments, depth)?;
            values.insert(id, value);
        }
        values
            .remove(&computation.root)
            .ok_or_else(|| Fault::malformed("the root is not in its computation"))
    }

    fn instruction(
        &mut self,
        module: &Module,
        instruction: &Instruction,
        mut operands: Vec<Value>,
        arguments: &[Value],
        depth: usize,
    ) -> Outcome<Value> {
        let missing = || Fault::malformed(format!("{} is malformed", instruction.name));
        match (&instruction.opcode, &instruction.payload) {
            (Opcode::Parameter, Payload::Parameter(number)) => usize::try_from(*number)
                .ok()
                .and_then(|number| arguments.get(number).cloned())
                .ok_or_else(missing),
            (Opcode::Constant, Payload::Constant(literal)) => self.constant(literal),
            (Opcode::Tuple, _) => Ok(Value::Tuple(operands)),
            (Opcode::GetTupleElement, _) => match operands.pop() {
                Some(Value::Tuple(mut elements)) => instruction
                    .integer("index")
                    .and_then(|index| usize::try_from(index).ok())
                    .filter(|&index| index < elements.len())
                    .map(|index| elements.swap_remove(index))
                    .ok_or_else(missing),
                _ => Err(missing()),
            },
            (Opcode::Call | Opcode::Fusion, _) => {
                let callee = instruction.called_computations().next();
                self.inline(module, callee.ok_or_else(missing)?, &operands, depth + 1)
            }
            // On a scalar these only rename.
            (
                Opcode::Reshape
                | Opcode::Broadcast
                | Opcode::Transpose
                | Opcode::OptBarrier
                | Opcode::AddDependency,
                _,
            ) if !operands.is_empty() => {
                scalar(instruction)?;
                Ok(operands.swap_remove(0))
            }
            _ => self.step(instruction, &operands),
        }
    }

    fn constant(&mut self, literal: &Literal) -> Outcome<Value> {
        let (shape, data) = match literal {
            Literal::Array { shape, data } => (shape, data),
            Literal::Elided(_) => return Err(Fault::Elided),
            Literal::Tuple(_) | Literal::Token => {
                return Err(Fault::unsupported("a constant that is no scalar"));
            }
        };
        if data.len() != shape.element.bytes() {
            return Err(Fault::unsupported("a constant that is no scalar"));
        }
        let register = self.register(shape.element);
        let offset = self.registers[register].offset;
        for lane in self.memory[offset..].chunks_exact_mut(data.len()) {
            lane.copy_from_slice(data);
        }
        Ok(Value::Scalar(register))
    }

    fn step(&mut self, instruction: &Instruction, operands: &[Value]) -> Outcome<Value> {
        if self.steps.len() >= MAX_STEPS {
            return Err(Fault::unsupported("so long a scalar computation"));
        }
        let inputs = operands
            .iter()
            .map(|operand| match operand {
                Value::Scalar(register) => Ok(*register),
                Value::Tuple(_) => Err(Fault::malformed("expected a scalar, found a tuple")),
            })
            .collect::<Outcome<Vec<usize>>>()?;
        let elements: Vec<PrimitiveType> = inputs
            .iter()
            .map(|&register| self.registers[register].element)
            .collect();
        let element = scalar(instruction)?;
        let function = match elementwise::lanes(instruction, &elements, element) {
            Some(function) => function?,
            None => {
                return Err(Fault::unsupported(format!(
                    "{} in a scalar computation",
                    instruction.opcode
                )));
            }
        };
        let output = self.register(element);
        self.steps.push(Step {
            function,
            inputs,
            output,
        });
        Ok(Value::Scalar(output))
    }

    /// Element types of the parameters.
    pub(super) fn parameters(&self) -> Vec<PrimitiveType> {
        let element = |&register: &usize| self.registers[register].element;
        self.parameters.iter().map(element).collect()
    }

    /// Element types of the results.
    pub(super) fn results(&self) -> Vec<PrimitiveType> {
        let element = |&register: &usize| self.registers[register].element;
        self.results.iter().map(element).collect()
    }

    /// Lanes that can run at once.
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Steps of one run.
    pub(super) fn cost(&self) -> usize {
        self.steps.len() + 1
    }

    /// Sets the first lanes of a parameter.
    pub(super) fn set(&mut self, parameter: usize, lanes: &[u8]) {
        if let Some(&register) = self.parameters.get(parameter) {
            let offset = self.registers[register].offset;
            self.memory[offset..offset + lanes.len()].copy_from_slice(lanes);
        }
    }

    /// Runs the first `lanes` lanes.
    pub(super) fn run(&mut self, lanes: usize) {
        for step in &self.steps {
            let output = &self.registers[step.output];
            // Registers are in the order of definition: all inputs lie before the output.
            let (before, after) = self.memory.split_at_mut(output.offset);
            let bytes = |&register: &usize| {
                let Register { element, offset } = self.registers[register];
                &before[offset..offset + lanes * element.bytes()]
            };
            let mut inputs: [&[u8]; 3] = [&[]; 3];
            for (slot, input) in inputs.iter_mut().zip(&step.inputs) {
                *slot = bytes(input);
            }
            let out = &mut after[..lanes * output.element.bytes()];
            (step.function)(&inputs[..step.inputs.len().min(3)], out);
        }
    }

    /// The first lanes of a result.
    pub(super) fn get(&self, result: usize, lanes: usize) -> &[u8] {
        let Some(&register) = self.results.get(result) else {
            return &[];
        };
        let Register { element, offset } = self.registers[register];
        &self.memory[offset..offset + lanes * element.bytes()]
    }
}

/// The element type of an instruction that is a scalar.
fn scalar(instruction: &Instruction) -> Outcome<PrimitiveType> {
    match &*instruction.shape {
        Shape::Array(shape) if shape.element_count() == Some(1) => Ok(shape.element),
        _ => Err(Fault::unsupported(format!(
            "{} in a scalar computation, which is no scalar",
            instruction.name
        ))),
    }
}
