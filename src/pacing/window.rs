//! The newest of a stream of spans, and their quantiles.

use crate::time::Span;

/// The newest `N` spans, kept in the order they came and in the order of their size: a quantile costs nothing, and
/// taking one in costs a move of a part of the list. Allocates nothing.
#[derive(Clone, Debug)]
pub struct Window<const N: usize> {
    newest: [Span; N],
    sorted: [Span; N],
    seen: usize,
}

impl<const N: usize> Window<N> {
    /// An empty one.
    pub fn new() -> Self {
        Self { newest: [Span::ZERO; N], sorted: [Span::ZERO; N], seen: 0 }
    }

    /// How many spans it has taken in, those that it has forgotten included.
    pub fn seen(&self) -> usize {
        self.seen
    }

    /// Takes in a span, and forgets the oldest if it is full.
    pub fn push(&mut self, span: Span) {
        let place = self.seen % N;
        let mut length = self.seen.min(N);
        if length == N {
            let gone = self.place_of(self.newest[place], length);
            self.sorted.copy_within(gone + 1..length, gone);
            length -= 1;
        }
        let at = self.place_of(span, length);
        self.sorted.copy_within(at..length, at + 1);
        self.sorted[at] = span;
        self.newest[place] = span;
        self.seen += 1;
    }

    /// The least span that so many in a thousand are at most; zero where there is none.
    pub fn quantile(&self, per_mille: usize) -> Span {
        let length = self.seen.min(N);
        let rank = (length * per_mille).div_ceil(1000).clamp(1, N);
        self.sorted[rank - 1]
    }

    /// The greatest but for `more`; zero where there are not so many.
    pub fn greatest_but(&self, more: usize) -> Span {
        let rank = self.seen.min(N).checked_sub(more + 1);
        rank.map_or(Span::ZERO, |rank| self.sorted[rank])
    }

    /// Where a span stands among the first `length` sorted ones, or would.
    fn place_of(&self, span: Span, length: usize) -> usize {
        self.sorted[..length].partition_point(|&other| other < span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn quantiles_are_those_of_the_newest(spans in prop::collection::vec(-50i64..50, 1..40)) {
            let mut window = Window::<8>::new();
            for (count, &span) in spans.iter().enumerate() {
                window.push(Span::from_ns(span));
                let mut newest = spans[(count + 1).saturating_sub(8)..=count].to_vec();
                newest.sort_unstable();
                let ranked = |rank: usize| Span::from_ns(newest[rank - 1]);
                prop_assert_eq!(window.quantile(1000), ranked(newest.len()));
                prop_assert_eq!(window.quantile(500), ranked(newest.len().div_ceil(2)));
                prop_assert_eq!(window.quantile(0), ranked(1));
                if newest.len() > 2 {
                    prop_assert_eq!(window.greatest_but(2), ranked(newest.len() - 2));
                }
            }
        }
    }
}
