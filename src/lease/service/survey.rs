//! What of a card is for lease: looked at, and told to the lessor.

use super::Service;
use crate::kms::ids::ObjectId;
use crate::kms::{Connector, KmsError, Pipeline};
use crate::lease::lessor::{Event, Seen};
use crate::time::Instant;

impl Service {
    /// Probes all connectors and tells the lessor.
    pub(super) fn look(&mut self) -> Result<Vec<Connector>, KmsError> {
        let noticed = Instant::now();
        let connectors: Vec<Connector> = self
            .card
            .connectors()?
            .into_iter()
            // One that vanishes between the two calls (DisplayPort daisy chains do) is as good as unplugged.
            .map(|id| Connector::read(&self.card, id, true))
            .filter_map(|read| read.inspect_err(|error| tracing::warn!("{error}")).ok())
            .collect();
        let seen = self.survey(&connectors);
        for pipeline in seen.iter().filter_map(|seen| seen.pipeline.as_ref()) {
            if let Err(error) = self.prepare_to_darken(pipeline) {
                tracing::debug!("{error}"); // said aloud should anyone want the connector
            }
        }
        self.handle(Event::Seen(seen), noticed);
        Ok(connectors)
    }

    /// Which connectors are for lease, and which CRTC and planes each would take: none that drives another connector
    /// now, none that is leased or kept, none twice.
    pub(super) fn survey(&self, connectors: &[Connector]) -> Vec<Seen> {
        let leased: Vec<&Pipeline> = self.lessor.leased().collect();
        let mut taken = self.kept.clone();
        taken.extend(leased.iter().flat_map(|pipeline| pipeline.objects()));
        let mut seen = Vec::new();
        for connector in connectors {
            let offerable = (connector.non_desktop || self.terms.offer.contains(&connector.name))
                && !self.kept.contains(&connector.id.into());
            let held = leased.iter().find(|pipeline| pipeline.connector == connector.id);
            let pipeline = match held {
                Some(held) => Some((*held).clone()),
                None if connector.connected && offerable => self.spare(connector, connectors, &taken),
                None => None,
            };
            taken.extend(pipeline.iter().flat_map(Pipeline::objects));
            seen.push(Seen {
                id: connector.id,
                name: connector.name.clone(),
                connected: connector.connected,
                offerable,
                pipeline,
            });
        }
        seen
    }

    pub(super) fn spare(
        &self,
        connector: &Connector,
        all: &[Connector],
        taken: &[ObjectId],
    ) -> Option<Pipeline> {
        let drives_another = |object: ObjectId| {
            let others = all.iter().filter(|other| other.id != connector.id);
            others.filter_map(|other| other.crtc).any(|crtc| ObjectId::from(crtc) == object)
        };
        let found =
            Pipeline::find(&self.card, connector, |object| taken.contains(&object) || drives_another(object));
        found.inspect_err(|error| tracing::warn!("{} cannot be offered: {error}", connector.name)).ok()
    }

    pub(super) fn warn_of_unknown_names(&self, connectors: &[Connector]) {
        let names: Vec<&str> = connectors.iter().map(|connector| connector.name.as_str()).collect();
        for name in self.terms.offer.iter().filter(|name| !names.contains(&name.as_str())) {
            let card = self.card.name();
            tracing::warn!("{card} has no connector {name} to offer; it has {}", names.join(", "));
        }
    }
}
