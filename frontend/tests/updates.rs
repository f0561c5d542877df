//! What is summed up for nothing but to be added to an array is added to that array.

#![allow(clippy::panic, reason = "a failed check ends the test")]

mod support;

use hlo2dae_frontend::Matches;
use hlo2dae_ir::core::{Init, Role};
use support::agree;

const SCATTER: &str = "update_window_dims={1}, inserted_window_dims={0}, scatter_dims_to_operand_dims={0}, index_vector_dim=1, to_apply=add";

/// A module of these instructions.
fn module(entry: &str) -> String {
    format!(
        "HloModule m

add {{
  a = f32[] parameter(0)
  b = f32[] parameter(1)
  ROOT sum = f32[] add(a, b)
}}

ENTRY main {{
{entry}
}}
"
    )
}

/// Rows scattered into zeros as `sums`, then `rest`.
fn descent(rest: &str) -> String {
    module(&format!(
        "  table = f32[50,3] parameter(0)
  ids = s32[20] parameter(1)
  gradients = f32[20,3] parameter(2)
  rate = f32[] parameter(3)
  zero = f32[] constant(0)
  zeros = f32[50,3] broadcast(zero), dimensions={{}}
  rates = f32[50,3] broadcast(rate), dimensions={{}}
  sums = f32[50,3] scatter(zeros, ids, gradients), {SCATTER}
{rest}"
    ))
}

/// How many of the outputs of all regions start as a copy of an input, and may lie where it does.
fn updates(matches: &Matches) -> usize {
    let regions = matches.regions.iter().map(|found| &found.region);
    let outputs = regions.clone().flat_map(|region| region.buffers.values());
    let copies = outputs.filter(|buffer| matches!(buffer.role, Role::Output(Init::Copy(_))));
    let in_place = regions.flat_map(|region| region.in_place()).flatten();
    assert_eq!(copies.count(), in_place.clone().count());
    in_place.count()
}

#[test]
fn a_step_of_gradient_descent_is_one_update() {
    for rest in [
        "  scaled = f32[50,3] multiply(sums, rates)
  ROOT next = f32[50,3] subtract(table, scaled)",
        "  ROOT next = f32[50,3] add(sums, table)",
        "  ROOT next = f32[50,3] add(table, sums)",
        "  scaled = f32[50,3] divide(sums, rates)
  negative = f32[50,3] negate(scaled)
  ROOT next = f32[50,3] add(table, negative)",
        // What the array is computed from stays outside, where it is shared or not.
        "  half = f32[] constant(0.5)
  halves = f32[50,3] broadcast(half), dimensions={}
  decayed = f32[50,3] multiply(table, halves)
  scaled = f32[50,3] multiply(rates, sums)
  ROOT next = f32[50,3] subtract(decayed, scaled)",
        // A view between the sums and the array.
        "  flat = f32[150] reshape(sums)
  all = f32[150] reshape(table)
  ROOT next = f32[150] add(all, flat)",
    ] {
        let matches = agree(&descent(rest), -3, 53);
        assert_eq!(matches.regions.len(), 1, "{rest}");
        assert_eq!(
            updates(&matches),
            1,
            "{rest}\n{}",
            matches.regions[0].region
        );
    }
}

#[test]
fn a_scatter_to_most_rows_updates_nothing() {
    let rest = "  scaled = f32[50,3] multiply(sums, rates)
  ROOT next = f32[50,3] subtract(table, scaled)";
    let few = descent(rest).replace("[50,3]", "[12,3]");
    let matches = agree(&few, -3, 15);
    assert_eq!(updates(&matches), 0);
    assert_eq!(
        matches.regions[0].region.nests.len(),
        2,
        "sums and their scale"
    );
}

#[test]
fn few_rows_are_not_scaled_with_all_others() {
    let rest = "  scaled = f32[50,3] multiply(sums, rates)
  moments = f32[50,3] multiply(table, rates)
  next = f32[50,3] add(moments, scaled)
  ROOT both = (f32[50,3], f32[50,3]) tuple(next, scaled)";
    let matches = agree(&descent(rest), -3, 53);
    assert_eq!(updates(&matches), 0);
    assert_eq!(
        matches.regions[0].region.nests.len(),
        1,
        "XLA scales and adds at once"
    );
}

#[test]
fn sums_that_are_needed_as_they_are_update_nothing() {
    for rest in [
        // A result, an operand of something else, the one that is subtracted from, and the one added to itself.
        "  next = f32[50,3] subtract(table, sums)
  ROOT both = (f32[50,3], f32[50,3]) tuple(next, sums)",
        "  squares = f32[50,3] multiply(sums, sums)
  moments = f32[50,3] add(table, squares)
  ROOT next = f32[50,3] subtract(moments, sums)",
        "  ROOT next = f32[50,3] subtract(sums, table)",
        "  ROOT next = f32[50,3] add(sums, sums)",
        "  ROOT next = f32[50,3] add(sums, rates)",
    ] {
        let matches = agree(&descent(rest), -3, 53);
        let expected = usize::from(rest.contains("add(sums, rates)"));
        assert_eq!(updates(&matches), expected, "{rest}");
    }
}

#[test]
fn an_array_that_depends_on_the_sums_is_none_to_start_from() {
    let rest = "  other = f32[50,3] scatter(table, ids, gradients), update_window_dims={1}, inserted_window_dims={0}, scatter_dims_to_operand_dims={0}, index_vector_dim=1, to_apply=add
  ROOT next = f32[50,3] subtract(other, sums)";
    let matches = agree(&descent(rest), -3, 53);
    assert!(updates(&matches) >= 1, "{matches:?}");
}

#[test]
fn rows_that_a_region_looks_up_itself_update_an_array() {
    // Messages of a graph, added to what the nodes have.
    let text = module(&format!(
        "  nodes = f32[50,3] parameter(0)
  from = s32[20] parameter(1)
  to = s32[20] parameter(2)
  states = f32[50,3] parameter(3)
  zero = f32[] constant(0)
  zeros = f32[50,3] broadcast(zero), dimensions={{}}
  rows = f32[20,3] gather(nodes, from), offset_dims={{1}}, collapsed_slice_dims={{0}}, start_index_map={{0}}, index_vector_dim=1, slice_sizes={{1,3}}
  messages = f32[50,3] scatter(zeros, to, rows), {SCATTER}
  ROOT next = f32[50,3] add(messages, states)"
    ));
    let matches = agree(&text, -3, 53);
    assert_eq!(matches.regions.len(), 1);
    assert_eq!(updates(&matches), 1, "{}", matches.regions[0].region);
    // The nodes themselves are read by the region: it has to have a copy of them.
    let text = text.replace("add(messages, states)", "add(messages, nodes)");
    let matches = agree(&text, -3, 53);
    assert_eq!(matches.regions[0].region.in_place(), [None]);
}
