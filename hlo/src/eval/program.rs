//! Scalar computations, compiled once and run on many lanes.
//!
//! `reduce`, `scatter`, `sort`, `map` and their kin apply a computation of scalars to many
//! elements. It becomes a straight list of steps over registers, each of which holds some lanes
//! of one element type; calls are inlined. A computation that is no such list, because it loops,
//! branches or goes through arrays, is evaluated as any other, lane by lane.

use super::array::{Array, dims_of};
use super::context::Context;
use super::domain::CHUNK;
use super::elementwise::{self, Lanes};
use super::error::{Fault, Outcome};
use super::machine;
use crate::literal::Literal;
use crate::module::{ComputationId, Instruction, Module, Payload};
use crate::opcode::Opcode;
use crate::shape::{PrimitiveType, Shape};

/// Calls inside one another that are inlined, and instructions in all.
const MAX_DEPTH: usize = 50;
const MAX_INLINED: usize = 20_000;

/// A compiled scalar computation.
pub(super) struct Program {
    /// Lanes that a register holds.
    capacity: usize,
    registers: Vec<Register>,
    /// The bytes of all registers.
    memory: Vec<u8>,
    body: Body,
    /// The registers of the parameters.
    parameters: Vec<usize>,
    /// The registers of the result, a tuple's elements one by one.
    results: Vec<usize>,
}

/// How results come from parameters.
enum Body {
    Steps(Vec<Step>),
    /// Lane by lane, each lane an evaluation.
    Lanewise(Lanewise),
}

/// A computation that is evaluated for one lane at a time.
#[derive(Clone)]
struct Lanewise {
    computation: ComputationId,
    /// Dimensions of the parameters, of which each holds one element.
    dims: Vec<Vec<usize>>,
    cost: usize,
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

impl Step {
    fn run(&self, registers: &[Register], memory: &mut [u8], lanes: usize) {
        let output = &registers[self.output];
        // Registers are in the order of definition: all inputs lie before the output.
        let (before, after) = memory.split_at_mut(output.offset);
        let mut inputs: [&[u8]; 3] = [&[]; 3];
        for (slot, &input) in inputs.iter_mut().zip(&self.inputs) {
            let Register { element, offset } = registers[input];
            *slot = &before[offset..offset + lanes * element.bytes()];
        }
        let out = &mut after[..lanes * output.element.bytes()];
        (self.function)(&inputs[..self.inputs.len().min(3)], out);
    }
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
        context: &mut Context<'_>,
        computation: ComputationId,
        lanes: usize,
    ) -> Outcome<Program> {
        let module = context.module;
        let mut inliner = Inliner {
            module,
            program: Program::with_parameters(module, computation, lanes)?,
            steps: Vec::new(),
            inlined: 0,
        };
        let parameters = inliner.program.parameters.iter();
        let arguments: Vec<Value> = parameters.map(|&r| Value::Scalar(r)).collect();
        let inlined = inliner.inline(computation, &arguments, 0);
        context.meter.work(inliner.inlined)?;
        let result = match inlined {
            Ok(result) => result,
            Err(Fault::Unsupported(_)) => return Program::lanewise(module, computation, lanes),
            Err(fault) => return Err(fault),
        };
        let elements = match result {
            Value::Scalar(_) => vec![result],
            Value::Tuple(elements) => elements,
        };
        let mut program = inliner.program;
        program.body = Body::Steps(inliner.steps);
        for element in elements {
            match element {
                Value::Scalar(register) => program.results.push(register),
                Value::Tuple(_) => return Err(Fault::unsupported("a nested tuple of scalars")),
            }
        }
        Ok(program)
    }

    /// A program with registers for the computation's parameters, and nothing else yet.
    fn with_parameters(
        module: &Module,
        computation: ComputationId,
        lanes: usize,
    ) -> Outcome<Program> {
        let mut program = Program {
            capacity: lanes.clamp(1, CHUNK),
            registers: Vec::new(),
            memory: Vec::new(),
            body: Body::Steps(Vec::new()),
            parameters: Vec::new(),
            results: Vec::new(),
        };
        for &parameter in &module.computations[computation].parameters {
            let element = scalar(&module.instructions[parameter])?;
            let register = program.register(element);
            program.parameters.push(register);
        }
        Ok(program)
    }

