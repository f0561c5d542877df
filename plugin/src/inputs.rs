//! Arguments for a module that nobody gave arguments for.
//!
//! A check is only as good as its inputs: an index must mostly hit its table, sometimes miss it where the
//! program says what happens then, and repeat; segment ids that are promised to be sorted must be.
//! What a parameter is used for is read off the regions: the reads that feed an `index` statement tell
//! the bounds, the buffers tell which values are promised to be sorted. Parameters that no region reads
//! are filled by their type alone.

use fastrand::Rng;
use half::{bf16, f16};
use hashbrown::HashMap;
use hlo2dae_frontend::ValueRef;
use hlo2dae_hlo::{ArrayShape, InstructionId, Literal, Module, Opcode, PrimitiveType, Shape};
use hlo2dae_ir::core::{Arith, BufferId};
use hlo2dae_ir::region::{Expr, IndexMode, Region, Statement, Value};

use crate::compile::Compiled;

/// What the values of an integer parameter must be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Use {
    /// Smallest index that hits the table.
    lo: i64,
    /// Largest index that hits the table.
    hi: i64,
    /// Whether a value outside is promised not to occur.
    promised: bool,
    /// Whether negative values count from the end.
    wraps: bool,
    /// Whether values are promised not to decrease.
    sorted: bool,
}

/// One argument for each parameter of the entry computation, the same for the same seed.
///
/// Floats are uniform in [-1, 1). Integers that index a table hit it, but for about one in sixteen
/// where the program defines what an index outside does; other integers lie in 0..8.
pub fn synthesise(module: &Module, regions: &[Compiled], seed: u64) -> Vec<Literal> {
    let uses = parameter_uses(module, regions);
    let entry = module.entry();
    let mut rng = Rng::with_seed(seed);
    entry
        .parameters
        .iter()
        .map(|&parameter| {
            let shape = &module.instructions[parameter].shape;
            literal(shape, uses.get(&parameter).copied(), &mut rng)
        })
        .collect()
}

/// How each entry parameter is used, where a region reads it through instructions that keep its values.
fn parameter_uses(module: &Module, regions: &[Compiled]) -> HashMap<InstructionId, Use> {
    let mut uses: HashMap<InstructionId, Use> = HashMap::new();
    for found in regions
        .iter()
        .map(|compiled| &compiled.found)
        .filter(|found| found.computation == module.entry)
    {
        let inputs = found
            .region
            .buffers
            .iter()
            .filter(|(_, buffer)| !buffer.is_written());
        for ((id, buffer), value) in inputs.zip(&found.inputs) {
            let bounds = index_use(&found.region, id);
            let Some(parameter) = parameter_of(module, value) else {
                continue;
            };
            if !buffer.element.is_integer() || bounds.is_none() && !buffer.sorted {
                continue;
            }
            let new = Use {
                sorted: buffer.sorted,
                ..bounds.unwrap_or(Use::ANY)
            };
            uses.entry(parameter)
                .and_modify(|old| *old = old.and(new))
                .or_insert(new);
        }
    }
    uses
}

impl Use {
    /// An integer that indexes nothing.
    const ANY: Use = Use {
        lo: 0,
        hi: 7,
        promised: true,
        wraps: false,
        sorted: false,
    };

    /// Values that satisfy both.
    fn and(self, other: Use) -> Use {
        Use {
            lo: self.lo.max(other.lo),
            hi: self.hi.min(other.hi),
            promised: self.promised || other.promised,
            wraps: self.wraps && other.wraps,
            sorted: self.sorted || other.sorted,
        }
    }
}

/// The bounds of the `index` statements that elements of `buffer` reach.
fn index_use(region: &Region, buffer: BufferId) -> Option<Use> {
    let mut found: Option<Use> = None;
    for nest in &region.nests {
        // The values of this nest that are made from elements of the buffer.
        let mut derived: Vec<Value> = Vec::new();
        for statement in &nest.body {
            let Statement::Let(result, expr) = statement else {
                continue;
            };
            let reached = match expr {
                Expr::Read { buffer: read, .. } => *read == buffer,
                Expr::Arith(arith) => operands(arith).iter().any(|v| derived.contains(v)),
                Expr::Index {
                    value,
                    wrap,
                    mode,
                    lo,
                    hi,
                } => {
                    if derived.contains(value) {
                        let new = Use {
                            lo: *lo,
                            hi: *hi,
                            promised: *mode == IndexMode::Promise,
                            wraps: wrap.is_some(),
                            sorted: false,
                        };
                        found = Some(found.map_or(new, |old| old.and(new)));
                    }
                    false
                }
            };
            if reached {
                derived.push(*result);
            }
        }
    }
    found
}

