//! Headsets known by the vendor and product number in their EDID.

use super::Illumination;

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
    /// When its panel lights up, where somebody has found out. Panels that roll do so from the mode's first line down.
    pub illumination: Option<Illumination>,
}

const fn listed(vendor: &'static str, product: u16, name: &'static str) -> KnownHeadset {
    KnownHeadset { vendor, product, name, kernel_quirk: true, illumination: None }
}

const fn unlisted(vendor: &'static str, product: u16, name: &'static str) -> KnownHeadset {
    KnownHeadset { kernel_quirk: false, ..listed(vendor, product, name) }
}

impl KnownHeadset {
    /// Its panel lights up all at once.
    const fn flashes(self) -> Self {
        Self { illumination: Some(Illumination::Global), ..self }
    }

    /// Its panel lights up line by line.
    const fn rolls(self) -> Self {
        Self { illumination: Some(Illumination::Rolling), ..self }
    }
}

/// Every headset in the table. The listed ones are those with `EDID_QUIRK_NON_DESKTOP` in the kernel's
/// `drivers/gpu/drm/drm_edid.c` (`edid_quirk_list`, 6.16).
///
/// Which panels roll is from Monado: `vive_variant_scanout_info` of `src/xrt/auxiliary/vive/vive_common.c` and
/// `get_compositor_info_wmr` of `src/xrt/drivers/wmr/wmr_hmd.c`.
pub const KNOWN_HEADSETS: &[KnownHeadset] = &[
    // "Valve Index Headset": one number a hardware revision. An LCD whose backlight flashes, for 0.33 to 0.53 ms by Valve's
    // figures; Monado names no direction for it.
    listed("VLV", 0x91a8, "Valve Index").flashes(),
    listed("VLV", 0x91b0, "Valve Index").flashes(),
    listed("VLV", 0x91b1, "Valve Index").flashes(),
    listed("VLV", 0x91b2, "Valve Index").flashes(),
    listed("VLV", 0x91b3, "Valve Index").flashes(),
    listed("VLV", 0x91b4, "Valve Index").flashes(),
    listed("VLV", 0x91b5, "Valve Index").flashes(),
    listed("VLV", 0x91b6, "Valve Index").flashes(),
    listed("VLV", 0x91b7, "Valve Index").flashes(),
    listed("VLV", 0x91b8, "Valve Index").flashes(),
    listed("VLV", 0x91b9, "Valve Index").flashes(),
    listed("VLV", 0x91ba, "Valve Index").flashes(),
    listed("VLV", 0x91bb, "Valve Index").flashes(),
    listed("VLV", 0x91bc, "Valve Index").flashes(),
    listed("VLV", 0x91bd, "Valve Index").flashes(),
    listed("VLV", 0x91be, "Valve Index").flashes(),
    listed("VLV", 0x91bf, "Valve Index").flashes(),
    // "HTC Vive and Vive Pro VR Headsets". The Vive is taken to flash as in `Config::parse`; Monado names no direction.
    listed("HVR", 0xaa01, "HTC Vive").flashes(),
    listed("HVR", 0xaa02, "HTC Vive Pro").rolls(),
    // "Oculus Rift DK1, DK2, CV1 and Rift S VR Headsets".
    listed("OVR", 0x0001, "Oculus Rift DK1"),
    listed("OVR", 0x0003, "Oculus Rift DK2"),
    listed("OVR", 0x0004, "Oculus Rift CV1"),
    listed("OVR", 0x0012, "Oculus Rift S"),
    // "Windows Mixed Reality Headsets". The Odyssey and the Odyssey+ have the same number.
    listed("ACR", 0x7fce, "Acer Mixed Reality"),
    listed("LEN", 0x0408, "Lenovo Explorer"),
    listed("FUJ", 0x1970, "Fujitsu Mixed Reality"),
    listed("DEL", 0x7fce, "Dell Visor"),
    listed("SEC", 0x144a, "Samsung Odyssey").rolls(),
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
    // What the kernel's commit that reads that block (2869f599c0d8) was tested with, beside the Lenovo.
    unlisted("HPN", 0x36c1, "HP Mixed Reality"),
    // Its DisplayID names its use, which the kernel reads.
    unlisted("HVR", 0xaa04, "HTC Vive Pro 2").rolls(),
    // Nothing in the kernel or in their EDIDs calls these non-desktop.
    unlisted("HVR", 0xaa03, "HTC Vive Cosmos"),
    unlisted("SNY", 0xb403, "Sony PlayStation VR"), // proposed in torvalds/linux#1178, closed
    unlisted("BIG", 0x1234, "Bigscreen Beyond").rolls(), // proposed to dri-devel in 2024, not merged in 6.16
    unlisted("PVR", 0x1019, "Pimax"), // all three proposed to dri-devel in July 2024, not merged
    unlisted("PVR", 0x101a, "Pimax"),
    unlisted("PVR", 0x101b, "Pimax"),
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
        // A Steam Deck's own panel, of the maker of headsets.
        assert_eq!(find("VLV", 0x3001), None);
    }

    #[test]
    fn knows_which_panels_roll() {
        let illumination = |vendor, product| find(vendor, product).and_then(|known| known.illumination);
        assert_eq!(illumination("HVR", 0xaa01), Some(Illumination::Global));
        assert_eq!(illumination("HVR", 0xaa02), Some(Illumination::Rolling));
        assert_eq!(illumination("OVR", 0x0004), None);
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
