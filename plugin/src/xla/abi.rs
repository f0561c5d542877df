//! The part of XLA's typed-FFI C interface that the handlers use, declared anew.
//!
//! The interface grows at the end of its structs and every struct begins with the size that its
//! maker knows. Hence two rules: a struct that XLA gives is read only after its size was compared
//! with the field that is wanted; a struct that we give carries the size of the layout
//! of the version that we talk to.
//!
//! Versions that were tried: 0.2 (tensorflow 2.21), 0.3 (jaxlib 0.10) and 0.5 (jaxlib 0.12). 0.3
//! put a field into the middle of the arguments of the two state functions, hence
//! [`StateArgsV2`] and [`StateArgsV3`]; 0.5 has all that is declared here where 0.3 has it.
//!
//! Enumerations are integers here: a foreign value outside of a Rust `enum` would be undefined.

#![allow(unsafe_code, reason = "reads a table that XLA made")]

use std::ffi::{c_char, c_int, c_void};
use std::mem::offset_of;
use std::sync::atomic::AtomicI64;

/// The major version that this declares; another one means another interface.
pub const MAJOR: c_int = 0;
/// The newest minor version whose layouts are declared here.
pub const NEWEST_MINOR: c_int = 3;
/// The oldest minor version whose layouts are declared here.
pub const OLDEST_MINOR: c_int = 2;

/// What XLA keeps about a failure; made by [`Api::error_create`], destroyed by XLA.
#[repr(C)]
pub struct Error {
    _opaque: [u8; 0],
}

/// The state of one invocation, opaque.
#[repr(C)]
pub struct ExecutionContext {
    _opaque: [u8; 0],
}

/// Head of a chain of extensions.
#[repr(C)]
pub struct Extension {
    pub struct_size: usize,
    pub kind: c_int,
    pub next: *mut Extension,
}

/// Value of [`Extension::kind`] for [`MetadataExtension`].
pub const EXTENSION_METADATA: c_int = 1;

/// Version of the interface.
#[repr(C)]
pub struct ApiVersion {
    pub struct_size: usize,
    pub extension_start: *mut Extension,
    pub major: c_int,
    pub minor: c_int,
}

/// Function table. Fields that are not used are untyped.
#[repr(C)]
pub struct Api {
    pub struct_size: usize,
    pub extension_start: *mut Extension,
    pub version: ApiVersion,
    pub internal: *const c_void,
    pub error_create: Option<unsafe extern "C" fn(*mut ErrorCreateArgs) -> *mut Error>,
    pub error_get_message: Option<unsafe extern "C" fn(*mut ErrorGetMessageArgs)>,
    pub error_destroy: Option<unsafe extern "C" fn(*mut ErrorDestroyArgs)>,
    pub handler_register: Option<unsafe extern "C" fn(*mut HandlerRegisterArgs) -> *mut Error>,
    pub stream_get: *const c_void,
    pub type_register: Option<unsafe extern "C" fn(*mut TypeRegisterArgs) -> *mut Error>,
    pub execution_context_get: *const c_void,
    /// Takes [`StateArgsV2`] or [`StateArgsV3`].
    pub state_set: Option<unsafe extern "C" fn(*mut c_void) -> *mut Error>,
    /// Takes [`StateArgsV2`] or [`StateArgsV3`].
    pub state_get: Option<unsafe extern "C" fn(*mut c_void) -> *mut Error>,
    pub device_memory_allocate: *const c_void,
    pub device_memory_free: *const c_void,
    pub thread_pool_schedule:
        Option<unsafe extern "C" fn(*mut ThreadPoolScheduleArgs) -> *mut Error>,
    pub thread_pool_num_threads:
        Option<unsafe extern "C" fn(*mut ThreadPoolNumThreadsArgs) -> *mut Error>,
}

