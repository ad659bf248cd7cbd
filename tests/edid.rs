//! EDIDs, as real headsets give them, as we make them up, and as they come out of a bad cable.

mod data;
#[path = "edid/decode.rs"]
mod decode;
#[path = "edid/mutation.rs"]
mod mutation;
mod rig;
#[path = "edid/twins.rs"]
mod twins;

use std::cell::Cell;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use data::{read, real};
use decode::Reading;
use leasehold::headset::edid::{Edid, NonDesktopBy, PrimaryUse, TimingSource};
use leasehold::kms::{Card, Connector};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rig::{CARD, TINY, checksum, inside, layout, leasehold, say};

/// The EDIDs of real headsets, by file name; none after saying so.
fn real_edids() -> Vec<(String, Vec<u8>)> {
    let folders = ["edid", "tiny"].into_iter().filter_map(real);
    let files = folders.flat_map(|folder| std::fs::read_dir(folder).expect("the folder can be listed"));
    let mut edids: Vec<(String, Vec<u8>)> = files
        .map(|file| file.expect("the folder can be listed"))
        .map(|file| (file.file_name().to_string_lossy().into_owned(), read(&file.path())))
        .collect();
    edids.sort();
    edids
}

/// Compares our reading with that of `edid-decode`, where it is installed; how many modes were compared.
fn compare(of: &str, bytes: &[u8]) -> usize {
    let ours = Reading::ours(bytes);
    match Reading::by_edid_decode(bytes) {
        Some(theirs) => {
            ours.assert_agrees(&theirs, of);
            assert!(!theirs.modes.is_empty(), "{of}: edid-decode found no mode");
            ours.modes.len() + ours.standard_modes.len()
        }
        None => {
            say(&format!("SKIPPED: comparing {of} (install edid-decode)"));
            0
        }
    }
}

#[test]
fn real_edids_are_read_as_edid_decode_reads_them() {
    let edids = real_edids();
    let modes: usize = edids.iter().map(|(name, bytes)| compare(name, bytes)).sum();
    say(&format!("{} real EDIDs compared with edid-decode, {modes} modes", edids.len()));
}

#[test]
fn made_up_edids_are_read_as_edid_decode_reads_them() {
    for (name, bytes) in twins::all() {
        compare(name, &bytes);
    }
}

#[test]
fn made_up_edids_say_what_they_were_made_to_say() {
    let twins: Vec<Edid> = twins::all().iter().map(|(name, bytes)| Edid::parse(bytes).expect(name)).collect();
    let [vive, mixed_reality, index, pro_2, playstation, rift, television] = &twins[..] else {
        panic!("{twins:?}")
    };
    assert_eq!((vive.vendor.as_str(), vive.product, vive.is_headset()), ("XAA", 0x1001, false));
    assert_eq!((vive.modes.len(), vive.modes[0].from), (1, TimingSource::Dtd));
    near(vive.modes[0].hz(), 297e6 / (2266.0 * 1464.0));
    assert_eq!(mixed_reality.non_desktop_by, NonDesktopBy::MsVsdb);
    assert_eq!(mixed_reality.serial.as_deref(), Some("4000000001"));
    assert_eq!((index.modes.len(), index.modes[0].from), (3, TimingSource::DisplayId));
    assert_eq!(index.standard_modes.len(), 1, "in the CTA block inside the section");
    assert_eq!(
        (pro_2.non_desktop_by, pro_2.primary_use),
        (NonDesktopBy::DisplayId, Some(PrimaryUse::VirtualReality))
    );
    assert_eq!((pro_2.modes[2].height, pro_2.modes[2].vtotal), (1080, 1125));
    assert_eq!(pro_2.modes[2].hz(), 60.0);
    assert_eq!(playstation.standard_modes.len(), 17 + 2 + 8 + 1 + 2);
    assert_eq!((rift.serial.as_deref(), rift.modes.len()), (Some("H1DEM0000"), 2));
    assert_eq!(television.standard_modes.len(), 127 + 27);
}

fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-9, "found {found}, expected {expected}");
}

