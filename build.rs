//! Compiles the shaders, where there is anything to draw.

#[cfg(feature = "headset")]
#[path = "shaders/compile.rs"]
mod shaders;

fn main() {
    // With nothing else named, cargo would run this again after every change to anything.
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "headset")]
    shaders::compile();
}
