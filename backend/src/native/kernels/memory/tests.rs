//! Every access against its definition, for every type, and what it refuses.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;

use super::super::column::{Column, with_column};
use super::super::testing::*;
use super::*;

/// A memory of one buffer to be written, and what was in it.
struct Place {
    element: ElementType,
    before: Vec<Scalar>,
    bytes: Placed,
}

impl Place {
    fn new(random: &mut fastrand::Rng, element: ElementType, len: usize, shift: usize) -> Place {
        let (before, bytes) = values(random, element, len);
        Place {
            element,
            before,
            bytes: Placed::new(shift, &bytes),
        }
    }

    fn memory(&mut self) -> Memory<'_> {
        Memory::new([(self.element, Bytes::Write(self.bytes.bytes_mut()))].into_iter())
    }

    /// Holds what is there now to what is expected.
    fn check(&mut self, expected: &[Scalar]) -> Result<(), TestCaseError> {
        let differs = difference(expected, &elements(self.bytes.bytes(), self.element));
        prop_assert!(differs.is_none(), "{}: {differs:?}", self.element);
        prop_assert!(self.bytes.is_intact());
        Ok(())
    }
}

/// A column of these values.
fn column(element: ElementType, values: &[Scalar]) -> Column {
    let mut column = Column::new(element.into(), 0);
    for &value in values {
        column.append_value(1, value);
    }
    column
}

/// An operation that elements of a type take.
fn combines() -> impl Strategy<Value = (ElementType, CombineOp)> {
    let all: Vec<(ElementType, CombineOp)> = ElementType::ALL
        .iter()
        .flat_map(|&element| CombineOp::ALL.iter().map(move |&op| (element, op)))
        .filter(|(element, op)| op.check(*element, (*element).into()).is_ok())
        .collect();
    prop::sample::select(all)
}

/// The order in which a row is folded: eight parts, but for differences, which have no parts.
fn folded(op: CombineOp, old: Scalar, row: &[Scalar]) -> Scalar {
    let apply = |a: Scalar, b: &Scalar| op.apply(a, *b).unwrap();
    let (rounds, rest) = row.as_chunks::<8>();
    let Some((first, rounds)) = rounds.split_first() else {
        return row.iter().fold(old, apply);
    };
    if matches!(op, CombineOp::Sub | CombineOp::Replace) {
        return row.iter().fold(old, apply);
    }
    let mut parts = *first;
    for round in rounds {
        for (part, value) in parts.iter_mut().zip(round) {
            *part = apply(*part, value);
        }
    }
    let [a, b, c, d, e, f, g, h] = parts;
    let even = apply(apply(a, &e), &apply(c, &g));
    let odd = apply(apply(b, &f), &apply(d, &h));
    let sum = rest.iter().fold(apply(even, &odd), apply);
    apply(old, &sum)
}

proptest! {
    #[test]
    fn elements_are_gathered_from_wherever_they_lie(
        element in prop::sample::select(ElementType::ALL),
        offsets in prop_oneof![
            2 => offsets_about(1, 70),
            1 => (0i64..60, 0i64..20).prop_map(|(first, n)| (first..first + n).collect()),
        ],
        shift in shifts(),
        seed: u64,
    ) {
        let mut place = Place::new(&mut fastrand::Rng::with_seed(seed), element, 70, shift);
        let before = place.before.clone();
        let mut out = Column::new(element.into(), offsets.len());
        let memory = place.memory();
        let done = with_column!(&mut out, |out| memory.gather(0, &offsets, out));
        let inside = offsets.iter().all(|&at| lies_inside(at, 1, 70));
        prop_assert_eq!(done, if inside { Ok(()) } else { Err(Outside) });
        for (k, &at) in offsets.iter().enumerate() {
            if inside {
                prop_assert!(same(out.get(k).unwrap(), before[at as usize]));
                prop_assert!(same(memory.load(0, at).unwrap(), before[at as usize]));
            } else {
                prop_assert_eq!(memory.load(0, at).is_ok(), lies_inside(at, 1, 70));
            }
        }
    }

    #[test]
    fn rows_are_gathered_with_any_stride(
        element in prop::sample::select(ElementType::ALL),
        size in 0usize..30,
        stride in prop_oneof![3 => Just(1i64), 3 => -4i64..5, 1 => prop::sample::select(&[i64::MIN, i64::MAX][..])],
        offsets in offsets_about(20, 10),
        filled: bool,
        shift in shifts(),
        seed: u64,
    ) {
        let mut random = fastrand::Rng::with_seed(seed);
        let fill = filled.then(|| value(&mut random, element));
        let mut place = Place::new(&mut random, element, 200, shift);
        let before = place.before.clone();
        let mut out = Column::new(element.into(), offsets.len() * size);
        let memory = place.memory();
        let done = with_column!(&mut out, |out| {
            let fill = fill.and_then(Native::from_scalar);
            memory.gather_rows(0, &offsets, stride, size, fill, out)
        });
        let at = |offset: i64, d: usize| offset as i128 + stride as i128 * d as i128;
        let is_inside = |offset: i64| (0..size).all(|d| (0..200).contains(&at(offset, d)));
        let inside = offsets.iter().all(|&offset| (offset < 0 && filled) || is_inside(offset));
        prop_assert_eq!(done, if inside { Ok(()) } else { Err(Outside) });
        if inside {
            for (k, &offset) in offsets.iter().enumerate() {
                for d in 0..size {
                    let expected = match fill {
                        Some(fill) if offset < 0 => fill,
                        _ => before[at(offset, d) as usize],
                    };
                    prop_assert!(same(out.get(k * size + d).unwrap(), expected));
                }
            }
        }
    }

    #[test]
    fn rows_and_elements_are_scattered_in_order(
        (element, op) in combines(),
        size in 1usize..40,
        picks in prop::collection::vec(0i64..5, 0..12),
        outside in prop::option::weighted(0.3, (any::<prop::sample::Index>(), prop::sample::select(&[-1i64, i64::MIN, i64::MAX, 199][..]))),
        shift in shifts(),
        seed: u64,
    ) {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut offsets: Vec<i64> = picks.iter().map(|pick| pick * 40).collect();
        if let Some((at, offset)) = outside {
            offsets.insert(at.index(offsets.len() + 1), offset);
        }
        let (given, _) = values(&mut random, element, offsets.len() * size);
        let given_column = column(element, &given);
        let last = column(element, &given[..offsets.len()]);
        for way in 0..3 {
            let mut place = Place::new(&mut random, element, 5 * 40, shift);
            let mut expected = place.before.clone();
            let reach = if way == 1 { size } else { 1 };
            let inside = offsets.iter().all(|&at| lies_inside(at, reach, 200));
            let memory = place.memory();
            let done = match way {
                0 => with_column!(&last, |values| memory.scatter(op, 0, &offsets, values)),
                1 => with_column!(&given_column, |values| memory.scatter_rows(op, 0, &offsets, values, size)),
                _ => with_column!(&given_column, |values| memory.scatter_folds(op, 0, &offsets, values, size)),
            };
            prop_assert_eq!(done, if inside { Ok(()) } else { Err(Outside) }, "way {}", way);
            drop(memory);
            for (k, &at) in offsets.iter().enumerate().filter(|_| inside) {
                let row = &given[k * size..][..size];
                let expected = &mut expected[at as usize..][..reach];
                match way {
                    0 => expected[0] = op.apply(expected[0], given[k]).unwrap(),
                    1 => expected.iter_mut().zip(row).for_each(|(e, v)| *e = op.apply(*e, *v).unwrap()),
                    _ => expected[0] = folded(op, expected[0], row),
                }
            }
            place.check(&expected)?;
        }
    }

    #[test]
    fn ranges_are_filled_where_they_fit(
        element in prop::sample::select(ElementType::ALL),
        (first, last) in (0usize..40, 0usize..40),
        shift in shifts(),
        seed: u64,
    ) {
        let mut random = fastrand::Rng::with_seed(seed);
        for filled in [value(&mut random, element), Scalar::zero(element.into())] {
            let mut place = Place::new(&mut random, element, 30, shift);
            let mut expected = place.before.clone();
            let done = place.memory().fill(0, first, last, filled);
            let fits = first >= last || last <= 30;
            prop_assert_eq!(done, if fits { Ok(()) } else { Err(Outside) });
            if fits && first < last {
                expected[first..last].fill(filled);
            }
            place.check(&expected)?;
        }
    }
}

