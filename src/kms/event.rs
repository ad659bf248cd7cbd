//! Parses what a card's fd yields when read: vblank, flip and sequence events.
//!
//! Any bytes are survived. Layout: `struct drm_event*` in `include/uapi/drm/drm.h`.

use crate::time::Instant;

const FLIP_COMPLETE: u32 = 0x02; // DRM_EVENT_FLIP_COMPLETE
const CRTC_SEQUENCE: u32 = 0x03; // DRM_EVENT_CRTC_SEQUENCE

/// Something that happened on a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A committed framebuffer is now being scanned out.
    Flip {
        /// Low 32 bits of the CRTC's vblank sequence.
        sequence: u32,
        /// When its first pixel went out, to the microsecond.
        time: Instant,
        /// What the commit carried.
        user_data: u64,
    },
    /// A vblank that was asked for has come.
    Sequence {
        /// The CRTC's 64-bit vblank count.
        sequence: u64,
        /// When its first pixel went out.
        time: Instant,
        /// What the request carried.
        user_data: u64,
    },
    /// An event of a kind not used here.
    Other {
        /// The kernel's type number.
        kind: u32,
    },
}

/// Bytes that cannot be an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the kernel's event stream is malformed at byte {offset}: an event of {length} bytes with {left} left"
)]
pub struct MalformedEvent {
    /// Where in the buffer.
    pub offset: usize,
    /// How long the event claims to be.
    pub length: usize,
    /// How many bytes there are from there on.
    pub left: usize,
}

/// Iterates over the events in `bytes`. After a malformed one nothing more comes.
pub fn events(bytes: &[u8]) -> Events<'_> {
    Events { bytes, offset: 0 }
}

/// See [`events`].
#[derive(Debug)]
pub struct Events<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl Iterator for Events<'_> {
    type Item = Result<Event, MalformedEvent>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = &self.bytes[self.offset..];
        if rest.is_empty() {
            return None;
        }
        let length = word(rest, 4).unwrap_or(0) as usize;
        let body = word(rest, 0).and_then(|kind| Some((kind, rest.get(8..length)?)));
        let event = body.and_then(|(kind, body)| parse(kind, body));
        match event {
            Some(event) => {
                self.offset += length;
                Some(Ok(event))
            }
            None => {
                let malformed = MalformedEvent { offset: self.offset, length, left: rest.len() };
                self.offset = self.bytes.len();
                Some(Err(malformed))
            }
        }
    }
}

fn parse(kind: u32, body: &[u8]) -> Option<Event> {
    Some(match kind {
        FLIP_COMPLETE => Event::Flip {
            user_data: long(body, 0)?,
            time: Instant::from_ns(
                i64::from(word(body, 8)?) * 1_000_000_000 + i64::from(word(body, 12)?) * 1_000,
            ),
            sequence: word(body, 16)?,
        },
        CRTC_SEQUENCE => Event::Sequence {
            user_data: long(body, 0)?,
            time: Instant::from_ns(long(body, 8)? as i64),
            sequence: long(body, 16)?,
        },
        kind => Event::Other { kind },
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event(kind: u32, body: &[u8]) -> Vec<u8> {
        let mut bytes = kind.to_ne_bytes().to_vec();
        bytes.extend((8 + body.len() as u32).to_ne_bytes());
        bytes.extend(body);
        bytes
    }

    #[test]
    fn reads_a_sequence_and_a_flip() {
        let mut sequence = 7u64.to_ne_bytes().to_vec();
        sequence.extend(11_170_000_000i64.to_ne_bytes());
        sequence.extend((1u64 << 40).to_ne_bytes());
        let mut flip = 9u64.to_ne_bytes().to_vec();
        for value in [3u32, 500_000, 42, 61] {
            flip.extend(value.to_ne_bytes());
        }
        let bytes = [event(CRTC_SEQUENCE, &sequence), event(FLIP_COMPLETE, &flip)].concat();
        let found: Vec<_> = events(&bytes).collect();
        assert_eq!(
            found,
            [
                Ok(Event::Sequence {
                    sequence: 1 << 40,
                    time: Instant::from_ns(11_170_000_000),
                    user_data: 7
                }),
                Ok(Event::Flip { sequence: 42, time: Instant::from_ns(3_500_000_000), user_data: 9 }),
            ]
        );
    }

    #[test]
    fn a_length_of_zero_ends_the_stream() {
        let found: Vec<_> = events(&[0; 16]).collect();
        assert_eq!(found, [Err(MalformedEvent { offset: 0, length: 0, left: 16 })]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            prop_assert!(events(&bytes).count() <= bytes.len());
        }

        #[test]
        fn any_body_under_a_plausible_header_is_survived(
            kind in 0u32..5, length in 0u32..64, body in prop::collection::vec(any::<u8>(), 0..64)
        ) {
            let mut bytes = kind.to_ne_bytes().to_vec();
            bytes.extend(length.to_ne_bytes());
            bytes.extend(&body);
            let malformed = events(&bytes).filter(Result::is_err).count();
            prop_assert!(malformed <= 1);
        }
    }
}
