//! XLA's own texts and values, and real dumps, read from the directory that `HLO2DAE_CORPUS` names.
//!
//! Without the variable there is nothing to read and the test passes; the crate's own texts, in the
//! other tests, cover the same grammar. The example `conformance` prints the same as a table.

#[path = "corpus/mod.rs"]
mod corpus;

#[test]
fn texts_and_values_are_those_of_xla() {
    let outcomes = corpus::outcomes();
    let wrong = outcomes
        .iter()
        .filter(|(check, outcome)| outcome.all == 0 || outcome.bad.len() > check.allowed);
    let wrong: Vec<String> = wrong
        .map(|(check, outcome)| {
            let (right, all) = (outcome.all - outcome.bad.len(), outcome.all);
            format!(
                "{}: {right} of {all}\n  {}",
                check.what,
                outcome.bad.join("\n  ")
            )
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