    /// The program that evaluates `computation` for every lane.
    fn lanewise(module: &Module, computation: ComputationId, lanes: usize) -> Outcome<Program> {
        let mut program = Program::with_parameters(module, computation, lanes)?;
        let callee = &module.computations[computation];
        let dims = callee.parameters.iter().map(|&id| {
            let shape = module.instructions[id].array();
            shape.map_or(Ok(Vec::new()), dims_of)
        });
        program.body = Body::Lanewise(Lanewise {
            computation,
            dims: dims.collect::<Outcome<_>>()?,
            cost: callee.instructions.len(),
        });
        let root = &module.instructions[callee.root].shape;
        let results = match &**root {
            Shape::Tuple(parts) => parts.as_slice(),
            other => std::slice::from_ref(other),
        };
        for result in results {
            let element = scalar_shape(result)
                .ok_or_else(|| Fault::unsupported("a computation of scalars to arrays"))?;
            let register = program.register(element);
            program.results.push(register);
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

    /// Element operations of one lane.
    pub(super) fn cost(&self) -> usize {
        match &self.body {
            Body::Steps(steps) => steps.len() + 1,
            Body::Lanewise(lanewise) => lanewise.cost,
        }
    }

    /// Sets the first lanes of a parameter.
    pub(super) fn set(&mut self, parameter: usize, lanes: &[u8]) {
        if let Some(&register) = self.parameters.get(parameter) {
            let offset = self.registers[register].offset;
            self.memory[offset..offset + lanes.len()].copy_from_slice(lanes);
        }
    }

    /// Runs the first `lanes` lanes.
    pub(super) fn run(&mut self, context: &mut Context<'_>, lanes: usize) -> Outcome<()> {
        match &self.body {
            Body::Steps(steps) => {
                for step in steps {
                    step.run(&self.registers, &mut self.memory, lanes);
                }
                Ok(())
            }
            Body::Lanewise(lanewise) => {
                let lanewise = lanewise.clone();
                (0..lanes).try_for_each(|lane| self.run_lane(context, &lanewise, lane))
            }
        }
    }

    /// Evaluates the computation for one lane.
    fn run_lane(
        &mut self,
        context: &mut Context<'_>,
        lanewise: &Lanewise,
        lane: usize,
    ) -> Outcome<()> {
        let place = |register: &Register| {
            let size = register.element.bytes();
            let first = register.offset + lane * size;
            first..first + size
        };
        let arguments = self
            .parameters
            .iter()
            .zip(&lanewise.dims)
            .map(|(&register, dims)| {
                let register = &self.registers[register];
                let bytes = &self.memory[place(register)];
                Ok(Array::new(register.element, dims.clone(), bytes)?.into_literal())
            })
            .collect::<Outcome<Vec<_>>>()?;
        let value = machine::apply_computation(context, lanewise.computation, arguments)?;
        let leaves = value.leaves();
        if leaves.len() != self.results.len() {
            return Err(Fault::expected(
                format_args!("{} results", self.results.len()),
                leaves.len(),
            ));
        }
        for (leaf, &register) in leaves.into_iter().zip(&self.results) {
            let register = &self.registers[register];
            let leaf = Array::from_literal(leaf.clone())?;
            let target = &mut self.memory[place(register)];
            if leaf.element != register.element || leaf.data.len() != target.len() {
                return Err(Fault::expected(register.element, leaf.element));
            }
            target.copy_from_slice(&leaf.data);
        }
        Ok(())
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

/// Turns a computation into steps.
struct Inliner<'m> {
    module: &'m Module,
    program: Program,
    steps: Vec<Step>,
    /// Instructions so far.
    inlined: usize,
}

impl Inliner<'_> {
    fn inline(
        &mut self,
        computation: ComputationId,
        arguments: &[Value],
        depth: usize,
    ) -> Outcome<Value> {
        if depth > MAX_DEPTH {
            return Err(Fault::unsupported("so many calls in a scalar computation"));
        }
        let module = self.module;
        let computation = &module.computations[computation];
        let mut values: hashbrown::HashMap<_, Value> = hashbrown::HashMap::new();
        for &id in &computation.instructions {
            let instruction = &module.instructions[id];
            self.inlined += 1;
            if self.inlined > MAX_INLINED {
                return Err(Fault::unsupported("so long a scalar computation"));
            }
            let operands = instruction
                .operands
                .iter()
                .map(|operand| values.get(operand).cloned())
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| Fault::malformed("an operand is not defined before its use"))?;
            let value = self.instruction(instruction, operands, arguments, depth)?;
            values.insert(id, value);
        }
        values
            .remove(&computation.root)
            .ok_or_else(|| Fault::malformed("the root is not in its computation"))
    }

    fn instruction(
        &mut self,
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
                self.inline(callee.ok_or_else(missing)?, &operands, depth + 1)
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
            Literal::Leading { .. } | Literal::Tuple(_) | Literal::Token => {
                return Err(Fault::unsupported("a constant that is no scalar"));
            }
        };
        if data.len() != shape.element.bytes() {
            return Err(Fault::unsupported("a constant that is no scalar"));
        }
        let register = self.program.register(shape.element);
        let offset = self.program.registers[register].offset;
        for lane in self.program.memory[offset..].chunks_exact_mut(data.len()) {
            lane.copy_from_slice(data);
        }
        Ok(Value::Scalar(register))
    }

    fn step(&mut self, instruction: &Instruction, operands: &[Value]) -> Outcome<Value> {
        let unsupported = || {
            let opcode = instruction.opcode;
            Fault::unsupported(format!("{opcode} in a scalar computation"))
        };
        if instruction.opcode.elementwise_arity().is_none() {
            return Err(unsupported());
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
            .map(|&register| self.program.registers[register].element)
            .collect();
        let element = scalar(instruction)?;
        let function =
            elementwise::lanes(instruction, &elements, element).ok_or_else(unsupported)??;
        let output = self.program.register(element);
        self.steps.push(Step {
            function,
            inputs,
            output,
        });
        Ok(Value::Scalar(output))
    }
}

/// The element type of an instruction that is a scalar.
fn scalar(instruction: &Instruction) -> Outcome<PrimitiveType> {
    scalar_shape(&instruction.shape).ok_or_else(|| {
        Fault::unsupported(format!(
            "{} in a scalar computation, which is no scalar",
            instruction.name
        ))
    })
}

/// The element type of an array of one element.
fn scalar_shape(shape: &Shape) -> Option<PrimitiveType> {
    shape
        .as_array()
        .filter(|array| array.element_count() == Some(1))
        .map(|array| array.element)
}
