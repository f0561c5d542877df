//! The typed handlers against an XLA that is made up here, well-behaved and not.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ffi::{CStr, CString, c_int, c_void};
use std::ptr;

use super::abi::{self, ByteSpan};
use hlo2dae_backend::native::Pool;

use super::host::{Hosted, Jax, TensorFlow};
use super::threads::XlaThreads;
use super::{state, typed};

const PROGRAM: &str = "\
region @rows {
  input %table: f32[4,2]
  input %ids: s32[3]
  output %out: f32[3,2]
  nest (%i = 3, %d = 2) {
    %id = read %ids[%i]
    %row = index %id {clamp 0..3}
    %x = read %table[%row, %d]
    combine replace %out[%i, %d], %x
  }
}
";

/// What the made-up XLA keeps behind an error.
struct Failure {
    message: CString,
    code: c_int,
}

unsafe extern "C" fn error_create(args: *mut abi::ErrorCreateArgs) -> *mut abi::Error {
    // SAFETY: the handlers pass arguments of this layout with a terminated message.
    let failure = unsafe {
        Failure {
            message: CStr::from_ptr((*args).message).to_owned(),
            code: (*args).code,
        }
    };
    Box::into_raw(Box::new(failure)).cast()
}

unsafe extern "C" fn error_get_message(args: *mut abi::ErrorGetMessageArgs) {
    // SAFETY: the error is one of `error_create`.
    unsafe { (*args).message = (*(*args).error.cast::<Failure>()).message.as_ptr() }
}

unsafe extern "C" fn error_destroy(args: *mut abi::ErrorDestroyArgs) {
    // SAFETY: the error is one of `error_create`, given back once.
    drop(unsafe { Box::from_raw((*args).error.cast::<Failure>()) });
}

/// What the made-up XLA keeps for a call site.
struct CallSite {
    state: *mut c_void,
}

impl Drop for CallSite {
    fn drop(&mut self) {
        // SAFETY: the state is what the handler gave, destroyed once.
        unsafe { (state::TYPE_INFO.0.deleter)(self.state) }
    }
}

/// Declares a pair of state functions for one layout of their arguments.
macro_rules! state_functions {
    ($set:ident, $get:ident, $args:ty) => {
        unsafe extern "C" fn $set(args: *mut c_void) -> *mut abi::Error {
            // SAFETY: the handlers pass arguments of the layout of the version that they were told.
            unsafe {
                let args = args.cast::<$args>();
                assert_eq!((*args).struct_size, size_of::<$args>());
                (*(*args).context.cast::<CallSite>()).state = (*args).state;
            }
            ptr::null_mut()
        }

        unsafe extern "C" fn $get(args: *mut c_void) -> *mut abi::Error {
            // SAFETY: as above.
            unsafe {
                let args = args.cast::<$args>();
                assert_eq!((*args).struct_size, size_of::<$args>());
                (*args).state = (*(*args).context.cast::<CallSite>()).state;
            }
            ptr::null_mut()
        }
    };
}
state_functions!(state_set_v2, state_get_v2, abi::StateArgsV2);
state_functions!(state_set_v3, state_get_v3, abi::StateArgsV3);

/// A made-up XLA of a version.
fn api(minor: c_int) -> abi::Api {
    let v2 = minor < 3;
    abi::Api {
        struct_size: size_of::<abi::Api>(),
        extension_start: ptr::null_mut(),
        version: abi::ApiVersion {
            struct_size: size_of::<abi::ApiVersion>(),
            extension_start: ptr::null_mut(),
            major: abi::MAJOR,
            minor,
        },
        internal: ptr::null(),
        error_create: Some(error_create),
        error_get_message: Some(error_get_message),
        error_destroy: Some(error_destroy),
        handler_register: None,
        stream_get: ptr::null(),
        type_register: None,
        execution_context_get: ptr::null(),
        state_set: Some(if v2 { state_set_v2 } else { state_set_v3 }),
        state_get: Some(if v2 { state_get_v2 } else { state_get_v3 }),
        device_memory_allocate: ptr::null(),
        device_memory_free: ptr::null(),
        thread_pool_schedule: Some(schedule),
        thread_pool_num_threads: Some(num_threads),
    }
}

/// A pool that makes a thread for each task.
unsafe extern "C" fn schedule(args: *mut abi::ThreadPoolScheduleArgs) -> *mut abi::Error {
    // SAFETY: the handlers pass arguments of this layout.
    let (size, task, data) = unsafe { ((*args).struct_size, (*args).task, (*args).data) };
    assert_eq!(size, size_of::<abi::ThreadPoolScheduleArgs>());
    let data = data.expose_provenance();
    // SAFETY: the task is called once, with its data.
    std::thread::spawn(move || unsafe { task(ptr::with_exposed_provenance_mut(data)) });
    ptr::null_mut()
}

