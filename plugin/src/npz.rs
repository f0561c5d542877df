//! Arrays in and out of `.npz` files, by the names `arg0`, `arg1`, ... and `out0`, `out1`, ...
//!
//! Element types that numpy lacks (`bf16`, the eight-bit floats) travel as unsigned integers of
//! the same width that hold the bits; narrower integers travel one to a byte.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use hlo2dae_hlo::{ArrayShape, Literal, PrimitiveType, Shape};
use miette::Diagnostic;
use npyz::npz::{NpzArchive, NpzWriter};
use npyz::{DType, Order, Serialize, TypeWrite, WriterBuilder};
use thiserror::Error;

/// Why an `.npz` file could not be read or written.
#[derive(Debug, Error, Diagnostic)]
pub enum NpzError {
    /// Your input: the file is missing, unreadable or not an `.npz` archive.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Your input: an array that the module needs is not in the file.
    #[error("{path} holds no array `{name}`; it holds {found}")]
    Missing {
        /// The file.
        path: PathBuf,
        /// The array.
        name: String,
        /// The names that are there.
        found: String,
    },
    /// Your input: an array has another element type or other dimensions than the parameter.
    #[error("{path}: `{name}` is {found}, the module's parameter is {expected}")]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// The array.
        name: String,
        /// What the module declares.
        expected: String,
        /// What the file holds.
        found: String,
    },
}

/// The arguments `arg0`, `arg1`, ... in the shapes of a module's parameters.
pub fn read_arguments(path: &Path, parameters: &[&Shape]) -> Result<Vec<Literal>, NpzError> {
    read(path, "arg", parameters)
}

/// The arrays `out0`, `out1`, ... in the shapes of other results of the same module.
pub fn read_results(path: &Path, like: &[Literal]) -> Result<Vec<Literal>, NpzError> {
    let shapes: Vec<Shape> = like.iter().map(Literal::shape).collect();
    read(path, "out", &shapes.iter().collect::<Vec<_>>())
}

/// The arrays `PREFIX0`, `PREFIX1`, ... in the given shapes.
fn read(path: &Path, prefix: &str, shapes: &[&Shape]) -> Result<Vec<Literal>, NpzError> {
    let failed = |source| NpzError::Io {
        path: path.to_owned(),
        source,
    };
    let mut archive =
        NpzArchive::new(BufReader::new(File::open(path).map_err(failed)?)).map_err(failed)?;
    let mut arguments = Vec::with_capacity(shapes.len());
    for (number, shape) in shapes.iter().enumerate() {
        let name = format!("{prefix}{number}");
        let mismatch = |found: String| NpzError::Mismatch {
            path: path.to_owned(),
            name: name.clone(),
            expected: shape.to_string(),
            found,
        };
        let Shape::Array(shape) = shape else {
            return Err(mismatch("an array".into()));
        };
        let Some(file) = archive.by_name(&name).map_err(failed)? else {
            let found = archive.array_names().collect::<Vec<_>>().join(", ");
            return Err(NpzError::Missing {
                path: path.to_owned(),
                name,
                found,
            });
        };
        let dims: Vec<i64> = file.shape().iter().map(|&d| d as i64).collect();
        let dtype = file.dtype().descr().replace('\'', "");
        let row_major = file.order() == Order::C || dims.len() < 2;
        if dims != shape.dims || dtype != type_string(shape.element) || !row_major {
            let order = if row_major { "" } else { ", column-major" };
            return Err(mismatch(format!(
                "{dtype}[{}]{order}",
                dims.iter()
                    .map(i64::to_string)
                    .collect::<Vec<_>>()
                    .join(",")
            )));
        }
        let shape = ArrayShape::new(shape.element, dims);
        let Some(size) = shape.byte_size() else {
            return Err(mismatch("an array that is too large".into()));
        };
        let mut data = Vec::new();
        file.into_inner()
            .take(size as u64)
            .read_to_end(&mut data)
            .map_err(failed)?;
        if data.len() != size {
            return Err(failed(io::ErrorKind::UnexpectedEof.into()));
        }
        arguments.push(Literal::Array {
            shape,
            data: data.into(),
        });
    }
    Ok(arguments)
}

