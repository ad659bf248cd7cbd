//! How the eyes see, as the director tells the application.

use std::sync::{Arc, OnceLock};

use super::view::View;

/// How the eyes of a headset see, and what comes after: another headset may be taken in its place.
///
/// A chain without a lock, for an application's thread can stop anywhere, and whoever lights the next headset is not to
/// wait for it.
#[derive(Debug)]
pub struct Sight {
    pub views: [View; 2],
    next: OnceLock<Arc<Sight>>,
}

impl Sight {
    pub fn new(views: [View; 2]) -> Arc<Self> {
        Arc::new(Self { views, next: OnceLock::new() })
    }

    /// The newest that was told.
    pub fn newest(self: &Arc<Self>) -> Arc<Self> {
        let mut newest = self;
        while let Some(next) = newest.next.get() {
            newest = next;
        }
        newest.clone()
    }

    /// Puts another after this, for those who look at this one.
    pub fn follow_with(&self, next: Arc<Self>) {
        self.next.set(next).expect("only its director tells what follows, and goes on from there");
    }
}
