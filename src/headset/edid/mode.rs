//! Modes that an EDID spells out, number by number.

/// Which part of the EDID a mode was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimingSource {
    /// A detailed timing descriptor of the base block.
    Dtd,
    /// A type I or type VII timing of a DisplayID section.
    DisplayId,
    /// A detailed timing descriptor of a CTA-861 block.
    Cta,
}

impl TimingSource {
    /// The source as JSON names it: `dtd`, `displayid` or `cta`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dtd => "dtd",
            Self::DisplayId => "displayid",
            Self::Cta => "cta",
        }
    }
}

/// A mode the display offers. Horizontal numbers are pixels, vertical ones lines of the whole frame, and both count
/// from the first visible one. As in the EDID, nothing ensures that sync ends before the total does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EdidMode {
    /// Visible pixels in a line, at least 1.
    pub width: u32,
    /// Visible lines, at least 1.
    pub height: u32,
    /// Pixel clock in kHz, at least 1.
    pub clock_khz: u32,
    /// Pixels in a line, blank ones included.
    pub htotal: u32,
    /// Lines of the whole frame, blank ones included. Odd when interlaced, as each field then has half a line.
    pub vtotal: u32,
    /// Pixel at which horizontal sync starts.
    pub hsync_start: u32,
    /// Pixel at which horizontal sync has ended.
    pub hsync_end: u32,
    /// Line at which vertical sync starts.
    pub vsync_start: u32,
    /// Line at which vertical sync has ended.
    pub vsync_end: u32,
    /// Whether a frame comes as two fields.
    pub interlaced: bool,
    /// Where it stood first.
    pub from: TimingSource,
}

/// One direction of a timing: visible, front porch, sync, and all that is not visible.
pub(in crate::headset) struct Extent {
    pub active: u32,
    pub front: u32,
    pub sync: u32,
    pub blank: u32,
}

impl Extent {
    /// Of a frame, where this is of one field; between the two fields there is one line more.
    fn of_both_fields(self) -> Self {
        Self {
            active: 2 * self.active,
            front: 2 * self.front,
            sync: 2 * self.sync,
            blank: 2 * self.blank + 1,
        }
    }
}

impl EdidMode {
    /// Refreshes a second: fields when interlaced, frames when not.
    pub fn hz(&self) -> f64 {
        refresh_hz(self.clock_khz, self.htotal, self.vtotal, self.interlaced)
    }

    /// A mode from a descriptor's numbers, which count the lines of a whole frame. None when it has no pixels or no
    /// clock.
    pub(in crate::headset) fn new(
        clock_khz: u32,
        across: &Extent,
        down: &Extent,
        interlaced: bool,
        from: TimingSource,
    ) -> Option<Self> {
        (clock_khz > 0 && across.active > 0 && down.active > 0).then(|| Self {
            width: across.active,
            height: down.active,
            clock_khz,
            htotal: across.active + across.blank,
            vtotal: down.active + down.blank,
            hsync_start: across.active + across.front,
            hsync_end: across.active + across.front + across.sync,
            vsync_start: down.active + down.front,
            vsync_end: down.active + down.front + down.sync,
            interlaced,
            from,
        })
    }

    pub(in crate::headset) fn same_timing(&self, other: &Self) -> bool {
        Self { from: other.from, ..*self } == *other
    }
}

/// Refreshes a second: fields when interlaced, frames when not.
pub(super) fn refresh_hz(clock_khz: u32, htotal: u32, vtotal: u32, interlaced: bool) -> f64 {
    let frames = f64::from(clock_khz) * 1000.0 / (f64::from(htotal) * f64::from(vtotal));
    if interlaced { 2.0 * frames } else { frames }
}

/// The detailed timings among descriptors of 18 bytes each.
pub(super) fn detailed_timings(descriptors: &[u8], from: TimingSource) -> impl Iterator<Item = EdidMode> {
    let (descriptors, _) = descriptors.as_chunks::<18>();
    descriptors.iter().filter_map(move |bytes| detailed_timing(bytes, from))
}

/// E-EDID 1.4 §3.10.2. Descriptors with a clock of zero are text or ranges.
fn detailed_timing(bytes: &[u8; 18], from: TimingSource) -> Option<EdidMode> {
    let wide = |low: u8, high: u8| u32::from(high) << 8 | u32::from(low);
    let across = Extent {
        active: wide(bytes[2], bytes[4] >> 4),
        front: wide(bytes[8], bytes[11] >> 6),
        sync: wide(bytes[9], bytes[11] >> 4 & 3),
        blank: wide(bytes[3], bytes[4] & 15),
    };
    let down = Extent {
        active: wide(bytes[5], bytes[7] >> 4),
        front: u32::from((bytes[11] >> 2 & 3) << 4 | bytes[10] >> 4),
        sync: u32::from((bytes[11] & 3) << 4 | bytes[10] & 15),
        blank: wide(bytes[6], bytes[7] & 15),
    };
    let clock_khz = wide(bytes[0], bytes[1]) * 10;
    let interlaced = bytes[17] & 0x80 != 0;
    EdidMode::new(
        clock_khz,
        &across,
        &if interlaced { down.of_both_fields() } else { down },
        interlaced,
        from,
    )
}
