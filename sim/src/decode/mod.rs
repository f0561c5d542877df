//! An artifact to [`Code`].
//!
//! The artifact keeps the rules of [`hlo2dae_backend::verify`]: what an error here reports is our bug.

mod access;
mod execute;

use cranelift_entity::{EntityRef, PrimaryMap, SecondaryMap};
use hlo2dae_backend::Artifact;
use hlo2dae_backend::value::ValueData;
use hlo2dae_ir::core::{Access, Arith, Bound, Buffer, BufferId, EvalError, Span, Type};

use crate::code::{Address, Alu, Code, LaneAccess, Place, Term, Width};
use crate::compute::Compute;
use crate::error::SimError;
use crate::memory::places;

pub(crate) fn decode(artifact: &Artifact) -> Result<Code, SimError> {
    artifact.verify()?;
    let memory = Buffers {
        buffers: &artifact.buffers,
        places: places(&artifact.buffers),
    };
    Ok(Code {
        access: access::decode(artifact, &memory)?,
        execute: execute::decode(artifact, &memory)?,
    })
}

/// What the verifier should have found.
fn missed(what: impl std::fmt::Display) -> SimError {
    EvalError::stuck(Span::default(), what).into()
}

/// Places in a file are numbered with 32 bits.
fn place(index: usize) -> Result<u32, SimError> {
    u32::try_from(index).map_err(|_| missed("the slots take more than 2^32 words"))
}

/// The words that a value takes.
fn words(ty: Type) -> u32 {
    match ty {
        Type::Scalar(_) => 1,
        Type::Vector(_, lanes) => lanes,
        // The verifier bounds rows far below that.
        Type::Row(_, elements) => u32::try_from(elements).unwrap_or(u32::MAX),
    }
}

/// Slots or registers in a file.
struct File<'a, V: EntityRef> {
    table: &'a PrimaryMap<V, ValueData>,
    places: SecondaryMap<V, u32>,
}

impl<'a, V: EntityRef> File<'a, V> {
    /// Appends a place for each to the file.
    fn new(table: &'a PrimaryMap<V, ValueData>, file: &mut Vec<u64>) -> Result<Self, SimError> {
        let mut places = SecondaryMap::new();
        for (value, data) in table {
            places[value] = place(file.len())?;
            let end = file.len().saturating_add(words(data.ty) as usize);
            place(end)?;
            file.resize(end, 0);
        }
        Ok(File { table, places })
    }

    fn at(&self, value: V) -> u32 {
        self.places[value]
    }

    fn ty(&self, value: V) -> Type {
        self.table.get(value).map_or(Type::INDEX, |data| data.ty)
    }

    fn span(&self, value: V) -> Span {
        self.table
            .get(value)
            .map_or_else(Span::default, |data| data.span)
    }

    /// Words of the scalar or of the lanes.
    fn words(&self, value: V) -> u32 {
        words(self.ty(value))
    }

    /// Arithmetic; a constant is in the file from the start, and takes no operation.
    fn arith(&self, to: V, arith: &Arith<V>, file: &mut [u64]) -> Option<Alu> {
        let places = arith.map(|&v| (self.at(v), self.ty(v).scalar()));
        let (at, span) = (self.at(to), self.span(to));
        match (Compute::decode(&places), self.ty(to).lanes()) {
            (Err(constant), _) => {
                if let Some(word) = file.get_mut(at as usize) {
                    *word = constant.bits();
                }
                None
            }
            (Ok(compute), None) => Some(Alu::Compute {
                compute,
                to: at,
                span,
            }),
            (Ok(compute), Some(lanes)) => Some(Alu::Lanes {
                compute,
                to: at,
                lanes,
                span,
            }),
        }
    }

    /// The place of a bound; a constant gets one of its own.
    fn bound(&self, bound: Bound<V>, file: &mut Vec<u64>) -> Result<u32, SimError> {
        match bound {
            Bound::Constant(position) => own(file, position as u64),
            Bound::Value(value) => Ok(self.at(value)),
        }
    }
}

/// A place that starts as this word.
fn own(file: &mut Vec<u64>, word: u64) -> Result<u32, SimError> {
    file.push(word);
    place(file.len() - 1)
}

/// The buffers and where their bytes are.
struct Buffers<'a> {
    buffers: &'a PrimaryMap<BufferId, Buffer>,
    places: PrimaryMap<BufferId, Place>,
}

/// An element, or one for each lane.
enum Target {
    Element(Address),
    Lanes(LaneAccess),
}

impl Buffers<'_> {
    fn get(&self, buffer: BufferId) -> Result<&Buffer, SimError> {
        let data = self.buffers.get(buffer);
        data.ok_or_else(|| missed(format!("there is no {buffer}")))
    }

    /// Where an access goes.
    fn access<V: EntityRef>(
        &self,
        file: &File<'_, V>,
        access: &Access<V>,
        span: Span,
    ) -> Result<Target, SimError> {
        let data = self.get(access.buffer)?;
        let Some(place) = self.places.get(access.buffer) else {
            return Err(missed(format!("there is no {}", access.buffer)));
        };
        let mut terms = Vec::with_capacity(access.indices.len());
        let mut stride = 1u64;
        for (&index, &dim) in access.indices.iter().zip(&data.dims).rev() {
            terms.push(Term {
                at: file.at(index),
                dim,
                stride,
                vector: file.ty(index).lanes().is_some(),
            });
            // Overflows only if another dimension is 0: then no index is inside.
            stride = stride.wrapping_mul(dim);
        }
        terms.reverse();
        let scattered = terms.iter().any(|term| term.vector);
        let address = Address {
            buffer: access.buffer,
            place: *place,
            width: width(data.element.bytes()),
            terms: terms.into_boxed_slice(),
            span,
        };
        Ok(match &access.lanes {
            None => Target::Element(address),
            Some(lanes) => Target::Lanes(LaneAccess {
                address,
                lanes: lanes.count,
                scattered,
                mask: lanes.mask.map(|mask| file.at(mask)),
            }),
        })
    }
}

fn width(bytes: usize) -> Width {
    match bytes {
        1 => Width::One,
        2 => Width::Two,
        4 => Width::Four,
        _ => Width::Eight,
    }
}
