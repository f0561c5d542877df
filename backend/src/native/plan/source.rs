//! DLC as one tree: units, and under each of their events the code of the cases that are pushed there.
//!
//! Streams and values share one set of registers. A case that is pushed by several callbacks is there once for each; what it pops is the
//! stream that is pushed. Vectors, rows, loops of the execute unit and stores of the access unit, which passes make, are refused: the
//! engine makes its own.

use cranelift_entity::{EntityRef, SecondaryMap};
use hlo2dae_ir::core::{
    self, Access, Arith, Array, Compute, ElementType, Role, ScalarType, Span, Type,
};
use hlo2dae_ir::dlc::{self, AccessOp, Event, Expr, Statement, StreamExpr};

use crate::native::error::PlanError;

/// The number of a stream or value.
pub(crate) type Reg = usize;
/// The number of a buffer.
pub(crate) type BufferNumber = usize;

/// A program.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub name: String,
    pub buffers: Vec<BufferData>,
    /// Type of each register.
    pub types: Vec<ScalarType>,
    pub roots: Vec<Unit>,
    /// How often each buffer is loaded from, by code and streams.
    pub loads: Vec<usize>,
}

/// A buffer.
#[derive(Clone, Debug)]
pub(crate) struct BufferData {
    pub name: String,
    pub element: ElementType,
    pub dims: Vec<i64>,
    /// Elements from one index to the next, for each dimension.
    pub strides: Vec<i64>,
    pub bytes: usize,
    pub role: Role,
}

impl BufferData {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.bytes / self.element.bytes()
    }
}

/// A traversal unit.
#[derive(Clone, Debug)]
pub(crate) struct Unit {
    pub begin: Bound,
    pub end: Bound,
    pub step: i64,
    /// What advances at each position.
    pub streams: Vec<(Reg, Op, Span)>,
    /// Code at its begin, at each position, at its end.
    pub on: [Vec<Instruction>; 3],
    pub children: Vec<Unit>,
}

impl Unit {
    /// The code of an event.
    pub fn on(&self, event: Event) -> &[Instruction] {
        let [begin, iterate, end] = &self.on;
        match event {
            Event::Begin => begin,
            Event::Iterate => iterate,
            Event::End => end,
        }
    }
}

/// A bound of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    Constant(i64),
    Reg(Reg),
}

/// What defines a register.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// The position of the unit.
    Position,
    Arith(Arith<Reg>),
    Load {
        buffer: BufferNumber,
        indices: Vec<Reg>,
    },
}

/// One instruction of the execute side.
#[derive(Clone, Debug)]
pub(crate) enum Instruction {
    Let(Reg, Op, Span),
    Store {
        buffer: BufferNumber,
        indices: Vec<Reg>,
        value: Reg,
        span: Span,
    },
    If {
        condition: Reg,
        then: Vec<Instruction>,
        otherwise: Vec<Instruction>,
    },
}

impl Source {
    /// Takes a verified program.
    pub fn new(program: &dlc::Program) -> Result<Source, PlanError> {
        let buffers = program
            .buffers
            .values()
            .map(|buffer| {
                let too_large = || PlanError::TooLarge {
                    program: program.name.clone(),
                    buffer: buffer.name.clone(),
                };
                let bytes = Array::byte_size(buffer.element, &buffer.dims).ok_or_else(too_large)?;
                // An empty array may have any other sizes; its strides are never used.
                let dims: Vec<i64> = buffer
                    .dims
                    .iter()
                    .map(|&dim| i64::try_from(dim).unwrap_or(i64::MAX))
                    .collect();
                let mut strides = vec![1i64; dims.len()];
                for d in (1..dims.len()).rev() {
                    strides[d - 1] = strides[d].wrapping_mul(dims[d]);
                }
                Ok(BufferData {
                    name: buffer.name.clone(),
                    element: buffer.element,
                    dims,
                    strides,
                    bytes,
                    role: buffer.role.clone(),
                })
            })
            .collect::<Result<Vec<_>, PlanError>>()?;
        let mut reader = Reader {
            program,
            loads: vec![0; buffers.len()],
            types: Vec::new(),
        };
        for stream in program.access.streams.values() {
            let ty = reader.scalar(stream.ty, stream.span)?;
            reader.types.push(ty);
        }
        let roots = reader.units()?;
        Ok(Source {
            name: program.name.clone(),
            buffers,
            types: reader.types,
            roots,
            loads: reader.loads,
        })
    }