unsafe extern "C" fn num_threads(args: *mut abi::ThreadPoolNumThreadsArgs) -> *mut abi::Error {
    // SAFETY: the handlers pass arguments of this layout.
    unsafe {
        assert_eq!(
            (*args).struct_size,
            size_of::<abi::ThreadPoolNumThreadsArgs>()
        );
        *(*args).num_threads = 3;
    }
    ptr::null_mut()
}

fn span(text: &[u8]) -> ByteSpan {
    ByteSpan {
        data: text.as_ptr().cast(),
        size: text.len(),
    }
}

/// A buffer of XLA over `data`.
fn buffer<T>(dtype: c_int, dims: &[i64], data: &mut [T]) -> abi::Buffer {
    abi::Buffer {
        struct_size: size_of::<abi::Buffer>(),
        extension_start: ptr::null_mut(),
        dtype,
        data: data.as_mut_ptr().cast(),
        rank: i64::try_from(dims.len()).unwrap(),
        dims: dims.as_ptr(),
    }
}

fn args(types: &[c_int], values: &[*mut c_void]) -> abi::Args {
    abi::Args {
        struct_size: size_of::<abi::Args>(),
        extension_start: ptr::null_mut(),
        size: i64::try_from(values.len()).unwrap(),
        types: types.as_ptr(),
        values: values.as_ptr(),
    }
}

/// Everything that one call needs; tests spoil a part of it.
struct Call {
    api: abi::Api,
    attribute_kinds: Vec<c_int>,
    attributes: Vec<(Vec<u8>, Vec<u8>)>,
    inputs: Vec<abi::Buffer>,
    outputs: Vec<abi::Buffer>,
    frame_size: usize,
}

static TABLE_DIMS: [i64; 2] = [4, 2];
static IDS_DIMS: [i64; 1] = [3];
static OUT_DIMS: [i64; 2] = [3, 2];

impl Call {
    fn new(table: &mut [f32; 8], ids: &mut [i32; 3], out: &mut [f32; 6]) -> Call {
        Call {
            api: api(3),
            attribute_kinds: vec![abi::ATTRIBUTE_STRING; 2],
            attributes: [("engine", "region"), ("program", PROGRAM)]
                .map(|(name, value)| (name.into(), value.into()))
                .into(),
            inputs: vec![buffer(11, &TABLE_DIMS, table), buffer(4, &IDS_DIMS, ids)],
            outputs: vec![buffer(11, &OUT_DIMS, out)],
            frame_size: size_of::<abi::CallFrame>(),
        }
    }

    /// Calls one stage.
    fn stage(
        &mut self,
        stage: c_int,
        site: &mut CallSite,
        extension: *mut abi::Extension,
    ) -> Result<(), (c_int, String)> {
        let spans: Vec<_> = self
            .attributes
            .iter()
            .map(|(name, value)| (span(name), span(value)))
            .collect();
        let names: Vec<*const ByteSpan> = spans.iter().map(|(name, _)| &raw const *name).collect();
        let values: Vec<*mut c_void> = spans
            .iter()
            .map(|(_, value)| (&raw const *value).cast_mut().cast())
            .collect();
        let buffers = |buffers: &[abi::Buffer]| -> Vec<*mut c_void> {
            buffers
                .iter()
                .map(|buffer| (&raw const *buffer).cast_mut().cast())
                .collect()
        };
        let kinds = [abi::ARG_BUFFER; 4];
        let (inputs, outputs) = (buffers(&self.inputs), buffers(&self.outputs));
        let mut frame = abi::CallFrame {
            struct_size: self.frame_size,
            extension_start: extension,
            api: &raw const self.api,
            context: (&raw mut *site).cast(),
            stage,
            args: args(&kinds, &inputs),
            results: args(&kinds, &outputs),
            attributes: abi::Attributes {
                struct_size: size_of::<abi::Attributes>(),
                extension_start: ptr::null_mut(),
                size: i64::try_from(names.len()).unwrap(),
                types: self.attribute_kinds.as_ptr(),
                names: names.as_ptr(),
                values: values.as_ptr(),
            },
            future: ptr::null_mut(),
        };
        let bundle = typed::bundle::<Jax>();
        let handler = if stage == abi::stage::INSTANTIATE {
            bundle.instantiate
        } else {
            bundle.execute
        };
        // SAFETY: the frame is as XLA would make it, but for what the test spoils on purpose.
        let error = unsafe { handler.unwrap()(&raw mut frame) };
        if error.is_null() {
            return Ok(());
        }
        // SAFETY: the error is one of `error_create`, taken once.
        let failure = unsafe { Box::from_raw(error.cast::<Failure>()) };
        Err((failure.code, failure.message.to_string_lossy().into_owned()))
    }

