//! The spellings of embedding operations, each found as the form it is and computing what it computes.

#![allow(clippy::panic, reason = "a failed check ends the test")]

mod support;

use hlo2dae_frontend::{Kind, Match, Matches, MissReason, Mode, Pooling};
use support::{agree, search};

fn only(matches: &Matches) -> &Match {
    assert_eq!(matches.regions.len(), 1, "{:?}", matches.misses);
    assert!(matches.misses.is_empty(), "{:?}", matches.misses);
    &matches.regions[0]
}

const ADD: &str = "
add {
  a = f32[] parameter(0)
  b = f32[] parameter(1)
  ROOT sum = f32[] add(a, b)
}
";

/// A lookup with negative indices wrapped and rows outside filled, in a computation of its own.
const TAKE: &str = "
where {
  c = pred[6,4] parameter(0)
  t = s32[6,4] parameter(1)
  f = s32[6,4] parameter(2)
  ROOT select = s32[6,4] select(c, t, f)
}

both {
  a = pred[] parameter(0)
  b = pred[] parameter(1)
  ROOT and = pred[] and(a, b)
}

take {
  table = f32[9,5] parameter(0)
  ids = s32[6,4] parameter(1)
  zero = s32[] constant(0)
  zeros = s32[6,4] broadcast(zero), dimensions={}
  negative = pred[6,4] compare(ids, zeros), direction=LT
  size = s32[] constant(9)
  sizes = s32[6,4] broadcast(size), dimensions={}
  wrapped = s32[6,4] add(ids, sizes)
  start = s32[6,4] call(negative, wrapped, ids), to_apply=where
  starts = s32[6,4,1] reshape(start)
  low = s32[6,4,1] broadcast(zero), dimensions={}
  above = pred[6,4,1] compare(starts, low), direction=GE
  last = s32[] constant(8)
  high = s32[6,4,1] broadcast(last), dimensions={}
  below = pred[6,4,1] compare(starts, high), direction=LE
  inside = pred[6,4,1] and(above, below)
  yes = pred[] constant(true)
  mask = pred[6,4] reduce(inside, yes), dimensions={2}, to_apply=both
  masks = pred[6,4,5] broadcast(mask), dimensions={0,1}
  rows = f32[6,4,5] gather(table, starts), offset_dims={2}, collapsed_slice_dims={0}, start_index_map={0}, index_vector_dim=2, slice_sizes={1,5}
  fill = f32[] constant(nan)
  nans = f32[6,4,5] broadcast(fill), dimensions={}
  ROOT filled = f32[6,4,5] select(masks, rows, nans)
}
";

#[test]
fn a_filled_lookup_in_a_callee_is_one_gather() {
    let text = format!(
        "HloModule m
{TAKE}
ENTRY main {{
  table = f32[9,5] parameter(0)
  ids = s32[6,4] parameter(1)
  ROOT rows = f32[6,4,5] call(table, ids), to_apply=take
}}
"
    );
    let matches = agree(&text, -20, 20);
    let found = only(&matches);
    assert_eq!((found.kind, found.facts.mode), (Kind::Gather, Mode::Fill));
    assert_eq!(found.facts.lookups, 24);
    let text = found.region.to_string();
    assert!(text.contains("{wrap 9, fill 0..8}"), "{text}");
    assert!(text.contains("{fill nan}"), "{text}");
    assert_eq!(
        found
            .instructions
            .iter()
            .filter(|i| i.call_path.len() == 2)
            .count(),
        1
    );
}

#[test]
fn a_lookup_in_a_callee_and_a_reduce_in_the_caller_are_one_bag() {
    let text = format!(
        "HloModule m
{ADD}{TAKE}
ENTRY main {{
  table = f32[9,5] parameter(0)
  ids = s32[6,4] parameter(1)
  rows = f32[6,4,5] call(table, ids), to_apply=take
  zero = f32[] constant(0)
  sum = f32[6,5] reduce(rows, zero), dimensions={{1}}, to_apply=add
  four = f32[] constant(4)
  fours = f32[6,5] broadcast(four), dimensions={{}}
  ROOT mean = f32[6,5] divide(sum, fours)
}}
"
    );
    let matches = agree(&text, -9, 9);
    let found = only(&matches);
    assert_eq!(
        (found.kind, found.facts.pooling),
        (Kind::EmbeddingBag, Pooling::Mean)
    );
    assert!(!found.facts.weighted);
}

