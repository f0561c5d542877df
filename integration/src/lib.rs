//! hlo2dae integration.