/// Writes `out0`, `out1`, ...: the array, or each array of the tuple.
pub fn write_outputs(path: &Path, outputs: &[Literal]) -> Result<(), NpzError> {
    let names = (0..).map(|number| format!("out{number}"));
    write(path, names.zip(outputs))
}

/// Writes arrays under names; what is no array is left out.
pub fn write<'a>(
    path: &Path,
    arrays: impl IntoIterator<Item = (String, &'a Literal)>,
) -> Result<(), NpzError> {
    let failed = |source| NpzError::Io {
        path: path.to_owned(),
        source,
    };
    let mut writer = NpzWriter::new(BufWriter::new(File::create(path).map_err(failed)?));
    for (name, array) in arrays {
        let Literal::Array { shape, data } = array else {
            continue;
        };
        let write = match shape.element.bytes() {
            1 => write_array::<1>,
            2 => write_array::<2>,
            4 => write_array::<4>,
            8 => write_array::<8>,
            _ => write_array::<16>,
        };
        write(&mut writer, &name, shape, data).map_err(failed)?;
    }
    Ok(())
}

/// How a `.npy` header spells the type that carries an element type.
fn type_string(element: PrimitiveType) -> &'static str {
    match element {
        PrimitiveType::Pred => "|b1",
        PrimitiveType::S1 | PrimitiveType::S2 | PrimitiveType::S4 | PrimitiveType::S8 => "|i1",
        PrimitiveType::S16 => "<i2",
        PrimitiveType::S32 => "<i4",
        PrimitiveType::S64 => "<i8",
        PrimitiveType::U16 | PrimitiveType::BF16 => "<u2",
        PrimitiveType::U32 => "<u4",
        PrimitiveType::U64 => "<u8",
        PrimitiveType::F16 => "<f2",
        PrimitiveType::F32 => "<f4",
        PrimitiveType::F64 => "<f8",
        PrimitiveType::C64 => "<c8",
        PrimitiveType::C128 => "<c16",
        PrimitiveType::U1
        | PrimitiveType::U2
        | PrimitiveType::U4
        | PrimitiveType::U8
        | PrimitiveType::F4E2M1FN
        | PrimitiveType::F8E3M4
        | PrimitiveType::F8E4M3
        | PrimitiveType::F8E4M3FN
        | PrimitiveType::F8E4M3B11FNUZ
        | PrimitiveType::F8E4M3FNUZ
        | PrimitiveType::F8E5M2
        | PrimitiveType::F8E5M2FNUZ
        | PrimitiveType::F8E8M0FNU => "|u1",
    }
}

/// One element's bytes, written as they stand, whatever their type.
struct Element<const N: usize>([u8; N]);

struct WriteBytes<const N: usize>;

impl<const N: usize> TypeWrite for WriteBytes<N> {
    type Value = Element<N>;

    fn write_one<W: Write>(&self, mut writer: W, value: &Element<N>) -> io::Result<()> {
        writer.write_all(&value.0)
    }
}

impl<const N: usize> Serialize for Element<N> {
    type TypeWriter = WriteBytes<N>;

    fn writer(_: &DType) -> Result<WriteBytes<N>, npyz::DTypeError> {
        Ok(WriteBytes)
    }
}

fn write_array<const N: usize>(
    writer: &mut NpzWriter<BufWriter<File>>,
    name: &str,
    shape: &ArrayShape,
    data: &[u8],
) -> io::Result<()> {
    let dtype = type_string(shape.element)
        .parse()
        .map_err(io::Error::other)?;
    let dims: Vec<u64> = shape.dims.iter().map(|&d| d.max(0) as u64).collect();
    let mut array = writer
        .array::<Element<N>>(name, Default::default())?
        .dtype(DType::Plain(dtype))
        .shape(&dims)
        .begin_nd()?;
    for element in data.as_chunks::<N>().0 {
        array.push(&Element(*element))?;
    }
    array.finish()
}
