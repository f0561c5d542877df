//! What each level sends, by formula.

use hlo2dae_backend::Machine;
use hlo2dae_integration::classes::{CLASSES, Class, Counts, counts, inputs, run};
use hlo2dae_ir::core::LoopHints;
use hlo2dae_ir::lower::scf_to_slc;
use hlo2dae_ir::passes::{MAX_LEVEL, Options, optimise};
use hlo2dae_ir::scf;
use miette::Result;

/// Tokens, operands and elements that the access unit reads.
fn formula(class: &Class, level: u8) -> [u64; 3] {
    let lanes = u64::from(Options::default().lanes);
    let Class {
        name,
        outer,
        lookups,
        row,
        ..
    } = *class;
    let vectors = row.div_ceil(lanes);
    // A vector that is not full needs a mask.
    let mask = u64::from(row % lanes != 0);
    // Rows and other scalars of each look-up, and how many positions tell where its result goes.
    let (rows, scalars, positions) = match name {
        "embedding_bag" => (1, 0, 1),
        "weighted_embedding_bag" | "spmm" => (1, 1, 1),
        "knowledge_graph" => (3, 0, 1),
        "block_gather" => (1, 0, 2),
        "message_passing" => (3, 0, 1),
        other => unreachable!("{other}"),
    };
    // The position in the row, if the result has one.
    let in_row = u64::from(name != "knowledge_graph");
    let read = match name {
        "block_gather" => outer,
        "knowledge_graph" => 3 * lookups,
        "embedding_bag" | "message_passing" => 2 * outer + lookups,
        "weighted_embedding_bag" | "spmm" => 2 * outer + 2 * lookups,
        other => unreachable!("{other}"),
    };
    let elements = read + rows * lookups * row;
    // The counter of the outer loop: none where the look-up itself is the outer loop.
    let counts = if outer == lookups { 0 } else { outer };
    let each = rows + scalars + positions + in_row;
    // Message passing has two loops a look-up, and what stands before each of them.
    if name == "message_passing" {
        return match level {
            0 => [lookups * (2 * row + 2), lookups * 5 * row, elements],
            1 => [lookups * (2 * vectors + 2), lookups * 5 * vectors, elements],
            2 => [lookups, lookups * 4, elements],
            3 => [lookups + outer, lookups * 3, elements],
            // The row of the other end is read once, the vertex's own once for all its edges.
            _ => [
                lookups + 2 * outer,
                lookups + outer,
                elements - (2 * lookups - outer) * row,
            ],
        };
    }
    match level {
        0 => [lookups * row, lookups * row * each, elements],
        1 => [
            lookups * vectors,
            lookups * vectors * (each + mask),
            elements,
        ],
        2 => [lookups, lookups * (rows + scalars + positions), elements],
        // What is only moved needs no token.
        4 if name == "block_gather" => [0, 0, elements],
        _ => [lookups + counts, lookups * (rows + scalars), elements],
    }
}

#[test]
fn every_level_sends_what_its_formula_says() -> Result<()> {
    for class in CLASSES {
        let inputs = inputs(class)?;
        for level in 0..=MAX_LEVEL {
            let stats = counts(class, level, &inputs)?.stats;
            let found = [stats.tokens, stats.operands, stats.access_requests()];
            assert_eq!(found, formula(class, level), "{} at O{level}", class.name);
        }
    }
    Ok(())
}

#[test]
fn at_o3_rows_and_weights_are_all_that_is_sent() -> Result<()> {
    for class in CLASSES {
        let inputs = inputs(class)?;
        let (rows, weights) = match class.name {
            "message_passing" | "knowledge_graph" => (3, 0),
            "spmm" | "weighted_embedding_bag" => (1, 1),
            _ => (1, 0),
        };
        let stats = counts(class, 3, &inputs)?.stats;
        let expected = class.lookups * 4 * (rows * class.row + weights);
        assert_eq!(stats.operand_bytes, expected, "{}", class.name);
    }
    Ok(())
}

#[test]
fn at_o4_a_bag_is_stored_once() -> Result<()> {
    for class in CLASSES {
        let vectors = class.row.div_ceil(u64::from(Options::default().lanes));
        let inputs = inputs(class)?;
        let [before, after] = [3, 4].map(|level| counts(class, level, &inputs));
        let (before, after) = (before?, after?);
        let (expected_before, expected_after) = match class.name {
            // The access unit writes them.
            "block_gather" => {
                assert_eq!(after.written, class.lookups * class.row);
                (class.lookups * vectors, 0)
            }
            // A sum for each triple.
            "knowledge_graph" => (class.lookups * vectors, class.outer),
            _ => (class.lookups * vectors, class.outer * vectors),
        };
        let found = (before.output_stores, after.output_stores);
        assert_eq!(found, (expected_before, expected_after), "{}", class.name);
    }
    Ok(())
}

#[test]
fn cores_share_the_positions_of_the_outermost_loop() -> Result<()> {
    for class in CLASSES {
        let inputs = inputs(class)?;
        let (expected, alone) = run(class, MAX_LEVEL, &Machine::default(), &inputs)?;
        for cores in [2, 3, 8, 64] {
            let machine = Machine {
                cores,
                ..Machine::default()
            };
            let (found, shared) = run(class, MAX_LEVEL, &machine, &inputs)?;
            let name = format!("{} on {cores} cores", class.name);
            assert_eq!(found, expected, "{name}");
            let used = u64::from(cores).min(class.outer);
            assert_eq!(shared.stats.cores.len() as u64, used, "{name}");
            let sum: u64 = shared.stats.cores.iter().map(|core| core.tokens).sum();
            assert_eq!(sum, shared.stats.tokens, "{name}");
            // A core does not know where its positions begin: each is sent once, where a result is stored.
            let positions = match class.name {
                "block_gather" => 0,
                _ => class.outer,
            };
            let counts = |counts: &Counts| {
                let stats = &counts.stats;
                let requests = (stats.access_requests(), stats.access_lines());
                (stats.tokens, stats.operands, requests, counts.output_stores)
            };
            let (tokens, operands, requests, stores) = counts(&alone);
            let with_positions = (tokens, operands + positions, requests, stores);
            assert_eq!(counts(&shared), with_positions, "{name}");
        }
    }
    Ok(())
}

#[test]
fn look_ups_in_flight_take_all_lanes() -> Result<()> {
    for class in CLASSES {
        let loops: scf::Func = class.loops.parse()?;
        let streams = scf_to_slc(&loops)?;
        for lanes in [1, 2, 8, 32] {
            let mut machine = Machine::default();
            machine.access_unit.lanes = lanes;
            let options = Options {
                resources: machine.resources(),
                ..Options::default()
            };
            let optimised = optimise(MAX_LEVEL, &streams, &options)?;
            let bodies = optimised.bodies();
            let loops = bodies.iter().flat_map(|body| body.loops());
            let hints: Vec<LoopHints> = loops.map(|inner| inner.hints).collect();
            let most = hints.iter().filter_map(|hints| hints.lanes).max();
            let positions = match class.name {
                "block_gather" | "knowledge_graph" => class.outer as u32,
                // As many as a bag has, which nobody knows.
                _ => u32::MAX,
            };
            let expected = (lanes > 1).then_some(lanes.min(positions));
            assert_eq!(most, expected, "{} on {lanes} lanes", class.name);
            let ahead = hints.iter().filter(|hints| hints.prefetch.is_some());
            assert_eq!(ahead.count(), 1, "{} on {lanes} lanes", class.name);
        }
    }
    Ok(())
}
