//! Values that XLA's CPU backend gives, and laws over all operations and types.

use super::*;

fn binary<T: crate::core::Native + PartialEq + std::fmt::Debug>(
    op: BinaryOp,
    lhs: &[T],
    rhs: &[T],
) -> Vec<T> {
    let apply = |(a, b): (&T, &T)| op.apply(a.scalar(), b.scalar()).ok();
    lhs.iter()
        .zip(rhs)
        .map(apply)
        .map(|v| v.and_then(T::from_scalar).expect("the type is taken"))
        .collect()
}

fn unary<T: crate::core::Native>(op: UnaryOp, operands: &[T]) -> Vec<T> {
    let apply = |a: &T| op.apply(a.scalar()).ok().and_then(T::from_scalar);
    let results = operands.iter().map(apply);
    results.map(|v| v.expect("the type is taken")).collect()
}

#[test]
fn integer_division_gives_what_xla_gives() {
    let (lhs, rhs) = (
        [5, 0, -1, i8::MIN, i8::MAX, i8::MIN, 7],
        [0, 0, 0, -1, 0, 3, 3],
    );
    assert_eq!(
        binary(BinaryOp::Div, &lhs, &rhs),
        [-1, -1, -1, -128, -1, -42, 2]
    );
    assert_eq!(binary(BinaryOp::Rem, &lhs, &rhs), [5, 0, -1, 0, 127, -2, 1]);
    let (lhs, rhs) = ([5u8, 255, 7], [0, 0, 3]);
    assert_eq!(binary(BinaryOp::Div, &lhs, &rhs), [255, 255, 2]);
    assert_eq!(binary(BinaryOp::Rem, &lhs, &rhs), [5, 255, 1]);
}

#[test]
fn shifts_beyond_the_width_give_what_xla_gives() {
    let amounts = [0i8, 1, 7, 8, 31, 64, -1, i8::MIN];
    let all = |op, x: i8| binary(op, &[x; 8], &amounts);
    assert_eq!(all(BinaryOp::Shl, -64), [-64, -128, 0, 0, 0, 0, 0, 0]);
    assert_eq!(
        all(BinaryOp::ShrArithmetic, -64),
        [-64, -32, -1, -1, -1, -1, -1, -1]
    );
    assert_eq!(all(BinaryOp::ShrArithmetic, 64), [64, 32, 0, 0, 0, 0, 0, 0]);
    assert_eq!(all(BinaryOp::ShrLogical, -64), [-64, 96, 1, 0, 0, 0, 0, 0]);
    let amounts = [0u32, 1, 31, 32, u32::MAX];
    let all = |op| binary(op, &[u32::MAX; 5], &amounts);
    assert_eq!(
        all(BinaryOp::ShrLogical),
        [u32::MAX, i32::MAX as u32, 1, 0, 0]
    );
    assert_eq!(all(BinaryOp::ShrArithmetic), [u32::MAX; 5]);
}

#[test]
fn min_and_max_give_nan_and_order_the_zeros() {
    let (lhs, rhs) = (
        [0.0f32, -0.0, f32::NAN, 1.0, 2.0],
        [-0.0, 0.0, 1.0, f32::NAN, 3.0],
    );
    let bits = |op| -> Vec<u32> {
        let results = binary(op, &lhs, &rhs);
        results.into_iter().map(f32::to_bits).collect()
    };
    let nan = f32::NAN.to_bits();
    let expected = [-0.0f32, -0.0].map(f32::to_bits);
    assert_eq!(
        bits(BinaryOp::Min),
        [&expected[..], &[nan, nan, 2f32.to_bits()]].concat()
    );
    assert_eq!(bits(BinaryOp::Max), [0, 0, nan, nan, 3f32.to_bits()]);
}

#[test]
fn powers_wrap_and_negative_exponents_give_zero_but_for_one() {
    let (lhs, rhs) = ([2i8, 1, -1, 0, 0, 3, -3, 2], [-1, -1, -1, -1, 0, 5, 3, 7]);
    assert_eq!(
        binary(BinaryOp::Pow, &lhs, &rhs),
        [0, 1, 0, 0, 1, -13, -27, -128]
    );
}

#[test]
fn halves_round_after_every_operation() {
    let one = f16::from_f32(1.0);
    let tiny = f16::from_f32(f32::powi(2.0, -11));
    assert_eq!(binary(BinaryOp::Add, &[one], &[tiny]), [one]);
    let large = bf16::from_f32(256.0);
    assert_eq!(
        binary(BinaryOp::Add, &[large], &[bf16::from_f32(1.0)]),
        [large]
    );
}

