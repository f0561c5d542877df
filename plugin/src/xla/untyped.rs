//! The untyped, status-returning call.
//!
//! ```text
//! opaque = [ "engine" name "\n" ] program
//! ```
//!
//! XLA hands over bare pointers: one for each argument, and the result's pointer itself for one
//! result, a list of pointers for several. Their sizes are those that the program declares; who
//! builds the call sees to it that the shapes in the HLO are the program's.
#![allow(unsafe_code, reason = "a foreign function that XLA calls")]

use std::collections::HashMap;
use std::ffi::{c_char, c_void};
use std::sync::{Arc, Mutex, PoisonError};

use hlo2dae_backend::native::Threads;

use crate::bridge;
use crate::element;
use crate::fence::fence;
use crate::foreign::{self, Described};
use crate::program::{Call, Port};
use crate::status::Status;

/// What XLA calls.
///
/// # Safety
/// Only XLA calls it, with buffers of the shapes that the program in `opaque` declares.
pub unsafe extern "C" fn call(
    out: *mut c_void,
    arguments: *const *const c_void,
    opaque: *const c_char,
    opaque_size: usize,
    status: *mut c_void,
) {
    let outcome = fence(|| {
        // SAFETY: the caller's promise.
        unsafe {
            let opaque = foreign::text("the opaque string", opaque.cast::<u8>(), opaque_size)?;
            let call = known(opaque)?;
            run(&call, out, arguments)
        }
    });
    if let Err(failure) = outcome {
        let message = format!("hlo2dae: {}", failure.message);
        let told = !status.is_null()
            // SAFETY: XLA's status of this call; registration found its layout right.
            && unsafe { bridge::set_failure(status.expose_provenance(), &message) }.is_ok();
        if !told {
            // A failure that cannot be told; to go on would be to give back unwritten results.
            std::process::abort();
        }
    }
}

/// # Safety
/// As for [`call`].
unsafe fn run(
    call: &Call,
    out: *mut c_void,
    arguments: *const *const c_void,
) -> Result<(), Status> {
    let signature = call.program.signature();
    let single = [out];
    // SAFETY: XLA gives one pointer for each argument, and for several results one for each.
    let (inputs, outputs) = unsafe {
        let inputs = foreign::slice("the arguments", arguments, signature.inputs.len())?;
        let outputs = match signature.outputs.len() {
            1 => &single[..],
            several => foreign::slice(
                "the results",
                out.cast::<*mut c_void>().cast_const(),
                several,
            )?,
        };
        (inputs, outputs)
    };
    let inputs = describe(&signature.inputs, inputs.iter().map(|data| data.cast_mut()));
    let outputs = describe(&signature.outputs, outputs.iter().copied());
    let mut copies = Vec::new();
    // SAFETY: the caller's promise.
    let mut bound = unsafe {
        foreign::bind_in_place(signature, &call.in_place()?, &inputs, &outputs, &mut copies)
    }?;
    // This interface gives no way to XLA's own threads.
    call.run(&bound.inputs, &mut bound.outputs, &Threads::default())
}

/// Bare pointers with the program's own shapes: what remains to be checked is null, alignment and overlap.
fn describe(ports: &[Port], data: impl Iterator<Item = *mut c_void>) -> Vec<Described<'_>> {
    ports
        .iter()
        .zip(data)
        .map(|(port, data)| Described {
            element: element::to_number(port.element),
            dims: &port.signed_dims,
            data: data.cast(),
            bytes: None,
        })
        .collect()
}

/// Programs kept, far more than a model has call sites; beyond that all are forgotten and compiled again when seen.
const KEPT: usize = 1024;

/// What an opaque text stands for, compiled when it is first seen.
fn known(opaque: &str) -> Result<Arc<Call>, Status> {
    static CALLS: Mutex<Option<HashMap<String, Arc<Call>>>> = Mutex::new(None);
    let lock = || CALLS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = lock().as_ref().and_then(|calls| calls.get(opaque)) {
        return Ok(Arc::clone(found));
    }
    // Not under the lock: other call sites run on. Two threads may compile the same text; one result stays.
    let (engine, program) = split(opaque);
    let call = Arc::new(Call::new(program, engine)?);
    let mut calls = lock();
    let calls = calls.get_or_insert_default();
    if calls.len() >= KEPT {
        calls.clear();
    }
    calls.insert(opaque.to_owned(), Arc::clone(&call));
    Ok(call)
}

/// The engine, if one is named, and the program of an opaque text.
fn split(opaque: &str) -> (Option<&str>, &str) {
    match opaque
        .strip_prefix("engine ")
        .and_then(|rest| rest.split_once('\n'))
    {
        Some((engine, program)) => (Some(engine.trim()), program),
        None => (None, opaque),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_line_names_the_engine() {
        assert_eq!(
            split("engine dlc\nregion @r {}"),
            (Some("dlc"), "region @r {}")
        );
        assert_eq!(split("region @r {\n}"), (None, "region @r {\n}"));
    }
}
