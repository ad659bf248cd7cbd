//! Where on the eye's image each colour of a panel pixel comes from, and which directions that image spans.
//!
//! The lens model is the one of Valve's headset configurations ("The JSON File" in the wiki of
//! `ValveSoftware/openvr`). It is evaluated per pixel and per colour: the red and the blue image of one panel pixel
//! can lie tens of pixels apart near the edge.

/// One of a panel pixel's colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Red.
    Red,
    /// Green, which also decides the cutoff for all three.
    Green,
    /// Blue.
    Blue,
}

impl Channel {
    /// All three, in the order in which a pixel stores them.
    pub const ALL: [Self; 3] = [Self::Red, Self::Green, Self::Blue];

    /// The channel's place in [`Channel::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// By which formula a pixel's distance from the lens's centre grows. `r2` is that distance squared, in units of half
/// the panel's width; `k1` to `k4` are the coefficients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LensKind {
    /// Not at all: there is no lens data.
    Plain,
    /// `1 + r2*(k1 + r2*(k2 + r2*k3))`
    Poly3,
    /// `1 / (1 + r2*(k1 + r2*(k2 + r2*k3)))`
    Dpoly3,
    /// As [`LensKind::Dpoly3`], then `+ k4`: the Valve Index.
    Dpoly3Scaled,
}

impl LensKind {
    /// The name a headset's configuration has for it; `none` when plain.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "none",
            Self::Poly3 => "DISTORT_POLY3",
            Self::Dpoly3 => "DISTORT_DPOLY3",
            Self::Dpoly3Scaled => "DISTORT_DPOLY3_SCALED",
        }
    }

    /// How many of the coefficients the formula uses.
    pub fn coefficients(self) -> usize {
        match self {
            Self::Plain => 0,
            Self::Poly3 | Self::Dpoly3 => 3,
            Self::Dpoly3Scaled => 4,
        }
    }

    /// The factor at `r2`; None where the formula has left the lens: the polynomial is zero or below, which for the
    /// rational kinds is its pole and beyond.
    fn factor(self, [k1, k2, k3, k4]: [f64; 4], r2: f64) -> Option<f64> {
        let polynomial = 1.0 + r2 * (k1 + r2 * (k2 + r2 * k3));
        if self == Self::Plain {
            return Some(1.0);
        }
        (polynomial > 0.0).then_some(match self {
            Self::Plain | Self::Poly3 => polynomial,
            Self::Dpoly3 => 1.0 / polynomial,
            Self::Dpoly3Scaled => 1.0 / polynomial + k4,
        })
    }
}

/// The lens as one colour sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ChannelLens {
    /// The lens's centre from the panel's, x right and y down, both in units of half the panel's width.
    pub center: [f64; 2],
    /// `k1` to `k4`; those that the [`LensKind`] does not use are zero.
    pub coeffs: [f64; 4],
}

/// One eye's lens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lens {
    /// The formula.
    pub kind: LensKind,
    /// Its numbers for red, green and blue; [`Lens::channel`] picks one.
    pub channels: [ChannelLens; 3],
    /// How much larger than the panel the eye's image is on each side, so that there is something to show where the
    /// lens reaches outwards. Above -1; 0.6 is usual.
    pub grow: f64,
    /// The eye's panel width divided by its height, above 0.
    pub aspect_x_over_y: f64,
    /// Beyond this `r2` of green the panel stays dark; None lights all of it.
    pub cutoff_r2: Option<f64>,
}

impl Lens {
    /// No lens at all: each panel pixel shows the eye's image at the same place.
    pub fn plain(aspect_x_over_y: f64) -> Self {
        Self {
            kind: LensKind::Plain,
            channels: [ChannelLens::default(); 3],
            grow: 0.0,
            aspect_x_over_y,
            cutoff_r2: None,
        }
    }

    /// The name of the formula; see [`LensKind::name`].
    pub fn kind_name(&self) -> &'static str {
        self.kind.name()
    }

    /// The lens's numbers for one colour.
    pub fn channel(&self, channel: Channel) -> &ChannelLens {
        &self.channels[channel.index()]
    }

    /// Which place of the eye's image the panel shows at `panel_uv`. Both are 0 to 1 across this eye's part, from
    /// its top left corner, y down. None where the pixel is dark: beyond the cutoff, past the formula's pole, or
    /// outside the eye's image.
    ///
    /// Green alone decides the cutoff, or the edge of the picture would have a coloured rim.
    pub fn eye_uv(&self, channel: Channel, panel_uv: [f64; 2]) -> Option<[f64; 2]> {
        self.look(channel, panel_uv).filter(|uv| uv.iter().all(|part| (0.0..=1.0).contains(part)))
    }

    /// As [`eye_uv`](Self::eye_uv), and beyond the edges of the eye's image too, where a turned head may find something
    /// to look at.
    pub fn look(&self, channel: Channel, panel_uv: [f64; 2]) -> Option<[f64; 2]> {
        let (_, green_r2) = self.offset_from_center(Channel::Green, panel_uv);
        if self.cutoff_r2.is_some_and(|cutoff| green_r2 > cutoff) {
            return None;
        }
        let ([x, y], r2) = self.offset_from_center(channel, panel_uv);
        let ChannelLens { center, coeffs } = self.channel(channel);
        let factor = self.kind.factor(*coeffs, r2)?;
        let scale = 0.5 / (1.0 + self.grow);
        Some([
            0.5 + (x * factor + center[0]) * scale,
            0.5 + (y * factor + center[1]) * scale * self.aspect_x_over_y,
        ])
    }

    /// A panel place from the lens's centre, in units of half the panel's width, and its distance squared.
    fn offset_from_center(&self, channel: Channel, [u, v]: [f64; 2]) -> ([f64; 2], f64) {
        let [center_x, center_y] = self.channel(channel).center;
        let x = 2.0 * u - 1.0 - center_x;
        let y = (2.0 * v - 1.0) / self.aspect_x_over_y - center_y;
        ([x, y], x * x + y * y)
    }
}

