//! A call frame of XLA, read with its sizes, counts and pointers checked.
#![allow(unsafe_code, reason = "reads structs that XLA made")]

use std::ffi::c_int;

use miette::Diagnostic;
use thiserror::Error;

use super::abi::{self, size_through};
use crate::foreign::{self, Described};
use crate::status::{BoundaryError, Code, Status};

/// A call that the handlers cannot serve.
#[derive(Debug, Error, Diagnostic)]
pub enum FrameError {
    /// Our limit: XLA speaks another version of the interface.
    #[error(
        "XLA's {what} has {found} bytes, hlo2dae needs {expected}: this XLA speaks an interface that hlo2dae does not know"
    )]
    Size {
        /// The struct.
        what: &'static str,
        /// The least size.
        expected: usize,
        /// Its size.
        found: usize,
    },
    /// Our limit: XLA calls a handler for a stage that it was not registered for.
    #[error("XLA called the handler of stage {expected} for stage {found}")]
    Stage {
        /// The handler's stage.
        expected: c_int,
        /// The frame's stage.
        found: c_int,
    },
    /// Your input: an attribute is missing.
    #[error("the custom call has no attribute `{name}`: expected {expected}")]
    Missing {
        /// The attribute.
        name: &'static str,
        /// What it holds.
        expected: &'static str,
    },
    /// Your input: an attribute of a wrong type.
    #[error("the custom call's attribute `{name}` is not a string")]
    NotAString {
        /// The attribute.
        name: &'static str,
    },
    /// Your input: an attribute that means nothing.
    #[error("the custom call has an unknown attribute `{name}`: expected {expected}")]
    Unknown {
        /// The attribute.
        name: String,
        /// The known ones.
        expected: String,
    },
    /// Our limit: an argument or result that is not a buffer.
    #[error("{what} {position} of the custom call is not a buffer")]
    NotABuffer {
        /// Argument or result.
        what: &'static str,
        /// Its number.
        position: usize,
    },
}

impl From<FrameError> for Status {
    fn from(error: FrameError) -> Self {
        let code = match error {
            FrameError::Missing { .. }
            | FrameError::NotAString { .. }
            | FrameError::Unknown { .. } => Code::InvalidArgument,
            FrameError::Size { .. } | FrameError::Stage { .. } | FrameError::NotABuffer { .. } => {
                Code::Unsupported
            }
        };
        Status::new(code, &error)
    }
}

fn check_size(what: &'static str, found: usize, expected: usize) -> Result<(), FrameError> {
    if found < expected {
        return Err(FrameError::Size {
            what,
            expected,
            found,
        });
    }
    Ok(())
}

/// What `pointer` points to, if it is neither null nor misaligned.
///
/// # Safety
/// A pointer that passes is valid during `'a`.
unsafe fn reference<'a, T>(what: &str, pointer: *const T) -> Result<&'a T, BoundaryError> {
    foreign::check_pointer(what, pointer)?;
    // SAFETY: checked, and the caller's promise.
    Ok(unsafe { &*pointer })
}

fn count(what: &str, size: i64) -> Result<usize, BoundaryError> {
    usize::try_from(size).map_err(|_| BoundaryError::TooLarge {
        what: what.to_owned(),
        size: size.into(),
    })
}

/// A call frame whose fields up to the attributes are there.
#[derive(Clone, Copy)]
pub struct Frame<'a>(&'a abi::CallFrame);

/// The function table of a call frame, if frame and table are of a version that is declared here.
///
/// # Safety
/// A non-null `frame` is a call frame that XLA made, valid now.
pub unsafe fn table<'a>(frame: *const abi::CallFrame) -> Option<&'a abi::Api> {
    foreign::check_pointer("the call frame", frame).ok()?;
    // SAFETY: checked, and the caller's promise: every frame begins with its size, and its size says what it
    // has; a table that XLA puts into a frame lives as long as the process.
    unsafe {
        let has_table = (*frame).struct_size >= size_through!(abi::CallFrame, api: *const abi::Api);
        has_table.then(|| abi::Api::known((*frame).api)).flatten()
    }
}

impl<'a> Frame<'a> {
    /// Checks that the fields are there.
    ///
    /// # Safety
    /// A non-null `frame` is a call frame that XLA made, valid during `'a`.
    pub unsafe fn new(frame: *const abi::CallFrame) -> Result<Self, Status> {
        // SAFETY: the caller's promise.
        let frame = unsafe { reference("the call frame", frame) }?;
        check_size(
            "call frame",
            frame.struct_size,
            size_through!(abi::CallFrame, attributes: abi::Attributes),
        )?;
        Ok(Frame(frame))
    }

    /// Refuses a frame of another stage than the handler's.
    pub fn check_stage(self, expected: c_int) -> Result<(), FrameError> {
        let found = self.0.stage;
        if found != expected {
            return Err(FrameError::Stage { expected, found });
        }
        Ok(())
    }

    /// The execution context.
    pub fn context(self) -> *mut abi::ExecutionContext {
        self.0.context
    }

