//! Every text is answered; what is accepted survives printing.

#![no_main]

mod mutate;

use hlo2dae_hlo::{parse_module, verify};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(module) = parse_module(text) else {
        return;
    };
    let _ = verify(&module);
    let printed = module.to_string();
    let again = parse_module(&printed).expect("a print is a text");
    assert_eq!(again.to_string(), printed);
    assert!(again == module, "the module changes:\n{printed}");
});
