//! What each level sends, by formula.

use hlo2dae_integration::classes::{CLASSES, Class, counts, inputs};
use hlo2dae_ir::passes::{MAX_LEVEL, Options};
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