    /// The inputs, in order.
    pub fn inputs(&self) -> impl Iterator<Item = (BufferNumber, &BufferData)> + Clone {
        let buffers = self.buffers.iter().enumerate();
        buffers.filter(|(_, buffer)| buffer.role == Role::Input)
    }

    /// The outputs, in order.
    pub fn outputs(&self) -> impl Iterator<Item = (BufferNumber, &BufferData)> + Clone {
        let buffers = self.buffers.iter().enumerate();
        buffers.filter(|(_, buffer)| matches!(buffer.role, Role::Output(_)))
    }
}

struct Reader<'a> {
    program: &'a dlc::Program,
    loads: Vec<usize>,
    types: Vec<ScalarType>,
}

impl Reader<'_> {
    fn units(&mut self) -> Result<Vec<Unit>, PlanError> {
        let access = &self.program.access;
        let mut units: SecondaryMap<dlc::Tu, Option<Unit>> = SecondaryMap::new();
        for op in &access.body {
            match op {
                AccessOp::NewTu(tu) => {
                    let data = &access.units[*tu];
                    if data.lanes.is_some() {
                        return Err(self.not_scalar("a unit with lanes", data.span));
                    }
                    units[*tu] = Some(Unit {
                        begin: bound(data.begin),
                        end: bound(data.end),
                        step: data.step,
                        streams: Vec::new(),
                        on: [Vec::new(), Vec::new(), Vec::new()],
                        children: Vec::new(),
                    });
                }
                AccessOp::Stream(stream) => {
                    let data = &access.streams[*stream];
                    let op = match &data.expr {
                        StreamExpr::InductionVariable => Op::Position,
                        StreamExpr::Mask => {
                            return Err(self.not_scalar("a mask", data.span));
                        }
                        StreamExpr::Made(core::StreamExpr::Mem { access, hints: _ }) => {
                            self.load(access, data.span, |stream| stream.index())?
                        }
                        StreamExpr::Made(core::StreamExpr::Compute(compute)) => {
                            self.compute(compute, data.span, |stream| stream.index())?
                        }
                        StreamExpr::Made(core::StreamExpr::Row(_, _)) => {
                            return Err(self.not_scalar("a row", data.span));
                        }
                    };
                    if let Some(unit) = &mut units[data.unit] {
                        unit.streams.push((stream.index(), op, data.span));
                    }
                }
                AccessOp::Effect(_, effect) => {
                    return Err(self.not_scalar("an effect of the access unit", effect.span()));
                }
                AccessOp::RegisterCallback(callback) => {
                    let code = self.case(callback)?;
                    if let Some(unit) = &mut units[callback.unit] {
                        let [begin, iterate, end] = &mut unit.on;
                        match callback.event {
                            Event::Begin => begin.extend(code),
                            Event::Iterate => iterate.extend(code),
                            Event::End => end.extend(code),
                        }
                    }
                }
            }
        }
        // Children come behind their parents: from the last to the first, each goes into its parent.
        let mut roots = Vec::new();
        for op in access.body.iter().rev() {
            let AccessOp::NewTu(tu) = op else { continue };
            let Some(mut unit) = units[*tu].take() else {
                continue;
            };
            unit.children.reverse();
            match access.units[*tu].parent {
                Some(parent) => {
                    if let Some(parent) = &mut units[parent] {
                        parent.children.push(unit);
                    }
                }
                None => roots.push(unit),
            }
        }
        roots.reverse();
        Ok(roots)
    }

    fn not_scalar(&self, what: &'static str, span: Span) -> PlanError {
        PlanError::NotScalar {
            program: self.program.name.clone(),
            what,
            span: span.into(),
        }
    }

    fn scalar(&self, ty: Type, span: Span) -> Result<ScalarType, PlanError> {
        match ty {
            Type::Scalar(ty) => Ok(ty),
            Type::Vector(_, _) => Err(self.not_scalar("a vector", span)),
            Type::Row(_, _) => Err(self.not_scalar("a row", span)),
        }
    }

    fn load<V: Copy>(
        &mut self,
        access: &Access<V>,
        span: Span,
        reg: impl Fn(V) -> Reg,
    ) -> Result<Op, PlanError> {
        let place = self.place(access, span, reg)?;
        if let Some(loads) = self.loads.get_mut(place.0) {
            *loads += 1;
        }
        let (buffer, indices) = place;
        Ok(Op::Load { buffer, indices })
    }

    /// Where an access goes: the buffer, and the registers of its indices.
    fn place<V: Copy>(
        &self,
        access: &Access<V>,
        span: Span,
        reg: impl Fn(V) -> Reg,
    ) -> Result<(BufferNumber, Vec<Reg>), PlanError> {
        if access.lanes.is_some() {
            return Err(self.not_scalar("an access with lanes", span));
        }
        let indices = access.indices.iter().map(|&index| reg(index)).collect();
        Ok((access.buffer.index(), indices))
    }

    fn compute<V: Copy>(
        &self,
        compute: &Compute<V>,
        span: Span,
        reg: impl Fn(V) -> Reg,
    ) -> Result<Op, PlanError> {
        match compute {
            Compute::Arith(arith) => Ok(Op::Arith(arith.map(|&v| reg(v)))),
            Compute::Broadcast { .. } | Compute::Lanes { .. } => {
                Err(self.not_scalar("a vector", span))
            }
        }
    }

    /// The code of a callback's case, with registers of its own and the pushed streams for what is popped.
    fn case(&mut self, callback: &dlc::Callback) -> Result<Vec<Instruction>, PlanError> {
        let case = &self.program.execute.cases[callback.case];
        let first = self.types.len();
        for value in case.code.values.values() {
            let ty = self.scalar(value.ty, value.span)?;
            self.types.push(ty);
        }
        let mut code = Code {
            reader: self,
            case,
            registers: (0..case.code.values.len()).map(|v| first + v).collect(),
            operands: callback.operands.iter(),
        };
        code.block(&case.code.body)
    }
}

