//! hlo2dae frontend.
