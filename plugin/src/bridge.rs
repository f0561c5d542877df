//! The C++ side: what TensorFlow offers only as C++ with `std::string` arguments.
//!
//! Functions of TensorFlow are found at run time, so that the library loads where TensorFlow is
//! not; they come in as addresses.
#![allow(unsafe_code, reason = "cxx bridge")]
#![allow(missing_docs, reason = "the items are documented inside of the bridge")]

#[cxx::bridge(namespace = "hlo2dae")]
mod ffi {
    unsafe extern "C++" {
        include!("hlo2dae-plugin/cc/tensorflow.h");

        /// Calls `CustomCallTargetRegistry::Global()` at `global` and `Register` at `register_target` on it.
        ///
        /// # Safety
        /// The addresses are those of the two functions, `target` that of a function with the
        /// untyped call's signature.
        unsafe fn register_untyped(
            global: usize,
            register_target: usize,
            name: &str,
            target: usize,
            platform: &str,
        ) -> Result<()>;

        /// Puts `message` into the `XlaCustomCallStatus` at `status`: the call has failed.
        ///
        /// # Safety
        /// `status` is the address of a status whose layout [`check_status_layout`] found right.
        unsafe fn set_failure(status: usize, message: &str) -> Result<()>;

        /// Whether TensorFlow reads back, by `xla::CustomCallStatusGetMessage` at `get_message`,
        /// what `set_failure` writes.
        ///
        /// # Safety
        /// The address is that of the function.
        unsafe fn check_status_layout(get_message: usize) -> Result<bool>;
    }
}

pub use ffi::{check_status_layout, register_untyped, set_failure};
