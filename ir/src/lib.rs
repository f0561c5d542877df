//! hlo2dae ir.
