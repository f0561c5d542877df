//! `hlo2dae passes`.

use std::fmt::Write as _;

use clap::Args;
use hlo2dae_ir::passes::{MAX_LEVEL, PASSES, pipeline};

use crate::Outcome;
use crate::input::{Failure, write};

/// List the passes, and what each level runs and why.
#[derive(Args)]
pub struct Arguments {}

pub fn run(_: &Arguments) -> Result<Outcome, Failure> {
    let mut out = String::new();
    for pass in PASSES {
        let _ = writeln!(out, "{:<16} {}", pass.name, pass.summary);
        for parameter in pass.parameters {
            let _ = writeln!(
                out,
                "  {{{}=N}}: {}, {} to {}; {} if not said",
                parameter.name,
                parameter.summary,
                parameter.range.start(),
                parameter.range.end(),
                parameter.default
            );
        }
    }
    for level in 0..=MAX_LEVEL {
        let steps = pipeline(level).unwrap_or_default();
        let _ = writeln!(
            out,
            "\nO{level}{}",
            if steps.is_empty() {
                ": decoupled, no pass"
            } else {
                ""
            }
        );
        for step in steps {
            let _ = writeln!(out, "  {:<16} {}", step.pass, step.reason);
        }
    }
    write(None, &out)?;
    Ok(Outcome::Done)
}
