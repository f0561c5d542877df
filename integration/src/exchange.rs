//! What the framework tests compare with: our text of every case, and our values for every set of its inputs.
//!
//! A folder `NAME/` for each case holds `print.hlo` and one `SET.npz` for each set of inputs, with arrays `arg0`, `arg1`, ...
//! and `out0`, `out1`, ... Elements travel as unsigned integers of their width, since numpy lacks some of the types.

use std::path::Path;

use hlo2dae_hlo::Literal;
use hlo2dae_hlo::eval::{EvalOptions, evaluate};
use miette::{IntoDiagnostic, Result, WrapErr, miette};
use npyz::WriterBuilder;
use npyz::npz::NpzWriter;

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
        let path = folder.join(format!("{set}.npz"));
        let mut npz = NpzWriter::create(&path).into_diagnostic()?;
        for (number, argument) in arguments.iter().enumerate() {
            array(&mut npz, &format!("arg{number}"), argument)?;
        }
        for (number, output) in result.leaves().into_iter().enumerate() {
            array(&mut npz, &format!("out{number}"), output)?;
        }
    }
    Ok(())
}

type Npz = NpzWriter<std::io::BufWriter<std::fs::File>>;

fn array(npz: &mut Npz, name: &str, literal: &Literal) -> Result<()> {
    let (shape, data) = literal
        .as_array()
        .ok_or_else(|| miette!("{name} is not an array"))?;
    let dims: Vec<u64> = shape.dims.iter().map(|&d| d as u64).collect();
    macro_rules! elements {
        ($type:ty) => {{
            let elements = data.chunks_exact(size_of::<$type>()).map(|bytes| {
                let mut element = <$type>::default().to_le_bytes();
                element.copy_from_slice(bytes);
                <$type>::from_le_bytes(element)
            });
            let writer = npz.array(name, Default::default()).into_diagnostic()?;
            let mut writer = writer
                .default_dtype()
                .shape(&dims)
                .begin_nd()
                .into_diagnostic()?;
            writer.extend(elements).into_diagnostic()?;
            writer.finish().into_diagnostic()
        }};
    }
    match shape.element.bytes() {
        1 => elements!(u8),
        2 => elements!(u16),
        4 => elements!(u32),
        8 => elements!(u64),
        _ => Err(miette!("{name}: {} does not fit a number", shape.element)),
    }
}
