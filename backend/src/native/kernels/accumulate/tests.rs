#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use hlo2dae_ir::core::{CombineOp, Native, Scalar, ScalarType};
use proptest::prelude::*;

use super::super::memory::Bytes;
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

const ELEMENTS: [ElementType; 5] = [
    ElementType::F32,
    ElementType::F16,
    ElementType::BF16,
    ElementType::S8,
    ElementType::U8,
];
const POSTS: [Post; 4] = [Post::Plain, Post::Scale, Post::ScaleBias, Post::BiasScale];

proptest! {
    #[test]
    fn every_version_does_what_is_defined_to_the_bit(
        element in prop::sample::select(&ELEMENTS[..]),
        op in prop::sample::select(&[Op::Add, Op::Min, Op::Max][..]),
        post in prop::sample::select(&POSTS[..]),
        size in prop_oneof![1usize..40, Just(64), Just(100), Just(128), Just(256), Just(300), Just(1000)],
        bags in prop::collection::vec((0i64..6, prop::collection::vec(-1i64..9, 0..12)), 0..8),
        shift in 0usize..4,
        l2 in 0usize..20,
    ) {
        prop_assume!(covers(element, op, post));
        let bytes = element.bytes();
        let mut random = fastrand::Rng::with_seed(size as u64 + 7);
        let any = |random: &mut fastrand::Rng| {
            let value = Scalar::F32(*[0.0, -0.0, 1.5, f32::INFINITY].get(random.usize(..200)).unwrap_or(&(random.f32() * 8.0 - 4.0)));
            value.convert(element.into()).bits().to_le_bytes()[..bytes].to_vec()
        };
        let table: Vec<u8> = (0..9 * size).flat_map(|_| any(&mut random)).collect();
        let fill: Vec<u8> = (0..size).flat_map(|_| any(&mut random)).collect();
        // A table that starts anywhere.
        let placed: Vec<u8> = [vec![0; shift], table.clone()].concat();
        let (mut src, mut dst) = (Vec::new(), Vec::new());
        for (bag, rows) in &bags {
            for row in rows {
                src.push(row * size as i64);
                dst.push(bag * size as i64);
            }
        }
        let scale: Vec<f32> = src.iter().map(|_| random.f32()).collect();
        let bias: Vec<f32> = src.iter().map(|_| random.f32()).collect();
        let start: Vec<f32> = (0..6 * size).map(|_| random.f32() - 0.5).collect();
        let mut expected = start.clone();
        defined(element, op, post, &table, &fill, &src, &dst, &mut expected, size, &scale, &bias);
        for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
            let mut out: Vec<u8> = start.iter().flat_map(|v| v.to_le_bytes()).collect();
            let memory = Memory::new([
                (element, Bytes::Read(&placed[shift..])),
                (ElementType::F32, Bytes::Write(&mut out)),
            ].into_iter());
            accumulate(isa, &memory, op, post, &Lookups {
                table: 0, n: src.len(), src: &src, fill: &fill, out: 1, dst: &dst, size, scale: &scale, bias: &bias,
                prefetch: Prefetch { l2, l1: l2 / 3 },
                prefetch_out: Prefetch { l2: l2 / 2, l1: l2 / 4 },
            }).unwrap();
            drop(memory);
            for (at, (found, expected)) in out.chunks_exact(4).zip(&expected).enumerate() {
                let found = f32::from_le_bytes(found.try_into().unwrap());
                prop_assert!(
                    found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan()),
                    "{isa:?} element {at}: {found} {expected}"
                );
            }
        }
    }
}

#[test]
fn rows_outside_are_refused() {
    let table = [0u8; 64];
    let mut out = [0u8; 64];
    let memory = Memory::new(
        [
            (ElementType::F32, Bytes::Read(&table)),
            (ElementType::F32, Bytes::Write(&mut out)),
        ]
        .into_iter(),
    );
    let run = |src: i64, dst: i64| {
        let lookups = Lookups {
            table: 0,
            n: 1,
            src: &[src],
            fill: &[],
            out: 1,
            dst: &[dst],
            size: 8,
            scale: &[],
            bias: &[],
            prefetch: Prefetch::default(),
            prefetch_out: Prefetch::default(),
        };
        accumulate(Isa::best(), &memory, Op::Add, Post::Plain, &lookups)
    };
    assert_eq!(run(8, 8), Ok(()));
    for (src, dst) in [
        (9, 0),
        (-1, 0),
        (0, 9),
        (0, -1),
        (i64::MAX, 0),
        (0, i64::MIN),
    ] {
        assert_eq!(run(src, dst), Err(Outside), "{src} {dst}");
    }
}
