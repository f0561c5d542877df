//! Every version against the definition, and what it refuses.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use hlo2dae_ir::core::{CombineOp, Native, Scalar, ScalarType};
use proptest::prelude::*;

use super::super::memory::Bytes;
use super::super::testing::*;
use super::*;

/// The definition, one element at a time.
#[allow(clippy::too_many_arguments, reason = "the definition names them all")]
fn defined(
    element: ElementType,
    op: Op,
    post: Post,
    table: &[u8],
    fill: &[u8],
    src: &[i64],
    dst: &[i64],
    out: &mut [f32],
    size: usize,
    scale: &[f32],
    bias: &[f32],
) {
    let bytes = element.bytes();
    for (k, (&src, &dst)) in src.iter().zip(dst).enumerate() {
        for d in 0..size {
            let at = if src < 0 {
                &fill[d * bytes..]
            } else {
                &table[(src as usize + d) * bytes..]
            };
            let mut bits = [0; 8];
            bits[..bytes].copy_from_slice(&at[..bytes]);
            let x = Scalar::from_bits(element.into(), u64::from_le_bytes(bits));
            let x = f32::from_scalar(x.convert(ScalarType::Element(ElementType::F32))).unwrap();
            let x = match post {
                Post::Plain => x,
                Post::Scale => x * scale[k],
                Post::ScaleBias => x * scale[k] + bias[k],
                Post::BiasScale => (x + bias[k]) * scale[k],
                Post::Chain(steps) => steps.into_iter().flatten().fold(x, |x, step| {
                    let by = match step.by {
                        By::Constant(value) => value,
                        By::Scale => scale[k],
                        By::Bias => bias[k],
                    };
                    match step.op {
                        StepOp::Mul => x * by,
                        StepOp::Div => x / by,
                        StepOp::Add => x + by,
                    }
                }),
            };
            let old = &mut out[dst as usize + d];
            let op = match op {
                Op::Add => CombineOp::Add,
                Op::Min => CombineOp::Min,
                Op::Max => CombineOp::Max,
            };
            *old = f32::from_scalar(op.apply((*old).scalar(), x.scalar()).unwrap()).unwrap();
        }
    }
}

const OPS: [Op; 3] = [Op::Add, Op::Min, Op::Max];
const POSTS: [Post; 6] = [
    Post::Plain,
    Post::Scale,
    Post::ScaleBias,
    Post::BiasScale,
    Post::Chain([
        step(StepOp::Div, By::Constant(20.0)),
        step(StepOp::Mul, By::Scale),
        None,
        None,
    ]),
    Post::Chain([
        step(StepOp::Mul, By::Bias),
        step(StepOp::Add, By::Scale),
        step(StepOp::Div, By::Bias),
        step(StepOp::Mul, By::Constant(-1.0)),
    ]),
];

const fn step(op: StepOp, by: By) -> Option<Step> {
    Some(Step { op, by })
}

/// Everything that there is a kernel for.
fn kernels() -> Vec<(ElementType, Op, Post)> {
    let elements = ElementType::ALL.iter();
    let ops = elements.flat_map(|&element| OPS.map(|op| (element, op)));
    let all = ops.flat_map(|(element, op)| POSTS.map(|post| (element, op, post)));
    all.filter(|&(element, op, post)| covers(element, op, post))
        .collect()
}

/// Lookups of rows of a table of `rows` rows into as many bags.
struct Work {
    kernel: (ElementType, Op, Post),
    size: usize,
    rows: usize,
    src: Vec<i64>,
    dst: Vec<i64>,
    shifts: [usize; 3],
    prefetch: Prefetch,
    /// The column at which rows are divided, where nothing is begun.
    divided: usize,
    /// The first row that lookups begin, and how.
    begun: Option<(usize, Start)>,
}