/// Rows gathered from `table[12,3]` by `ids`, then `rest`.
fn pooled(rest: &str) -> String {
    format!(
        "HloModule m
{ADD}
max {{
  a = f32[] parameter(0)
  b = f32[] parameter(1)
  ROOT max = f32[] maximum(a, b)
}}

set {{
  a = f32[] parameter(0)
  ROOT b = f32[] parameter(1)
}}

ENTRY main {{
  table = f32[12,3] parameter(0)
  ids = s32[20] parameter(1)
  segments = s32[20] parameter(2)
  w = f32[20] parameter(3)
  zero = f32[] constant(0)
  one = f32[] constant(1)
  zeros = f32[7,3] broadcast(zero), dimensions={{}}
  rows = f32[20,3] gather(table, ids), offset_dims={{1}}, collapsed_slice_dims={{0}}, start_index_map={{0}}, index_vector_dim=1, slice_sizes={{1,3}}
{rest}
}}
"
    )
}

const SCATTER: &str = "update_window_dims={1}, inserted_window_dims={0}, scatter_dims_to_operand_dims={0}, index_vector_dim=1";
const COUNT: &str = "update_window_dims={}, inserted_window_dims={0}, scatter_dims_to_operand_dims={0}, index_vector_dim=1";

#[test]
fn weighted_segment_sum_drops_and_adds_duplicates() {
    let matches = agree(
        &pooled(&format!(
            "  ws = f32[20,3] broadcast(w), dimensions={{0}}
  scaled = f32[20,3] multiply(rows, ws)
  ROOT bags = f32[7,3] scatter(zeros, segments, scaled), {SCATTER}, to_apply=add"
        )),
        -4,
        16,
    );
    let found = only(&matches);
    assert_eq!(
        (found.kind, found.facts.pooling),
        (Kind::EmbeddingBag, Pooling::Sum)
    );
    assert!(found.facts.weighted);
}

#[test]
fn segment_mean_takes_its_count_along() {
    let matches = agree(
        &pooled(&format!(
            "  sums = f32[7,3] scatter(zeros, segments, rows), {SCATTER}, indices_are_sorted=true, to_apply=add
  none = f32[7] broadcast(zero), dimensions={{}}
  ones = f32[20] broadcast(one), dimensions={{}}
  counts = f32[7] scatter(none, segments, ones), {COUNT}, indices_are_sorted=true, to_apply=add
  least = f32[7] broadcast(one), dimensions={{}}
  some = f32[7] maximum(counts, least)
  divisors = f32[7,3] broadcast(some), dimensions={{0}}
  ROOT means = f32[7,3] divide(sums, divisors)"
        )),
        0,
        9,
    );
    let found = only(&matches);
    assert_eq!(found.facts.pooling, Pooling::Mean);
    assert_eq!(found.accesses.len(), 3);
    assert!(
        found
            .region
            .to_string()
            .contains("%segments: s32[20] {sorted}")
    );
}

#[test]
fn one_lookup_with_several_poolings_is_one_region() {
    let matches = agree(
        &pooled(&format!(
            "  low = f32[] constant(-inf)
  lows = f32[7,3] broadcast(low), dimensions={{}}
  sums = f32[7,3] scatter(zeros, segments, rows), {SCATTER}, to_apply=add
  maxima = f32[7,3] scatter(lows, segments, rows), {SCATTER}, to_apply=max
  ROOT both = (f32[7,3], f32[7,3], f32[20,3]) tuple(sums, maxima, rows)"
        )),
        -2,
        14,
    );
    let found = only(&matches);
    assert_eq!(found.outputs.len(), 3);
    assert_eq!(found.region.nests.len(), 1, "{}", found.region);
}

#[test]
fn later_rows_replace_earlier_ones() {
    let matches = agree(
        &pooled(&format!(
            "  ROOT set = f32[7,3] scatter(zeros, segments, rows), {SCATTER}, to_apply=set"
        )),
        -2,
        9,
    );
    assert_eq!(matches.regions.len(), 1);
}

#[test]
fn later_windows_replace_earlier_ones() {
    // The windows overlap, and stand in the first dimension of the updates.
    let text = "HloModule m
replace {
  a = f32[] parameter(0)
  ROOT b = f32[] parameter(1)
}
ENTRY main {
  old = f32[10,4] parameter(0)
  ids = s32[7] parameter(1)
  new = f32[3,4,7] parameter(2)
  ROOT out = f32[10,4] scatter(old, ids, new), update_window_dims={0,1}, inserted_window_dims={}, scatter_dims_to_operand_dims={0}, index_vector_dim=1, to_apply=replace
}
";
    only(&agree(text, -2, 12));
}

