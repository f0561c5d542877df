//! What the access side does in one step instead of several: decoding an index, and loading in order.
//!
//! What a gather or scatter does to a start index before it is an offset (count from the end, clamp or compare with the bounds, times the row's
//! size) is a chain of half a dozen operations, each a pass over a column. A value that is such a chain is redefined as one [`Decode`] of the
//! integer that was loaded; what it was computed from goes unless somebody else needs it. Values, levels, types and ranges stay as they are.
//!
//! A load whose offset is the position of its level and something that is the same for all positions around reads one element behind the other: whole runs
//! of them are copied, and no offset is computed. Indices that are read so are decoded where they lie.

use hlo2dae_ir::core::{Arith, BinaryOp, CompareOp, ElementType, Scalar, ScalarType};

use super::graph::{Def, Graph, Val};
use crate::native::kernels::column::index::{Bounds, Decode};

/// A value that is a decoded index: of which integer, and how.
#[derive(Clone, Copy)]
struct Chain {
    of: Val,
    decode: Decode,
}

/// Redefines the chains and the loads in order among the values of levels `1..=levels`; `in_order` says which levels step by 1.
pub(super) fn fuse(graph: &mut Graph, levels: usize, in_order: impl Fn(usize) -> bool) {
    let zero = graph.index(0);
    for n in 0..graph.vals.len() {
        let level = graph.level(Val(n));
        if (1..=levels).contains(&level)
            && in_order(level)
            && let Some(run) = run(graph, Val(n), zero)
        {
            graph.vals[n].def = run;
        }
    }
    let mut chains: Vec<Option<Chain>> = Vec::with_capacity(graph.vals.len());
    // Operands come before what is computed of them.
    for n in 0..graph.vals.len() {
        let chain = match graph.level(Val(n)) {
            level if (1..=levels).contains(&level) => chain(graph, &chains, Val(n)),
            _ => None,
        };
        chains.push(chain);
    }
    for (n, chain) in chains.into_iter().enumerate() {
        let conversion = matches!(graph.vals[n].def, Def::Arith(Arith::Convert(_, _)));
        if let Some(Chain { of, decode }) = chain {
            let def = match graph.get(of).def {
                // Decoded where it lies.
                Def::LoadRun {
                    buffer, base, span, ..
                } if graph.level(of) == graph.level(Val(n)) => Def::LoadRun {
                    buffer,
                    base,
                    decode: Some(decode),
                    span,
                },
                _ if conversion => continue,
                _ => Def::Decode(of, decode),
            };
            graph.vals[n].def = def;
        }
    }
}

/// The load in order that a load is.
fn run(graph: &Graph, val: Val, zero: Val) -> Option<Def> {
    let Def::Load {
        buffer,
        offset,
        guard: None,
        span,
    } = graph.get(val).def
    else {
        return None;
    };
    let level = graph.level(val);
    let is_position = |val: Val| graph.get(val).def == Def::Position(level);
    let base = match graph.get(offset).def {
        Def::Position(at) if at == level => zero,
        Def::Arith(Arith::Binary(BinaryOp::Add, a, b)) if is_position(b) => a,
        Def::Arith(Arith::Binary(BinaryOp::Add, a, b)) if is_position(a) => b,
        _ => return None,
    };
    let run = Def::LoadRun {
        buffer,
        base,
        decode: None,
        span,
    };
    (graph.level(base) < level).then_some(run)
}

