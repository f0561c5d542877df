//! hlo2dae plugin.
