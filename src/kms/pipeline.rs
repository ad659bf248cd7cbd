//! A display pipeline: one connector, the CRTC that times it, and the planes that fill it.

use super::buffer::{Framebuffer, ModeBlob};
use super::card::Card;
use super::commit::Request;
use super::connector::Connector;
use super::error::KmsError;
use super::ids::{ConnectorId, CrtcId, ObjectId, PlaneId, PropertyId};
use super::mode::Mode;
use super::plane::{Plane, PlaneKind};
use super::property::Properties;

/// The objects that one headset takes, all of which a lease on it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pipeline {
    /// The socket the headset hangs on.
    pub connector: ConnectorId,
    /// What times it.
    pub crtc: CrtcId,
    /// The plane that shows the picture.
    pub primary: PlaneId,
    /// Planes over the picture that can show on no other CRTC.
    pub overlays: Vec<PlaneId>,
}

impl Pipeline {
    /// Finds a free CRTC for a connector, its primary plane, and the overlay planes that are its alone. CRTCs and
    /// planes for which `taken` is true are left alone. The CRTC that drives the connector now comes first: taking
    /// another would leave its old one to whoever holds that.
    ///
    /// # Errors
    /// [`KmsError::Missing`] when no CRTC that can drive the connector is free, with a primary plane; others when the
    /// card's planes and CRTCs cannot be read.
    pub fn find(
        card: &Card,
        connector: &Connector,
        taken: impl Fn(ObjectId) -> bool,
    ) -> Result<Self, KmsError> {
        let planes: Vec<Plane> =
            card.planes()?.into_iter().map(|id| Plane::read(card, id)).collect::<Result<_, _>>()?;
        let mut crtcs: Vec<(CrtcId, u32)> = card.crtcs()?.into_iter().zip((0..32).map(|n| 1 << n)).collect();
        crtcs.sort_by_key(|&(crtc, _)| connector.crtc != Some(crtc));
        for (crtc, bit) in crtcs {
            if connector.possible_crtcs & bit == 0 || taken(crtc.into()) {
                continue;
            }
            let free = |plane: &&Plane| !taken(plane.id.into()) && plane.crtc.is_none_or(|on| on == crtc);
            let primary = planes
                .iter()
                .filter(|plane| plane.kind == PlaneKind::Primary && plane.possible_crtcs & bit != 0)
                .find(free);
            let Some(primary) = primary else { continue };
            let overlays = planes
                .iter()
                .filter(|plane| plane.kind == PlaneKind::Overlay && plane.possible_crtcs == bit)
                .filter(free)
                .map(|plane| plane.id)
                .collect();
            return Ok(Self { connector: connector.id, crtc, primary: primary.id, overlays });
        }
        Err(KmsError::Missing {
            place: card.name().to_string(),
            object: "free CRTC",
            remedy: "turn a monitor off, each needs one of the few the card has",
        })
    }

    /// Its planes, the primary one first.
    pub fn planes(&self) -> impl Iterator<Item = PlaneId> {
        std::iter::once(self.primary).chain(self.overlays.iter().copied())
    }

    /// All object ids: connector, CRTC, planes.
    pub fn objects(&self) -> Vec<ObjectId> {
        let mut objects = vec![self.connector.into(), self.crtc.into(), self.primary.into()];
        objects.extend(self.overlays.iter().map(|&plane| ObjectId::from(plane)));
        objects
    }

