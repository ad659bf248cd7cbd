//! How many bits a panel code has on its way to the display.

use crate::headset::edid::Edid;
use crate::kms::buffer::PixelFormat;
use crate::kms::plane::Plane;
use crate::kms::{Connector, KmsError, Pipeline};
use crate::lease::Lease;

/// How many are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// 10 where the display's EDID says that it shows as many and all else takes them, else 8.
    #[default]
    Auto,
    /// 8.
    Eight,
    /// 10, or nothing is shown.
    Ten,
}

impl std::str::FromStr for Depth {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "8" => Ok(Self::Eight),
            "10" => Ok(Self::Ten),
            _ => Err(format!("'{text}' is no number of bits: write auto, 8 or 10")),
        }
    }
}

/// Who can do with 10 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TenBits {
    /// The display shows them, by its EDID.
    pub display: bool,
    /// The plane scans such pixels out.
    pub plane: bool,
}

impl TenBits {
    /// Where nothing is scanned out, and nothing shown.
    pub const SIMULATED: Self = Self { display: false, plane: true };

    /// Asks the kernel about what a lease holds.
    pub fn of(lease: &Lease, connector: &Connector) -> Result<Self, KmsError> {
        let Pipeline { primary, .. } = lease.pipeline;
        let plane = Plane::formats_of(&lease.card, primary)?.contains(&TEN.fourcc());
        // An EDID that is damaged promises nothing.
        let bits = Edid::parse(&connector.edid).ok().and_then(|edid| edid.bits_a_color);
        Ok(Self { display: bits.is_some_and(|bits| bits >= TEN.bits()), plane })
    }
}

const TEN: PixelFormat = PixelFormat::Xrgb2101010;

impl Depth {
    /// The pixels to draw, with a device that `draws` those of 10 bits or does not; else who cannot do with them.
    ///
    /// # Errors
    /// When 10 bits are asked for, and the plane or the device cannot do with them.
    pub fn format(self, able: TenBits, draws: bool) -> Result<PixelFormat, &'static str> {
        match (self, able.plane, draws) {
            (Self::Ten, false, _) => Err("its plane takes no pixels of 10 bits (DRM_FORMAT_XRGB2101010)"),
            (Self::Ten, true, false) => Err("the Vulkan device draws no pixels of 10 bits (A2R10G10B10)"),
            (Self::Ten, true, true) => Ok(TEN),
            (Self::Auto, true, true) if able.display => Ok(TEN),
            (Self::Auto | Self::Eight, ..) => Ok(PixelFormat::Xrgb8888),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERYONE: TenBits = TenBits { display: true, plane: true };

    #[test]
    fn ten_bits_are_for_displays_that_show_them_or_for_those_who_ask() {
        assert_eq!(Depth::Auto.format(EVERYONE, true), Ok(TEN));
        assert_eq!(Depth::Eight.format(EVERYONE, true), Ok(PixelFormat::Xrgb8888));
        let dull = TenBits { display: false, ..EVERYONE };
        assert_eq!(Depth::Auto.format(dull, true), Ok(PixelFormat::Xrgb8888));
        assert_eq!(Depth::Ten.format(dull, true), Ok(TEN));
    }

    #[test]
    fn whoever_cannot_do_with_ten_bits_is_named() {
        let narrow = TenBits { plane: false, ..EVERYONE };
        assert_eq!(Depth::Auto.format(narrow, true), Ok(PixelFormat::Xrgb8888));
        assert_eq!(Depth::Auto.format(EVERYONE, false), Ok(PixelFormat::Xrgb8888));
        assert!(Depth::Ten.format(narrow, true).unwrap_err().contains("plane"));
        assert!(Depth::Ten.format(EVERYONE, false).unwrap_err().contains("Vulkan"));
    }

    #[test]
    fn a_number_of_bits_is_read() {
        assert_eq!(
            ["auto", "8", "10"].map(|text| text.parse()),
            [Ok(Depth::Auto), Ok(Depth::Eight), Ok(Depth::Ten)]
        );
        assert!("12".parse::<Depth>().unwrap_err().contains("'12'"));
    }
}
