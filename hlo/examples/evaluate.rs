//! `evaluate MODULE.hlo INPUTS.npz OUTPUTS.npz`: runs a module on arrays `arg0`, `arg1`, ... and
//! writes `out0`, `out1`, ... .

mod npz;

use std::error::Error;
use std::path::Path;

use hlo2dae_hlo::eval::{EvalOptions, evaluate};
use hlo2dae_hlo::parse_module;

fn main() -> Result<(), Box<dyn Error>> {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let [module, inputs, outputs] = &paths[..] else {
        return Err("usage: evaluate MODULE.hlo INPUTS.npz OUTPUTS.npz".into());
    };
    let text = std::fs::read_to_string(module)?;
    let module = parse_module(&text).map_err(|errors| errors.to_string())?;
    let arguments = npz::read(&module, Path::new(inputs))?;
    let value = evaluate(&module, &arguments, &EvalOptions::default(), &mut ())
        .map_err(|error| error.to_string())?;
    npz::write(&value, Path::new(outputs))
}
