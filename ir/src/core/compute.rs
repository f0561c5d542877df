//! Computation on scalars and vectors, the same on the access side and on the execute side.
//!
//! ```text
//! compute = arith | "broadcast" %v ":" LANES | "lanes" %v "step" INTEGER ":" LANES
//! ```
//!
//! [`Arith`] on vectors goes lane by lane; all operands have the same lanes. `broadcast %w : 8` has the scalar
//! `%w` in 8 lanes. `lanes %d step 2 : 8` has `%d`, `%d + 2`, ..., `%d + 14`: the positions of a vector loop at `%d`;
//! the sums wrap.

use std::fmt;

use super::datum::Datum;
use super::op::Arith;
use super::scalar::Scalar;
use super::text;
use super::types::{LANES, ScalarType, Type};
use super::typing::TypeError;

/// A computation over values of type `V`.
#[derive(Clone, Debug, PartialEq)]
pub enum Compute<V> {
    /// Arithmetic, lane by lane.
    Arith(Arith<V>),
    /// `broadcast %w : 8`.
    Broadcast {
        /// A scalar.
        value: V,
        /// How many lanes have it.
        lanes: u32,
    },
    /// `lanes %d step 1 : 8`.
    Lanes {
        /// A scalar `index`, that of lane 0.
        base: V,
        /// From lane to lane.
        step: i64,
        /// How many lanes there are.
        lanes: u32,
    },
}

impl<V> Compute<V> {
    /// The same computation on other operands.
    pub fn try_map<W, E>(&self, mut f: impl FnMut(&V) -> Result<W, E>) -> Result<Compute<W>, E> {
        Ok(match self {
            Compute::Arith(arith) => Compute::Arith(arith.try_map(f)?),
            Compute::Broadcast { value, lanes } => Compute::Broadcast {
                value: f(value)?,
                lanes: *lanes,
            },
            Compute::Lanes { base, step, lanes } => Compute::Lanes {
                base: f(base)?,
                step: *step,
                lanes: *lanes,
            },
        })
    }

    /// The same computation on other operands.
    pub fn map<W>(&self, mut f: impl FnMut(&V) -> W) -> Compute<W> {
        match self.try_map(|v| Ok::<W, std::convert::Infallible>(f(v))) {
            Ok(compute) => compute,
            Err(never) => match never {},
        }
    }

    /// The operands, in the order of the text.
    pub fn operands(&self) -> Vec<&V> {
        match self {
            Compute::Arith(arith) => arith.operands().collect(),
            Compute::Broadcast { value, .. } => vec![value],
            Compute::Lanes { base, .. } => vec![base],
        }
    }

    /// Prints it; `name` gives each operand's name without `%`.
    pub(crate) fn print<N: fmt::Display>(
        &self,
        f: &mut impl fmt::Write,
        mut name: impl FnMut(&V) -> N,
    ) -> fmt::Result {
        match self {
            Compute::Arith(arith) => text::print_arith(f, arith, name),
            Compute::Broadcast { value, lanes } => {
                write!(f, "broadcast %{} : {lanes}", name(value))
            }
            Compute::Lanes { base, step, lanes } => {
                write!(f, "lanes %{} step {step} : {lanes}", name(base))
            }
        }
    }

    /// The type that a parser gives the result before the verifier looks at the operands: the
    /// right one if the operands are taken, else some.
    pub(crate) fn parsed_type(&self, mut ty: impl FnMut(&V) -> Type) -> Type {
        let typed = self.map(&mut ty);
        let first = self.operands().into_iter().next().map(ty);
        let result = typed.result_type();
        result.unwrap_or(first.unwrap_or(Type::INDEX))
    }
}

/// That many lanes can be had.
pub(crate) fn check_lanes(lanes: u32) -> Result<(), TypeError> {
    if LANES.contains(&lanes) {
        Ok(())
    } else {
        Err(TypeError::LaneCount { lanes })
    }
}