#[test]
fn a_region_never_needs_what_it_gives() {
    // The weights depend on the rows through a matrix product.
    let matches = agree(
        &pooled(&format!(
            "  m = f32[3,1] constant({{{{1}},{{2}},{{3}}}})
  scores = f32[20,1] dot(rows, m), lhs_contracting_dims={{1}}, rhs_contracting_dims={{0}}
  tanh = f32[20,1] tanh(scores)
  sorted = f32[20,1] sort(tanh), dimensions={{0}}, to_apply=less
  flat = f32[20] reshape(sorted)
  ws = f32[20,3] broadcast(flat), dimensions={{0}}
  scaled = f32[20,3] multiply(rows, ws)
  ROOT bags = f32[7,3] scatter(zeros, segments, scaled), {SCATTER}, to_apply=add"
        ))
        .replace("max {", "less {\n  p = f32[] parameter(0)\n  q = f32[] parameter(1)\n  ROOT lt = pred[] compare(p, q), direction=LT\n}\n\nmax {"),
        0,
        12,
    );
    assert_eq!(matches.regions.len(), 2);
    assert!(matches.misses.is_empty(), "{:?}", matches.misses);
}

#[test]
fn a_scatter_of_windows_drops_a_window_that_sticks_out() {
    let matches = agree(
        &format!(
            "HloModule m
{ADD}
ENTRY main {{
  table = f32[10,3] parameter(0)
  ids = s32[5] parameter(1)
  updates = f32[5,2,3] parameter(2)
  ROOT sums = f32[10,3] scatter(table, ids, updates), update_window_dims={{1,2}}, inserted_window_dims={{}}, scatter_dims_to_operand_dims={{0}}, index_vector_dim=1, to_apply=add
}}
"
        ),
        -4,
        14,
    );
    assert_eq!(only(&matches).kind, Kind::ScatterUpdate);
}

#[test]
fn several_components_come_from_one_concatenation() {
    let matches = agree(
        "HloModule m

ENTRY main {
  table = f32[4,9,3] parameter(0)
  ids = s32[4,5,1] parameter(1)
  batch = s32[4,5,1] iota(), iota_dimension=0
  starts = s32[4,5,2] concatenate(batch, ids), dimensions={2}
  ROOT rows = f32[4,5,3] gather(table, starts), offset_dims={2}, collapsed_slice_dims={0,1}, start_index_map={0,1}, index_vector_dim=2, slice_sizes={1,1,3}
}
",
        -3,
        12,
    );
    let text = only(&matches).region.to_string();
    assert!(text.contains("%table[%b, %row, %d]"), "{text}");
}

#[test]
fn narrowed_indices_stay_narrowed() {
    // 2^32 + k becomes k, as in the model.
    let matches = agree(
        "HloModule m

ENTRY main {
  table = f32[7,3] parameter(0)
  ids = s64[6] parameter(1)
  big = s64[] constant(4294967296)
  bigs = s64[6] broadcast(big), dimensions={}
  far = s64[6] add(ids, bigs)
  narrow = s32[6] convert(far)
  ROOT rows = f32[6,3] gather(table, narrow), offset_dims={1}, collapsed_slice_dims={0}, start_index_map={0}, index_vector_dim=1, slice_sizes={1,3}
}
",
        -3,
        9,
    );
    assert_eq!(only(&matches).kind, Kind::Gather);
}

#[test]
fn rows_in_a_loop_body_are_found_there() {
    let matches = agree(
        "HloModule m

body {
  state = (s32[], f32[9,4], s32[3], f32[3,4]) parameter(0)
  i = s32[] get-tuple-element(state), index=0
  table = f32[9,4] get-tuple-element(state), index=1
  ids = s32[3] get-tuple-element(state), index=2
  one = s32[] constant(1)
  next = s32[] add(i, one)
  rows = f32[3,4] gather(table, ids), offset_dims={1}, collapsed_slice_dims={0}, start_index_map={0}, index_vector_dim=1, slice_sizes={1,4}
  ROOT out = (s32[], f32[9,4], s32[3], f32[3,4]) tuple(next, table, ids, rows)
}

condition {
  state = (s32[], f32[9,4], s32[3], f32[3,4]) parameter(0)
  i = s32[] get-tuple-element(state), index=0
  two = s32[] constant(2)
  ROOT go = pred[] compare(i, two), direction=LT
}

ENTRY main {
  table = f32[9,4] parameter(0)
  ids = s32[3] parameter(1)
  zero = s32[] constant(0)
  f = f32[] constant(0)
  start = f32[3,4] broadcast(f), dimensions={}
  state = (s32[], f32[9,4], s32[3], f32[3,4]) tuple(zero, table, ids, start)
  loop = (s32[], f32[9,4], s32[3], f32[3,4]) while(state), condition=condition, body=body
  ROOT rows = f32[3,4] get-tuple-element(loop), index=3
}
",
        -2,
        12,
    );
    assert_eq!(only(&matches).kind, Kind::Gather);
}

