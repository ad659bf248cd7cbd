//! What can become of an EDID on a bad cable, in a cheap adapter or in bad hands.

use proptest::prelude::*;

/// A change to an EDID's bytes. Places count from the front and wrap.
#[derive(Clone, Debug)]
pub enum Mutation {
    Set(usize, u8),
    Flip(usize, u8),
    Cut(usize),
    Append(Vec<u8>),
    /// A block takes another's place.
    Repeat(usize, usize),
    Swap(usize, usize),
}

pub fn mutation() -> impl Strategy<Value = Mutation> {
    use Mutation::*;
    prop_oneof![
        8 => (0usize..512, any::<u8>()).prop_map(|(at, byte)| Set(at, byte)),
        8 => (0usize..512, 0u8..8).prop_map(|(at, bit)| Flip(at, bit)),
        // Lengths and offsets of blocks inside blocks.
        4 => (prop::sample::select(vec![126usize, 128, 129, 130, 131, 132, 133, 134]), any::<u8>())
            .prop_map(|(at, byte)| Set(at, byte)),
        1 => (0usize..512).prop_map(Cut),
        1 => (1usize..4).prop_map(|blocks| Cut(128 * blocks)),
        1 => prop::collection::vec(any::<u8>(), 1..140).prop_map(Append),
        1 => (0usize..4, 0usize..4).prop_map(|(from, to)| Repeat(from, to)),
        1 => (0usize..4, 0usize..4).prop_map(|(a, b)| Swap(a, b)),
    ]
}

impl Mutation {
    pub fn apply(&self, bytes: &mut Vec<u8>) {
        let length = bytes.len().max(1);
        let blocks = (bytes.len() / 128).max(1);
        match self {
            _ if bytes.len() < 128 => {}
            Self::Set(at, byte) => bytes[at % length] = *byte,
            Self::Flip(at, bit) => bytes[at % length] ^= 1 << bit,
            Self::Cut(to) => bytes.truncate(*to),
            Self::Append(more) => bytes.extend(more),
            Self::Repeat(from, to) => {
                let from = from % blocks * 128;
                bytes.copy_within(from..from + 128, to % blocks * 128);
            }
            Self::Swap(a, b) => {
                let (a, b) = (a % blocks * 128, b % blocks * 128);
                for at in 0..128 {
                    bytes.swap(a + at, b + at);
                }
            }
        }
    }
}