#[test]
fn a_vive_says_what_it_is() {
    let Some(vive) = real("vive-LHR-C5C0BC88") else { return };
    let mut bytes = read(&vive.join("edid.bin"));
    let edid = Edid::parse(&bytes).expect("undamaged");
    assert_eq!((edid.vendor.as_str(), edid.product), ("HVR", 0xaa01));
    assert_eq!(edid.name.as_deref(), Some("HTC-VIVE"));
    assert_eq!(edid.headset().map(|known| known.name), Some("HTC Vive"));
    assert_eq!((edid.non_desktop, edid.non_desktop_by), (true, NonDesktopBy::Quirk));
    let [mode] = edid.modes[..] else { panic!("one mode, listed once: {:?}", edid.modes) };
    assert_eq!((mode.width, mode.height, mode.clock_khz), (2160, 1200, 297_000));
    assert_eq!((mode.vtotal, mode.from), (1464, TimingSource::Dtd));
    assert!((mode.hz() - 89.527296).abs() < 1e-6);

    bytes[130] ^= 0x10;
    let damaged = Edid::parse(&bytes).expect("the base block is whole");
    assert_eq!((damaged.modes, damaged.standard_modes), (edid.modes, Vec::new()));
    assert!(damaged.notes[0].starts_with("Block 1 is left out"), "{:?}", damaged.notes);
}

#[test]
fn each_kind_of_headset_is_told_from_a_monitor() {
    let Some(folder) = real("edid") else { return };
    let parse =
        |file: &str| Edid::parse(&read(&folder.join(file))).unwrap_or_else(|error| panic!("{file}: {error}"));
    for (file, by) in [
        ("VLV91A8_0B4B0AEB0F0A.bin", NonDesktopBy::Quirk),
        ("ACR7FCE_56204CC7D509.bin", NonDesktopBy::Quirk),
        ("HPN3515_2C2A2792DCCB.bin", NonDesktopBy::MsVsdb),
        ("LENB800_0A45A7091DF3.bin", NonDesktopBy::MsVsdb),
        ("HVRAA04_313A46DDCF23.bin", NonDesktopBy::DisplayId),
        ("HVRAA03_EB681E7683EC.bin", NonDesktopBy::None),
        ("SNYB403_5CDA30B2DC92.bin", NonDesktopBy::None),
    ] {
        let edid = parse(file);
        assert_eq!(edid.non_desktop_by, by, "{file}");
        assert!(edid.is_headset(), "{file}");
    }
    // A Steam Deck's panel: Valve's, and no headset.
    assert!(!parse("VLV3001_25C545529ECB.bin").is_headset());
    assert!(!parse("VLV3004_DFE5E59D3B8F.bin").is_headset());
}

