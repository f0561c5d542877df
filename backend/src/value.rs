//! What is known of a slot or register.

/// Name, type and place of a slot's or register's value.
pub type ValueData = hlo2dae_ir::core::ValueData<hlo2dae_ir::core::Type>;