fn bound(bound: dlc::Bound) -> Bound {
    match bound {
        core::Bound::Constant(value) => Bound::Constant(value),
        core::Bound::Value(stream) => Bound::Reg(stream.index()),
    }
}

/// The register of a value.
fn reg_in(registers: &[Reg]) -> impl Fn(dlc::Value) -> Reg {
    |value| registers.get(value.index()).copied().unwrap_or(0)
}

struct Code<'a, 'b, 'c> {
    reader: &'c mut Reader<'a>,
    case: &'b dlc::Case,
    /// The register of each value.
    registers: Vec<Reg>,
    operands: std::slice::Iter<'b, dlc::Operand>,
}

impl Code<'_, '_, '_> {
    fn reg(&self, value: dlc::Value) -> Reg {
        reg_in(&self.registers)(value)
    }

    /// Recursion is as deep as `if`s nest, which the verifier bounds.
    fn block(&mut self, statements: &[Statement]) -> Result<Vec<Instruction>, PlanError> {
        let mut code = Vec::new();
        for statement in statements {
            match statement {
                Statement::Let(value, expr) => {
                    let span = self.case.code.values[*value].span;
                    let op = match expr {
                        Expr::Take(dlc::Pop) => {
                            let operand =
                                self.operands.next().ok_or_else(|| PlanError::Broken {
                                    program: self.reader.program.name.clone(),
                                    what: format!("@{} pops more than is pushed", self.case.name),
                                })?;
                            if let Some(register) = self.registers.get_mut(value.index()) {
                                *register = operand.stream.index();
                            }
                            continue;
                        }
                        Expr::Compute(compute) => {
                            self.reader
                                .compute(compute, span, reg_in(&self.registers))?
                        }
                        Expr::Load(access) => {
                            self.reader.load(access, span, reg_in(&self.registers))?
                        }
                        Expr::Element { .. } => {
                            return Err(self.reader.not_scalar("an element of a row", span));
                        }
                        Expr::Reduce { .. } => {
                            return Err(self.reader.not_scalar("a reduced vector", span));
                        }
                    };
                    code.push(Instruction::Let(self.reg(*value), op, span));
                }
                Statement::Store {
                    value,
                    access,
                    span,
                } => {
                    let (buffer, indices) =
                        self.reader.place(access, *span, reg_in(&self.registers))?;
                    code.push(Instruction::Store {
                        buffer,
                        indices,
                        value: self.reg(*value),
                        span: *span,
                    });
                }
                Statement::For(inner) => {
                    return Err(self
                        .reader
                        .not_scalar("a loop of the execute unit", inner.span));
                }
                Statement::If {
                    condition,
                    then,
                    otherwise,
                    span: _,
                } => code.push(Instruction::If {
                    condition: self.reg(*condition),
                    then: self.block(then)?,
                    otherwise: self.block(otherwise)?,
                }),
            }
        }
        Ok(code)
    }
}
