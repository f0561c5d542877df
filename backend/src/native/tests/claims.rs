//! Threads that divide lookups whose destinations hardly meet.

use super::*;
use crate::native::kernels::memory::{Bytes, Memory};
use crate::native::machine::Caches;
use crate::native::run::Run;
use crate::native::run::split::{Size, parts};

const SIZE: usize = 96;
const LOOKUPS: usize = 3000;

/// Rows of a buffer that no cache holds.
fn rows() -> usize {
    Caches::get().last / 8 / (4 * SIZE) + 20_000
}

fn text(combiner: &str) -> String {
    let rows = rows();
    format!(
        "region @scatter {{
  input %ids: s32[{LOOKUPS}]
  input %x: f32[{LOOKUPS},{SIZE}]
  output %out: f32[{rows},{SIZE}] = 0.25
  nest (%k = {LOOKUPS}, %d = {SIZE}) {{
    %id = read %ids[%k]
    %row = index %id {{drop 0..{}}}
    %v = read %x[%k, %d]
    combine {combiner} %out[%row, %d], %v
  }}
}}
",
        rows - 1
    )
}

/// Ids of which so many of a hundred are among `few`.
fn arrays(program: &dlc::Program, hundredths: usize, few: i64, seed: u64) -> Vec<Array> {
    let mut arrays = inputs(program, seed, 9);
    let mut random = fastrand::Rng::with_seed(seed);
    for k in 0..LOOKUPS {
        let id = match random.usize(..100) < hundredths {
            true => random.i64(0..few),
            false => random.i64(-20..rows() as i64 + 20),
        };
        arrays[0].set(k, Scalar::S32(id as i32)).unwrap();
    }
    arrays
}

/// Whether the parts of a run for so many threads leave something to the end.
fn leaves(plan: &Plan, arrays: &[Array], pool: &dyn Pool) -> bool {
    let mut out = vec![0; 4 * rows() * SIZE];
    let buffers = arrays
        .iter()
        .map(|array| (array.element, Bytes::Read(&array.data)));
    let memory = Memory::new(buffers.chain([(ElementType::F32, Bytes::Write(&mut out))]));
    let run = Run {
        source: &plan.source,
        memory: &memory,
        pool,
        options: &Options::default(),
        tables: plan.tables,
        scratch: &plan.scratch,
    };
    let Some(Node::Flat(group)) = plan.nodes.first() else {
        panic!("a nest by columns");
    };
    let size = Size::of(&run, &group[0], &[]).unwrap();
    let threads = pool.threads() as u64;
    let parts = parts(&run, &group[0], &[], &size, threads, threads).unwrap();
    parts.iter().all(|part| part.claimed.is_some())
}

#[test]
fn one_row_that_all_write_is_not_divided() {
    let text = text("add")
        .replace("%v = read", "%seven = constant 7: index\n    %v = read")
        .replace("%out[%row, %d]", "%out[%seven, %d]");
    let program = program(&text);
    let plan = Plan::new(&program).unwrap();
    let arrays = arrays(&program, 0, 1, 3);
    let pool = &Simultaneous(2);
    assert!(!leaves(&plan, &arrays, pool));
    let options = Options {
        grain: 1,
        ..Options::default()
    };
    let expected = program.evaluate(&arrays, &Limits::default()).unwrap();
    let found = run(&plan, &program, &arrays, 0, pool, &options).unwrap();
    assert_eq!(found, [expected[0].data.clone()]);
}

#[test]
fn every_row_is_combined_in_the_order_of_its_lookups() {
    let options = Options {
        grain: 1,
        ..Options::default()
    };
    // What parts hardly ever share, what they share now and then, and what all of them write.
    for (combiner, hundredths, few, left) in [
        ("add", 0, 1, true),
        ("add", 5, 7, true),
        ("add", 90, 50, false),
        ("max", 3, 2, true),
        ("add", 100, 1, false),
    ] {
        let program = program(&text(combiner));
        let plan = Plan::new(&program).unwrap();
        let arrays = arrays(&program, hundredths, few, 11);
        let expected = program.evaluate(&arrays, &Limits::default()).unwrap();
        for threads in [2, 3] {
            let pools: [&dyn Pool; 2] = [&Simultaneous(threads), &Backwards(threads)];
            for pool in pools {
                assert_eq!(leaves(&plan, &arrays, pool), left, "{hundredths} of 100");
                let found = run(&plan, &program, &arrays, 0, pool, &options).unwrap();
                assert_eq!(found, [expected[0].data.clone()], "{hundredths} of 100");
            }
        }
    }
}
