//! Every case folder is what it says: one test for each, named after the folder.

use std::process::ExitCode;

use hlo2dae_integration::{harness, stage};

fn main() -> ExitCode {
    harness::each_case(stage::check)
}
