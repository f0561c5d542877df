//! Vectors, rows, stores by the access unit, loops of the execute unit, lanes, cores and loops of the host: the emulator
//! against the evaluator, and its counts.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use hlo2dae_backend::access::{Instruction, Placement};
use hlo2dae_backend::{BackendError, Machine, compile};
use hlo2dae_ir::core::{Array, EvalError, Ir, Limits};
use hlo2dae_ir::dlc::Program;
use hlo2dae_sim::{Config, Emulator, SimError};
use support::{check, inputs, run};

fn program(text: &str) -> Program {
    let program: Program = text.parse().unwrap();
    program.verify().unwrap();
    program
}

/// The sum of the rows of a bag, a row to a token.
const BAG: &str = include_str!("vectors/bag.dlc");

#[test]
fn a_bag_of_rows_takes_a_token_for_each_lookup_and_each_bag() {
    let program = program(BAG);
    let (_, stats, _) = check(&program, &inputs(&program, 40, 64));
    let (lookups, bags) = (40, 8);
    assert_eq!((stats.tokens, stats.operands), (lookups + bags, lookups));
    assert_eq!(stats.operand_bytes, lookups * 80);
    assert_eq!(stats.launches, 1);
    let [table, ids, offsets, out, acc, bag] = &stats.buffers[..] else {
        unreachable!("six buffers");
    };
    // A row of 80 bytes starts at a multiple of 16: three reads, of 32, 32 and 16 bytes.
    assert_eq!(table.streamed, lookups * 20);
    let lines = |row: u64| {
        let touched = |from: u64, to: u64| (to - 1) / 64 - from / 64 + 1;
        let start = row * 80;
        touched(start, start + 32)
            + touched(start + 32, start + 64)
            + touched(start + 64, start + 80)
    };
    let rows = inputs(&program, 40, 64)[1].elements::<i32>().unwrap();
    let expected: u64 = rows.iter().map(|&row| lines(row as u64)).sum();
    assert_eq!(table.lines.total(), expected);
    assert_eq!((ids.lines.llc, offsets.lines.llc), (lookups, 2 * bags));
    assert_eq!((out.stored, out.stores), (bags * 20, bags * 3));
    assert_eq!(
        (acc.loads, acc.stores),
        ((lookups + bags) * 3, (lookups + bags) * 3)
    );
    assert_eq!((bag.loads, bag.stores), (bags, bags));
}

#[test]
fn stream_text_shows_vectors_and_rows() {
    let program = program(include_str!("vectors/gather.dlc"));
    let (_, stats, text) = check(&program, &inputs(&program, 0, 6));
    let golden = include_str!("vectors/gather.stream");
    if std::env::var_os("BLESS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/gather.stream");
        std::fs::write(path, &text).unwrap();
    } else {
        assert_eq!(text, golden, "BLESS=1 rewrites it");
    }
    // Ten ids, in three groups: one element of each row, then all three. The table lies in two lines.
    let table = &stats.buffers[0];
    assert_eq!(table.streamed, 10 + 10 * 3);
    assert_eq!(stats.tokens, 3 + 3 * 3);
    assert!(
        (12..=24).contains(&table.lines.total()),
        "{}",
        table.lines.total()
    );
}

#[test]
fn the_access_unit_copies_alone() {
    let program = program(include_str!("vectors/copy.dlc"));
    let (outputs, stats, text) = check(&program, &inputs(&program, 0, 8));
    assert_eq!((stats.tokens, stats.operands), (0, 0));
    let gathered = stats.buffers.last().unwrap();
    assert_eq!((gathered.written, gathered.writes), (6 * 4 * 13, 6 * 4 * 2));
    assert_eq!(
        stats.buffers[0].lines.nontemporal,
        stats.buffers[0].lines.total()
    );
    assert!(text.ends_with("done\nsummary: 0 tokens, 0 operands, 0 bytes, 312 elements written\n"));
    assert_eq!(outputs[0].dims, [6, 4, 13]);
}

#[test]
fn rows_that_are_kept_are_not_asked_for_again() {
    let kept = BAG.replace(
        "mask %m in %tu_e\n    to_buffer",
        "mask %m {reuse = 2} in %tu_e\n    to_buffer",
    );
    assert_ne!(kept, BAG);
    let (plain, kept) = (program(BAG), program(&kept));
    let mut inputs = inputs(&plain, 40, 64);
    // Three rows in turn, each twice: two of them can be kept, which is always too few, but for the second time.
    let rows: Vec<i32> = (0..40).map(|n| n / 2 % 3).collect();
    inputs[1] = Array::from_elements(&[40], &rows).unwrap();
    let (outputs, before, _) = check(&plain, &inputs);
    let (same, after, _) = check(&kept, &inputs);
    assert_eq!(outputs, same);
    let (before, after) = (&before.buffers[0], &after.buffers[0]);
    assert_eq!(before.lines.total(), after.lines.total() + after.reuse_hits);
    // A row of 80 bytes lies in two lines, of which its three reads touch one twice: all hits of the first time but one line
    // each, and the whole second time.
    assert_eq!(after.lines.total(), 20 * 2);
    let three = program(&BAG.replace(
        "mask %m in %tu_e\n    to_buffer",
        "mask %m {level = l2, reuse = 3} in %tu_e\n    to_buffer",
    ));
    let (_, stats, _) = check(&three, &inputs);
    let lines = stats.buffers[0].lines;
    assert_eq!((lines.llc, lines.l2), (0, 3 * 2));
}

