//! How many texts and values of the collection that `HLO2DAE_CORPUS` names are those of XLA, as a table.
#![allow(clippy::print_stdout, reason = "the table is the result of the run")]

#[path = "../tests/corpus/mod.rs"]
mod corpus;

fn main() -> Result<(), String> {
    let outcomes = corpus::outcomes();
    if outcomes.is_empty() {
        return Err("HLO2DAE_CORPUS names no collection".to_owned());
    }
    println!("| what | as XLA | of | differ on purpose |");
    println!("|---|---|---|---|");
    for (check, outcome) in &outcomes {
        let (right, all) = (outcome.all - outcome.bad.len(), outcome.all);
        println!("| {} | {right} | {all} | {} |", check.what, check.allowed);
    }
    let wrong = outcomes
        .iter()
        .filter(|(check, outcome)| outcome.bad.len() > check.allowed);
    let wrong: Vec<&str> = wrong
        .flat_map(|(_, o)| &o.bad)
        .map(String::as_str)
        .collect();
    if wrong.is_empty() {
        return Ok(());
    }
    Err(wrong.join("\n"))
}
