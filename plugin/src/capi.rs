//! The C ABI; `include/hlo2dae.h` states the contract of every function.
//!
//! Every exported function is short: it checks what it was given, calls the facade inside of the
//! [`fence`], and hands a [`Status`] back as an owned error.
#![allow(unsafe_code, reason = "exported functions take foreign pointers")]

use std::ffi::c_void;
use std::ptr;

use crate::element;
use crate::emit::Stage;
use crate::fence::fence;
use crate::foreign::{self, Described, check_pointer};
use crate::module::Module;
use hlo2dae_backend::native::Threads;
use hlo2dae_backend::native::kernels::pages;

use crate::program::{Port, Program, engine_named};
use crate::status::{BoundaryError, Status};
use crate::xla::{self, host};

/// `hlo2dae_view`: bytes that somebody else owns.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct View {
    data: *const u8,
    size: usize,
}

impl View {
    fn of(text: &str) -> Self {
        View {
            data: text.as_ptr(),
            size: text.len(),
        }
    }

    /// # Safety
    /// If the checks pass, the bytes are readable during `'a` and nobody writes them.
    unsafe fn text<'a>(self, what: &str) -> Result<&'a str, BoundaryError> {
        // SAFETY: the caller's promise.
        unsafe { foreign::text(what, self.data, self.size) }
    }

    /// # Safety
    /// As for [`View::text`].
    unsafe fn stage(self) -> Result<Stage, Status> {
        // SAFETY: the caller's promise.
        unsafe { self.text("the stage") }?
            .parse()
            .map_err(|error| Status::of(error, ""))
    }
}

/// `hlo2dae_port`: an input or output of a region.
#[repr(C)]
pub struct PortView {
    name: View,
    element: i32,
    rank: usize,
    dims: *const i64,
}

/// `hlo2dae_array`: memory for an input or output.
#[repr(C)]
pub struct Array {
    element: i32,
    rank: usize,
    dims: *const i64,
    data: *mut c_void,
    size: usize,
}

/// `hlo2dae_jax_registration`: what JAX's registration functions take.
#[repr(C)]
pub struct JaxRegistration {
    target: View,
    state_type: View,
    type_id: *const c_void,
    type_info: *const c_void,
    instantiate: *const c_void,
    execute: *const c_void,
}

// The header's layouts on a 64-bit machine.
#[cfg(target_pointer_width = "64")]
const _: () = {
    use std::mem::offset_of;
    assert!(size_of::<View>() == 16);
    assert!(size_of::<PortView>() == 40 && offset_of!(PortView, rank) == 24);
    assert!(size_of::<Array>() == 40 && offset_of!(Array, rank) == 8);
    assert!(offset_of!(Array, data) == 24 && offset_of!(Array, size) == 32);
    assert!(size_of::<JaxRegistration>() == 64 && offset_of!(JaxRegistration, type_id) == 32);
};

/// Runs `work` in the fence; null if it succeeds.
fn guarded(work: impl FnOnce() -> Result<(), Status>) -> *mut Status {
    match fence(work) {
        Ok(()) => ptr::null_mut(),
        Err(status) => Box::into_raw(Box::new(status)),
    }
}

/// # Safety
/// A non-null, aligned `handle` is one that this library gave out and that was not freed.
unsafe fn borrow<'a, T>(what: &str, handle: *const T) -> Result<&'a T, BoundaryError> {
    check_pointer(what, handle)?;
    // SAFETY: checked, and the caller's promise.
    Ok(unsafe { &*handle })
}

/// # Safety
/// A non-null, aligned `place` is writable.
unsafe fn store<T>(what: &str, place: *mut T, value: T) -> Result<(), BoundaryError> {
    check_pointer(what, place)?;
    // SAFETY: checked, and the caller's promise. What was there is not ours to drop.
    unsafe { place.write(value) };
    Ok(())
}

/// # Safety
/// `handle` is null or one that this library gave out, and nobody uses it any more.
unsafe fn free<T>(handle: *mut T) {
    let outcome = fence(|| {
        if !handle.is_null() && handle.is_aligned() {
            // SAFETY: the caller's promise.
            drop(unsafe { Box::from_raw(handle) });
        }
        Ok(())
    });
    // A destructor has nobody to tell.
    drop(outcome);
}

fn element_of<'a, T>(what: &str, all: &'a [T], index: usize) -> Result<&'a T, BoundaryError> {
    all.get(index).ok_or_else(|| BoundaryError::OutOfRange {
        what: what.to_owned(),
        index,
        count: all.len(),
    })
}

/// # Safety
/// As for [`borrow`].
unsafe fn region_of<'a>(
    module: *const Module,
    region: usize,
) -> Result<&'a Program, BoundaryError> {
    // SAFETY: the caller's promise.
    let module = unsafe { borrow("the module", module) }?;
    element_of("region", &module.regions, region)
}