/// The chain that a value is.
fn chain(graph: &Graph, chains: &[Option<Chain>], val: Val) -> Option<Chain> {
    let Def::Arith(arith) = &graph.get(val).def else {
        return None;
    };
    let of = |val: Val| chains.get(val.0).copied().flatten();
    let index = |val: Val| match graph.as_constant(val) {
        Some(Scalar::Index(value)) => Some(value),
        _ => None,
    };
    // The chain on one side, the constant on the other.
    let sides = |a: Val, b: Val| match (of(a), index(b), of(b), index(a)) {
        (Some(chain), Some(value), _, _) | (_, _, Some(chain), Some(value)) => Some((chain, value)),
        _ => None,
    };
    match *arith {
        Arith::Convert(from, ScalarType::Index) => {
            let known = [ElementType::S32, ElementType::U32, ElementType::S64];
            let known = known.map(ScalarType::Element).contains(&graph.ty(from));
            known.then_some(Chain {
                of: from,
                decode: Decode::AS_IT_IS,
            })
        }
        Arith::Select(condition, a, b) => match (of(a), of(b), index(b)) {
            // `if x < 0 { x + wrap } else { x }`
            (_, Some(x), _) if x.decode == Decode::AS_IT_IS => {
                let wrap = wrapped(graph, condition, a, b)?;
                let decode = Decode { wrap, ..x.decode };
                Some(Chain { decode, ..x })
            }
            (Some(x), None, Some(elsewhere)) => {
                let condition = of(condition)?;
                let Bounds::Clamp { scale } = x.decode.bounds else {
                    return None;
                };
                let same = condition.decode.bounds == Bounds::Inside
                    && condition.of == x.of
                    && condition.decode.wrap == x.decode.wrap;
                // What the condition lets through, the clamp does not change.
                let kept =
                    x.decode.low <= condition.decode.low && condition.decode.high <= x.decode.high;
                (same && kept).then_some(Chain {
                    decode: Decode {
                        bounds: Bounds::Select { scale, elsewhere },
                        ..condition.decode
                    },
                    ..x
                })
            }
            _ => None,
        },
        Arith::Binary(op @ (BinaryOp::Max | BinaryOp::Min | BinaryOp::Mul), a, b) => {
            let (x, value) = sides(a, b)?;
            let Bounds::Clamp { scale } = x.decode.bounds else {
                return None;
            };
            let Decode { low, high, .. } = x.decode;
            let decode = match op {
                // The smaller comes last.
                BinaryOp::Max if scale == 1 && high == i64::MAX => Decode {
                    low: low.max(value),
                    ..x.decode
                },
                BinaryOp::Min if scale == 1 => Decode {
                    high: high.min(value),
                    ..x.decode
                },
                BinaryOp::Mul => Decode {
                    bounds: Bounds::Clamp {
                        scale: scale.wrapping_mul(value),
                    },
                    ..x.decode
                },
                _ => return None,
            };
            Some(Chain { decode, ..x })
        }
        Arith::Compare(op @ (CompareOp::Ge | CompareOp::Le), a, b) => {
            let (x, value) = (of(a)?, index(b)?);
            let unbounded = Decode {
                wrap: x.decode.wrap,
                ..Decode::AS_IT_IS
            };
            let (low, high) = match op {
                CompareOp::Ge => (value, i64::MAX),
                _ => (i64::MIN, value),
            };
            (x.decode == unbounded).then_some(Chain {
                decode: Decode {
                    low,
                    high,
                    bounds: Bounds::Inside,
                    ..x.decode
                },
                ..x
            })
        }
        Arith::Binary(BinaryOp::And, a, b) => {
            let (x, y) = (of(a)?, of(b)?);
            let same = x.of == y.of
                && x.decode.wrap == y.decode.wrap
                && [x, y]
                    .iter()
                    .all(|chain| chain.decode.bounds == Bounds::Inside);
            same.then_some(Chain {
                decode: Decode {
                    low: x.decode.low.max(y.decode.low),
                    high: x.decode.high.min(y.decode.high),
                    ..x.decode
                },
                ..x
            })
        }
        _ => None,
    }
}