fn reason(text: &str) -> MissReason {
    let (_, matches) = search(text);
    assert!(matches.regions.is_empty());
    let [miss] = matches.misses.as_slice() else {
        panic!("one miss expected: {:?}", matches.misses);
    };
    assert!(!miss.reason.help().is_empty());
    assert!(miss.span.end > miss.span.start);
    miss.reason.clone()
}

#[test]
fn misses_say_why() {
    let columns = "HloModule m

ENTRY main {
  x = f32[8,4] parameter(0)
  picks = s32[3,1] constant({{2},{0},{1}})
  ROOT columns = f32[8,3] gather(x, picks), offset_dims={0}, collapsed_slice_dims={1}, start_index_map={1}, index_vector_dim=1, slice_sizes={8,1}
}
";
    assert_eq!(reason(columns), MissReason::ConstantIndices);
    let labels = "HloModule m

ENTRY main {
  logits = f32[8,4] parameter(0)
  labels = s32[8,1,1] parameter(1)
  ROOT picked = f32[8,1] gather(logits, labels), offset_dims={}, collapsed_slice_dims={1}, start_index_map={1}, operand_batching_dims={0}, start_indices_batching_dims={0}, index_vector_dim=2, slice_sizes={1,1}
}
";
    assert_eq!(reason(labels), MissReason::OneElementPerRow);
    let row = "HloModule m

ENTRY main {
  table = f32[8,4] parameter(0)
  i = s32[] parameter(1)
  zero = s32[] constant(0)
  ROOT row = f32[1,4] dynamic-slice(table, i, zero), dynamic_slice_sizes={1,4}
}
";
    assert_eq!(reason(row), MissReason::OneWindow);
    let one_hot = "HloModule m

ENTRY main {
  table = f32[8,4] parameter(0)
  ids = s32[5] parameter(1)
  wide = s32[5,8] broadcast(ids), dimensions={0}
  count = s32[5,8] iota(), iota_dimension=1
  hot = pred[5,8] compare(wide, count), direction=EQ
  one = f32[5,8] convert(hot)
  ROOT rows = f32[5,4] dot(one, table), lhs_contracting_dims={1}, rhs_contracting_dims={0}
}
";
    assert_eq!(reason(one_hot), MissReason::OneHot);
}

#[test]
fn thousands_of_lookups_are_all_found() {
    let mut text = format!(
        "HloModule m
{ADD}
ENTRY main {{
  table = f32[50,2] parameter(0)
  ids = s32[4,3] parameter(1)
  zero = f32[] constant(0)
  first = s32[4,3] add(ids, ids)
"
    );
    let mut ids = "first".to_string();
    for k in 0..2000 {
        text.push_str(&format!(
            "  rows.{k} = f32[4,3,2] gather(table, {ids}), offset_dims={{2}}, collapsed_slice_dims={{0}}, start_index_map={{0}}, index_vector_dim=2, slice_sizes={{1,2}}
  bag.{k} = f32[4,2] reduce(rows.{k}, zero), dimensions={{1}}, to_apply=add
  exp.{k} = f32[4,2] exponential(bag.{k})
  first.{k} = f32[4] reduce(exp.{k}, zero), dimensions={{1}}, to_apply=add
  int.{k} = s32[4] convert(first.{k})
  wide.{k} = s32[4,3] broadcast(int.{k}), dimensions={{0}}
  ids.{k} = s32[4,3] add(wide.{k}, {ids})
"
        ));
        ids = format!("ids.{k}");
    }
    text.push_str(&format!("  ROOT out = s32[4,3] negate({ids})\n}}\n"));
    let (_, matches) = search(&text);
    assert_eq!(matches.regions.len(), 2000);
    assert!(matches.misses.is_empty());
}

#[test]
fn calls_inside_calls_are_seen_through() {
    let depth = 2000;
    let mut text = "HloModule m

f.0 {
  table = f32[9,4] parameter(0)
  ids = s32[3] parameter(1)
  ROOT rows = f32[3,4] gather(table, ids), offset_dims={1}, collapsed_slice_dims={0}, start_index_map={0}, index_vector_dim=1, slice_sizes={1,4}
}
"
    .to_string();
    for k in 1..=depth {
        let head = if k == depth {
            "ENTRY main".to_string()
        } else {
            format!("f.{k}")
        };
        text.push_str(&format!(
            "\n{head} {{\n  table = f32[9,4] parameter(0)\n  ids = s32[3] parameter(1)\n  ROOT rows = f32[3,4] call(table, ids), to_apply=f.{}\n}}\n",
            k - 1
        ));
    }
    let (_, matches) = search(&text);
    assert_eq!(only(&matches).outputs[0].call_path.len(), depth);
}