/// Whatever becomes of an EDID, it is read or refused with a reason. `LEASEHOLD_FUZZ_CASES` says how often to try.
#[test]
fn any_mutation_is_read_or_refused() {
    let cases =
        std::env::var("LEASEHOLD_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(8192);
    let mut seeds: Vec<Vec<u8>> = twins::all().into_iter().map(|(_, bytes)| bytes).collect();
    seeds.extend(real_edids().into_iter().map(|(_, bytes)| bytes));
    let mutations = prop::collection::vec(mutation::mutation(), 1..12);
    let input = (prop::sample::select(seeds), mutations, prop::bool::weighted(0.75));
    let (read, noted) = (Cell::new(0u32), Cell::new(0u32));
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(config);
    let outcome = runner.run(&input, |(mut bytes, mutations, repaired)| {
        mutations.iter().for_each(|mutation| mutation.apply(&mut bytes));
        if repaired {
            checksum::repair(&mut bytes);
        }
        match Edid::parse(&bytes) {
            Ok(edid) => {
                check(&edid)?;
                read.set(read.get() + 1);
                noted.set(noted.get() + u32::from(!edid.notes.is_empty()));
            }
            Err(error) => prop_assert!(error.to_string().starts_with("reading an EDID: ")),
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    let (read, noted) = (read.get(), noted.get());
    say(&format!("{cases} mutations of EDIDs: {read} read, {noted} of them with a note, the others refused"));
    assert!(read > cases / 10 && read < cases, "neither all nor next to none should be readable");
}

/// What holds for every EDID that is read: its texts are fit to print and its numbers are numbers.
fn check(edid: &Edid) -> Result<(), TestCaseError> {
    let printable = |text: &str| text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    prop_assert!(edid.vendor.len() == 3 && printable(&edid.vendor));
    prop_assert!([&edid.name, &edid.serial].into_iter().flatten().all(|text| printable(text)));
    for mode in &edid.modes {
        prop_assert!(mode.hz().is_finite() && mode.hz() > 0.0, "{mode:?}");
        prop_assert!(mode.width <= mode.htotal && mode.height <= mode.vtotal, "{mode:?}");
    }
    for mode in &edid.standard_modes {
        prop_assert!(mode.timing.hz() > 20.0, "{mode:?}");
    }
    prop_assert_eq!(edid.non_desktop, edid.non_desktop_by != NonDesktopBy::None);
    prop_assert!(!edid.title().is_empty());
    Ok(())
}

/// Writes the made-up EDIDs and their DisplayID sections for `fuzz/seeds`.
#[test]
#[ignore = "writes seeds for the fuzz targets; fuzz/seeds runs it"]
fn seeds_for_fuzzing() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let write = |target: &str, number: usize, bytes: &[u8]| {
        std::fs::create_dir_all(corpus.join(target)).expect("the folder can be made");
        std::fs::write(corpus.join(target).join(format!("twin-{number}")), bytes).expect("it can be written");
    };
    for (number, (_, bytes)) in twins::all().iter().enumerate() {
        write("edid", number, bytes);
        let sections = bytes.as_chunks::<128>().0.iter().filter(|block| block[0] == 0x70);
        sections.for_each(|block| write("displayid", number, &block[1..1 + 4 + usize::from(block[2])]));
    }
}

/// Whoever looks at a display has the kernel put its EDID into a new blob.
#[test]
fn an_edid_that_another_is_put_in_the_place_of_is_read_all_the_same() {
    inside("an_edid_that_another_is_put_in_the_place_of_is_read_all_the_same", TINY, || {
        let open = || Card::open(Path::new(CARD)).unwrap();
        let (master, other) = (open(), open());
        let headset = *master.connectors().unwrap().last().unwrap();
        let expected = Connector::read(&master, headset, true).unwrap().edid;
        assert_eq!(expected, read(&rig::headsets().join(TINY)));
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    Connector::read(&master, headset, true).unwrap();
                }
            });
            let reads: Vec<_> = (0..3_000).map(|_| Connector::read(&other, headset, false)).collect();
            over.store(true, Ordering::Relaxed);
            let refusals: Vec<_> = reads.iter().filter_map(|read| read.as_ref().err()).collect();
            assert!(refusals.is_empty(), "{} of {}: {}", refusals.len(), reads.len(), refusals[0]);
            assert!(reads.into_iter().all(|read| read.unwrap().edid == expected));
        });
    });
}

#[test]
fn a_headset_that_falls_silent_is_named() {
    inside("a_headset_that_falls_silent_is_named", TINY, || {
        let demo = |arguments: &[&str]| {
            let mut demo = leasehold();
            demo.args(["demo", "--frames", "5"]).args(arguments).env("XDG_CACHE_HOME", "/tmp/cache");
            let output = demo.output().expect("the demo starts");
            (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
        };
        let (code, stderr) = demo(&["--from", "seat"]);
        assert_eq!(code, Some(0), "{stderr}");
        let kept = Path::new("/tmp/cache/leasehold/edid");
        assert_eq!(read(&kept.join("card0-Virtual-2")), read(&rig::headsets().join(TINY)));
        assert_eq!(std::fs::read_dir(kept).expect("it was made").count(), 1, "only headsets are remembered");

        // Out and in again, and this time without an EDID; the kernel forgets it when it looks in between.
        let tell = |path: &str, what: &str| std::fs::write(path, what).expect("root runs this");
        tell("/sys/kernel/debug/dri/0/Virtual-2/edid_override", "reset");
        for status in ["2", "1"] {
            tell("/sys/kernel/config/vkms/rig/connectors/conn2/status", status);
            tell("/sys/class/drm/card0-Virtual-2/status", "detect");
        }
        assert_eq!(read(Path::new("/sys/class/drm/card0-Virtual-2/edid")), b"");
        let (code, stderr) = demo(&["--from", "seat"]);
        assert_eq!(code, Some(3), "{stderr}");
        assert!(stderr.contains("Virtual-2: EDID does not answer; it was HTC Vive at 20"), "{stderr}");
        let (code, stderr) = demo(&[]);
        assert_eq!(code, Some(0), "a simulated panel: {stderr}");
        assert!(stderr.contains("Virtual-2: EDID does not answer; it was HTC Vive at 20"), "{stderr}");
    });
}
