//! Headsets known by the vendor and product number in their EDID.

/// A headset known by its EDID's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownHeadset {
    /// The EDID's three-letter vendor.
    pub vendor: &'static str,
    /// The EDID's product number.
    pub product: u16,
    /// What its makers call it.
    pub name: &'static str,
    /// Whether the kernel's own table makes it non-desktop. Where it does not, the EDID has to say so itself,
    /// or whoever owns the display has to be told.
    pub kernel_quirk: bool,
}

const fn listed(vendor: &'static str, product: u16, name: &'static str) -> KnownHeadset {
    KnownHeadset { vendor, product, name, kernel_quirk: true }
}

const fn unlisted(vendor: &'static str, product: u16, name: &'static str) -> KnownHeadset {
    KnownHeadset { vendor, product, name, kernel_quirk: false }
}

/// Every headset in the table. The listed ones are those with `EDID_QUIRK_NON_DESKTOP` in the kernel's
/// `drivers/gpu/drm/drm_edid.c` (`edid_quirk_list`, 6.16).
pub const KNOWN_HEADSETS: &[KnownHeadset] = &[
    // "Valve Index Headset": one number a hardware revision.
    listed("VLV", 0x91a8, "Valve Index"),
    listed("VLV", 0x91b0, "Valve Index"),
    listed("VLV", 0x91b1, "Valve Index"),
    listed("VLV", 0x91b2, "Valve Index"),
    listed("VLV", 0x91b3, "Valve Index"),
    listed("VLV", 0x91b4, "Valve Index"),
    listed("VLV", 0x91b5, "Valve Index"),
    listed("VLV", 0x91b6, "Valve Index"),
    listed("VLV", 0x91b7, "Valve Index"),
    listed("VLV", 0x91b8, "Valve Index"),
    listed("VLV", 0x91b9, "Valve Index"),
    listed("VLV", 0x91ba, "Valve Index"),
    listed("VLV", 0x91bb, "Valve Index"),
    listed("VLV", 0x91bc, "Valve Index"),
    listed("VLV", 0x91bd, "Valve Index"),
    listed("VLV", 0x91be, "Valve Index"),
    listed("VLV", 0x91bf, "Valve Index"),
    // "HTC Vive and Vive Pro VR Headsets".
    listed("HVR", 0xaa01, "HTC Vive"),
    listed("HVR", 0xaa02, "HTC Vive Pro"),
    // "Oculus Rift DK1, DK2, CV1 and Rift S VR Headsets".
    listed("OVR", 0x0001, "Oculus Rift DK1"),
    listed("OVR", 0x0003, "Oculus Rift DK2"),
    listed("OVR", 0x0004, "Oculus Rift CV1"),
    listed("OVR", 0x0012, "Oculus Rift S"),
    // "Windows Mixed Reality Headsets".
    listed("ACR", 0x7fce, "Acer Mixed Reality"),
    listed("LEN", 0x0408, "Lenovo Explorer"),
    listed("FUJ", 0x1970, "Fujitsu Mixed Reality"),
    listed("DEL", 0x7fce, "Dell Visor"),
    listed("SEC", 0x144a, "Samsung Odyssey"),
    listed("AUS", 0xc102, "Asus Mixed Reality"),
    // "Sony PlayStation VR Headset".
    listed("SNY", 0x0704, "Sony PlayStation VR"),
    // "Sensics VR Headsets".
    listed("SEN", 0x1019, "Sensics"),
    // "OSVR HDK and HDK2 VR Headsets"; a Pimax P1 carries the HDK's numbers too.
    listed("SVR", 0x1019, "OSVR HDK"),
    listed("AUO", 0x1111, "OSVR HDK2"),
    // Once in the kernel's table, dropped when it learned to read Microsoft's block, which both carry.
    unlisted("HPN", 0x3515, "HP Mixed Reality"),
    unlisted("LEN", 0xb800, "Lenovo Explorer"),
    // Its DisplayID names its use, which the kernel reads.
    unlisted("HVR", 0xaa04, "HTC Vive Pro 2"),
    // Nothing in the kernel or in their EDIDs calls these non-desktop.
    unlisted("HVR", 0xaa03, "HTC Vive Cosmos"),
    unlisted("SNY", 0xb403, "Sony PlayStation VR"), // proposed in torvalds/linux#1178, closed
    unlisted("BIG", 0x1234, "Bigscreen Beyond"),    // proposed to dri-devel in 2024, not merged in 6.16
    unlisted("MRG", 0x3131, "Nreal Light"),
    unlisted("MRG", 0x3132, "Nreal Air"),
];

/// The known headset with these numbers.
pub fn find(vendor: &str, product: u16) -> Option<&'static KnownHeadset> {
    KNOWN_HEADSETS.iter().find(|known| known.vendor == vendor && known.product == product)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_vive_and_not_a_desktop_monitor() {
        assert_eq!(
            find("HVR", 0xaa01).map(|known| (known.name, known.kernel_quirk)),
            Some(("HTC Vive", true))
        );
        assert_eq!(
            find("HVR", 0xaa04).map(|known| (known.name, known.kernel_quirk)),
            Some(("HTC Vive Pro 2", false))
        );
        assert_eq!(find("DEL", 0xaa01), None);
    }

    #[test]
    fn lists_each_headset_once() {
        for known in KNOWN_HEADSETS {
            let same =
                KNOWN_HEADSETS.iter().filter(|k| (k.vendor, k.product) == (known.vendor, known.product));
            assert_eq!(same.count(), 1, "{known:?}");
        }
    }
}