/// The version of the library.
#[unsafe(no_mangle)]
pub extern "C" fn hlo2dae_version() -> View {
    View::of(env!("CARGO_PKG_VERSION"))
}

/// The code of an error; 0 for null.
///
/// # Safety
/// `error` is null or a live error of this library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hlo2dae_error_code(error: *const Status) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { borrow("the error", error) }.map_or(0, |status| status.code as i32)
}

/// The text of an error; empty for null.
///
/// # Safety
/// `error` is null or a live error of this library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hlo2dae_error_message(error: *const Status) -> View {
    // SAFETY: the caller's promise.
    unsafe { borrow("the error", error) }.map_or(View::of(""), |status| View::of(&status.message))
}

/// Frees an error.
///
/// # Safety
/// `error` is null or a live error of this library that nobody uses any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hlo2dae_error_free(error: *mut Status) {
    // SAFETY: the caller's promise.
    unsafe { free(error) }
}

/// The bytes of an owned string; empty for null.
///
/// # Safety
/// `string` is null or a live string of this library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hlo2dae_string_view(string: *const String) -> View {
    // SAFETY: the caller's promise.
    unsafe { borrow("the string", string) }.map_or(View::of(""), |string| View::of(string))
}

/// Frees a string.
///
/// # Safety
/// `string` is null or a live string of this library that nobody uses any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hlo2dae_string_free(string: *mut String) {
    // SAFETY: the caller's promise.
    unsafe { free(string) }
}

/// Compiles HLO text, or the text of one program in any of our IRs.
///
/// # Safety
/// `text` is readable, `module` writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hlo2dae_compile(text: View, module: *mut *mut Module) -> *mut Status {
    guarded(|| {
        check_pointer("the place for the module", module)?;
        // SAFETY: the caller's promise.
        let text = unsafe { text.text("the text") }?;
        let compiled = Box::new(Module::compile(text)?);
        // SAFETY: the caller's promise.
        Ok(unsafe { store("the place for the module", module, Box::into_raw(compiled)) }?)
    })
}

/// Frees a module.
///
/// # Safety
/// `module` is null or a live module of this library that nobody uses any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hlo2dae_module_free(module: *mut Module) {
    // SAFETY: the caller's promise.
    unsafe { free(module) }
}

/// How many regions a module has.
///
/// # Safety
/// `module` is null or a live module of this library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hlo2dae_region_count(module: *const Module) -> usize {
    // SAFETY: the caller's promise.
    unsafe { borrow("the module", module) }.map_or(0, |module| module.regions.len())
}

/// The name of a region.
///
/// # Safety
/// `module` is a live module of this library, `name` writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hlo2dae_region_name(
    module: *const Module,
    region: usize,
    name: *mut View,
) -> *mut Status {
    guarded(|| {
        // SAFETY: the caller's promise.
        unsafe {
            let region = region_of(module, region)?;
            Ok(store(
                "the place for the name",
                name,
                View::of(region.name()),
            )?)
        }
    })
}

/// How many inputs and outputs a region has.
///
/// # Safety
/// `module` is a live module of this library, `inputs` and `outputs` are writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hlo2dae_region_arity(
    module: *const Module,
    region: usize,
    inputs: *mut usize,
    outputs: *mut usize,
) -> *mut Status {
    guarded(|| {
        // SAFETY: the caller's promise.
        unsafe {
            let signature = region_of(module, region)?.signature();
            store(
                "the place for the number of inputs",
                inputs,
                signature.inputs.len(),
            )?;
            Ok(store(
                "the place for the number of outputs",
                outputs,
                signature.outputs.len(),
            )?)
        }
    })
}

/// An input of a region.
///
/// # Safety
/// `module` is a live module of this library, `port` writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hlo2dae_region_input(
    module: *const Module,
    region: usize,
    input: usize,
    port: *mut PortView,
) -> *mut Status {
    // SAFETY: the caller's promise.
    guarded(|| unsafe {
        store_port(
            element_of(
                "input",
                &region_of(module, region)?.signature().inputs,
                input,
            )?,
            port,
        )
    })
}

/// An output of a region.
///
/// # Safety
/// `module` is a live module of this library, `port` writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hlo2dae_region_output(
    module: *const Module,
    region: usize,
    output: usize,
    port: *mut PortView,
) -> *mut Status {
    // SAFETY: the caller's promise.
    guarded(|| unsafe {
        store_port(
            element_of(
                "output",
                &region_of(module, region)?.signature().outputs,
                output,
            )?,
            port,
        )
    })
}

