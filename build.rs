//! Compiles the shaders, where there is anything to draw.

#[cfg(feature = "headset")]
#[path = "shaders/compile.rs"]
mod shaders;

fn main() {
    #[cfg(feature = "headset")]
    shaders::compile();
}