fn operands(arith: &Arith<Value>) -> Vec<Value> {
    match *arith {
        Arith::Constant(_) => vec![],
        Arith::Unary(_, a) | Arith::Convert(a, _) => vec![a],
        Arith::Binary(_, a, b) | Arith::Compare(_, a, b) => vec![a, b],
        Arith::Select(a, b, c) => vec![a, b, c],
    }
}

/// The entry parameter whose values `value` holds, if only their places or type differ.
fn parameter_of(module: &Module, value: &ValueRef) -> Option<InstructionId> {
    if !value.call_path.is_empty() {
        return None;
    }
    let mut id = value.instruction;
    loop {
        let instruction = &module.instructions[id];
        id = match instruction.opcode {
            Opcode::Parameter => return Some(id),
            Opcode::Reshape
            | Opcode::Bitcast
            | Opcode::Convert
            | Opcode::Copy
            | Opcode::Transpose
            | Opcode::Slice
            | Opcode::Broadcast => *instruction.operands.first()?,
            _ => return None,
        };
    }
}

fn literal(shape: &Shape, usage: Option<Use>, rng: &mut Rng) -> Literal {
    match shape {
        Shape::Array(shape) | Shape::Buffer(shape) => array(shape, usage, rng),
        Shape::Tuple(elements) => {
            Literal::Tuple(elements.iter().map(|e| literal(e, None, rng)).collect())
        }
        Shape::Token | Shape::Opaque => Literal::Token,
    }
}

fn array(shape: &ArrayShape, usage: Option<Use>, rng: &mut Rng) -> Literal {
    let count = shape.element_count().unwrap_or(0);
    let element = shape.element;
    let mut bytes = Vec::with_capacity(count.saturating_mul(element.bytes()));
    if element.is_integer() {
        let mut integers: Vec<i64> = (0..count).map(|_| integer(usage, element, rng)).collect();
        if usage.is_some_and(|u| u.sorted) {
            integers.sort_unstable();
        }
        for value in integers {
            bytes.extend_from_slice(&value.to_le_bytes()[..element.bytes()]);
        }
    } else {
        for _ in 0..count {
            push_real(&mut bytes, element, rng);
        }
    }
    let shape = ArrayShape::new(element, shape.dims.clone());
    Literal::Array {
        shape,
        data: bytes.into(),
    }
}

fn integer(usage: Option<Use>, element: PrimitiveType, rng: &mut Rng) -> i64 {
    let Some(Use {
        lo,
        hi,
        promised,
        wraps,
        ..
    }) = usage
    else {
        // Narrow types hold data (quantised rows), wide ones counts and places.
        return if element.bits() <= 8 {
            rng.i64(..)
        } else {
            rng.i64(0..8)
        };
    };
    let hi = hi.max(lo);
    let value = match rng.u8(0..32) {
        0 if !promised => hi.saturating_add(rng.i64(1..4)),
        1 if !promised && element.is_signed_integer() => lo.saturating_sub(rng.i64(1..4)),
        2 | 3 if wraps && element.is_signed_integer() => {
            rng.i64(lo..=hi).saturating_sub(hi - lo + 1)
        }
        _ => rng.i64(lo..=hi),
    };
    match element.bits() {
        bits @ 1..=63 if element.is_signed_integer() => {
            value.clamp(-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
        }
        bits @ 1..=62 => value.clamp(0, (1 << bits) - 1),
        _ => value,
    }
}

fn push_real(bytes: &mut Vec<u8>, element: PrimitiveType, rng: &mut Rng) {
    let mut real = || rng.f64() * 2.0 - 1.0;
    match element {
        PrimitiveType::Pred => bytes.push(u8::from(real() < 0.0)),
        PrimitiveType::F16 => bytes.extend(f16::from_f64(real()).to_le_bytes()),
        PrimitiveType::BF16 => bytes.extend(bf16::from_f64(real()).to_le_bytes()),
        PrimitiveType::F64 => bytes.extend(real().to_le_bytes()),
        PrimitiveType::C64 => {
            bytes.extend((real() as f32).to_le_bytes());
            bytes.extend((real() as f32).to_le_bytes());
        }
        PrimitiveType::C128 => {
            bytes.extend(real().to_le_bytes());
            bytes.extend(real().to_le_bytes());
        }
        // The eight-bit floats: a few bits of mantissa next to 1 are finite in all of them.
        _ if element.bytes() == 1 => bytes.push(0x38 | rng.u8(0..8)),
        _ => bytes.extend((real() as f32).to_le_bytes()),
    }
}
