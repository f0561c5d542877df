//! What the framework tests compare with: our text of every case, and our values for every set of its inputs.
//!
//! A folder `NAME/` for each case holds `print.hlo`, the same module as `stablehlo.mlir` and one `SET.npz` for each set of
//! inputs, with arrays `arg0`, `arg1`, ... and `out0`, `out1`, ... Element types that numpy lacks travel as unsigned integers of their width.

use std::path::{Path, PathBuf};

use hlo2dae::npz;
use hlo2dae_hlo::eval::{EvalOptions, evaluate};
use hlo2dae_hlo::{Literal, Module, PrimitiveType, stablehlo, verify};
use miette::{IntoDiagnostic, Result, WrapErr, miette};

use crate::case::{Case, INPUT};
use crate::fill::{self, Fill};
use crate::{stage, workspace};

/// Writes one case into `folder`.
pub fn write(case: &Case, folder: &Path) -> Result<()> {
    let module = stage::module(&case.text(INPUT)?)?;
    let folder = folder.join(&case.name);
    std::fs::create_dir_all(&folder).into_diagnostic()?;
    std::fs::write(folder.join("print.hlo"), module.to_string()).into_diagnostic()?;
    let stablehlo = stablehlo::print(verify(&module)?)?;
    std::fs::write(folder.join("stablehlo.mlir"), stablehlo).into_diagnostic()?;
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

/// The texts of `outlines/`, without what becomes of them.
pub fn outlines() -> Result<Vec<PathBuf>> {
    let mut paths = workspace::entries(&workspace::root().join("integration/outlines"))?;
    paths.retain(|path| !workspace::file_name(path).ends_with(".calls.hlo"));
    Ok(paths)
}

/// Arguments for a small module: integers up to 5, numbers around zero, of Booleans only true.
pub fn arguments(module: &Module) -> Result<Vec<Literal>> {
    let parameters = module.entry().parameters.iter().enumerate();
    parameters
        .map(|(number, &parameter)| {
            let shape = module.instructions[parameter]
                .array()
                .ok_or_else(|| miette!("parameter {number} is no array"))?;
            let fill = match shape.element {
                PrimitiveType::Pred => Fill::Integers(1, 2),
                element if element.is_float() => Fill::Uniform(-1.0, 1.0),
                _ => Fill::Integers(0, 6),
            };
            fill::literal(&fill, shape, 1, number as u64)
        })
        .collect()
}

/// Writes arguments for each of the [`outlines`], `outlines/NAME.npz`, into `folder`.
pub fn write_outlines(folder: &Path) -> Result<()> {
    let folder = folder.join("outlines");
    std::fs::create_dir_all(&folder).into_diagnostic()?;
    for path in outlines()? {
        let module = stage::module(&workspace::read(&path)?)?;
        let arguments = arguments(&module)?;
        let named = (0..).map(|number| format!("arg{number}"));
        let file = Path::new(&workspace::file_name(&path)).with_extension("npz");
        npz::write(&folder.join(file), named.zip(&arguments))?;
    }
    Ok(())
}
