//! Every operation on every type against the scalar operation, and the columns that are refused.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use hlo2dae_ir::core::UnaryOp;

use super::super::testing::*;
use super::*;

/// Every operation on every type that takes it, `index` among them.
fn operations() -> Vec<Arith<ScalarType>> {
    let elements = ElementType::ALL.iter().map(|&element| element.into());
    let types: Vec<ScalarType> = elements.chain([ScalarType::Index]).collect();
    let mut all = Vec::new();
    for &ty in &types {
        all.push(Arith::Constant(Scalar::zero(ty)));
        all.extend(UnaryOp::ALL.iter().map(|&op| Arith::Unary(op, ty)));
        all.extend(BinaryOp::ALL.iter().map(|&op| Arith::Binary(op, ty, ty)));
        all.extend(CompareOp::ALL.iter().map(|&op| Arith::Compare(op, ty, ty)));
        all.push(Arith::Select(ScalarType::BOOL, ty, ty));
        all.extend(types.iter().map(|&to| Arith::Convert(ty, to)));
    }
    all.retain(|arith| arith.result_type().is_ok());
    all
}

/// Values of one operand: its column, or one for all positions.
struct Given {
    values: Vec<Scalar>,
    column: Option<Column>,
}

impl Given {
    fn new(random: &mut fastrand::Rng, ty: ScalarType, n: usize, one: bool) -> Given {
        let mut scalar = || match ty {
            ScalarType::Index => match value(random, ElementType::S64) {
                Scalar::S64(v) => Scalar::Index(v),
                other => other,
            },
            ScalarType::Element(element) => value(random, element),
        };
        if one {
            let values = vec![scalar(); n.max(1)];
            return Given {
                values,
                column: None,
            };
        }
        let values: Vec<Scalar> = (0..n).map(|_| scalar()).collect();
        let mut column = Column::new(ty, 0);
        values.iter().for_each(|&v| column.append_value(1, v));
        Given {
            values,
            column: Some(column),
        }
    }

    fn operands(&self) -> Operands<'_> {
        match &self.column {
            Some(column) => Operands::Each(column),
            None => Operands::All(self.values[0]),
        }
    }
}

/// What a column holds for a value.
fn held(value: Scalar) -> Scalar {
    match value {
        Scalar::Index(v) => Scalar::S64(v),
        other => other,
    }
}

#[test]
fn every_operation_is_the_scalar_operation_on_every_value() {
    let mut random = fastrand::Rng::with_seed(11);
    let lengths: &[usize] = if cfg!(miri) {
        &[3]
    } else {
        &[0, 1, 7, 64, 150]
    };
    for arith in operations() {
        let result = arith.result_type().unwrap();
        for &n in lengths {
            for form in 0..1 << arith.operands().count() {
                let mut given = Vec::new();
                let numbers = arith.map(|&ty| {
                    let one = form >> given.len() & 1 == 1;
                    given.push(Given::new(&mut random, ty, n, one));
                    given.len() - 1
                });
                let expected: Vec<Scalar> = (0..n)
                    .map(|k| held(numbers.map(|&at| given[at].values[k]).evaluate().unwrap()))
                    .collect();
                for isa in Isa::available() {
                    // Longer than what is computed, which leaves the rest as it is.
                    let mut out = Column::new(result, n + 3);
                    let operands = numbers.map(|&at| given[at].operands());
                    compute(isa, &operands, &mut out, n).unwrap();
                    let found: Vec<Scalar> = (0..n).map(|k| out.get(k).unwrap()).collect();
                    let differs = difference(&expected, &found);
                    assert!(differs.is_none(), "{isa:?} {arith:?}: {differs:?}");
                    let zero = held(Scalar::zero(result));
                    assert!((n..n + 3).all(|k| out.get(k) == Some(zero)));
                }
            }
        }
    }
}

#[test]
fn columns_of_other_types_or_too_short_are_refused() {
    let [short, long] = [2, 3].map(|n| Column::new(ElementType::F32.into(), n));
    let other = Column::new(ElementType::S32.into(), 3);
    let (short, long) = (Operands::Each(&short), Operands::Each(&long));
    let other = Operands::Each(&other);
    for isa in Isa::available() {
        let refused = |arith: Arith<Operands<'_>>, out: ElementType, len: usize| {
            let mut out = Column::new(out.into(), len);
            compute(isa, &arith, &mut out, 3).is_err()
        };
        use ElementType::{Bool, F32};
        let add = |a, b| Arith::Binary(BinaryOp::Add, a, b);
        assert!(!refused(add(long, long), F32, 3));
        assert!(refused(add(long, short), F32, 3));
        assert!(refused(add(long, other), F32, 3));
        assert!(refused(add(long, long), F32, 2));
        assert!(refused(add(long, long), Bool, 3));
        let less = |a, b| Arith::Compare(CompareOp::Lt, a, b);
        assert!(!refused(less(long, long), Bool, 3));
        assert!(refused(less(long, other), Bool, 3));
        assert!(refused(less(long, long), Bool, 2));
        assert!(refused(less(long, long), F32, 3));
        assert!(refused(Arith::Unary(UnaryOp::Neg, short), F32, 3));
        assert!(refused(Arith::Unary(UnaryOp::IsFinite, long), F32, 3));
        let condition = Operands::All(Scalar::Bool(true));
        assert!(!refused(Arith::Select(condition, long, long), F32, 3));
        assert!(refused(Arith::Select(long, long, long), F32, 3));
        assert!(refused(Arith::Select(condition, long, other), F32, 3));
    }
}
