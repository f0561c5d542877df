//! hlo2dae sim.