impl Compute<Type> {
    /// Type of the result; get here by mapping each operand to its type.
    pub fn result_type(&self) -> Result<Type, TypeError> {
        match *self {
            Compute::Arith(ref arith) => arith.result_type(),
            Compute::Broadcast { value, lanes } => {
                check_lanes(lanes)?;
                match value {
                    Type::Scalar(scalar) => Ok(Type::Vector(scalar, lanes)),
                    Type::Vector(_, _) | Type::Row(_, _) => Err(TypeError::Expected {
                        op: "broadcast",
                        expected: "a scalar",
                        found: value,
                    }),
                }
            }
            Compute::Lanes { base, lanes, .. } => {
                check_lanes(lanes)?;
                if base != Type::INDEX {
                    return Err(TypeError::Expected {
                        op: "lanes",
                        expected: "index",
                        found: base,
                    });
                }
                Ok(Type::Vector(ScalarType::Index, lanes))
            }
        }
    }
}

impl Compute<Datum> {
    /// The result; get here by mapping each operand to what it holds.
    pub fn evaluate(&self) -> Result<Datum, TypeError> {
        match self {
            Compute::Arith(arith) => {
                let lanes = arith.operands().find_map(Datum::lanes);
                let lane = |k: u32| {
                    let scalar = |datum: &Datum| match datum {
                        Datum::Scalar(scalar) => Ok(*scalar),
                        Datum::Many(scalars) => {
                            scalars
                                .get(k as usize)
                                .copied()
                                .ok_or(TypeError::LaneCount {
                                    lanes: scalars.len() as u32,
                                })
                        }
                    };
                    arith.try_map(scalar)?.evaluate()
                };
                Datum::collect(lanes.map(|lanes| lanes as u32), lane)
            }
            Compute::Broadcast { value, lanes } => match value {
                Datum::Scalar(scalar) => Ok(Datum::Many(vec![*scalar; *lanes as usize])),
                Datum::Many(scalars) => Err(TypeError::LaneCount {
                    lanes: scalars.len() as u32,
                }),
            },
            Compute::Lanes { base, step, lanes } => match base {
                Datum::Scalar(Scalar::Index(base)) => {
                    let lane = |k: u32| Scalar::Index(lane_position(*base, *step, k));
                    Ok(Datum::Many((0..*lanes).map(lane).collect()))
                }
                Datum::Scalar(other) => Err(TypeError::Expected {
                    op: "lanes",
                    expected: "index",
                    found: other.ty().into(),
                }),
                Datum::Many(scalars) => Err(TypeError::LaneCount {
                    lanes: scalars.len() as u32,
                }),
            },
        }
    }
}

/// Where lane `k` of a vector loop stands when lane 0 stands at `base`.
fn lane_position(base: i64, step: i64, k: u32) -> i64 {
    base.wrapping_add(step.wrapping_mul(k.into()))
}

/// The mask of a vector loop whose lane 0 stands at `position`: which lanes stand below the bound.
pub(crate) fn loop_mask(position: i64, upper: i64, step: i64, lanes: u32) -> Datum {
    let below = |k: u32| {
        let at = step
            .checked_mul(k.into())
            .and_then(|d| position.checked_add(d));
        Scalar::Bool(at.is_some_and(|at| at < upper))
    };
    Datum::Many((0..lanes).map(below).collect())
}

/// The next position of a loop; `None` if there is none that can be counted to.
pub(crate) fn next_position(position: i64, step: i64, lanes: Option<u32>) -> Option<i64> {
    let distance = step.checked_mul(lanes.unwrap_or(1).into())?;
    position.checked_add(distance)
}

/// How many positions stand from `lower` below `upper`.
pub fn positions(lower: i64, upper: i64, step: i64) -> u64 {
    if lower >= upper || step <= 0 {
        return 0;
    }
    let distance = upper.abs_diff(lower);
    distance.div_ceil(step.unsigned_abs())
}
