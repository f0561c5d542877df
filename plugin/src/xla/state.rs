//! State of a call site: made when XLA instantiates it, found again when XLA executes it,
//! destroyed by XLA together with the executable.
#![allow(unsafe_code, reason = "hands objects to XLA and takes them back")]

use std::ffi::c_void;
use std::ptr;

use super::abi;
use super::frame::Frame;
use super::host::Host;
use crate::fence::fence;
use crate::program::Call;
use crate::status::{Code, Status};

// XLA executes a call site from any of its threads, several at once.
const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<Call>();
};

/// How XLA destroys a call site's [`Call`].
pub static TYPE_INFO: Shared<abi::TypeInfo> = Shared(abi::TypeInfo {
    struct_size: size_of::<abi::TypeInfo>(),
    extension_start: ptr::null_mut(),
    deleter: delete,
});

/// A constant that contains pointers.
pub struct Shared<T>(pub T);
// SAFETY: never written after it was made, and its only data pointer is null.
unsafe impl Sync for Shared<abi::TypeInfo> {}

unsafe extern "C" fn delete(state: *mut c_void) {
    let outcome = fence(|| {
        if !state.is_null() {
            // SAFETY: XLA gives back, once, what `set` gave it under our type's identity.
            drop(unsafe { Box::from_raw(state.cast::<Call>()) });
        }
        Ok(())
    });
    // Nobody listens to a destructor's failure.
    drop(outcome);
}

/// Gives `site` to XLA.
///
/// # Safety
/// `frame` is a frame of the instantiate stage of `host`'s XLA, `api` its function table.
pub unsafe fn set(
    host: &'static Host,
    api: &abi::Api,
    frame: Frame<'_>,
    call_site: Call,
) -> Result<(), Status> {
    let function = api.state_set.ok_or_else(|| missing("XLA_FFI_State_Set"))?;
    let state = Box::into_raw(Box::new(call_site)).cast::<c_void>();
    // SAFETY: the caller's promise; `state` is owned by XLA if the call succeeds.
    let result = unsafe { call(host, api, frame, function, state) };
    if result.is_err() {
        // SAFETY: XLA did not take it.
        drop(unsafe { Box::from_raw(state.cast::<Call>()) });
    }
    result.map(|_| ())
}

/// The state that [`set`] gave for the call site of `frame`.
///
/// # Safety
/// `frame` is a frame of the execute stage of `host`'s XLA, `api` its function table.
pub unsafe fn get<'a>(
    host: &'static Host,
    api: &abi::Api,
    frame: Frame<'a>,
) -> Result<&'a Call, Status> {
    let function = api.state_get.ok_or_else(|| missing("XLA_FFI_State_Get"))?;
    // SAFETY: the caller's promise.
    let state = unsafe { call(host, api, frame, function, ptr::null_mut()) }?;
    if state.is_null() {
        return Err(missing("the state of the call site"));
    }
    // SAFETY: XLA looked it up by our type's identity: it is what `set` gave, and lives during the execution.
    Ok(unsafe { &*state.cast::<Call>() })
}

fn missing(what: &str) -> Status {
    Status {
        code: Code::Internal,
        message: format!("XLA did not provide {what}"),
    }
}

/// Calls one of the two state functions and gives back what is then in the field `state`.
///
/// # Safety
/// `function` is `api`'s function to set or get the state, `frame` a frame that its XLA made.
unsafe fn call(
    host: &'static Host,
    api: &abi::Api,
    frame: Frame<'_>,
    function: unsafe extern "C" fn(*mut c_void) -> *mut abi::Error,
    state: *mut c_void,
) -> Result<*mut c_void, Status> {
    let context = frame.context();
    let type_id = &raw const host.type_id;
    // SAFETY: the arguments have the layout of the interface's version.
    unsafe {
        if api.version.minor < 3 {
            let mut args = abi::StateArgsV2 {
                struct_size: size_of::<abi::StateArgsV2>(),
                extension_start: ptr::null_mut(),
                context,
                type_id,
                state,
            };
            super::typed::take_error(api, function((&raw mut args).cast()))?;
            Ok(args.state)
        } else {
            let mut args = abi::StateArgsV3 {
                struct_size: size_of::<abi::StateArgsV3>(),
                extension_start: ptr::null_mut(),
                context,
                stage: abi::stage::INSTANTIATE,
                type_id,
                state,
            };
            super::typed::take_error(api, function((&raw mut args).cast()))?;
            Ok(args.state)
        }
    }
}
