//! What the framework tests compare with: our text of every case, and our values for every set of its inputs.
//!
//! A folder `NAME/` for each case holds `print.hlo` and one `SET.npz` for each set of inputs, with arrays `arg0`, `arg1`, ...
//! and `out0`, `out1`, ... Element types that numpy lacks travel as unsigned integers of their width.

use std::path::Path;

use hlo2dae::npz;
use hlo2dae_hlo::eval::{EvalOptions, evaluate};
use miette::{IntoDiagnostic, Result, WrapErr};

use crate::case::{Case, INPUT};
use crate::stage;

/// Writes one case into `folder`.
pub fn write(case: &Case, folder: &Path) -> Result<()> {
    let module = stage::module(&case.text(INPUT)?)?;
    let folder = folder.join(&case.name);
    std::fs::create_dir_all(&folder).into_diagnostic()?;
    std::fs::write(folder.join("print.hlo"), module.to_string()).into_diagnostic()?;
    for set in case.input_sets() {
        let arguments = case.arguments(&module, set, case.spec.seed)?;
        let result = evaluate(&module, &arguments, &EvalOptions::default(), &mut ())
            .wrap_err_with(|| format!("{}: inputs `{set}`", case.name))?;
        let named = |prefix: &'static str| (0..).map(move |number| format!("{prefix}{number}"));
        let arrays = named("arg")
            .zip(&arguments)
            .chain(named("out").zip(result.leaves()));
        npz::write(&folder.join(format!("{set}.npz")), arrays)?;
    }
    Ok(())
}
