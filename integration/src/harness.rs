//! Tests named after folders: one for each case.

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use miette::Report;

use crate::case::Case;
use crate::workspace;

/// Runs `test` on every case folder, each as a test of its own; a test fails with all errors that it returns.
pub fn each_case(test: impl Fn(&Case) -> Vec<Report> + Send + Sync + 'static) -> ExitCode {
    let test = Arc::new(test);
    let trials = match Case::all() {
        Ok(folders) => folders
            .into_iter()
            .map(|folder| {
                let test = test.clone();
                Trial::test(workspace::file_name(&folder), move || {
                    outcome(match Case::load(&folder) {
                        Ok(case) => test(&case),
                        Err(error) => vec![error],
                    })
                })
            })
            .collect(),
        Err(error) => vec![Trial::test("cases", move || outcome(vec![error]))],
    };
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// Passes when there is no error, shows all of them otherwise.
pub fn outcome(errors: Vec<Report>) -> Result<(), Failed> {
    if errors.is_empty() {
        return Ok(());
    }
    let texts: Vec<String> = errors.iter().map(|error| format!("{error:?}")).collect();
    Err(texts.join("\n").into())
}