#[test]
fn positions_are_dealt_to_cores_in_blocks() {
    let text = include_str!("vectors/cores.dlc");
    let program_of = |cores: &str| program(&text.replace("cores 3", cores));
    let one = program_of("");
    let inputs = inputs(&one, 0, 64);
    let (expected, alone, _) = check(&one, &inputs);
    assert!(alone.cores.is_empty());
    for cores in [2, 3, 4, 7, 50] {
        let (outputs, stats, _) = check(&program_of(&format!("cores {cores}")), &inputs);
        assert_eq!(outputs, expected, "{cores}");
        assert_eq!(stats.cores.len(), cores);
        let sum: u64 = stats.cores.iter().map(|core| core.tokens).sum();
        assert_eq!((stats.tokens, sum), (alone.tokens, alone.tokens), "{cores}");
        assert_eq!(stats.units[0].iterations, alone.units[0].iterations);
    }
}

/// Machines that the nest of [`BAG`], three deep, does not fit.
#[test]
fn deep_nests_are_split_and_mean_the_same() {
    let program = program(BAG);
    let inputs = inputs(&program, 40, 64);
    let expected = program.evaluate(&inputs, &Limits::default()).unwrap();
    for (layers, hosts, launches) in [(3, 0, 1), (2, 1, 8), (1, 2, 40)] {
        let mut machine = Machine::default();
        machine.access_unit.layers = layers;
        let artifact = compile(&program, &machine).unwrap();
        let on_host = artifact.access.code.iter().filter(|instruction| {
            matches!(instruction, Instruction::Unit(unit) if unit.placement == Placement::Host)
        });
        assert_eq!(on_host.count(), hosts);
        let (outputs, stats, _) = run(&artifact, Config::default(), &inputs);
        assert_eq!(outputs, expected);
        assert_eq!(stats.launches, launches, "{layers} layers");
        let (ids, offsets) = (&stats.buffers[1], &stats.buffers[2]);
        assert_eq!(ids.host_streamed, if hosts > 1 { 40 } else { 0 });
        assert_eq!(offsets.host_streamed, if hosts > 0 { 16 } else { 0 });
    }
}

#[test]
fn a_machine_that_is_too_small_says_what_to_change() {
    let reasons = |change: &dyn Fn(&mut Machine), text: &str| {
        let mut machine = Machine::default();
        change(&mut machine);
        match compile(&program(text), &machine) {
            Err(BackendError::Unsupported { reasons, .. }) => {
                let lines = reasons.iter().map(|r| format!("{r}; {}", r.help));
                lines.collect::<Vec<_>>()
            }
            other => unreachable!("{other:?}"),
        }
    };
    // The first lane has the streams of the bags, 40 bytes, the vector unit's 8 + 4 + 1, and a stripe of the row, 12.
    assert_eq!(
        reasons(&|machine| machine.access_unit.queue_bytes = 64, BAG),
        [
            "queue bytes of a lane: the machine has 64, the program needs 130 for 2 entries of each stream, the largest %row with 24; \
          make rows shorter: `bufferise{row_bytes=N}`; keep fewer lookups in flight: `fill_lanes{lanes=N}`; or stream less at a time"
        ]
    );
    assert_eq!(
        reasons(&|machine| machine.access_unit.chunk_bytes = 79, BAG),
        [
            "bytes of a chunk of the data queue: the machine has 79, the program needs 80 for %row; make rows shorter: `bufferise{row_bytes=N}`"
        ]
    );
    let many = BAG.replace("%begin to %end step 1", "%begin to %end step 1 lanes 9");
    assert_eq!(
        reasons(&|_| (), &many),
        [
            "lanes of a layer: the machine has 8, the program needs 9 for the lookups in flight; \
          keep fewer lookups in flight: `fill_lanes{lanes=N}`"
        ]
    );
}

#[test]
fn lookups_in_flight_take_lanes() {
    let text = BAG.replace("%begin to %end step 1", "%begin to %end step 1 lanes 4");
    let program = program(&text);
    check(&program, &inputs(&program, 40, 64));
    let artifact = compile(&program, &Machine::default()).unwrap();
    let placed: Vec<(u32, u32)> = artifact
        .access
        .code
        .iter()
        .filter_map(|instruction| match instruction {
            Instruction::Unit(unit) => match unit.placement {
                Placement::Layer { layer, lanes, .. } => Some((layer, lanes)),
                Placement::Host => None,
            },
            _ => None,
        })
        .collect();
    // Four lookups, each with a vector over two lanes.
    assert_eq!(placed, [(0, 1), (1, 4), (2, 8)]);
}

#[test]
fn lanes_outside_fail_as_in_the_evaluator() {
    let program = program(include_str!("vectors/gather.dlc"));
    let good = inputs(&program, 0, 6);
    let mut outside = good.clone();
    let mut ids = outside[1].elements::<i32>().unwrap();
    ids[5] = 99;
    outside[1] = Array::from_elements(&outside[1].dims, &ids).unwrap();
    let expected = program.evaluate(&outside, &Limits::default()).unwrap_err();
    assert!(matches!(expected, EvalError::OutOfBounds { .. }));
    let artifact = support::compiled(&program);
    let emulator = Emulator::new(&artifact, Config::default()).unwrap();
    assert_eq!(emulator.run(&outside), Err(SimError::Run(expected)));
}