/// The directions an eye's image spans: the tangents of the angles from straight ahead to each of its edges.
/// Left and down are negative in all headsets seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tangents {
    /// At the left edge.
    pub left: f64,
    /// At the right edge, above `left`.
    pub right: f64,
    /// At the top edge, above `down`.
    pub up: f64,
    /// At the bottom edge.
    pub down: f64,
}

impl Tangents {
    /// The span of the whole eye image. `focal` and `center` are the intrinsics `[fx, fy]` (above 0) and `[cx, cy]`
    /// of the ungrown image, where a point `(X, Y, Z)` lands on `x = (fx*X + cx*Z) / -Z`, y up, edges at -1 and 1;
    /// the grown image's edges are at `1 + grow`.
    pub fn from_intrinsics(focal: [f64; 2], center: [f64; 2], grow: f64) -> Self {
        let edge = 1.0 + grow;
        Self {
            left: (center[0] - edge) / focal[0],
            right: (center[0] + edge) / focal[0],
            up: (center[1] + edge) / focal[1],
            down: (center[1] - edge) / focal[1],
        }
    }

    /// Left, right, up and down as angles in degrees.
    pub fn degrees(&self) -> [f64; 4] {
        [self.left, self.right, self.up, self.down].map(|tangent| tangent.atan().to_degrees())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn made_up(kind: LensKind) -> Lens {
        let channel = |k1| ChannelLens { center: [0.1, -0.02], coeffs: [k1, -0.02, -0.05, 0.01] };
        Lens {
            kind,
            channels: [channel(-0.19), channel(-0.22), channel(-0.25)],
            grow: 0.6,
            aspect_x_over_y: 0.8,
            cutoff_r2: Some(1.1),
        }
    }

    fn close(found: Option<[f64; 2]>, expected: [f64; 2]) -> bool {
        found.is_some_and(|uv| uv.iter().zip(expected).all(|(part, want)| (part - want).abs() < 1e-12))
    }

    #[test]
    fn a_plain_lens_changes_nothing_and_lights_every_corner() {
        let lens = Lens::plain(0.9);
        for uv in [[0.0, 0.0], [1.0, 1.0], [0.25, 0.75]] {
            assert!(close(lens.eye_uv(Channel::Blue, uv), uv), "{uv:?}");
        }
    }

    #[test]
    fn each_formula_by_hand() {
        // At u = 0.8, v = 0.7: x = 0.6 - 0.1, y = 0.4 / 0.8 + 0.02, r2 = 0.25 + 0.2704.
        let polynomial = 1.0 + 0.5204 * (-0.22 + 0.5204 * (-0.02 + 0.5204 * -0.05));
        let at =
            |factor: f64| [0.5 + (0.5 * factor + 0.1) * 0.3125, 0.5 + (0.52 * factor - 0.02) * 0.3125 * 0.8];
        let uv = |kind| made_up(kind).eye_uv(Channel::Green, [0.8, 0.7]);
        assert!(close(uv(LensKind::Poly3), at(polynomial)));
        assert!(close(uv(LensKind::Dpoly3), at(1.0 / polynomial)));
        assert!(close(uv(LensKind::Dpoly3Scaled), at(1.0 / polynomial + 0.01)));
    }

    #[test]
    fn dark_beyond_the_cutoff_and_past_the_pole() {
        let mut lens = made_up(LensKind::Dpoly3);
        assert_eq!(lens.eye_uv(Channel::Green, [0.0, 0.0]), None);
        lens.cutoff_r2 = None;
        lens.channels[1].coeffs = [-2.0, 0.0, 0.0, 0.0]; // its pole is at r2 = 0.5
        assert!(lens.eye_uv(Channel::Green, [0.6, 0.5]).is_some());
        assert_eq!(lens.eye_uv(Channel::Green, [0.95, 0.5]), None);
    }

    #[test]
    fn green_alone_decides_the_cutoff() {
        let mut lens = made_up(LensKind::Dpoly3);
        lens.channels[0].center = [-0.8, 0.0]; // red's centre is far off, its r2 above the cutoff here
        assert!(lens.eye_uv(Channel::Red, [0.7, 0.5]).is_some());
    }

    #[test]
    fn tangents_by_hand() {
        let tangents = Tangents::from_intrinsics([1.25, 1.0], [-0.25, 0.5], 0.5);
        assert_eq!(tangents, Tangents { left: -1.4, right: 1.0, up: 2.0, down: -1.0 });
        assert_eq!(
            Tangents { left: -1.0, right: 1.0, up: 0.0, down: 0.0 }.degrees(),
            [-45.0, 45.0, 0.0, 0.0]
        );
    }

    proptest! {
        /// Colours differ along the line through the lens's centre only, and blue lies outermost.
        #[test]
        fn colours_spread_outwards(u in 0.0..1.0f64, v in 0.0..1.0f64) {
            let lens = made_up(LensKind::Dpoly3);
            let center = lens.channel(Channel::Green).center;
            let origin = [0.5 + center[0] * 0.3125, 0.5 + center[1] * 0.3125 * 0.8];
            let radius = |channel| {
                let uv = lens.eye_uv(channel, [u, v])?;
                Some((uv[0] - origin[0]).hypot((uv[1] - origin[1]) / 0.8))
            };
            if let (Some(red), Some(green), Some(blue)) =
                (radius(Channel::Red), radius(Channel::Green), radius(Channel::Blue))
            {
                prop_assert!(red <= green && green <= blue);
            }
        }
    }
}
