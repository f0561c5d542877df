//! What a stream, or a value of the execute unit, holds at one moment.

use super::diag::EvalError;
use super::scalar::Scalar;
use super::types::{ScalarType, Span};

/// One scalar, or those of a vector's lanes, or those of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Datum {
    /// Of a scalar type.
    Scalar(Scalar),
    /// Of a vector or row, in order.
    Many(Vec<Scalar>),
}

impl Datum {
    /// A scalar for each lane; for no lanes, one scalar.
    pub fn collect<E>(
        lanes: Option<u32>,
        mut scalar: impl FnMut(u32) -> Result<Scalar, E>,
    ) -> Result<Datum, E> {
        match lanes {
            None => scalar(0).map(Datum::Scalar),
            Some(lanes) => (0..lanes)
                .map(scalar)
                .collect::<Result<_, E>>()
                .map(Datum::Many),
        }
    }

    /// The scalars, in order.
    pub fn scalars(&self) -> &[Scalar] {
        match self {
            Datum::Scalar(scalar) => std::slice::from_ref(scalar),
            Datum::Many(scalars) => scalars,
        }
    }

    /// The number of lanes of a vector, or of elements of a row.
    pub fn lanes(&self) -> Option<usize> {
        match self {
            Datum::Scalar(_) => None,
            Datum::Many(scalars) => Some(scalars.len()),
        }
    }

    /// The scalar of a lane. A scalar has the same in every lane.
    pub fn lane(&self, lane: u32, span: Span) -> Result<Scalar, EvalError> {
        let found = match self {
            Datum::Scalar(scalar) => Some(scalar),
            Datum::Many(scalars) => scalars.get(lane as usize),
        };
        found
            .copied()
            .ok_or_else(|| EvalError::stuck(span, format!("a vector has no lane {lane}")))
    }

    /// The one scalar.
    pub fn scalar(&self, span: Span) -> Result<Scalar, EvalError> {
        match self {
            Datum::Scalar(scalar) => Ok(*scalar),
            Datum::Many(_) => Err(EvalError::stuck(span, "a vector where a scalar is needed")),
        }
    }

    /// The one `index`.
    pub fn index(&self, span: Span) -> Result<i64, EvalError> {
        as_index(self.scalar(span)?, span)
    }

    /// The `index` of a lane.
    pub fn lane_index(&self, lane: u32, span: Span) -> Result<i64, EvalError> {
        as_index(self.lane(lane, span)?, span)
    }

    /// The one `bool`.
    pub fn condition(&self, span: Span) -> Result<bool, EvalError> {
        as_bool(self.scalar(span)?, span)
    }

    /// Whether a lane is active under this mask.
    pub fn active(&self, lane: u32, span: Span) -> Result<bool, EvalError> {
        as_bool(self.lane(lane, span)?, span)
    }
}

fn as_index(scalar: Scalar, span: Span) -> Result<i64, EvalError> {
    match scalar {
        Scalar::Index(position) => Ok(position),
        other => {
            let what = format!("a value of {} where an index is needed", other.ty());
            Err(EvalError::stuck(span, what))
        }
    }
}

fn as_bool(scalar: Scalar, span: Span) -> Result<bool, EvalError> {
    match scalar {
        Scalar::Bool(truth) => Ok(truth),
        other => {
            let what = format!("a value of {} where a bool is needed", other.ty());
            Err(EvalError::stuck(span, what))
        }
    }
}

/// What an inactive lane of this type holds.
pub(crate) fn zero(ty: ScalarType) -> Scalar {
    Scalar::from_bits(ty, 0)
}