    /// Whether any object is in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        let theirs = other.objects();
        self.objects().iter().any(|object| theirs.contains(object))
    }

    /// A commit that turns the display and its planes off.
    ///
    /// # Errors
    /// When an object is not this fd's (`ENOENT`), or has no property for it ([`KmsError::NoProperty`]).
    pub fn off(&self, card: &Card) -> Result<Request, KmsError> {
        let mut request = self.without_picture(card)?;
        request.set(self.connector, Properties::of(card, self.connector)?.id("CRTC_ID")?, 0);
        let crtc = Properties::of(card, self.crtc)?;
        request.set(self.crtc, crtc.id("ACTIVE")?, 0).set(self.crtc, crtc.id("MODE_ID")?, 0);
        Ok(request)
    }

    /// A commit that takes all pictures away and leaves the display on: it shows black.
    ///
    /// # Errors
    /// When a plane is not this fd's (`ENOENT`), or has no property for it ([`KmsError::NoProperty`]).
    pub fn without_picture(&self, card: &Card) -> Result<Request, KmsError> {
        let mut request = Request::new();
        for plane in self.planes() {
            let properties = Properties::of(card, plane)?;
            request.set(plane, properties.id("FB_ID")?, 0).set(plane, properties.id("CRTC_ID")?, 0);
        }
        Ok(request)
    }

    /// A commit that lights the display in `mode` with a picture of the mode's size.
    ///
    /// # Errors
    /// When an object is not this fd's (`ENOENT`), or has no property for it ([`KmsError::NoProperty`]).
    pub fn on(
        &self,
        card: &Card,
        mode: &Mode,
        blob: &ModeBlob,
        picture: &Framebuffer,
    ) -> Result<Request, KmsError> {
        let mut request = self.picture(card, mode, picture)?;
        let crtc_raw = u64::from(self.crtc.raw());
        request.set(self.connector, Properties::of(card, self.connector)?.id("CRTC_ID")?, crtc_raw);
        let crtc = Properties::of(card, self.crtc)?;
        request.set(self.crtc, crtc.id("ACTIVE")?, 1);
        request.set(self.crtc, crtc.id("MODE_ID")?, u64::from(blob.id().raw()));
        Ok(request)
    }

    /// A commit that puts a picture of the mode's size on a display that is on in that mode.
    ///
    /// # Errors
    /// When the primary plane is not this fd's (`ENOENT`), or has no property for it ([`KmsError::NoProperty`]).
    pub fn picture(&self, card: &Card, mode: &Mode, picture: &Framebuffer) -> Result<Request, KmsError> {
        let mut request = Request::new();
        let crtc_raw = u64::from(self.crtc.raw());
        let plane = Properties::of(card, self.primary)?;
        let (width, height) = (u64::from(mode.width_px()), u64::from(mode.height_px()));
        for (name, value) in [
            ("FB_ID", u64::from(picture.id().raw())),
            ("CRTC_ID", crtc_raw),
            ("SRC_X", 0),
            ("SRC_Y", 0),
            ("SRC_W", width << 16), // 16.16 fixed point, drm_plane.c
            ("SRC_H", height << 16),
            ("CRTC_X", 0),
            ("CRTC_Y", 0),
            ("CRTC_W", width),
            ("CRTC_H", height),
        ] {
            request.set(self.primary, plane.id(name)?, value);
        }
        Ok(request)
    }

    /// A commit that only changes the picture, to be kept and reused.
    ///
    /// # Errors
    /// When the primary plane is not this fd's (`ENOENT`), or has no property for it ([`KmsError::NoProperty`]).
    pub fn flip(&self, card: &Card) -> Result<Flip, KmsError> {
        let property = Properties::of(card, self.primary)?.id("FB_ID")?;
        let mut request = Request::new();
        request.set(self.primary, property, 0);
        Ok(Flip { request, plane: self.primary, property })
    }
}

/// A reusable commit that puts another picture on a plane.
#[derive(Debug)]
pub struct Flip {
    request: Request,
    plane: PlaneId,
    property: PropertyId,
}

impl Flip {
    /// Shows `picture` from the next vblank on; the flip event carries `user_data`.
    ///
    /// # Errors
    /// As [`commit`](super::commit::commit): `EBUSY`, say, while the flip before is under way.
    pub fn show(&mut self, card: &Card, picture: &Framebuffer, user_data: u64) -> Result<(), KmsError> {
        self.request.change(self.plane, self.property, u64::from(picture.id().raw()));
        super::commit::commit(card, super::commit::CommitFlags::FLIP, &mut self.request, user_data)
    }
}

/// The pipeline that a lease holds, as its lessee sees it: that of the connector `asked` for, or of the first where the
/// lessor did not tell its number. A lessor may lend more than it was asked for, and other things.
///
/// # Errors
/// [`KmsError::Missing`] when the connector, or a CRTC with a primary plane for it, is not in the lease; others when
/// what is in it cannot be read.
pub fn leased_pipeline(card: &Card, asked: Option<ConnectorId>) -> Result<Pipeline, KmsError> {
    let missing = |object| KmsError::Missing {
        place: card.name().to_string(),
        object,
        remedy: "ask the program that gave the lease for a connector, its CRTC and primary plane",
    };
    let connectors = card.connectors()?;
    let connector = match asked {
        Some(asked) => connectors.into_iter().find(|&leased| leased == asked),
        None => connectors.first().copied(),
    };
    let connector = connector.ok_or_else(|| missing("connector like the one asked for"))?;
    // Its masks count the lease's own CRTCs (drm_lease_filter_crtcs, drm_lease.c).
    let connector = Connector::read(card, connector, false)?;
    Pipeline::find(card, &connector, |_| false).map_err(|error| match error {
        KmsError::Missing { .. } => missing("CRTC with a primary plane for that connector"),
        other => other,
    })
}
