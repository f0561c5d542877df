//! hlo2dae backend.
