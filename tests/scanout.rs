//! What the panel is shown is what Vulkan drew, in memory that both share: the kernel's own checksum of each picture
//! it scanned out is compared with what the demo says it drew.

mod rig;

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rig::mesa::Mesa;
use rig::wait::wait_until;
use rig::{VIVE, headsets, inside, leasehold, say, serve};
use serde_json::Value;

fn vive() -> PathBuf {
    headsets().join("vive-LHR-C5C0BC88")
}

fn demo(seconds: &str) -> Command {
    let mut demo = leasehold();
    demo.args(["demo", "--from", "wayland", "--seconds", seconds, "--json", "--headset"]).arg(vive());
    demo
}

fn report(command: &mut Command) -> Value {
    let output = command.output().expect("it starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?}: {errors}", output.status);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"))
}

/// The kernel's checksums of what the headset's CRTC scans out, one a vblank, while it is lit.
struct Checksums(Receiver<u32>);

impl Checksums {
    /// Waits for the CRTC to be lit, then collects until it is dark.
    fn collect() -> Self {
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            let folder = Path::new("/sys/kernel/debug/dri/0/crtc-1/crc");
            let mut control = OpenOptions::new().write(true).open(folder.join("control")).unwrap();
            control.write_all(b"auto").unwrap();
            // The kernel opens no checksums of a CRTC that is off (crtc_crc_open).
            let data = loop {
                match std::fs::File::open(folder.join("data")) {
                    Ok(data) => break data,
                    Err(_) => std::thread::sleep(Duration::from_millis(2)),
                }
            };
            // Lines of vblank count and checksum, both hexadecimal.
            for line in BufReader::new(data).lines().map_while(Result::ok) {
                let checksum = line.split_whitespace().nth(1).and_then(|word| word.strip_prefix("0x"));
                let checksum = checksum.and_then(|word| u32::from_str_radix(word, 16).ok());
                if sender.send(checksum.unwrap_or_else(|| panic!("no checksum: {line}"))).is_err() {
                    break;
                }
            }
        });
        Self(receiver)
    }

    fn so_far(&self) -> Vec<u32> {
        self.0.try_iter().collect()
    }
}

/// The checksum that vkms gives a picture: of rows of alpha, red, green and blue, 16 bits each (vkms_composer.c).
fn checksum(codes: &[u8]) -> u32 {
    let wide = |code: u8| (u16::from(code) * 257).to_le_bytes();
    // The kernel's crc32_le starts at 0 and inverts nothing.
    let mut hasher = crc32fast::Hasher::new_with_initial(!0);
    for pixel in codes.chunks_exact(3) {
        let [red, green, blue] = [wide(pixel[0]), wide(pixel[1]), wide(pixel[2])];
        hasher.update(&[0xFF, 0xFF, red[0], red[1], green[0], green[1], blue[0], blue[1]]);
    }
    !hasher.finalize()
}

#[test]
fn the_panel_scans_out_the_dma_buf_that_vulkan_drew_on() {
    const TEST: &str = "the_panel_scans_out_the_dma_buf_that_vulkan_drew_on";
    let Some(mesa) = Mesa::new(TEST) else { return };
    inside(TEST, VIVE, || {
        let folder = Path::new("/tmp");
        let [left, right] = ["left.png", "right.png"].map(|name| folder.join(name));
        rig::write_picture(&left, 0);
        rig::write_picture(&right, 1);
        let (rendered, shown) = (folder.join("rendered.png"), folder.join("shown.png"));
        let mut render = leasehold();
        render.arg("render").arg("--headset").arg(vive());
        render.arg("--left").arg(&left).arg("--right").arg(&right).arg("--out").arg(&rendered);
        assert!(mesa.drives(&mut render).status().unwrap().success());
        let expected = rig::decode(&rendered);

        let _serve = serve(&[]);
        let scene = format!("images:{},{}", left.display(), right.display());
        let mut command = demo("2");
        command.args(["--scanout", "dma-buf", "--scene", &scene, "--capture"]).arg(&shown);
        let checksums = Checksums::collect();
        // Without LEASEHOLD_VALIDATION: the layer objects to the capture's copy, as Mesa 25.0 lists no features of
        // the linear modifier (VUID-vkCmdCopyImageToBuffer-srcImage-01998).
        let report = report(mesa.drives(&mut command));

        assert_eq!(report["display"]["scanout"], "dma-buf");
        assert_eq!(report["display"]["mode"], "2160x1200");
        assert_eq!(report["loop"]["allocations"], 0, "{}", report["loop"]);
        let shown = rig::decode(&shown);
        assert_eq!(shown.len(), expected.len());
        let off = shown.iter().zip(&expected).filter(|(a, b)| a.abs_diff(**b) > 1).count();
        assert_eq!(off, 0, "{off} codes differ from render's by more than one");
        let last = checksum(&shown);
        let mut scanned = Vec::new();
        wait_until("the last picture is among what was scanned out", || {
            scanned.extend(checksums.so_far());
            scanned.contains(&last)
        });
        let times = scanned.iter().filter(|&&checksum| checksum == last).count();
        say(&format!(
            "{} pictures scanned out, the last one {times} times; {}",
            scanned.len(),
            report["display"]
        ));
    });
}

#[test]
fn the_best_way_to_scan_out_is_taken_and_a_refused_one_says_why() {
    const TEST: &str = "the_best_way_to_scan_out_is_taken_and_a_refused_one_says_why";
    let Some(mesa) = Mesa::new(TEST) else { return };
    inside(TEST, VIVE, || {
        let _serve = serve(&[]);
        let newer = report(mesa.drives(&mut demo("1")));
        assert_eq!(newer["display"]["scanout"], "dma-buf");
        assert_eq!(newer["display"]["scanout_refusals"], Value::Array(Vec::new()));
        let systems = report(&mut demo("1"));
        say(&format!("the system's Mesa: {}", systems["display"]));
        if systems["display"]["scanout"] != "dma-buf" {
            let refusal = systems["display"]["scanout_refusals"][0].as_str().expect("a sentence");
            assert!(refusal.starts_with("dma-buf: llvmpipe"), "{refusal}");
            assert!(refusal.contains("VK_EXT_external_memory_dma_buf"), "{refusal}");
        }
        // A card that GBM knows no driver for.
        let without_gbm = report(mesa.drives(&mut demo("1")).env("GBM_BACKENDS_PATH", "/nowhere"));
        assert_eq!(without_gbm["display"]["scanout"], "host-memory");
        let refusal = without_gbm["display"]["scanout_refusals"][0].as_str().expect("a sentence");
        assert!(refusal.starts_with("dma-buf: could not open GBM on"), "{refusal}");
    });
}