#[test]
fn what_is_read_only_or_of_another_type_is_not_written() {
    let bytes = [0u8; 16];
    let mut out = [0u8; 16];
    let memory = Memory::new(
        [
            (ElementType::F32, Bytes::Read(&bytes)),
            (ElementType::S32, Bytes::Write(&mut out)),
        ]
        .into_iter(),
    );
    assert_eq!(memory.store(0, 0, Scalar::F32(1.0)), Err(Outside));
    assert_eq!(memory.store(1, 0, Scalar::F32(1.0)), Err(Outside));
    assert_eq!(memory.store(1, 4, Scalar::S32(1)), Err(Outside));
    assert_eq!(memory.store(1, 3, Scalar::S32(-7)), Ok(()));
    assert_eq!(memory.load(1, 3), Ok(Scalar::S32(-7)));
    assert_eq!(memory.load(2, 0), Err(Outside));
    assert_eq!(memory.fill(1, 0, 4, Scalar::F32(1.0)), Err(Outside));
    assert_eq!(memory.fill(0, 0, 4, Scalar::F32(1.0)), Err(Outside));
    let ones = [1.0f32];
    assert_eq!(memory.scatter(CombineOp::Add, 0, &[0], &ones), Err(Outside));
    assert_eq!(memory.scatter(CombineOp::Add, 1, &[0], &ones), Err(Outside));
    let mut read = [0i32];
    assert_eq!(memory.gather(0, &[0], &mut read), Err(Outside));
    assert_eq!(memory.gather(1, &[3], &mut read), Ok(()));
    assert_eq!(read, [-7]);
}

proptest! {
    #[test]
    fn runs_are_loaded_one_behind_the_other_or_refused(
        runs in prop::collection::vec((-2i64..40, 0usize..6, any::<bool>()), 0..12),
        len in 0i32..40,
        space in 0usize..60,
    ) {
        let table: Vec<u8> = (0..len).flat_map(i32::to_le_bytes).collect();
        // Some go on where the one before ends.
        let mut end = 0;
        let runs: Vec<(i64, usize)> = runs.into_iter().map(|(first, count, follows)| {
            let first = if follows { end } else { first };
            end = first + count as i64;
            (first, count)
        }).collect();
        let all = || runs.iter().flat_map(|&(first, count)| first..first + count as i64);
        let fits = all().all(|at| (0..i64::from(len)).contains(&at)) && all().count() <= space;
        let memory = Memory::new([(ElementType::S32, Bytes::Read(&table))].into_iter());
        let mut out = vec![-1; space];
        let done = memory.load_runs::<i32>(0, runs.iter().copied(), &mut out);
        prop_assert_eq!(done.is_ok(), fits);
        if fits {
            let expected: Vec<i32> = all().map(|at| at as i32).collect();
            prop_assert_eq!(out.get(..expected.len()), Some(expected.as_slice()));
        }
    }
}