    /// Instantiates and executes.
    fn run(&mut self) -> Result<(), (c_int, String)> {
        let mut site = CallSite {
            state: ptr::null_mut(),
        };
        self.stage(abi::stage::INSTANTIATE, &mut site, ptr::null_mut())?;
        self.stage(abi::stage::EXECUTE, &mut site, ptr::null_mut())
    }
}

/// Spoils a call, and expects that it fails with a code and a sentence.
fn fails(spoil: impl FnOnce(&mut Call), code: c_int, sentence: &str) {
    let (mut table, mut ids, mut out) = ([0.0; 8], [0; 3], [7.0; 6]);
    let mut call = Call::new(&mut table, &mut ids, &mut out);
    spoil(&mut call);
    let (found, message) = call.run().unwrap_err();
    assert_eq!(found, code, "{message}");
    assert!(
        message.starts_with("hlo2dae: ") && message.contains(sentence),
        "{message}"
    );
    assert_eq!(out, [7.0; 6]);
}

#[test]
fn every_known_version_of_the_interface_runs_a_program() {
    for minor in [abi::OLDEST_MINOR, abi::NEWEST_MINOR, abi::NEWEST_MINOR + 1] {
        let mut table: [f32; 8] = std::array::from_fn(|i| i as f32);
        let (mut ids, mut out) = ([2, 9, -1], [7.0; 6]);
        for engine in ["region", "native", ""] {
            let mut call = Call::new(&mut table, &mut ids, &mut out);
            call.api = api(minor);
            call.attributes[0].1 = engine.into();
            assert_eq!(call.run(), Ok(()));
            assert_eq!(out, [4.0, 5.0, 6.0, 7.0, 0.0, 1.0]);
            out = [7.0; 6];
        }
    }
}

