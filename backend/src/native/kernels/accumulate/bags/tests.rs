//! Bags against the lookups that they are, and what is refused.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use hlo2dae_ir::core::{Native, Scalar};
use proptest::prelude::*;

use super::super::super::memory::Bytes;
use super::super::super::testing::*;
use super::super::{Lookups, accumulate};
use super::*;

const TABLE: usize = 0;
const IDS: usize = 1;
const BY_POSITION: usize = 2;
const BY_ROW: [usize; 2] = [3, 4];
const OUT: usize = 5;

/// Rows of the table, and of the result.
const ROWS: usize = 6;

/// The posts that there are kernels for, and where their factors are.
fn posts() -> Vec<(ElementType, Post, [Option<Factor<'static>>; 2])> {
    let [scale, bias] = BY_ROW.map(|buffer| Some(Factor::Row(buffer)));
    let position = Some(Factor::Position(BY_POSITION));
    let posts = [
        (Post::Plain, [None, None]),
        (Post::Scale, [position, None]),
        (Post::Scale, [scale, None]),
        (Post::ScaleBias, [scale, bias]),
        (Post::BiasScale, [scale, bias]),
    ];
    let elements = ElementType::ALL.iter().copied();
    let all = elements.flat_map(|element| posts.map(|(post, factors)| (element, post, factors)));
    all.filter(|&(element, post, factors)| {
        bags_of(&[], 1, factors).parameter(element, post).is_some()
    })
    .collect()
}

fn bags_of<'a>(bags: &'a [Bag], size: usize, factors: [Option<Factor<'a>>; 2]) -> Bags<'a> {
    Bags {
        table: TABLE,
        ids: IDS,
        decode: Decode {
            wrap: ROWS as i64,
            low: 0,
            high: ROWS as i64 - 1,
            bounds: Bounds::Clamp { scale: size as i64 },
        },
        factors,
        out: OUT,
        size,
        bags,
        prefetch: Prefetch::default(),
        fetched: None,
    }
}

/// The buffers in the order of their numbers.
struct Buffers {
    placed: [Placed; 6],
    element: ElementType,
    numbers: [Vec<f32>; 3],
}

impl Buffers {
    fn new(
        element: ElementType,
        size: usize,
        ids: &[i32],
        shifts: [usize; 2],
        seed: u64,
    ) -> Buffers {
        let mut random = fastrand::Rng::with_seed(seed);
        let (_, table) = values(&mut random, element, ROWS * size);
        let (_, out) = values(&mut random, ElementType::F32, ROWS * size);
        let mut floats = |n: usize| -> Vec<f32> {
            (0..n)
                .map(|_| f32::from_scalar(value(&mut random, ElementType::F32)).unwrap())
                .collect()
        };
        let numbers = [floats(ids.len()), floats(ROWS), floats(ROWS)];
        let bytes =
            |values: &[f32]| -> Vec<u8> { values.iter().flat_map(|v| v.to_le_bytes()).collect() };
        let [position, scale, bias] = [0, 1, 2].map(|n: usize| bytes(&numbers[n]));
        let ids: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        Buffers {
            placed: [
                Placed::new(shifts[0], &table),
                Placed::new(4, &ids),
                Placed::new(12, &position),
                Placed::new(0, &scale),
                Placed::new(20, &bias),
                Placed::new(shifts[1], &out),
            ],
            element,
            numbers,
        }
    }

    fn with<T>(&mut self, f: impl FnOnce(&Memory<'_>) -> T) -> T {
        let element = self.element;
        let [table, ids, position, scale, bias, out] = &mut self.placed;
        let f32 = ElementType::F32;
        let buffers = [
            (element, Bytes::Read(table.bytes())),
            (ElementType::S32, Bytes::Read(ids.bytes())),
            (f32, Bytes::Read(position.bytes())),
            (f32, Bytes::Read(scale.bytes())),
            (f32, Bytes::Read(bias.bytes())),
            (f32, Bytes::Write(out.bytes_mut())),
        ];
        f(&Memory::new(buffers.into_iter()))
    }

    fn out(&self) -> Vec<Scalar> {
        elements(self.placed[OUT].bytes(), ElementType::F32)
    }
}

proptest! {
    #[test]
    fn bags_are_their_lookups_to_the_bit(
        (element, post, factors) in prop::sample::select(posts()),
        size in prop_oneof![4 => 1usize..=128, 1 => Just(64usize), 1 => Just(32)],
        ids in prop::collection::vec(prop_oneof![9 => -6i32..6, 1 => any::<i32>()], 1..60),
        lengths in prop::collection::vec((0usize..12, 0..ROWS, 0.0..1.0), 0..10),
        shifts in [shifts(), shifts()],
        l2 in 0usize..20,
        begun in prop::option::of((0usize..=ROWS, any::<bool>())),
        cut in 0.0..1.0,
        each: bool,
        seed: u64,
    ) {
        // Some lie anywhere, others behind the one before.
        let mut end = 0;
        let bags: Vec<Bag> = lengths.into_iter().map(|(n, row, anywhere)| {
            let n = n.min(ids.len());
            let most = ids.len() - n;
            let first = if anywhere < 0.5 { end } else { ((2.0 * anywhere - 1.0) * most as f64) as usize };
            let first = first.min(most);
            end = first + n;
            Bag { first: first as i64, n, factor: (ids.len() - first - n) as i64, dst: (row * size) as i64 }
        }).collect();
        let prefetch = Prefetch { l2, l1: l2 / 3 };
        let start = match begun {
            None => Start::DONE,
            Some((row, stream)) => Start { value: 1.5, next: (row * size) as i64, stream },
        };
        let decode = bags_of(&[], size, factors).decode;
        let mut lookups: (Vec<i64>, Vec<i64>, Vec<f32>, Vec<f32>) = Default::default();
        let mut expected = Buffers::new(element, size, &ids, shifts, seed);
        for bag in &bags {
            for k in 0..bag.n {
                let offset = decode.of(ids[bag.first as usize + k].into());
                let row = offset as usize / size;
                lookups.0.push(offset);
                lookups.1.push(bag.dst);
                lookups.2.push(match factors[0] {
                    Some(Factor::Position(_)) => expected.numbers[0][bag.factor as usize + k],
                    _ => expected.numbers[1][row],
                });
                lookups.3.push(expected.numbers[2][row]);
            }
        }
        let rest = |memory: &Memory<'_>, start: Start| {
            if start != Start::DONE {
                memory.fill(OUT, start.next as usize, ROWS * size, Scalar::F32(start.value)).unwrap();
            }
        };
        let (src, dst, scale, bias) = &lookups;
        expected.with(|memory| {
            let mut start = start;
            let lookups = Lookups {
                table: TABLE, n: src.len(), src, fill: &[], out: OUT, dst, column: 0, size, scale, bias,
                prefetch: Prefetch::default(), prefetch_out: Prefetch::default(),
            };
            accumulate(Isa::Portable, memory, Op::Add, post, &lookups, &mut start).unwrap();
            rest(memory, start);
        });
        // The same factors, as values.
        let by_position = matches!(factors[0], Some(Factor::Position(_)));
        let factors = match each && by_position {
            true => [Some(Factor::Each(&expected.numbers[0])), None],
            false => factors,
        };
        for isa in Isa::available() {
            let mut found = Buffers::new(element, size, &ids, shifts, seed);
            let covered = found.with(|memory| {
                let (first, second) = bags.split_at((cut * bags.len() as f64) as usize);
                let mut start = start;
                let mut fetched = None;
                for part in [first, second] {
                    let part = Bags { prefetch, fetched, ..bags_of(part, size, factors) };
                    if !part.covered(isa, memory, post) {
                        return false;
                    }
                    fetched = super::bags(isa, memory, post, &part, &mut start).unwrap();
                }
                rest(memory, start);
                true
            });
            prop_assert!(covered || size > 64 || (isa == Isa::Portable && size > 8));
            if covered {
                let differs = difference(&expected.out(), &found.out());
                prop_assert!(differs.is_none(), "{isa:?} {element:?} {post:?}: {differs:?}");
                prop_assert!(found.placed[OUT].is_intact());
            }
        }
    }
}

#[test]
fn what_lies_outside_is_refused() {
    let (size, n) = (4, 10);
    let position = [Some(Factor::Position(BY_POSITION)), None];
    let bag = Bag {
        first: 2,
        n: 8,
        factor: 2,
        dst: 20,
    };
    let mut buffers = Buffers::new(ElementType::F32, size, &vec![3; n], [0, 0], 1);
    buffers.with(|memory| {
        for isa in Isa::available() {
            let of = |bags: &Bags<'_>, post: Post| {
                super::bags(isa, memory, post, bags, &mut Start::DONE.clone()).map(|_| ())
            };
            let values = [1.0; 10];
            let one = |bag: Bag| {
                let found = of(&bags_of(&[bag], size, position), Post::Scale);
                let each = [Some(Factor::Each(&values)), None];
                assert_eq!(of(&bags_of(&[bag], size, each), Post::Scale), found);
                found
            };
            assert_eq!(one(bag), Ok(()));
            // What is empty may be anywhere.
            assert_eq!(
                one(Bag {
                    first: -9,
                    n: 0,
                    factor: 99,
                    dst: -1
                }),
                Ok(())
            );
            for wrong in [
                Bag { first: 3, ..bag },
                Bag { first: -1, ..bag },
                Bag { n: 9, ..bag },
                Bag {
                    n: usize::MAX,
                    ..bag
                },
                Bag { factor: 3, ..bag },
                Bag { factor: -1, ..bag },
                Bag { dst: 21, ..bag },
                Bag { dst: -1, ..bag },
            ] {
                assert_eq!(one(wrong), Err(Outside), "{wrong:?}");
            }
            let bags = [bag];
            let plain = bags_of(&bags, size, [None, None]);
            let with = |low: i64, high: i64, scale: i64| Bags {
                decode: Decode {
                    low,
                    high,
                    bounds: Bounds::Clamp { scale },
                    ..plain.decode
                },
                ..plain
            };
            assert_eq!(of(&plain, Post::Plain), Ok(()));
            for wrong in [
                with(0, 6, 4),
                with(-1, 5, 4),
                with(0, 5, 5),
                with(5, 0, 4),
                with(0, 5, -4),
                with(0, 5, i64::MAX),
                Bags {
                    table: OUT + 1,
                    ..plain
                },
                Bags {
                    ids: TABLE,
                    ..plain
                },
                Bags {
                    out: BY_POSITION,
                    ..plain
                },
                Bags { size: 0, ..plain },
                Bags { size: 129, ..plain },
            ] {
                assert_eq!(of(&wrong, Post::Plain), Err(Outside), "{wrong:?}");
            }
            let few = with(0, 7, 1);
            let by_row = [Some(Factor::Row(BY_ROW[0])), Some(Factor::Row(BY_ROW[1]))];
            assert!(!bags_of(&bags, size, by_row).covered(isa, memory, Post::ScaleBias));
            assert!(
                !Bags {
                    factors: by_row,
                    ..few
                }
                .covered(isa, memory, Post::Scale)
            );
            assert!(!plain.covered(isa, memory, Post::Scale));
        }
    });
}