impl Api {
    /// The function table at `api`, if all that is declared here is there.
    ///
    /// # Safety
    /// A non-null, aligned `api` is a table of XLA, valid during `'a`.
    pub unsafe fn known<'a>(api: *const Api) -> Option<&'a Api> {
        if api.is_null() || !api.is_aligned() {
            return None;
        }
        // SAFETY: the caller's promise; every version of the table begins with its size and its version.
        let (size, major, minor) = unsafe {
            (
                (*api).struct_size,
                (*api).version.major,
                (*api).version.minor,
            )
        };
        if size < size_of::<Api>() || major != MAJOR || minor < OLDEST_MINOR {
            return None;
        }
        // SAFETY: the size covers every field that is declared.
        Some(unsafe { &*api })
    }
}

/// Status codes: those of `absl::Status`.
pub mod code {
    use std::ffi::c_int;

    pub const INVALID_ARGUMENT: c_int = 3;
    pub const UNIMPLEMENTED: c_int = 12;
    pub const INTERNAL: c_int = 13;
}

#[repr(C)]
pub struct ErrorCreateArgs {
    pub struct_size: usize,
    pub extension_start: *mut Extension,
    /// Ends with NUL.
    pub message: *const c_char,
    pub code: c_int,
}

#[repr(C)]
pub struct ErrorGetMessageArgs {
    pub struct_size: usize,
    pub extension_start: *mut Extension,
    pub error: *mut Error,
    pub message: *const c_char,
    /// Written by versions after 0.3; the others do not mind that it is there.
    pub code: c_int,
}

#[repr(C)]
pub struct ErrorDestroyArgs {
    pub struct_size: usize,
    pub extension_start: *mut Extension,
    pub error: *mut Error,
}

/// Bytes with a length; not terminated.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ByteSpan {
    pub data: *const c_char,
    pub size: usize,
}

/// Value of [`Args::types`] for a [`Buffer`].
pub const ARG_BUFFER: c_int = 1;
/// Value of [`Attributes::types`] for a [`ByteSpan`].
pub const ATTRIBUTE_STRING: c_int = 4;

#[repr(C)]
pub struct Buffer {
    pub struct_size: usize,
    pub extension_start: *mut Extension,
    /// A value of XLA's `PrimitiveType`.
    pub dtype: c_int,
    pub data: *mut c_void,
    pub rank: i64,
    /// `rank` sizes.
    pub dims: *const i64,
}

/// Arguments, or results: both have this layout.
#[repr(C)]
pub struct Args {
    pub struct_size: usize,
    pub extension_start: *mut Extension,
    pub size: i64,
    pub types: *const c_int,
    pub values: *const *mut c_void,
}

#[repr(C)]
pub struct Attributes {
    pub struct_size: usize,
    pub extension_start: *mut Extension,
    pub size: i64,
    pub types: *const c_int,
    pub names: *const *const ByteSpan,
    pub values: *const *mut c_void,
}

/// Stages of a handler, in [`CallFrame::stage`].
pub mod stage {
    use std::ffi::c_int;

    pub const INSTANTIATE: c_int = 0;
    pub const EXECUTE: c_int = 3;
}

#[repr(C)]
pub struct CallFrame {
    pub struct_size: usize,
    pub extension_start: *mut Extension,
    pub api: *const Api,
    pub context: *mut ExecutionContext,
    pub stage: c_int,
    pub args: Args,
    pub results: Args,
    pub attributes: Attributes,
    pub future: *mut c_void,
}

/// A handler of one stage.
pub type Handler = unsafe extern "C" fn(*mut CallFrame) -> *mut Error;

#[repr(C)]
pub struct HandlerBundle {
    pub instantiate: Option<Handler>,
    pub prepare: Option<Handler>,
    pub initialize: Option<Handler>,
    pub execute: Option<Handler>,
}

#[repr(C)]
pub struct HandlerRegisterArgs {
    pub struct_size: usize,
    pub extension_start: *mut Extension,
    pub name: ByteSpan,
    pub platform: ByteSpan,
    pub bundle: HandlerBundle,
    pub traits: u32,
}

/// Identity of a type of state within one XLA; 0 until XLA has assigned it.
///
/// XLA writes it, through a plain pointer, before it can call a handler; handlers read it.
#[repr(transparent)]
pub struct TypeId(pub AtomicI64);

/// What XLA needs to own a state.
#[repr(C)]
pub struct TypeInfo {
    pub struct_size: usize,
    pub extension_start: *mut Extension,
    pub deleter: unsafe extern "C" fn(*mut c_void),
}

