//! Laws of the normal form.