/// What is added to `x` where it is negative: `condition` is `x < 0`, `sum` is `x` and a constant.
fn wrapped(graph: &Graph, condition: Val, sum: Val, x: Val) -> Option<i64> {
    let index = |val: Val| match graph.as_constant(val) {
        Some(Scalar::Index(value)) => Some(value),
        _ => None,
    };
    let Def::Arith(Arith::Compare(CompareOp::Lt, a, zero)) = graph.get(condition).def else {
        return None;
    };
    let Def::Arith(Arith::Binary(BinaryOp::Add, b, by)) = graph.get(sum).def else {
        return None;
    };
    (a == x && b == x && index(zero) == Some(0))
        .then(|| index(by))
        .flatten()
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]
mod tests {
    use hlo2dae_ir::core::Span;
    use proptest::prelude::*;

    use super::super::graph::ANY;
    use super::*;
    use crate::native::kernels::column::index::decode;
    use crate::native::kernels::column::{BLOCK, Column};
    use crate::native::machine::Isa;

    /// The value of an operation on a loaded integer.
    fn value(graph: &Graph, val: Val, loaded: Scalar) -> Scalar {
        match &graph.get(val).def {
            Def::Load { .. } => loaded,
            Def::Arith(arith) => arith
                .map(|&of| value(graph, of, loaded))
                .evaluate()
                .unwrap(),
            other => panic!("{other:?}"),
        }
    }

    proptest! {
        #[test]
        fn a_chain_is_one_step_and_means_the_same(
            numbers in prop::collection::vec(prop_oneof![-30i32..30, any::<i32>()], 1..20),
            // The offset in one row is no chain but a constant.
            rows in 2i64..20,
            wrap: bool,
            clamp: bool,
            compare in 0usize..3,
            scale in prop::option::of(1i64..9),
        ) {
            let mut graph = Graph::default();
            let index = ScalarType::Index;
            let (zero, last, n) = (graph.index(0), graph.index(rows - 1), graph.index(rows));
            let load = Def::Load { buffer: 0, offset: zero, guard: None, span: Span::default() };
            let loaded = graph.add(load, ScalarType::Element(ElementType::S32), 1, ANY);
            let mut x = graph.arith(Arith::Convert(loaded, index), index);
            let first = x;
            if wrap {
                let negative = graph.arith(Arith::Compare(CompareOp::Lt, x, zero), ScalarType::BOOL);
                let sum = graph.arith(Arith::Binary(BinaryOp::Add, x, n), index);
                x = graph.arith(Arith::Select(negative, sum, x), index);
            }
            let low = graph.arith(Arith::Compare(CompareOp::Ge, x, zero), ScalarType::BOOL);
            let high = graph.arith(Arith::Compare(CompareOp::Le, x, last), ScalarType::BOOL);
            let inside = graph.arith(Arith::Binary(BinaryOp::And, low, high), ScalarType::BOOL);
            if clamp {
                x = graph.arith(Arith::Binary(BinaryOp::Max, x, zero), index);
                x = graph.arith(Arith::Binary(BinaryOp::Min, x, last), index);
            }
            if let Some(scale) = scale {
                let scale = graph.index(scale);
                x = graph.arith(Arith::Binary(BinaryOp::Mul, x, scale), index);
            }
            if compare == 1 {
                let elsewhere = graph.index(-1);
                x = graph.arith(Arith::Select(inside, x, elsewhere), index);
            } else if compare == 2 {
                x = inside;
            }
            let ty = graph.ty(x);
            let before = graph.clone();
            fuse(&mut graph, 1, |_| true);
            let Def::Decode(of, step) = graph.get(x).def else {
                // A conversion alone stays one.
                prop_assert!(x == first);
                return Ok(());
            };
            prop_assert_eq!(of, loaded);
            let mut column = numbers.clone();
            column.resize(BLOCK, 0);
            let column = Column::S32(column);
            for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
                let mut out = Column::new(ty, BLOCK);
                decode(isa, step, &column, &mut out, numbers.len()).unwrap();
                for (k, &number) in numbers.iter().enumerate() {
                    let expected = match value(&before, x, Scalar::S32(number)) {
                        Scalar::Index(value) => Scalar::S64(value),
                        other => other,
                    };
                    prop_assert_eq!(out.get(k), Some(expected), "{} {:?}", number, step);
                }
            }
        }
    }
}
