//! Compiles the WGSL shaders to SPIR-V, once for each combination of what can be left out.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use naga::back::{pipeline_constants::process_overrides, spv};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{ShaderStage, front::wgsl};

fn main() {
    println!("cargo::rerun-if-changed=shaders/composite.wgsl");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let module = parse(Path::new("shaders/composite.wgsl"));
    write(&module, ShaderStage::Vertex, "cover", &[], &out.join("cover.spv"));
    // By kind of lens, mura, and how many layers, as a Rust array of arrays.
    let table = list(0..3, |lens| {
        list(0..2, |mura| {
            list(0..5, |layers| {
                let overrides = [("LENS", lens), ("MURA", mura), ("LAYERS", layers)];
                let name = format!("composite_{lens}_{mura}_{layers}.spv");
                write(&module, ShaderStage::Fragment, "composite", &overrides, &out.join(&name));
                format!("include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}\")).as_slice()")
            })
        })
    });
    std::fs::write(out.join("composite.rs"), table).expect("OUT_DIR can be written to");
}

fn list(numbers: std::ops::Range<u32>, item: impl Fn(u32) -> String) -> String {
    format!("[{}]", numbers.map(item).collect::<Vec<_>>().join(", "))
}

fn parse(path: &Path) -> naga::Module {
    let source = std::fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    wgsl::parse_str(&source).unwrap_or_else(|error| {
        panic!("{}", error.emit_to_string_with_path(&source, &path.display().to_string()))
    })
}

fn write(module: &naga::Module, stage: ShaderStage, entry: &str, overrides: &[(&str, u32)], out: &Path) {
    let info = Validator::new(ValidationFlags::all(), Capabilities::empty())
        .validate(module)
        .unwrap_or_else(|error| panic!("{entry} is not valid: {error:?}"));
    let constants: HashMap<String, f64> =
        overrides.iter().map(|&(name, value)| (name.to_string(), f64::from(value))).collect();
    let constants = constants.into_iter().collect();
    let (module, info) = process_overrides(module, &info, Some((stage, entry)), &constants)
        .unwrap_or_else(|error| panic!("cannot specialise {entry}: {error}"));
    let options =
        spv::Options { lang_version: (1, 3), flags: spv::WriterFlags::empty(), ..Default::default() };
    let pipeline = spv::PipelineOptions { shader_stage: stage, entry_point: entry.to_string() };
    let words = spv::write_vec(&module, &info, &options, Some(&pipeline))
        .unwrap_or_else(|error| panic!("cannot write {entry}: {error}"));
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    std::fs::write(out, bytes).unwrap_or_else(|error| panic!("cannot write {}: {error}", out.display()));
}
