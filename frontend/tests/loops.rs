//! Loops whose rounds are counted: as regions, and computing what they compute.

#![allow(clippy::panic, reason = "a failed check ends the test")]

mod support;

use hlo2dae_frontend::{Kind, Matches};
use support::{agree, search};

/// A loop over `f32[6,2]` sums that adds `f32[4,2]` rows to them, by `s32[4]` ids.
struct Rounds {
    /// What stands in a round before the update; it may use `i`, `sums`, `ids` and `rows`, and defines `row`.
    body: &'static str,
    /// What a round makes of the window `old` and of `row`.
    new: &'static str,
    /// The condition, of `i` and `four`.
    condition: &'static str,
    /// The next index, of `i` and `one`.
    next: &'static str,
    /// The first index.
    begin: i64,
}

const ROUNDS: Rounds = Rounds {
    body: "row = f32[1,2] dynamic-slice(rows, i, zero), dynamic_slice_sizes={1,2}",
    new: "new = f32[1,2] add(old, row)",
    condition: "compare(i, four), direction=LT",
    next: "add(i, one)",
    begin: 0,
};

impl Rounds {
    fn text(&self) -> String {
        let Rounds {
            body,
            new,
            condition,
            next,
            begin,
        } = self;
        format!(
            "HloModule m

body {{
  state = (s32[], f32[6,2], s32[4], f32[4,2]) parameter(0)
  i = s32[] get-tuple-element(state), index=0
  sums = f32[6,2] get-tuple-element(state), index=1
  ids = s32[4] get-tuple-element(state), index=2
  rows = f32[4,2] get-tuple-element(state), index=3
  zero = s32[] constant(0)
  one = s32[] constant(1)
  id.1 = s32[1] dynamic-slice(ids, i), dynamic_slice_sizes={{1}}
  id = s32[] reshape(id.1)
  {body}
  old = f32[1,2] dynamic-slice(sums, id, zero), dynamic_slice_sizes={{1,2}}
  {new}
  after = f32[6,2] dynamic-update-slice(sums, new, id, zero)
  next = s32[] {next}
  ROOT out = (s32[], f32[6,2], s32[4], f32[4,2]) tuple(next, after, ids, rows)
}}

condition {{
  state = (s32[], f32[6,2], s32[4], f32[4,2]) parameter(0)
  i = s32[] get-tuple-element(state), index=0
  four = s32[] constant(4)
  ROOT go = pred[] {condition}
}}

ENTRY main {{
  sums = f32[6,2] parameter(0)
  ids = s32[4] parameter(1)
  rows = f32[4,2] parameter(2)
  begin = s32[] constant({begin})
  state = (s32[], f32[6,2], s32[4], f32[4,2]) tuple(begin, sums, ids, rows)
  loop = (s32[], f32[6,2], s32[4], f32[4,2]) while(state), condition=condition, body=body
  ROOT result = f32[6,2] get-tuple-element(loop), index=1
}}
"
        )
    }

    fn search(&self) -> Matches {
        search(&self.text()).1
    }
}

#[test]
fn rows_added_one_by_one_are_a_scatter_update() {
    let matches = agree(&ROUNDS.text(), -3, 9);
    let [found] = matches.regions.as_slice() else {
        panic!("{:?}", matches.misses);
    };
    assert_eq!(found.kind, Kind::ScatterUpdate);
    let [operation] = found.facts.operations.as_slice() else {
        panic!("{:?}", found.facts.operations);
    };
    let into = operation.into.as_ref().expect("an updated array");
    assert_eq!((into.rows, into.row), (4, 2));
    assert_eq!(found.region.nests.len(), 1);
}

#[test]
fn a_loop_may_begin_anywhere() {
    let rounds = Rounds { begin: 2, ..ROUNDS };
    let matches = agree(&rounds.text(), -3, 9);
    let [found] = matches.regions.as_slice() else {
        panic!("{:?}", matches.misses);
    };
    let operation = &found.facts.operations[0];
    assert_eq!(operation.into.as_ref().map(|into| into.rows), Some(2));
}

#[test]
fn the_bound_may_stand_on_the_left() {
    let rounds = Rounds {
        condition: "compare(four, i), direction=GT",
        ..ROUNDS
    };
    assert_eq!(agree(&rounds.text(), -3, 9).regions.len(), 1);
}

#[test]
fn the_largest_may_be_kept() {
    let rounds = Rounds {
        new: "new = f32[1,2] maximum(row, old)",
        ..ROUNDS
    };
    assert_eq!(agree(&rounds.text(), -3, 9).regions.len(), 1);
}

#[test]
fn rows_may_be_replaced() {
    let rounds = Rounds {
        new: "new = f32[1,2] negate(row)",
        ..ROUNDS
    };
    assert_eq!(agree(&rounds.text(), -3, 9).regions.len(), 1);
}

#[test]
fn a_condition_drops_a_row() {
    let rounds = Rounds {
        new: "low = pred[] compare(id, one), direction=GE
  lows = pred[1,2] broadcast(low), dimensions={}
  more = f32[1,2] add(old, row)
  new = f32[1,2] select(lows, more, old)",
        ..ROUNDS
    };
    assert_eq!(agree(&rounds.text(), -3, 9).regions.len(), 1);
}

#[test]
fn what_is_no_combine_stays() {
    let rounds = Rounds {
        new: "new = f32[1,2] divide(old, row)",
        ..ROUNDS
    };
    assert!(rounds.search().regions.is_empty());
}

#[test]
fn a_round_that_reads_another_place_of_its_state_stays() {
    let rounds = Rounds {
        body: "row = f32[1,2] dynamic-slice(sums, i, zero), dynamic_slice_sizes={1,2}",
        ..ROUNDS
    };
    assert!(rounds.search().regions.is_empty());
}

#[test]
fn a_loop_that_counts_otherwise_stays() {
    for (condition, next) in [
        ("compare(i, four), direction=LT", "add(i, i)"),
        ("compare(i, four), direction=NE", "add(i, one)"),
        ("compare(i, four), direction=LE", "add(i, one)"),
        ("compare(i, four), direction=LT", "subtract(i, one)"),
    ] {
        let rounds = Rounds {
            condition,
            next,
            ..ROUNDS
        };
        assert!(rounds.search().regions.is_empty(), "{condition}, {next}");
    }
}

#[test]
fn a_loop_that_runs_no_round_stays() {
    let rounds = Rounds { begin: 4, ..ROUNDS };
    assert!(rounds.search().regions.is_empty());
}