    /// Where to answer a query of the handler's metadata, if this frame is one.
    pub fn metadata(self) -> Result<Option<&'a mut abi::Metadata>, Status> {
        let mut extension = self.0.extension_start;
        while !extension.is_null() {
            // SAFETY: XLA's chain of extensions is valid during the call.
            let base = unsafe { reference("an extension of the call frame", extension) }?;
            check_size("extension", base.struct_size, size_of::<abi::Extension>())?;
            if base.kind == abi::EXTENSION_METADATA {
                check_size(
                    "metadata extension",
                    base.struct_size,
                    size_of::<abi::MetadataExtension>(),
                )?;
                // SAFETY: an extension of this kind and size is a `MetadataExtension`.
                let metadata = unsafe { (*extension.cast::<abi::MetadataExtension>()).metadata };
                foreign::check_pointer("the metadata", metadata)?;
                // SAFETY: XLA gives the metadata for this handler alone to fill in.
                let metadata = unsafe { &mut *metadata };
                check_size(
                    "metadata",
                    metadata.struct_size,
                    size_through!(abi::Metadata, traits: u32),
                )?;
                return Ok(Some(metadata));
            }
            extension = base.next;
        }
        Ok(None)
    }

    /// The string attributes named in `names`; another attribute is an error.
    pub fn strings<const N: usize>(
        self,
        names: [&'static str; N],
    ) -> Result<[Option<&'a str>; N], Status> {
        let attributes = &self.0.attributes;
        check_size(
            "attributes",
            attributes.struct_size,
            size_of::<abi::Attributes>(),
        )?;
        let size = count("the number of attributes", attributes.size)?;
        // SAFETY: XLA gives `size` types, names and values, valid during the call.
        let (types, spans, values) = unsafe {
            (
                foreign::slice("the types of the attributes", attributes.types, size)?,
                foreign::slice("the names of the attributes", attributes.names, size)?,
                foreign::slice("the values of the attributes", attributes.values, size)?,
            )
        };
        let mut found = [None; N];
        for ((&kind, &span), &value) in types.iter().zip(spans).zip(values) {
            // SAFETY: as above.
            let name = unsafe { self.text("the name of an attribute", span) }?;
            let slot = names
                .iter()
                .zip(&mut found)
                .find(|(known, _)| **known == name);
            let Some((&known, slot)) = slot else {
                let expected: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
                return Err(FrameError::Unknown {
                    name: name.to_owned(),
                    expected: expected.join(" or "),
                }
                .into());
            };
            if kind != abi::ATTRIBUTE_STRING {
                return Err(FrameError::NotAString { name: known }.into());
            }
            // SAFETY: an attribute of this kind is a `ByteSpan`, valid during the call.
            *slot = Some(unsafe { self.text(known, value.cast::<abi::ByteSpan>()) }?);
        }
        Ok(found)
    }

    /// # Safety
    /// A `span` that passes the checks points to a span that is valid during `'a`.
    unsafe fn text(self, what: &str, span: *const abi::ByteSpan) -> Result<&'a str, BoundaryError> {
        // SAFETY: the caller's promise.
        unsafe {
            let span = reference(what, span)?;
            foreign::text(what, span.data.cast::<u8>(), span.size)
        }
    }

    /// The argument buffers, unchecked against any program.
    pub fn arguments(self) -> Result<Vec<Described<'a>>, Status> {
        Self::buffers("argument", &self.0.args, abi::ARG_BUFFER)
    }

    /// The result buffers, unchecked against any program.
    pub fn results(self) -> Result<Vec<Described<'a>>, Status> {
        Self::buffers("result", &self.0.results, abi::ARG_BUFFER)
    }

    fn buffers(
        what: &'static str,
        args: &'a abi::Args,
        kind: c_int,
    ) -> Result<Vec<Described<'a>>, Status> {
        check_size("list of buffers", args.struct_size, size_of::<abi::Args>())?;
        let size = count("the number of buffers", args.size)?;
        // SAFETY: XLA gives `size` types and values, valid during the call.
        let (types, values) = unsafe {
            (
                foreign::slice("the types of the buffers", args.types, size)?,
                foreign::slice("the buffers", args.values, size)?,
            )
        };
        let mut buffers = Vec::with_capacity(size);
        for (position, (&found, &value)) in types.iter().zip(values).enumerate() {
            if found != kind {
                return Err(FrameError::NotABuffer { what, position }.into());
            }
            // SAFETY: a value of this type is a `Buffer`, valid during the call, and so are its dimensions.
            let (buffer, dims) = unsafe {
                let buffer = reference("a buffer", value.cast::<abi::Buffer>())?;
                check_size(
                    "buffer",
                    buffer.struct_size,
                    size_through!(abi::Buffer, dims: *const i64),
                )?;
                let rank = count("the rank of a buffer", buffer.rank)?;
                (
                    buffer,
                    foreign::slice("the dimensions of a buffer", buffer.dims, rank)?,
                )
            };
            buffers.push(Described {
                element: buffer.dtype,
                dims,
                data: buffer.data.cast(),
                bytes: None,
            });
        }
        Ok(buffers)
    }
}