/// Threads of a made-up XLA; `f` gets them.
fn with_threads<T>(api: &abi::Api, f: impl FnOnce(&XlaThreads<'_>) -> T) -> T {
    let mut site = CallSite {
        state: ptr::null_mut(),
    };
    let none = || args(&[], &[]);
    let frame = abi::CallFrame {
        struct_size: size_of::<abi::CallFrame>(),
        extension_start: ptr::null_mut(),
        api,
        context: (&raw mut site).cast(),
        stage: abi::stage::EXECUTE,
        args: none(),
        results: none(),
        attributes: abi::Attributes {
            struct_size: size_of::<abi::Attributes>(),
            extension_start: ptr::null_mut(),
            size: 0,
            types: ptr::null(),
            names: ptr::null(),
            values: ptr::null(),
        },
        future: ptr::null_mut(),
    };
    // SAFETY: the frame lives as long as it is used.
    let frame = unsafe { super::frame::Frame::new(&raw const frame) }.unwrap();
    f(&XlaThreads::new(api, frame))
}

#[test]
fn xlas_threads_do_every_task_once() {
    use std::sync::atomic::{AtomicU32, Ordering};
    with_threads(&api(3), |threads| {
        assert!((1..=3).contains(&threads.threads()));
        for _ in 0..50 {
            let done: Vec<AtomicU32> = (0..100).map(|_| AtomicU32::new(0)).collect();
            threads.run(100, &|task| {
                done[task].fetch_add(1, Ordering::Relaxed);
            });
            assert!(done.iter().all(|count| count.load(Ordering::Relaxed) == 1));
        }
    });
}

#[test]
fn a_panic_on_xlas_threads_comes_back_to_the_caller() {
    let outcome = std::panic::catch_unwind(|| {
        with_threads(&api(3), |threads| {
            threads.run(100, &|task| assert_ne!(task, 57, "the task that fails"));
        });
    });
    assert!(outcome.is_err());
}

#[test]
fn metadata_name_the_version_and_the_type_of_the_state() {
    Jax::host()
        .type_id
        .0
        .store(41, std::sync::atomic::Ordering::Release);
    for (minor, answered) in [(2, 2), (3, 3), (9, abi::NEWEST_MINOR)] {
        for (stage, type_id) in [(abi::stage::INSTANTIATE, 41), (abi::stage::EXECUTE, 0)] {
            let mut metadata = abi::Metadata {
                // XLA's own constant leaves the last field out.
                struct_size: 36,
                version: api(0).version,
                traits: 99,
                state_type_id: -1,
            };
            let mut extension = abi::MetadataExtension {
                base: abi::Extension {
                    struct_size: size_of::<abi::MetadataExtension>(),
                    kind: abi::EXTENSION_METADATA,
                    next: ptr::null_mut(),
                },
                metadata: &raw mut metadata,
            };
            let (mut table, mut ids, mut out) = ([0.0; 8], [0; 3], [7.0; 6]);
            let mut call = Call::new(&mut table, &mut ids, &mut out);
            call.api = api(minor);
            let mut site = CallSite {
                state: ptr::null_mut(),
            };
            assert_eq!(
                call.stage(stage, &mut site, (&raw mut extension).cast()),
                Ok(())
            );
            assert_eq!(
                (metadata.version.major, metadata.version.minor),
                (abi::MAJOR, answered)
            );
            assert_eq!((metadata.traits, metadata.state_type_id), (0, type_id));
        }
    }
}

#[test]
fn hosts_keep_their_types_apart() {
    assert!(!ptr::eq(TensorFlow::host(), Jax::host()));
}

#[test]
fn wrong_attributes_are_the_users_mistake() {
    const CODE: c_int = abi::code::INVALID_ARGUMENT;
    fails(
        |call| call.attributes[1].0 = b"text".into(),
        CODE,
        "unknown attribute `text`",
    );
    fails(
        |call| call.attributes.truncate(1),
        CODE,
        "no attribute `program`",
    );
    fails(
        |call| call.attribute_kinds[1] = 3,
        CODE,
        "`program` is not a string",
    );
    fails(
        |call| call.attributes[0].1 = b"abacus".into(),
        CODE,
        "no engine `abacus`",
    );
    fails(
        |call| call.attributes[1].1 = b"region \xff".into(),
        CODE,
        "UTF-8",
    );
    fails(
        |call| call.attributes[1].1 = b"region @r {\0}".into(),
        CODE,
        "expected",
    );
    fails(|call| call.attributes[1].1.truncate(60), CODE, "expected");
}

#[test]
fn buffers_that_are_not_the_programs_are_refused() {
    const CODE: c_int = abi::code::INVALID_ARGUMENT;
    static NEGATIVE: [i64; 2] = [-4, -2];
    fails(
        |call| call.inputs.truncate(1),
        CODE,
        "wrong number of inputs: expected 2, found 1",
    );
    fails(
        |call| call.outputs.clear(),
        CODE,
        "wrong number of outputs: expected 1, found 0",
    );
    fails(
        |call| call.inputs[1].dtype = 5,
        CODE,
        "%ids has the wrong element type: expected s32, found s64",
    );
    fails(
        |call| call.inputs[1].dtype = 15,
        CODE,
        "unsupported type number 15",
    );
    fails(
        |call| call.inputs[0].dims = NEGATIVE.as_ptr(),
        CODE,
        "expected f32[4,2], found f32[-4,-2]",
    );
    fails(
        |call| call.inputs[0].rank = 1,
        CODE,
        "expected f32[4,2], found f32[4]",
    );
    fails(|call| call.inputs[0].rank = -1, CODE, "rank");
    fails(|call| call.inputs[0].rank = i64::MAX, CODE, "too large");
    fails(|call| call.inputs[0].dims = ptr::null(), CODE, "null");
    fails(|call| call.inputs[0].data = ptr::null_mut(), CODE, "null");
    fails(
        |call| call.inputs[0].data = call.inputs[0].data.wrapping_byte_add(1),
        CODE,
        "aligned",
    );
}

#[test]
fn structs_of_another_interface_are_our_limit() {
    fails(
        |call| call.frame_size = 64,
        abi::code::UNIMPLEMENTED,
        "call frame has 64 bytes",
    );
    fails(
        |call| call.inputs[0].struct_size = 16,
        abi::code::UNIMPLEMENTED,
        "buffer has 16 bytes",
    );
}

#[test]
fn a_handler_serves_its_own_stage_only() {
    let (mut table, mut ids, mut out) = ([0.0; 8], [0; 3], [7.0; 6]);
    let mut site = CallSite {
        state: ptr::null_mut(),
    };
    // Every stage but the first goes to the handler that executes.
    let prepare = 1;
    let result =
        Call::new(&mut table, &mut ids, &mut out).stage(prepare, &mut site, ptr::null_mut());
    let (code, message) = result.unwrap_err();
    assert_eq!(code, abi::code::UNIMPLEMENTED);
    assert!(message.contains("stage 1"), "{message}");
}

#[test]
fn an_execution_without_instantiation_is_an_error() {
    let (mut table, mut ids, mut out) = ([0.0; 8], [0; 3], [7.0; 6]);
    let mut site = CallSite {
        state: ptr::null_mut(),
    };
    let result = Call::new(&mut table, &mut ids, &mut out).stage(
        abi::stage::EXECUTE,
        &mut site,
        ptr::null_mut(),
    );
    let (code, message) = result.unwrap_err();
    assert_eq!(code, abi::code::INTERNAL);
    assert!(message.contains("state of the call site"), "{message}");
}
