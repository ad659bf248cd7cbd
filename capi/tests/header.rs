//! `include/leasehold.h` is what cbindgen makes of the source. With `LEASEHOLD_WRITE_HEADER=1` it is written anew.

use std::path::Path;

#[test]
fn the_header_is_up_to_date() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut made = Vec::new();
    cbindgen::generate(package).expect("cbindgen reads the source").write(&mut made);
    // What must hold in Rust for a call to be sound is what its parameters mean in C.
    let made = String::from_utf8(made).expect("a header is text").replace(" * # Safety\n", "");
    let header = package.join("include/leasehold.h");
    if std::env::var_os("LEASEHOLD_WRITE_HEADER").is_some() {
        std::fs::write(&header, &made).expect("the header can be written");
    }
    let kept = std::fs::read_to_string(&header).unwrap_or_default();
    assert!(
        kept == made,
        "{} is out of date: run 'LEASEHOLD_WRITE_HEADER=1 cargo test -p leasehold-capi'",
        header.display()
    );
}
