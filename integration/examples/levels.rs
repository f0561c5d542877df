//! Prints what a look-up of each class of embedding operations takes at each level: `cargo run -p hlo2dae-integration --example levels`.

#![allow(clippy::print_stdout, reason = "that is what it is for")]

use hlo2dae_integration::classes::{inputs, table};

fn main() -> miette::Result<()> {
    print!("{}", table(inputs)?);
    Ok(())
}
