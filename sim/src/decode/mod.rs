//! An artifact to [`Code`]: every number in it is checked here, once.

mod access;
mod execute;

use cranelift_entity::PrimaryMap;
use hlo2dae_backend::Artifact;
use hlo2dae_ir::core::{Arith, Array, Buffer, BufferId, ScalarType, Span};

use crate::code::{Address, Code, Place, Term, Width};
use crate::compute::Compute;
use crate::error::SimError;
use crate::memory::places;

pub(crate) fn decode(artifact: &Artifact) -> Result<Code, SimError> {
    for buffer in artifact.buffers.values() {
        if Array::byte_size(buffer.element, &buffer.dims).is_none() {
            return Err(malformed(format!("buffer %{} is too large", buffer.name)));
        }
    }
    let memory = Buffers {
        buffers: &artifact.buffers,
        places: places(&artifact.buffers),
    };
    Ok(Code {
        access: access::decode(artifact, &memory)?,
        execute: execute::decode(artifact, &memory)?,
    })
}

fn malformed(what: String) -> SimError {
    SimError::Malformed { what }
}

/// Places in a file are numbered with 32 bits.
fn place(index: usize) -> Result<u32, SimError> {
    u32::try_from(index).map_err(|_| malformed("there are more than 2^32 slots".to_owned()))
}

/// The types of the slots of a file, and where each is.
trait File<Id> {
    /// Place and type of a slot; an error if there is none.
    fn find(&self, id: Id) -> Result<(u32, ScalarType), SimError>;

    /// As `find`, of an `index`.
    fn index(&self, id: Id) -> Result<u32, SimError>
    where
        Id: Copy + std::fmt::Display,
    {
        match self.find(id)? {
            (at, ScalarType::Index) => Ok(at),
            (_, ty) => Err(malformed(format!("{id} has type {ty}, expected index"))),
        }
    }
}

/// What an operation decodes to, once its types are known to be right.
fn compute<Id: Copy + std::fmt::Display>(
    file: &impl File<Id>,
    arith: &Arith<Id>,
    to: (Id, ScalarType),
) -> Result<Result<Compute, u64>, SimError> {
    let operands = arith.try_map(|&operand| file.find(operand))?;
    let ty = operands.map(|&(_, ty)| ty).result_type();
    let ty = ty.map_err(|error| malformed(error.to_string()))?;
    expect(to.0, to.1, ty)?;
    Ok(Compute::decode(&operands).map_err(|constant| constant.bits()))
}

/// The slot or register has the type of what goes there.
fn expect(id: impl std::fmt::Display, ty: ScalarType, value: ScalarType) -> Result<(), SimError> {
    if ty == value {
        Ok(())
    } else {
        Err(malformed(format!("{id} has type {ty}, its value {value}")))
    }
}

/// The buffers and where their bytes are.
struct Buffers<'a> {
    buffers: &'a PrimaryMap<BufferId, Buffer>,
    places: PrimaryMap<BufferId, Place>,
}

impl Buffers<'_> {
    /// The address of an element, and its type.
    fn address<Id: Copy + std::fmt::Display>(
        &self,
        file: &impl File<Id>,
        buffer: BufferId,
        indices: &[Id],
        span: Span,
    ) -> Result<(Address, ScalarType), SimError> {
        let (Some(data), Some(place)) = (self.buffers.get(buffer), self.places.get(buffer)) else {
            return Err(malformed(format!("there is no {buffer}")));
        };
        if indices.len() != data.dims.len() {
            return Err(malformed(format!(
                "%{} takes {} indices, found {}",
                data.name,
                data.dims.len(),
                indices.len()
            )));
        }
        let mut terms = Vec::with_capacity(indices.len());
        let mut stride = 1u64;
        for (&index, &dim) in indices.iter().zip(&data.dims).rev() {
            let at = file.index(index)?;
            terms.push(Term { at, dim, stride });
            // Overflows only if another dimension is 0: then no index is inside.
            stride = stride.wrapping_mul(dim);
        }
        terms.reverse();
        let address = Address {
            buffer,
            place: *place,
            width: match data.element.bytes() {
                1 => Width::One,
                2 => Width::Two,
                4 => Width::Four,
                _ => Width::Eight,
            },
            terms: terms.into_boxed_slice(),
            span,
        };
        Ok((address, data.element.into()))
    }
}
