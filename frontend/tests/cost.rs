//! The cost model's page says what the code computes.

#![allow(clippy::panic, reason = "a failed check ends the test")]

mod support;

use hlo2dae_frontend::{Bytes, Traffic};
use support::{agree, search};

const PAGE: &str = include_str!("../docs/cost.md");

fn traffic(text: &str) -> Traffic {
    let (_, matches) = search(text);
    assert_eq!(matches.regions.len(), 1, "{:?}", matches.misses);
    matches.regions[0].traffic
}

/// The numbers of a row of the example.
fn row(name: &str) -> Bytes {
    let start = format!("| {name} | ");
    let cells = PAGE.lines().find_map(|line| line.strip_prefix(&start));
    let numbers: Vec<u64> = cells
        .expect("a row")
        .split(" |")
        .filter_map(|cell| cell.trim().parse().ok())
        .collect();
    match numbers.as_slice() {
        &[read, written] => Bytes { read, written },
        _ => panic!("{name} has two numbers"),
    }
}

#[test]
fn the_example_costs_what_the_page_says() {
    let text = PAGE
        .split("```text\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .expect("an example");
    let Traffic { region, separate } = traffic(text);
    assert_eq!(separate, row("operations"));
    assert_eq!(region, row("region"));
    let saved = format!("It saves {} bytes.", Traffic { region, separate }.saved());
    assert!(PAGE.contains(&saved), "{saved}");
    agree(text, 0, 1000);
}

#[test]
fn a_bare_gather_saves_nothing() {
    let traffic = traffic(
        "HloModule m

ENTRY main {
  table = f32[9,4] parameter(0)
  ids = s32[3] parameter(1)
  ROOT rows = f32[3,4] gather(table, ids), offset_dims={1}, collapsed_slice_dims={0}, start_index_map={0}, index_vector_dim=1, slice_sizes={1,4}
}
",
    );
    let moved = Bytes {
        read: 3 * 4 * 4 + 3 * 4,
        written: 3 * 4 * 4,
    };
    assert_eq!(traffic.region, moved);
    assert_eq!(traffic.separate, moved);
    assert_eq!(traffic.saved(), 0);
}

#[test]
fn a_segment_sum_of_rows_saves_storing_the_rows() {
    let traffic = traffic(
        "HloModule m

add {
  x = f32[] parameter(0)
  y = f32[] parameter(1)
  ROOT sum = f32[] add(x, y)
}

ENTRY main {
  table = f32[9,4] parameter(0)
  ids = s32[30] parameter(1)
  segments = s32[30] parameter(2)
  zero = f32[] constant(0)
  zeros = f32[5,4] broadcast(zero), dimensions={}
  rows = f32[30,4] gather(table, ids), offset_dims={1}, collapsed_slice_dims={0}, start_index_map={0}, index_vector_dim=1, slice_sizes={1,4}
  ROOT sums = f32[5,4] scatter(zeros, segments, rows), update_window_dims={1}, inserted_window_dims={0}, scatter_dims_to_operand_dims={0}, index_vector_dim=1, to_apply=add
}
",
    );
    let (rows, ids, sums) = (30 * 4 * 4, 30 * 4, 5 * 4 * 4);
    // Rows, ids, segments; every place of a segment is read, changed and written.
    let region = Bytes {
        read: rows + ids + ids + rows,
        written: rows + sums,
    };
    assert_eq!(traffic.region, region);
    // The rows are written and read once more.
    assert_eq!(traffic.separate.read, region.read + rows);
    assert_eq!(traffic.separate.written, region.written + rows);
}
