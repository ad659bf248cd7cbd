//! Which connector a headset is on, by what its mainboard says over HID.

mod rig;
mod uhid;

use leasehold::headset::edid::EdidId;
use leasehold::hid::headsets::reported_edids;
use leasehold::lease::request::Wanted;
use rig::wait::wait_until;
use rig::{VIVE, example, inside, serve};
use serde_json::json;
use uhid::Uhid;

/// What a Vive's mainboard answers: number, type, length, and its EDID's four bytes.
fn device_info() -> Vec<u8> {
    let mut report = vec![0x04, 0x87, 0x29, 60, 0x22, 0xd2, 0x01, 0xaa];
    report.resize(64, 0);
    report
}

#[test]
fn a_vive_tells_which_display_is_its_own() {
    inside("a_vive_tells_which_display_is_its_own", VIVE, || {
        assert_eq!(Wanted::headset(), Wanted::Reported(Vec::new()));
        let vive: EdidId = "HVR:AA01".parse().unwrap();
        {
            let _mainboard = Uhid::that_says(0x0bb4, 0x2c87, Some(device_info()));
            wait_for_reported(&[vive]);
            // A tracking board of the same headset, and one that cannot be asked, change nothing.
            let _other = Uhid::that_says(0x28de, 0x2000, Some(device_info()));
            let _broken = Uhid::that_says(0x0bb4, 0x0309, None);
            wait_for_reported(&[vive]);
            let _serve = serve(&["--offer", "Virtual-1"]);
            let outcome = example("lessee").args(["--frames", "2"]).output().unwrap();
            let said = String::from_utf8(outcome.stdout).unwrap();
            let first: serde_json::Value =
                serde_json::from_str(said.lines().next().expect("a line")).unwrap();
            assert_eq!(first["name"], json!("Virtual-2"));
        }
        wait_for_reported(&[]);
        let _cut_short = Uhid::that_says(0x0bb4, 0x2c87, Some(device_info()[..7].to_vec()));
        std::thread::sleep(std::time::Duration::from_millis(200));
        assert_eq!(reported_edids(), []);
    });
}

/// The kernel makes and removes the node a little after the device.
fn wait_for_reported(ids: &[EdidId]) {
    wait_until(&format!("{ids:?} are reported"), || reported_edids() == ids);
}
