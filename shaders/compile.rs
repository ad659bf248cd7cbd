//! Compiles the WGSL shaders to SPIR-V, once for each combination of what can be left out.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use naga::back::{pipeline_constants::process_overrides, spv};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{ShaderStage, front::wgsl};

/// Compiles them all, into `OUT_DIR`.
pub fn compile() {
    println!("cargo::rerun-if-changed=shaders/composite.wgsl");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let module = parse(Path::new("shaders/composite.wgsl"));
    write(&module, ShaderStage::Vertex, "cover", &[], &out.join("cover.spv"));
    // By kind of lens, mura, and how many layers, as a Rust array of arrays.
    let table = list(0..4, |lens| {
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
    // What `tests/bench` measures the pass against.
    println!("cargo::rerun-if-changed=tests/bench/mesh.wgsl");
    let mesh = parse(Path::new("tests/bench/mesh.wgsl"));
    write(&mesh, ShaderStage::Vertex, "corner", &[], &out.join("mesh_corner.spv"));
    write(&mesh, ShaderStage::Fragment, "look_up", &[], &out.join("mesh_look_up.spv"));
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
    // By number where they have one, by name otherwise.
    let numbered = module.overrides.iter().filter_map(|(_, known)| known.id);
    let constants = overrides
        .iter()
        .map(|&(name, value)| (name.to_string(), f64::from(value)))
        .chain(numbered.map(|id| (id.to_string(), f64::from(stand_in(id.into())))));
    let constants = constants.collect::<HashMap<_, _>>().into_iter().collect();
    let (module, info) = process_overrides(module, &info, Some((stage, entry)), &constants)
        .unwrap_or_else(|error| panic!("cannot specialise {entry}: {error}"));
    let options =
        spv::Options { lang_version: (1, 3), flags: spv::WriterFlags::empty(), ..Default::default() };
    let pipeline = spv::PipelineOptions { shader_stage: stage, entry_point: entry.to_string() };
    let words = spv::write_vec(&module, &info, &options, Some(&pipeline))
        .unwrap_or_else(|error| panic!("cannot write {entry}: {error}"));
    let bytes: Vec<u8> = specialisable(&words).iter().flat_map(|word| word.to_le_bytes()).collect();
    std::fs::write(out, bytes).unwrap_or_else(|error| panic!("cannot write {}: {error}", out.display()));
}

/// naga writes no specialisation constants: it wants every override's value. Numbered overrides get a value that stands
/// for their number, far from any that a shader would name, so that one that was computed with shows in every test.
fn stand_in(number: u32) -> f32 {
    f32::from_bits(0x7e00_0000 + number)
}

/// Makes specialisation constants of the constants that stand for a number, and of what is composed of them.
fn specialisable(words: &[u32]) -> Vec<u32> {
    const HEADER: usize = 5;
    const DECORATE: u32 = 71;
    const SPEC_ID: u32 = 1;
    const TYPES: std::ops::RangeInclusive<u32> = 19..=39;
    const CONSTANT: u32 = 43;
    const COMPOSITE: u32 = 44;
    const TO_SPEC: u32 = 7; // OpConstant is 43 and OpSpecConstant 50; OpConstantComposite is 44, its twin 51

    let (mut special, mut decorations, mut rest) = (HashSet::new(), Vec::new(), Vec::new());
    let mut first_type = None;
    let mut at = HEADER;
    while at < words.len() {
        let (length, opcode) = ((words[at] >> 16) as usize, words[at] & 0xffff);
        let mut instruction = words[at..at + length].to_vec();
        let number = match opcode {
            CONSTANT if length == 4 => instruction[3].checked_sub(stand_in(0).to_bits()),
            _ => None,
        };
        if let Some(number) = number.filter(|&number| number < 1024) {
            decorations.extend([4 << 16 | DECORATE, instruction[2], SPEC_ID, number]);
            special.insert(instruction[2]);
            instruction[0] += TO_SPEC;
        } else if opcode == COMPOSITE && instruction[3..].iter().any(|part| special.contains(part)) {
            special.insert(instruction[2]);
            instruction[0] += TO_SPEC;
        }
        if TYPES.contains(&opcode) {
            first_type.get_or_insert(rest.len());
        }
        rest.extend(instruction);
        at += length;
    }
    // Decorations come before all types.
    let before = first_type.expect("a shader has types");
    [&words[..HEADER], &rest[..before], &decorations, &rest[before..]].concat()
}
