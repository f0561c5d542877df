//! Registration in the TensorFlow that the process has loaded.
//!
//! TensorFlow has no Python function for it. Its shared library exports XLA's function table and
//! XLA's registry of untyped targets; they are found by name in the library that is already loaded.
#![allow(
    unsafe_code,
    reason = "looks up and calls functions of TensorFlow's library"
)]

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::Mutex;

use libloading::os::unix::{Library, RTLD_LAZY, RTLD_LOCAL};
use miette::Diagnostic;
use thiserror::Error;

use super::abi;
use super::host::{Hosted, TensorFlow};
use super::{STATE_TYPE, TYPED_TARGET, UNTYPED_TARGET, state, typed, untyped};
use crate::bridge;
use crate::status::{Code, Status};

/// Shared object name of the library that holds XLA.
const LIBRARY: &str = "libtensorflow_cc.so.2";
/// `xla::ffi::GetXlaFfiApi()`.
const GET_API: &str = "_ZN3xla3ffi12GetXlaFfiApiEv";
/// `xla::CustomCallTargetRegistry::Global()`.
const REGISTRY_GLOBAL: &str = "_ZN3xla24CustomCallTargetRegistry6GlobalEv";
/// `xla::CustomCallTargetRegistry::Register(const std::string&, void*, const std::string&)`.
const REGISTRY_REGISTER: &str = "_ZN3xla24CustomCallTargetRegistry8RegisterERKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEEPvS8_";
/// `xla::CustomCallStatusGetMessage(const XlaCustomCallStatus*)`.
const GET_STATUS_MESSAGE: &str = "_ZN3xla26CustomCallStatusGetMessageEPK20XlaCustomCallStatus_";
/// XLA's name for the CPU that runs the process.
const PLATFORM: &str = "Host";
/// Only look whether the library is loaded (glibc and musl on Linux).
const RTLD_NOLOAD: c_int = 4;

/// TensorFlow cannot take the calls.
#[derive(Debug, Error, Diagnostic)]
pub enum RegisterError {
    /// Your input: TensorFlow is not in the process.
    #[error("TensorFlow is not loaded in this process ({LIBRARY} was not found)")]
    #[diagnostic(help("import tensorflow first"))]
    NotLoaded(#[source] libloading::Error),
    /// Our limit: a function is not exported.
    #[error("this TensorFlow does not export {symbol}")]
    #[diagnostic(help("hlo2dae was tried with TensorFlow 2.21"))]
    Symbol {
        /// The mangled name.
        symbol: &'static str,
        /// The loader's message.
        #[source]
        source: libloading::Error,
    },
    /// Our limit: another version of the typed interface.
    #[error(
        "this TensorFlow speaks a version of XLA's FFI that hlo2dae does not know: expected {}.{} or newer",
        abi::MAJOR,
        abi::OLDEST_MINOR
    )]
    Version,
    /// Our limit: the status of an untyped call looks different.
    #[error(
        "this TensorFlow keeps the status of an untyped custom call in a form that hlo2dae does not know"
    )]
    StatusLayout,
    /// Our limit: a C++ exception.
    #[error("TensorFlow refused the registration")]
    Cxx(#[from] cxx::Exception),
}

impl From<RegisterError> for Status {
    fn from(error: RegisterError) -> Self {
        let code = match error {
            RegisterError::NotLoaded(_) => Code::InvalidArgument,
            RegisterError::Symbol { .. }
            | RegisterError::Version
            | RegisterError::StatusLayout
            | RegisterError::Cxx(_) => Code::Unsupported,
        };
        Status::new(code, &error)
    }
}

/// Registers both calls with TensorFlow; doing so again does nothing.
pub fn register() -> Result<(), Status> {
    static DONE: Mutex<bool> = Mutex::new(false);
    let mut done = DONE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if !*done {
        let library = loaded()?;
        register_typed(&library)?;
        register_untyped(&library)?;
        // The registries now hold functions of ours that use TensorFlow: neither is ever unloaded.
        std::mem::forget(library);
        *done = true;
    }
    Ok(())
}

fn loaded() -> Result<Library, RegisterError> {
    // SAFETY: with `RTLD_NOLOAD` nothing is loaded, so no initialiser runs.
    unsafe { Library::open(Some(LIBRARY), RTLD_LAZY | RTLD_LOCAL | RTLD_NOLOAD) }
        .map_err(RegisterError::NotLoaded)
}

/// The address of an exported function.
fn address(library: &Library, symbol: &'static str) -> Result<*mut c_void, RegisterError> {
    // SAFETY: only the address is taken; whoever calls it says why its type is right.
    let found = unsafe { library.get::<*mut c_void>(symbol) };
    found
        .map(|found| found.as_raw_ptr())
        .map_err(|source| RegisterError::Symbol { symbol, source })
}

fn register_typed(library: &Library) -> Result<(), Status> {
    let get_api = address(library, GET_API)?;
    // SAFETY: the mangled name says that the function takes nothing; XLA's header says what it returns.
    let api = unsafe {
        std::mem::transmute::<*mut c_void, unsafe extern "C" fn() -> *const abi::Api>(get_api)()
    };
    // SAFETY: XLA's table lives as long as the process.
    let known = unsafe { abi::Api::known(api) };
    let parts = known.and_then(|api| Some((api, api.type_register?, api.handler_register?)));
    let (api, register_type, register_handler) = parts.ok_or(RegisterError::Version)?;
    let host = TensorFlow::host();
    // The type first: a handler's metadata name it.
    // SAFETY: XLA's own functions with arguments of their layouts; XLA copies the names, and the type's
    // identity and description are static.
    unsafe {
        typed::take_error(
            api,
            register_type(&mut abi::TypeRegisterArgs {
                struct_size: size_of::<abi::TypeRegisterArgs>(),
                extension_start: ptr::null_mut(),
                name: span(STATE_TYPE),
                type_id: &raw const host.type_id,
                type_info: &raw const state::TYPE_INFO.0,
            }),
        )?;
        typed::take_error(
            api,
            register_handler(&mut abi::HandlerRegisterArgs {
                struct_size: size_of::<abi::HandlerRegisterArgs>(),
                extension_start: ptr::null_mut(),
                name: span(TYPED_TARGET),
                platform: span(PLATFORM),
                bundle: typed::bundle::<TensorFlow>(),
                traits: 0,
            }),
        )
    }
}

fn register_untyped(library: &Library) -> Result<(), Status> {
    let get_message = address(library, GET_STATUS_MESSAGE)?.expose_provenance();
    let global = address(library, REGISTRY_GLOBAL)?.expose_provenance();
    let register = address(library, REGISTRY_REGISTER)?.expose_provenance();
    let target = (untyped::call as *const c_void).expose_provenance();
    // SAFETY: the addresses are those of the functions that the mangled names spell; the target has the
    // signature that XLA calls on the CPU, and its library is never unloaded.
    unsafe {
        if !bridge::check_status_layout(get_message).map_err(RegisterError::Cxx)? {
            return Err(RegisterError::StatusLayout.into());
        }
        bridge::register_untyped(global, register, UNTYPED_TARGET, target, PLATFORM)
            .map_err(RegisterError::Cxx)?;
    }
    Ok(())
}

fn span(text: &'static str) -> abi::ByteSpan {
    abi::ByteSpan {
        data: text.as_ptr().cast(),
        size: text.len(),
    }
}