/// # Safety
/// `place` is writable.
unsafe fn store_port(port: &Port, place: *mut PortView) -> Result<(), Status> {
    let view = PortView {
        name: View::of(&port.name),
        element: element::to_number(port.element),
        rank: port.signed_dims.len(),
        dims: port.signed_dims.as_ptr(),
    };
    // SAFETY: the caller's promise.
    Ok(unsafe { store("the place for the port", place, view) }?)
}

/// The text of a stage of the whole module.
///
/// # Safety
/// `module` is a live module of this library, `stage` readable, `text` writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hlo2dae_emit(
    module: *const Module,
    stage: View,
    text: *mut *mut String,
) -> *mut Status {
    // SAFETY: the caller's promise.
    guarded(|| unsafe {
        let module = borrow("the module", module)?;
        store_text(text, || module.emit(stage.stage()?))
    })
}

/// The text of a stage of one region.
///
/// # Safety
/// `module` is a live module of this library, `stage` readable, `text` writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hlo2dae_region_emit(
    module: *const Module,
    region: usize,
    stage: View,
    text: *mut *mut String,
) -> *mut Status {
    // SAFETY: the caller's promise.
    guarded(|| unsafe {
        let region = region_of(module, region)?;
        store_text(text, || region.emit(stage.stage()?))
    })
}

/// # Safety
/// `place` is writable.
unsafe fn store_text(
    place: *mut *mut String,
    make: impl FnOnce() -> Result<String, Status>,
) -> Result<(), Status> {
    check_pointer("the place for the text", place)?;
    let text = Box::into_raw(Box::new(make()?));
    // SAFETY: the caller's promise.
    Ok(unsafe { store("the place for the text", place, text) }?)
}

/// Runs a region on an engine.
///
/// # Safety
/// `module` is a live module of this library; `engine` and the descriptions of the arrays are
/// readable, the memory of the inputs too, that of the outputs writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hlo2dae_run(
    module: *const Module,
    region: usize,
    engine: View,
    inputs: *const Array,
    input_count: usize,
    outputs: *const Array,
    output_count: usize,
) -> *mut Status {
    guarded(|| {
        // SAFETY: the caller's promise.
        unsafe {
            let region = region_of(module, region)?;
            let engine = engine_named(engine.text("the engine")?)?;
            let inputs = described(foreign::slice("the inputs", inputs, input_count)?)?;
            let outputs = described(foreign::slice("the outputs", outputs, output_count)?)?;
            let mut bound = foreign::bind(region.signature(), &inputs, &outputs)?;
            let threads = Threads::default();
            region.run(engine, &bound.inputs, &mut bound.outputs, &threads)
        }
    })
}

/// Rebuilds memory in large pages, in place; 1 if the system did.
///
/// # Safety
/// `data` is readable memory of `size` bytes, and stays so during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hlo2dae_huge_pages(data: *const u8, size: usize) -> i32 {
    // SAFETY: the caller's promise.
    let memory = unsafe { foreign::slice("the memory", data, size) };
    memory.is_ok_and(pages::collapse).into()
}

/// Has the C library keep freed memory, unless `retain` is 0; 1 if it does as told.
#[unsafe(no_mangle)]
pub extern "C" fn hlo2dae_retain_memory(retain: i32) -> i32 {
    pages::retain(retain != 0).into()
}

/// # Safety
/// The dimensions of every array are readable during `'a`.
unsafe fn described<'a>(arrays: &'a [Array]) -> Result<Vec<Described<'a>>, BoundaryError> {
    arrays
        .iter()
        .map(|array| {
            Ok(Described {
                element: array.element,
                // SAFETY: the caller's promise.
                dims: unsafe {
                    foreign::slice("the dimensions of an array", array.dims, array.rank)
                }?,
                data: array.data.cast(),
                bytes: Some(array.size),
            })
        })
        .collect()
}

/// Registers the custom calls with the TensorFlow that the process has loaded.
#[unsafe(no_mangle)]
pub extern "C" fn hlo2dae_register_tensorflow() -> *mut Status {
    guarded(xla::tensorflow::register)
}

/// What JAX's registration functions take.
///
/// # Safety
/// `registration` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hlo2dae_register_jax(registration: *mut JaxRegistration) -> *mut Status {
    guarded(|| {
        let bundle = xla::typed::bundle::<host::Jax>();
        let address = |handler: Option<xla::abi::Handler>| {
            handler.map_or(ptr::null(), |h| h as *const c_void)
        };
        let value = JaxRegistration {
            target: View::of(xla::TYPED_TARGET),
            state_type: View::of(xla::STATE_TYPE),
            type_id: (&raw const <host::Jax as host::Hosted>::host().type_id).cast(),
            type_info: (&raw const xla::state::TYPE_INFO.0).cast(),
            instantiate: address(bundle.instantiate),
            execute: address(bundle.execute),
        };
        // SAFETY: the caller's promise.
        Ok(unsafe { store("the place for the registration", registration, value) }?)
    })
}
