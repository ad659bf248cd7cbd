//! A thread beside the loop, which ends with whoever started it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// A thread that is told to end, woken if it is parked, and waited for, when this is dropped.
#[derive(Debug)]
pub struct Worker {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Does `work` on a thread of that name. It looks every now and then whether it is over.
    ///
    /// # Errors
    /// When the system gives no further thread (`EAGAIN`).
    pub fn start(
        name: &'static str,
        work: impl FnOnce(&AtomicBool) + Send + 'static,
    ) -> std::io::Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let told = over.clone();
        let thread = std::thread::Builder::new().name(name.to_string()).spawn(move || work(&told))?;
        Ok(Self { over, thread: Some(thread) })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let Some(thread) = self.thread.take() else { return };
        thread.thread().unpark();
        if thread.join().is_err() {
            tracing::error!("a thread panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_ends_with_whoever_started_it() {
        let ended = Arc::new(AtomicBool::new(false));
        let end = ended.clone();
        let work = move |over: &AtomicBool| {
            while !over.load(Ordering::Relaxed) {
                std::thread::park();
            }
            end.store(true, Ordering::Relaxed);
        };
        drop(Worker::start("test", work).unwrap());
        assert!(ended.load(Ordering::Relaxed));
    }
}
