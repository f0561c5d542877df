//! Every engine agrees with the reference: on every case, every set of its inputs, several seeds.

use std::process::ExitCode;

use hlo2dae_integration::case::{Case, INPUT};
use hlo2dae_integration::{engines, harness, stage};
use miette::{Report, Result, WrapErr};

/// Seeds for each set of inputs, after the case's own.
const SEEDS: u64 = 4;

fn main() -> ExitCode {
    harness::each_case(|case| match run(case) {
        Ok(errors) => errors,
        Err(error) => vec![error],
    })
}

fn run(case: &Case) -> Result<Vec<Report>> {
    let compilation = stage::compiled(&case.text(INPUT)?)?;
    let mut errors = Vec::new();
    for set in case.input_sets() {
        for seed in case.spec.seed..=case.spec.seed.saturating_add(SEEDS) {
            let checked = case
                .arguments(&compilation.module, set, seed)
                .and_then(|arguments| {
                    let ran = engines::check(&compilation, &arguments)?;
                    miette::ensure!(ran > 0, "no region ran: nothing was held against anything");
                    Ok(())
                })
                .wrap_err_with(|| format!("inputs `{set}`, seed {seed}"));
            errors.extend(checked.err());
        }
    }
    Ok(errors)
}
