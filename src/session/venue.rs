//! Finds a display, and everything a loop needs to draw on it.

use std::sync::Arc;

use super::SessionError;
use super::depth::TenBits;
use super::options::{From, Options};
use crate::compositor::LoopPicture;
use crate::compositor::composite::vulkan_format;
use crate::compositor::scanout::{Picture, Pictures};
use crate::display::leased::LeasedDisplay;
use crate::display::simulated::SimulatedDisplay;
use crate::display::{Display, DisplayError};
use crate::error::{Class, Classified};
use crate::files::{FileError, edid_cache, read_headset};
use crate::headset::Headset;
use crate::kms::buffer::PixelFormat;
use crate::kms::{Connector, Mode, ModeRequest};
use crate::lease::liveness::Probe;
use crate::lease::request::{Lease, Request, RequestError};
use crate::time::{Instant, Span};
use crate::vulkan::{Device, Image, VulkanError};

/// How long a compositor may take to answer.
pub const PATIENCE: Span = Span::from_ms(5_000);

/// One is on the panel, one waits for its vblank, and one is drawn.
const PICTURES: usize = 3;

/// What is drawn on for a display.
pub struct Targets {
    pub pictures: Vec<(Arc<Image>, Option<Picture>)>,
    pub scanout: Scanout,
}

/// How pictures get to a display.
#[derive(Clone, Debug)]
pub struct Scanout {
    /// In the best way that worked.
    pub method: &'static str,
    /// Why not in a better one, a sentence each.
    pub refusals: Vec<String>,
    /// The card that they are for, by its device number.
    pub card: Option<u64>,
}

/// A display that was found, dark still.
#[derive(Debug)]
pub enum Venue {
    /// A headset, in this mode, which can do with so many bits.
    Leased(Box<Lease>, Mode, TenBits),
    /// None: a panel that is not there.
    Simulated,
}

impl Venue {
    /// Finds a display as the options say.
    pub fn find(options: &Options) -> Result<Self, SessionError> {
        let From::Lease(way) = options.from else { return Ok(Self::Simulated) };
        let request = Request { way, wanted: options.connector.clone(), patience: PATIENCE };
        let lease = match request.lease() {
            Err(RequestError::NoWay(refusals)) if options.simulated_if_none => {
                for (passed_over, why) in refusals {
                    match why.class() {
                        // There is a headset: whoever looks at a simulated panel should not have to wonder.
                        Class::LeaseDenied => tracing::warn!("not from {passed_over}: {why}"),
                        _ => tracing::info!("not from {passed_over}: {why}"),
                    }
                }
                for headset in edid_cache::look_around() {
                    tracing::warn!("{headset}");
                }
                return Ok(Self::Simulated);
            }
            other => other?,
        };
        // So that it is known by name when its EDID no longer answers.
        edid_cache::look_around();
        Self::on(lease, options)
    }

    /// The display that a lease holds.
    pub fn on(lease: Lease, options: &Options) -> Result<Self, SessionError> {
        lease.card.enable_atomic().map_err(DisplayError::from)?;
        let connector =
            Connector::read(&lease.card, lease.pipeline.connector, false).map_err(DisplayError::from)?;
        let mode = choose_mode(&connector, options.mode.as_ref())?;
        let ten_bits = TenBits::of(&lease, &connector).map_err(DisplayError::from)?;
        Ok(Self::Leased(Box::new(lease), mode, ten_bits))
    }

    /// The panel's size in pixels: both eyes' width, and height.
    pub fn size_px(&self, options: &Options, device: &Device) -> [u32; 2] {
        match self {
            Self::Leased(_, mode, _) => [mode.width_px(), mode.height_px()],
            Self::Simulated => {
                let usual = if device.is_cpu() { ON_A_CPU } else { ON_A_GPU };
                options.mode.map_or(usual, |mode| [mode.width_px, mode.height_px])
            }
        }
    }

    /// The headset there, for a panel of that size.
    pub fn headset(&self, options: &Options, [width_px, height_px]: [u32; 2]) -> Result<Headset, FileError> {
        let mut headset = match (&options.headset, self) {
            (Some(path), _) => read_headset(path)?,
            (None, Self::Leased(..)) => Headset::generic(width_px / 2, height_px),
            (None, Self::Simulated) => Headset::simulated(SEED, (width_px / 2).max(1), height_px),
        };
        if let Self::Leased(lease, ..) = self {
            // Where it cannot be read, what the headset's own data says holds.
            let connector = Connector::read(&lease.card, lease.pipeline.connector, false);
            connector.iter().for_each(|connector| headset.is_on(&connector.edid));
        }
        headset.mura = headset
            .mura
            .map(|mura| mura.weighed(options.mura_weights).at_brightness(options.panel_brightness));
        Ok(headset)
    }

