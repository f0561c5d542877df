//! Every case folder is what it says: one test for each, named after the folder.

use std::path::Path;
use std::process::ExitCode;

use hlo2dae_integration::{case::Case, stage, workspace};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    let folders = match Case::all() {
        Ok(folders) => folders,
        Err(error) => {
            eprintln!("{error:?}");
            return ExitCode::FAILURE;
        }
    };
    let trials = folders
        .into_iter()
        .map(|folder| Trial::test(workspace::file_name(&folder), move || run(&folder)))
        .collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn run(folder: &Path) -> Result<(), Failed> {
    let case = Case::load(folder).map_err(|error| format!("{error:?}"))?;
    let mut failures: Vec<String> = stage::check(&case)
        .iter()
        .map(|error| format!("{error:?}"))
        .collect();
    let orphans = case.orphans().map_err(|error| format!("{error:?}"))?;
    failures.extend(
        orphans
            .iter()
            .map(|file| format!("{file}: no stage makes this file; remove it or list its stage")),
    );
    if failures.is_empty() {
        Ok(())
    } else {
        Err(failures.join("\n").into())
    }
}
