//! A value that is set now and then and read in passing, without a lock.

use std::sync::atomic::{AtomicU64, Ordering, fence};

/// The latest of the values that were set, as `N` words.
///
/// It is kept twice: the newer one is written beside the older, and then takes its place. Whoever reads gets one or the
/// other, and never waits for whoever writes, which may be an ordinary thread that has lost its CPU to the reader.
#[derive(Debug)]
pub struct Latest<const N: usize> {
    /// How often it was set; even, the first copy is in place, and odd, the second.
    version: AtomicU64,
    copies: [[AtomicU64; N]; 2],
}

impl<const N: usize> Latest<N> {
    /// Holds these words.
    pub fn new(words: [u64; N]) -> Self {
        Self { version: AtomicU64::new(0), copies: [words, words].map(|copy| copy.map(AtomicU64::new)) }
    }

    /// Sets all words. Callers see to it that they take turns.
    pub fn set(&self, words: [u64; N]) {
        let version = self.version.load(Ordering::Relaxed) + 1;
        // Whoever sees one of these words sees that the copy they are written over is no longer in place.
        fence(Ordering::Release);
        for (stored, word) in self.copy(version).iter().zip(words) {
            stored.store(word, Ordering::Relaxed);
        }
        self.version.store(version, Ordering::Release);
    }

    /// All words as they were set together. Tries again only where they have been set anew meanwhile.
    pub fn get(&self) -> [u64; N] {
        loop {
            let version = self.version.load(Ordering::Acquire);
            let words = std::array::from_fn(|word| self.copy(version)[word].load(Ordering::Relaxed));
            fence(Ordering::Acquire);
            if self.version.load(Ordering::Relaxed) == version {
                return words;
            }
        }
    }

    fn copy(&self, version: u64) -> &[AtomicU64; N] {
        &self.copies[(version % 2) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_were_set_together() {
        const SETS: u64 = 200_000;
        let latest = Latest::new([0; 4]);
        std::thread::scope(|scope| {
            scope.spawn(|| (1..=SETS).for_each(|set| latest.set([set; 4])));
            let mut last = 0;
            while last < SETS {
                let words = latest.get();
                assert_eq!(words, [words[0]; 4], "torn");
                assert!(words[0] >= last, "an older value after a newer one");
                last = words[0];
            }
        });
    }
}