impl Work {
    /// Holds every version to the definition.
    fn check(&self, seed: u64) -> Result<(), TestCaseError> {
        let (element, op, post) = self.kernel;
        let mut random = fastrand::Rng::with_seed(seed);
        let (_, table) = values(&mut random, element, self.rows * self.size);
        let (_, fill) = values(&mut random, element, self.size);
        let (_, start) = values(&mut random, ElementType::F32, self.rows * self.size);
        let float = |_| f32::from_scalar(value(&mut random, ElementType::F32)).unwrap();
        let factors: Vec<f32> = (0..2 * self.src.len()).map(float).collect();
        let (scale, bias) = factors.split_at(self.src.len());
        let mut expected: Vec<f32> = elements(&start, ElementType::F32)
            .into_iter()
            .map(|v| f32::from_scalar(v).unwrap())
            .collect();
        let (src, dst, size) = (&self.src, &self.dst, self.size);
        if let Some((row, start)) = self.begun {
            expected[row * size..].fill(start.value);
        }
        defined(
            element,
            op,
            post,
            &table,
            &fill,
            src,
            dst,
            &mut expected,
            size,
            scale,
            bias,
        );
        let expected: Vec<Scalar> = expected.iter().map(|v| v.scalar()).collect();
        let [table_shift, fill_shift, out_shift] = self.shifts;
        let table = Placed::new(table_shift, &table);
        let fill = Placed::new(fill_shift, &fill);
        for isa in Isa::available() {
            let mut out = Placed::new(out_shift, &start);
            let memory = Memory::new(
                [
                    (element, Bytes::Read(table.bytes())),
                    (ElementType::F32, Bytes::Write(out.bytes_mut())),
                ]
                .into_iter(),
            );
            let all = Lookups {
                table: 0,
                n: src.len(),
                src,
                fill: fill.bytes(),
                out: 1,
                dst,
                column: 0,
                size,
                scale,
                bias,
                prefetch: self.prefetch,
                prefetch_out: self.prefetch,
            };
            if let Some((row, start)) = self.begun {
                let next = (row * size) as i64;
                let mut start = Start { next, ..start };
                // Groups go on from one call to the next.
                let cut = src.len() / 2;
                for part in [0..cut, cut..src.len()] {
                    let lookups = Lookups {
                        n: part.len(),
                        src: &src[part.clone()],
                        dst: &dst[part.clone()],
                        scale: &scale[part.clone()],
                        bias: &bias[part],
                        ..all
                    };
                    let done = accumulate(isa, &memory, op, post, &lookups, &mut start);
                    prop_assert_eq!(done, Ok(()));
                }
                let (value, end) = (Scalar::F32(start.value), self.rows * size);
                prop_assert_eq!(memory.fill(1, start.next as usize, end, value), Ok(()));
            } else {
                // The columns before the one at which rows are divided, and the others.
                for columns in [0..self.divided, self.divided..size] {
                    let bytes = columns.start * element.bytes()..columns.end * element.bytes();
                    let lookups = Lookups {
                        fill: &fill.bytes()[bytes],
                        column: columns.start,
                        size: columns.len(),
                        ..all
                    };
                    let mut start = Start::DONE;
                    let done = accumulate(isa, &memory, op, post, &lookups, &mut start);
                    prop_assert_eq!((done, start), (Ok(()), Start::DONE));
                }
            }
            drop(memory);
            let found = elements(out.bytes(), ElementType::F32);
            let differs = difference(&expected, &found);
            prop_assert!(differs.is_none(), "{isa:?} {:?}: {differs:?}", self.kernel);
            prop_assert!(out.is_intact());
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn every_version_does_what_is_defined_to_the_bit(
        kernel in prop::sample::select(kernels()),
        size in sizes(),
        bags in prop::collection::vec((0i64..6, prop::collection::vec(-1i64..6, 0..12)), 0..8),
        shifts in [shifts(), shifts(), shifts()],
        l2 in 0usize..20,
        divided in 0.0..1.0,
        begun in prop::option::of((0usize..=6, prop::sample::select(vec![0.0, -0.0, 1.5, f32::NEG_INFINITY]), any::<bool>())),
        seed: u64,
    ) {
        let divided = (divided * size as f64) as usize;
        let begun = begun.map(|(row, value, stream)| (row, Start { value, next: 0, stream }));
        let lookups = || bags.iter().flat_map(|(bag, rows)| rows.iter().map(move |row| (row, bag)));
        let (src, dst) = lookups().map(|(row, bag)| (row * size as i64, bag * size as i64)).unzip();
        let prefetch = Prefetch { l2, l1: l2 / 3 };
        Work { kernel, size, rows: 6, src, dst, shifts, prefetch, divided, begun }.check(seed)?;
    }

    #[test]
    fn rows_outside_are_refused_and_no_others(
        kernel in prop::sample::select(kernels()),
        (size, rows, src, dst) in rows_about(),
        filled: bool,
    ) {
        let (element, op, post) = kernel;
        let n = src.len();
        let table = Placed::new(0, &vec![0; rows * size * element.bytes()]);
        let mut out = Placed::new(0, &vec![0; rows * size * 4]);
        let fill = vec![0; if filled { size * element.bytes() } else { 0 }];
        let ones = vec![1.0; n];
        let is_row = |&at: &i64| lies_inside(at, size, rows * size);
        let inside = src.iter().all(|at| is_row(at) || (filled && *at < 0)) && dst.iter().all(is_row);
        for isa in Isa::available() {
            let memory = Memory::new([
                (element, Bytes::Read(table.bytes())),
                (ElementType::F32, Bytes::Write(out.bytes_mut())),
            ].into_iter());
            let lookups = Lookups {
                table: 0, n, src: &src, fill: &fill, out: 1, dst: &dst, column: 0, size, scale: &ones, bias: &ones,
                prefetch: Prefetch { l2: 3, l1: 1 }, prefetch_out: Prefetch { l2: 2, l1: 1 },
            };
            let of = |lookups: &Lookups<'_>, start: i64| accumulate(isa, &memory, op, post, lookups, &mut Start { next: start, ..Start::DONE });
            prop_assert_eq!(of(&lookups, i64::MAX), if inside || n == 0 { Ok(()) } else { Err(Outside) });
            prop_assert_eq!(of(&lookups, -1), if n == 0 { Ok(()) } else { Err(Outside) });
            // Columns that are too short, and buffers that are none.
            if n > 0 {
                let wrong = [
                    Lookups { dst: &dst[..n - 1], ..lookups },
                    Lookups { src: &src[..n - 1], ..lookups },
                    Lookups { table: 2, ..lookups },
                    Lookups { out: 0, ..lookups },
                    Lookups { out: 0, scale: &[], bias: &[], ..lookups },
                ];
                for lookups in wrong {
                    prop_assert_eq!(of(&lookups, i64::MAX), Err(Outside));
                }
            }
        }
    }
}

#[test]
fn a_giant_bag_is_added_up_in_the_order_of_its_lookups() {
    let lookups = if cfg!(miri) { 300 } else { 100_000 };
    let mut random = fastrand::Rng::with_seed(1);
    for (kernel, size) in [
        ((ElementType::F32, Op::Add, Post::Plain), 1),
        ((ElementType::F32, Op::Add, Post::Scale), 3),
        ((ElementType::BF16, Op::Add, Post::Plain), 20),
        ((ElementType::S8, Op::Add, Post::ScaleBias), 9),
    ] {
        let src = (0..lookups).map(|_| random.i64(-1..9) * size as i64);
        let src: Vec<i64> = src.collect();
        let work = Work {
            kernel,
            size,
            rows: 9,
            dst: vec![4 * size as i64; src.len()],
            src,
            shifts: [5, 0, 12],
            prefetch: Prefetch { l2: 64, l1: 8 },
            divided: size / 2,
            begun: None,
        };
        work.check(7).unwrap();
    }
}
