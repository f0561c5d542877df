//! The typed call: handlers of its two stages.
#![allow(
    unsafe_code,
    reason = "foreign functions that XLA calls, and calls into XLA's function table"
)]

use std::ffi::{CStr, CString, c_int};
use std::ptr;
use std::sync::atomic::Ordering;

use super::abi;
use super::frame::{Frame, FrameError, table};
use super::host::{Host, Hosted};
use super::state;
use super::threads::XlaThreads;
use crate::fence::fence;
use crate::foreign;
use crate::program::Call;
use crate::status::{Code, Status};

/// The stages of the call for one host; all others are left out.
pub fn bundle<H: Hosted>() -> abi::HandlerBundle {
    abi::HandlerBundle {
        instantiate: Some(instantiate::<H>),
        prepare: None,
        initialize: None,
        execute: Some(execute::<H>),
    }
}

/// Compiles the program of a call site.
///
/// # Safety
/// Only XLA calls it, with a frame that it made.
unsafe extern "C" fn instantiate<H: Hosted>(frame: *mut abi::CallFrame) -> *mut abi::Error {
    // SAFETY: XLA made the frame; `api` is that frame's.
    unsafe {
        serve::<H>(frame, abi::stage::INSTANTIATE, |frame, api| {
            let [program, engine] = frame.strings(["program", "engine"])?;
            let program = program.ok_or(FrameError::Missing {
                name: "program",
                expected: "the text of the program to run",
            })?;
            state::set(H::host(), api, frame, Call::new(program, engine)?)
        })
    }
}

/// Runs a call site's program.
///
/// # Safety
/// Only XLA calls it, with a frame that it made.
unsafe extern "C" fn execute<H: Hosted>(frame: *mut abi::CallFrame) -> *mut abi::Error {
    // SAFETY: XLA made the frame; `api` is that frame's. XLA's buffers are valid during the execution and
    // the results belong to this call alone.
    unsafe {
        serve::<H>(frame, abi::stage::EXECUTE, |frame, api| {
            let call = state::get(H::host(), api, frame)?;
            let (arguments, results) = (frame.arguments()?, frame.results()?);
            let (signature, mut copies) = (call.program.signature(), Vec::new());
            let in_place = call.in_place()?;
            let mut bound =
                foreign::bind_in_place(signature, &in_place, &arguments, &results, &mut copies)?;
            let threads = XlaThreads::new(api, frame);
            call.run(&bound.inputs, &mut bound.outputs, &threads)
        })
    }
}

/// Answers a query of metadata, or runs `work` and turns its failure into XLA's.
///
/// # Safety
/// XLA made the frame.
unsafe fn serve<H: Hosted>(
    frame: *const abi::CallFrame,
    stage: c_int,
    work: impl FnOnce(Frame<'_>, &abi::Api) -> Result<(), Status>,
) -> *mut abi::Error {
    // SAFETY: the caller's promise.
    let Some(api) = (unsafe { table(frame) }) else {
        // Nothing can be told without XLA's own function to make an error, and success would be a lie
        // that leaves the results unwritten. Only another major version of XLA's interface gets here.
        std::process::abort();
    };
    let outcome = fence(|| {
        // SAFETY: the caller's promise.
        let frame = unsafe { Frame::new(frame) }?;
        match frame.metadata()? {
            Some(metadata) => answer(H::host(), api, stage, metadata),
            None => {
                frame.check_stage(stage)?;
                work(frame, api)?;
            }
        }
        Ok(())
    });
    match outcome {
        Ok(()) => ptr::null_mut(),
        Err(status) => create_error(api, &status),
    }
}

/// Tells XLA which version the handler speaks (XLA's own, or the newest that is declared here) and
/// what it makes.
fn answer(host: &Host, api: &abi::Api, stage: c_int, metadata: &mut abi::Metadata) {
    metadata.version = abi::ApiVersion {
        struct_size: size_of::<abi::ApiVersion>(),
        extension_start: ptr::null_mut(),
        major: abi::MAJOR,
        minor: api.version.minor.min(abi::NEWEST_MINOR),
    };
    metadata.traits = 0;
    metadata.state_type_id = match stage {
        abi::stage::INSTANTIATE => host.type_id.0.load(Ordering::Acquire),
        _ => 0,
    };
}

/// An error of XLA that says what `status` says.
fn create_error(api: &abi::Api, status: &Status) -> *mut abi::Error {
    let code = match status.code {
        Code::InvalidArgument => abi::code::INVALID_ARGUMENT,
        Code::Unsupported => abi::code::UNIMPLEMENTED,
        Code::Internal => abi::code::INTERNAL,
    };
    let message = format!("hlo2dae: {}", status.message).replace('\0', "\u{fffd}");
    let message = CString::new(message).unwrap_or_default();
    let mut args = abi::ErrorCreateArgs {
        struct_size: size_of::<abi::ErrorCreateArgs>(),
        extension_start: ptr::null_mut(),
        message: message.as_ptr(),
        code,
    };
    match api.error_create {
        // SAFETY: XLA's own function with arguments of its layout; XLA copies the message.
        Some(create) => unsafe { create(&raw mut args) },
        // As in `serve`: a failure that cannot be told.
        None => std::process::abort(),
    }
}

/// Takes ownership of what a function of XLA gave back.
///
/// # Safety
/// `error` is null or an error that a function of `api` gave to the caller.
pub unsafe fn take_error(api: &abi::Api, error: *mut abi::Error) -> Result<(), Status> {
    if error.is_null() {
        return Ok(());
    }
    let mut message = "XLA reported an error without a message".to_owned();
    // SAFETY: XLA's own functions with arguments of their layouts; the message lives until the error is destroyed.
    unsafe {
        if let Some(get) = api.error_get_message {
            let mut args = abi::ErrorGetMessageArgs {
                struct_size: size_of::<abi::ErrorGetMessageArgs>(),
                extension_start: ptr::null_mut(),
                error,
                message: ptr::null(),
                code: 0,
            };
            get(&raw mut args);
            if !args.message.is_null() {
                message = CStr::from_ptr(args.message).to_string_lossy().into_owned();
            }
        }
        if let Some(destroy) = api.error_destroy {
            destroy(&mut abi::ErrorDestroyArgs {
                struct_size: size_of::<abi::ErrorDestroyArgs>(),
                extension_start: ptr::null_mut(),
                error,
            });
        }
    }
    Err(Status {
        code: Code::Internal,
        message,
    })
}