#[repr(C)]
pub struct TypeRegisterArgs {
    pub struct_size: usize,
    pub extension_start: *mut Extension,
    pub name: ByteSpan,
    pub type_id: *const TypeId,
    pub type_info: *const TypeInfo,
}

/// Arguments of `state_set` and `state_get` up to version 0.2.
#[repr(C)]
pub struct StateArgsV2 {
    pub struct_size: usize,
    pub extension_start: *mut Extension,
    pub context: *mut ExecutionContext,
    pub type_id: *const TypeId,
    pub state: *mut c_void,
}

/// Arguments of `state_set` and `state_get` from version 0.3.
#[repr(C)]
pub struct StateArgsV3 {
    pub struct_size: usize,
    pub extension_start: *mut Extension,
    pub context: *mut ExecutionContext,
    pub stage: c_int,
    pub type_id: *const TypeId,
    pub state: *mut c_void,
}

/// What a thread of XLA's pool calls.
pub type Task = unsafe extern "C" fn(*mut c_void);

#[repr(C)]
pub struct ThreadPoolScheduleArgs {
    pub struct_size: usize,
    pub extension_start: *mut Extension,
    pub context: *mut ExecutionContext,
    pub task: Task,
    pub data: *mut c_void,
}

#[repr(C)]
pub struct ThreadPoolNumThreadsArgs {
    pub struct_size: usize,
    pub extension_start: *mut Extension,
    pub context: *mut ExecutionContext,
    /// Where XLA writes the number.
    pub num_threads: *mut i64,
}

/// Answer to a query of a handler's metadata. Its stated size ends before `state_type_id`, which all
/// versions have that are declared here.
#[repr(C)]
pub struct Metadata {
    pub struct_size: usize,
    pub version: ApiVersion,
    pub traits: u32,
    pub state_type_id: i64,
}

#[repr(C)]
pub struct MetadataExtension {
    pub base: Extension,
    pub metadata: *mut Metadata,
}

/// Size of a struct up to and including a field: what a maker that knows the field states at least.
macro_rules! size_through {
    ($type:ty, $field:ident: $field_type:ty) => {
        std::mem::offset_of!($type, $field) + size_of::<$field_type>()
    };
}
pub(crate) use size_through;

// The layouts on 64-bit System V; a slip of a field above does not build.
#[cfg(target_pointer_width = "64")]
const _: () = {
    assert!(size_of::<Extension>() == 24);
    assert!(size_of::<ApiVersion>() == 24);
    assert!(offset_of!(Api, error_create) == 48);
    assert!(offset_of!(Api, handler_register) == 72);
    assert!(offset_of!(Api, type_register) == 88);
    assert!(offset_of!(Api, state_set) == 104);
    assert!(offset_of!(Api, state_get) == 112);
    assert!(offset_of!(Api, thread_pool_schedule) == 136);
    assert!(offset_of!(Api, thread_pool_num_threads) == 144);
    assert!(size_of::<ThreadPoolScheduleArgs>() == 40);
    assert!(size_of::<ThreadPoolNumThreadsArgs>() == 32);
    assert!(size_of::<ErrorCreateArgs>() == 32);
    assert!(size_of::<Buffer>() == 48);
    assert!(size_of::<Args>() == 40);
    assert!(size_of::<Attributes>() == 48);
    assert!(offset_of!(CallFrame, args) == 40);
    assert!(offset_of!(CallFrame, results) == 80);
    assert!(offset_of!(CallFrame, attributes) == 120);
    assert!(offset_of!(CallFrame, future) == 168);
    assert!(size_of::<HandlerRegisterArgs>() == 88);
    assert!(size_of::<TypeInfo>() == 24);
    assert!(size_of::<TypeRegisterArgs>() == 48);
    assert!(size_of::<StateArgsV2>() == 40);
    assert!(size_of::<StateArgsV3>() == 48);
    assert!(offset_of!(Metadata, state_type_id) == 40);
    assert!(size_of::<MetadataExtension>() == 32);
    assert!(size_of::<TypeId>() == 8);
};
