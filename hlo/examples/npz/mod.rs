//! Arguments and results as npz files. Element types that numpy lacks travel as unsigned integers
//! of the same width, complex numbers as pairs of floats in a last dimension.

use std::error::Error;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use hlo2dae_hlo::{ArrayShape, Literal, Module, PrimitiveType};
use npyz::npz::{NpzArchive, NpzWriter};
use npyz::{AutoSerialize, Order, WriterBuilder};

/// The arguments of the entry, each in the shape of its parameter.
pub fn read(module: &Module, path: &Path) -> Result<Vec<Literal>, Box<dyn Error>> {
    let mut archive = NpzArchive::new(BufReader::new(File::open(path)?))?;
    let mut arguments = Vec::new();
    for (index, &parameter) in module.entry().parameters.iter().enumerate() {
        let name = format!("arg{index}");
        let array = archive
            .by_name(&name)?
            .ok_or(format!("{name} is missing"))?;
        if array.order() != Order::C {
            return Err(format!("{name} is not in C order").into());
        }
        let mut bytes = Vec::new();
        array.into_inner().read_to_end(&mut bytes)?;
        let shape = module.instructions[parameter]
            .array()
            .ok_or("a parameter is no array")?;
        let shape = ArrayShape::new(shape.element, shape.dims.clone());
        arguments.push(Literal::from_bytes(shape, bytes)?);
    }
    Ok(arguments)
}

/// Writes the leaves of a value as `out0`, `out1`, ... .
pub fn write(value: &Literal, path: &Path) -> Result<(), Box<dyn Error>> {
    let mut archive = NpzWriter::create(path)?;
    for (index, leaf) in value.leaves().into_iter().enumerate() {
        let Some((shape, data)) = leaf.as_array() else {
            continue;
        };
        let name = format!("out{index}");
        use PrimitiveType as P;
        match shape.element {
            P::Pred => array(&mut archive, &name, shape, data, |b: [u8; 1]| b[0] != 0)?,
            P::S1 | P::S2 | P::S4 | P::S8 => {
                array(&mut archive, &name, shape, data, i8::from_le_bytes)?
            }
            P::S16 => array(&mut archive, &name, shape, data, i16::from_le_bytes)?,
            P::S32 => array(&mut archive, &name, shape, data, i32::from_le_bytes)?,
            P::S64 => array(&mut archive, &name, shape, data, i64::from_le_bytes)?,
            P::F16 => array(&mut archive, &name, shape, data, half::f16::from_le_bytes)?,
            P::U16 | P::BF16 => array(&mut archive, &name, shape, data, u16::from_le_bytes)?,
            P::U32 => array(&mut archive, &name, shape, data, u32::from_le_bytes)?,
            P::U64 => array(&mut archive, &name, shape, data, u64::from_le_bytes)?,
            P::F32 => array(&mut archive, &name, shape, data, f32::from_le_bytes)?,
            P::F64 => array(&mut archive, &name, shape, data, f64::from_le_bytes)?,
            P::C64 => array(&mut archive, &name, &parts(shape), data, f32::from_le_bytes)?,
            P::C128 => array(&mut archive, &name, &parts(shape), data, f64::from_le_bytes)?,
            _ => array(&mut archive, &name, shape, data, u8::from_le_bytes)?,
        }
    }
    Ok(())
}

/// The shape of the real and imaginary parts of complex numbers.
fn parts(shape: &ArrayShape) -> ArrayShape {
    let dims = shape.dims.iter().copied().chain([2]);
    ArrayShape::new(shape.element, dims.collect::<Vec<_>>())
}

fn array<T: AutoSerialize, const N: usize>(
    archive: &mut NpzWriter<std::io::BufWriter<File>>,
    name: &str,
    shape: &ArrayShape,
    data: &[u8],
    element: fn([u8; N]) -> T,
) -> Result<(), Box<dyn Error>> {
    let dims: Vec<u64> = shape.dims.iter().map(|&d| d as u64).collect();
    let mut writer = archive
        .array(name, Default::default())?
        .default_dtype()
        .shape(&dims)
        .begin_nd()?;
    writer.extend(data.as_chunks::<N>().0.iter().map(|b| element(*b)))?;
    Ok(writer.finish()?)
}
