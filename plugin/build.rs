//! Compiles the C++ side of the bridge.

fn main() {
    println!("cargo::rerun-if-changed=cc");
    cxx_build::bridge("src/bridge.rs")
        .file("cc/tensorflow.cc")
        .std("c++17")
        .flag_if_supported("-Wall")
        .flag_if_supported("-Wextra")
        .compile("hlo2dae_cc");
}