#[test]
fn signs_bits_and_roundings() {
    assert_eq!(
        unary(UnaryOp::Sign, &[-3i32, 0, i32::MIN, 9]),
        [-1, 0, -1, 1]
    );
    assert_eq!(unary(UnaryOp::Sign, &[200u8, 0]), [1, 0]);
    assert_eq!(unary(UnaryOp::Abs, &[i8::MIN, -5]), [i8::MIN, 5]);
    assert_eq!(unary(UnaryOp::Clz, &[0i8, 1, -1]), [8, 7, 0]);
    assert_eq!(unary(UnaryOp::Popcnt, &[0i8, 1, -1]), [0, 1, 8]);
    let halves = [0.5f32, -0.5, 2.5, 3.5, 0.499_999_97];
    assert_eq!(
        unary(UnaryOp::RoundNearestEven, &halves),
        [0.0, -0.0, 2.0, 4.0, 0.0]
    );
    assert_eq!(
        unary(UnaryOp::RoundNearestAfz, &halves),
        [1.0, -1.0, 3.0, 4.0, 0.0]
    );
    assert!(unary(UnaryOp::Sign, &[f32::NAN])[0].is_nan());
}

#[test]
fn conversions_saturate_from_floats_and_wrap_from_integers() {
    let floats = [
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        -1.5,
        300.7,
        -0.0,
    ];
    let to = |ty: ElementType| floats.map(|v| Scalar::F32(v).convert(ty.into()));
    assert_eq!(
        to(ElementType::S8),
        [0, 127, -128, -1, 127, 0].map(Scalar::S8)
    );
    assert_eq!(to(ElementType::U8), [0, 255, 0, 0, 255, 0].map(Scalar::U8));
    let truth = [true, true, true, true, true, false];
    assert_eq!(to(ElementType::Bool), truth.map(Scalar::Bool));
    let from = Scalar::S32(-1);
    assert_eq!(from.convert(ElementType::U16.into()), Scalar::U16(u16::MAX));
    assert_eq!(
        Scalar::U64(u64::MAX).convert(ScalarType::Index),
        Scalar::Index(-1)
    );
    assert_eq!(
        Scalar::Bool(true).convert(ElementType::F16.into()),
        Scalar::F16(f16::ONE)
    );
}

/// Values of a type that identities and laws are tried on.
fn samples(ty: ScalarType) -> Vec<Scalar> {
    let (least, most) = Scalar::range(ty);
    let numbers = [0.0, -0.0, 1.0, -1.0, 5.0, 0.3, 1e4];
    let numbers = numbers.map(|v| Scalar::F64(v).convert(ty));
    [least, most].into_iter().chain(numbers).collect()
}

#[test]
fn identities_leave_every_value_as_it_is() {
    for &element in ElementType::ALL {
        for &op in CombineOp::ALL {
            let identity = op.identity(element);
            let takes = op.check(element, element.into()).is_ok();
            assert_eq!(
                identity.is_some(),
                takes && op != CombineOp::Replace,
                "{op} {element}"
            );
            for value in samples(element.into()) {
                if let Some(identity) = identity {
                    assert_eq!(op.apply(value, identity), Ok(value), "{op} {element}");
                }
            }
        }
    }
}

#[test]
fn values_have_the_types_that_the_typing_says() {
    let types = ElementType::ALL.iter().map(|&e| ScalarType::Element(e));
    let types: Vec<_> = types.chain([ScalarType::Index]).collect();
    for &a in &types {
        for (&v, &w) in samples(a).iter().zip(samples(a).iter().rev()) {
            for &op in UnaryOp::ALL {
                assert_eq!(op.apply(v).map(Scalar::ty), op.result_type(a), "{op}");
            }
            for &op in BinaryOp::ALL {
                assert_eq!(op.apply(v, w).map(Scalar::ty), op.result_type(a, a), "{op}");
            }
        }
        for &b in types.iter().filter(|&&b| b != a) {
            let (v, w) = (Scalar::zero(a), Scalar::zero(b));
            assert!(BinaryOp::Add.apply(v, w).is_err() && CompareOp::Eq.apply(v, w).is_err());
            assert_eq!(v.convert(b).ty(), b);
        }
    }
}