    /// The pixels that are drawn for it.
    pub fn format(&self, options: &Options, device: &Device) -> Result<PixelFormat, SessionError> {
        let (able, connector) = match self {
            Self::Leased(lease, _, able) => (*able, lease.connector_name.as_str()),
            Self::Simulated => (TenBits::SIMULATED, "the simulated panel"),
        };
        let draws = device.draws(vulkan_format(PixelFormat::Xrgb2101010));
        options
            .depth
            .format(able, draws)
            .map_err(|why| DisplayError::TooFewBits { connector: connector.to_string(), why }.into())
    }

    /// Whether one CPU draws its pictures in time where no GPU does.
    pub fn suits_one_cpu(&self) -> bool {
        let Self::Leased(_, mode, _) = self else { return false };
        let pixels = i64::from(mode.width_px()) * i64::from(mode.height_px());
        ON_A_CPU_A_PIXEL * pixels <= mode.period() * 3 / 5
    }

    /// To ask what has become of its lease.
    pub fn probe(&self) -> Option<Probe> {
        let Self::Leased(lease, ..) = self else { return None };
        Some(Probe::new(lease.card.clone(), &lease.pipeline, &lease.connector_name))
    }

    /// The device number of the card that its display hangs on.
    pub fn card(&self) -> Option<u64> {
        let Self::Leased(lease, ..) = self else { return None };
        lease.card.device_number().ok()
    }

    /// Makes what is drawn on for it.
    pub fn targets(
        &self,
        options: &Options,
        device: &Arc<Device>,
        format: PixelFormat,
    ) -> Result<Targets, SessionError> {
        let [width_px, height_px] = self.size_px(options, device);
        let Self::Leased(lease, mode, _) = self else {
            let target = || Image::target(device, vulkan_format(format), width_px, height_px);
            let pictures = (0..PICTURES).map(|_| Ok((Arc::new(target()?), None)));
            return Ok(Targets {
                pictures: pictures.collect::<Result<_, VulkanError>>()?,
                scanout: Scanout { method: "none", refusals: Vec::new(), card: None },
            });
        };
        let made =
            Pictures::new(device, &lease.card, width_px, height_px, format, PICTURES, options.scanout)?;
        for refusal in &made.refusals {
            tracing::info!("not scanned out by {refusal}");
        }
        tracing::info!("{} at {mode}, scanned out by {}", lease.connector_name, made.method.name());
        let with_target = |picture: Picture| (picture.target().clone(), Some(picture));
        Ok(Targets {
            pictures: made.pictures.into_iter().map(with_target).collect(),
            scanout: Scanout { method: made.method.name(), refusals: made.refusals, card: self.card() },
        })
    }

    /// Its display, to show pictures that were made for it or for another lease of the same card.
    pub fn display(
        self,
        options: &Options,
        device: &Device,
        pictures: &[LoopPicture],
    ) -> Result<Box<dyn Display>, DisplayError> {
        let size_px @ [width_px, height_px] = self.size_px(options, device);
        let Self::Leased(lease, mode, _) = self else {
            let hz = options.mode.and_then(|mode| mode.hz).unwrap_or(crate::headset::simulated::REFRESH_HZ);
            tracing::info!("simulated panel at {width_px}x{height_px}@{hz:.3}, drawn by {}", device.name());
            let source = if options.from == From::Window { "window" } else { "simulated" };
            return Ok(Box::new(SimulatedDisplay::new(source, size_px, hz, Instant::now())));
        };
        let framebuffers = pictures
            .iter()
            .filter_map(|picture| picture.framebuffer(&lease.card))
            .collect::<Result<_, _>>()?;
        Ok(Box::new(LeasedDisplay::new(*lease, mode, framebuffers)?))
    }
}

/// What one CPU takes to draw a pixel, at the most (docs/performance.md).
const ON_A_CPU_A_PIXEL: Span = Span::from_ns(40);

fn choose_mode(connector: &Connector, wanted: Option<&ModeRequest>) -> Result<Mode, DisplayError> {
    let found = match wanted {
        Some(wanted) => wanted.choose(&connector.modes),
        None => connector.preferred_mode(),
    };
    found.copied().ok_or_else(|| DisplayError::NoMode {
        connector: connector.name.clone(),
        wanted: wanted.map_or("at all".to_string(), ToString::to_string),
        available: match connector.modes.is_empty() {
            true => "none: switch the headset on, or plug it in again".to_string(),
            false => connector.modes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        },
    })
}

/// A Vive's size where a GPU draws; where the CPU has to, one that it can draw ninety times a second.
const ON_A_GPU: [u32; 2] = [2160, 1200];
const ON_A_CPU: [u32; 2] = [640, 360];

/// The made-up headset is the same every time.
const SEED: u64 = 1;
