//! Laws of the normal form: spellings of one map become one expression.

use cranelift_entity::EntityRef;
use hlo2dae_ir::core::{BinaryOp, CompareOp, ElementType, Scalar};
use hlo2dae_ir::region::IndexMode;
use proptest::prelude::*;

use super::{Arena, Expr, ExprId};
use crate::graph::NodeId;

const S32: ElementType = ElementType::S32;

/// An arena with an element of the given type read at an axis.
fn element(element: ElementType) -> (Arena, ExprId) {
    let mut arena = Arena::default();
    let (_, axis) = arena.axis(100);
    let read = arena.read(NodeId::new(0), element, vec![axis]);
    (arena, read)
}

fn wrapped(arena: &mut Arena, i: ExprId, n: i64) -> ExprId {
    let (zero, n) = (arena.integer(0, S32), arena.integer(n, S32));
    let negative = arena.compare(CompareOp::Lt, i, zero);
    let sum = arena.binary(BinaryOp::Add, i, n);
    arena.select(negative, sum, i)
}

#[test]
fn joining_what_was_cut_gives_the_axis_back() {
    let mut arena = Arena::default();
    let (_, x) = arena.axis(60);
    let (q, r) = (arena.div(x, 5), arena.rem(x, 5));
    assert_eq!(arena.linear(&[(q, 5), (r, 1)], 0), x);
    let outer = arena.div(q, 4);
    let middle = arena.rem(q, 4);
    assert_eq!(arena.linear(&[(outer, 20), (middle, 5), (r, 1)], 0), x);
}

#[test]
fn cutting_what_was_joined_gives_the_axes_back() {
    let mut arena = Arena::default();
    let ((_, a), (_, b)) = (arena.axis(6), arena.axis(7));
    let joined = arena.linear(&[(a, 7), (b, 1)], 0);
    assert_eq!((arena.div(joined, 7), arena.rem(joined, 7)), (a, b));
}

#[test]
fn axes_of_one_position_vanish() {
    let mut arena = Arena::default();
    let (_, unit) = arena.axis(1);
    assert_eq!(arena.as_position(unit), Some(0));
}

#[test]
fn a_wrapped_and_clamped_index_is_one_index() {
    let (mut arena, i) = element(S32);
    let value = wrapped(&mut arena, i, 9);
    let (lo, hi) = (arena.integer(0, S32), arena.integer(8, S32));
    let position = arena.index(value, IndexMode::Clamp, 0, 8);
    let Expr::Index(index) = *arena.expr(position) else {
        panic!("an index");
    };
    assert_eq!((index.value, index.wrap), (i, Some(9)));
    // Clamping before the gather says nothing new.
    let above = arena.binary(BinaryOp::Max, i, lo);
    let clamped = arena.binary(BinaryOp::Min, above, hi);
    let once = arena.index(i, IndexMode::Clamp, 0, 8);
    assert_eq!(arena.index(clamped, IndexMode::Clamp, 0, 8), once);
    // What is clamped is never dropped.
    assert_eq!(arena.index(clamped, IndexMode::Drop, 0, 8), once);
}

#[test]
fn a_bound_that_the_type_implies_needs_no_test() {
    let (mut arena, i) = element(ElementType::U8);
    let zero = arena.integer(0, ElementType::U8);
    let test = arena.compare(CompareOp::Ge, i, zero);
    assert_eq!(arena.as_constant(test), Some(Scalar::Bool(true)));
    let dropped = arena.index(i, IndexMode::Drop, 0, 255);
    assert_eq!(arena.index(i, IndexMode::Clamp, 0, 255), dropped);
}

#[test]
fn a_mask_that_allows_more_than_the_clamp_is_no_fill() {
    let (mut arena, i) = element(S32);
    let row = arena.index(i, IndexMode::Clamp, 0, 8);
    let read = arena.read(NodeId::new(1), ElementType::F32, vec![row]);
    let nan = arena.constant(Scalar::F32(f32::NAN));
    let fill = |arena: &mut Arena, last: i64| {
        let (lo, hi) = (arena.integer(0, S32), arena.integer(last, S32));
        let above = arena.compare(CompareOp::Ge, i, lo);
        let below = arena.compare(CompareOp::Le, i, hi);
        let inside = arena.binary(BinaryOp::And, above, below);
        let filled = arena.select(inside, read, nan);
        matches!(arena.expr(filled), Expr::Read(read) if read.fill.is_some())
    };
    assert!(fill(&mut arena, 8));
    assert!(fill(&mut arena, 7));
    assert!(!fill(&mut arena, 9));
}

#[test]
fn a_narrowing_conversion_keeps_its_place() {
    let (mut arena, i) = element(ElementType::S64);
    let narrow = arena.convert(i, S32);
    let position = arena.index(narrow, IndexMode::Clamp, 0, 8);
    assert!(matches!(*arena.expr(position), Expr::Index(index) if index.value == narrow));
    let (mut arena, i) = element(S32);
    let wide = arena.convert(i, ElementType::S64);
    let position = arena.index(wide, IndexMode::Clamp, 0, 8);
    assert!(matches!(*arena.expr(position), Expr::Index(index) if index.value == i));
}

/// The value of a position where the only axis is at `at`.
fn value(arena: &Arena, id: ExprId, at: i64) -> i64 {
    match arena.expr(id) {
        Expr::Axis(_) => at,
        Expr::Linear(terms, constant) => terms.iter().fold(*constant, |sum, &(term, factor)| {
            sum + factor * value(arena, term, at)
        }),
        Expr::Div(x, c) => value(arena, *x, at).div_euclid(*c),
        Expr::Rem(x, c) => value(arena, *x, at).rem_euclid(*c),
        other => panic!("no position of one axis: {other:?}"),
    }
}

proptest! {
    #[test]
    fn positions_keep_their_values(steps in prop::collection::vec((0..4u8, 1..7i64), 0..10), extent in 2..80u64) {
        let mut arena = Arena::default();
        let (_, axis) = arena.axis(extent);
        let mut built = axis;
        let mut expected: Vec<i64> = (0..extent as i64).collect();
        for (step, c) in steps {
            built = match step {
                0 => arena.div(built, c),
                1 => arena.rem(built, c),
                2 => arena.linear(&[(built, c), (axis, 1)], 0),
                _ => arena.linear(&[(built, 1)], c),
            };
            for (at, value) in expected.iter_mut().enumerate() {
                *value = match step {
                    0 => *value / c,
                    1 => *value % c,
                    2 => *value * c + at as i64,
                    _ => *value + c,
                };
            }
        }
        let range = arena.range(built).expect("a range");
        for (at, expected) in expected.into_iter().enumerate() {
            let found = value(&arena, built, at as i64);
            prop_assert_eq!(found, expected);
            prop_assert!(range.0 <= i128::from(found) && i128::from(found) <= range.1);
        }
    }
}
