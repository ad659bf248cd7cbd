//! Reads a run's records while it goes on, on a thread of its own.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::live::{Live, Numbers};
use super::moments::GpuTimes;
use super::summary::Summary;
use super::trace::{GpuClock, Trace};
use crate::compositor::history::Event;
use crate::files::{self, FileError};
use crate::pacing::Record;
use crate::pacing::ring::RecordReader;
use crate::time::Span;
use crate::vulkan::Device;

/// The thread that reads along. It waits for nobody, and the loop does not wait for it.
#[derive(Debug)]
pub struct Recording {
    thread: JoinHandle<(Summary, Result<(), FileError>)>,
    stop: Sender<Vec<Event>>,
    numbers: Arc<Mutex<Numbers>>,
}

/// How often the ring is emptied: often enough for numbers that somebody looks at.
const NAP: Span = Span::from_ms(100);

impl Recording {
    /// Starts to read `records`. What the GPU's counter says is asked of `device`. With `trace`, every record goes into that
    /// file as well, in Chrome's format.
    ///
    /// # Errors
    /// When no thread can be started. Whether the trace could be written is told at the [end](Self::finish).
    pub fn start(records: RecordReader, device: Arc<Device>, trace: Option<PathBuf>) -> io::Result<Self> {
        let (stop, stopped) = channel();
        let numbers = Arc::new(Mutex::new(Numbers::default()));
        let mut reading = Reading {
            records,
            device,
            stopped,
            numbers: numbers.clone(),
            live: Live::default(),
            summary: Summary::default(),
            events: None,
        };
        let thread = std::thread::Builder::new().name("records".to_string()).spawn(move || {
            let traced = trace.map_or(Ok(()), |path| {
                files::write(&path, |file| {
                    let mut trace = Trace::begin(file, reading.gpu_clock())?;
                    reading.read(Some(&mut trace))?;
                    trace.finish(reading.events.as_deref().unwrap_or_default())
                })
            });
            // All of it without a trace; what is left of it where the disk was full.
            reading.read(None).expect("nothing is written");
            reading.summary.lost = reading.records.lost();
            (reading.summary, traced)
        })?;
        Ok(Self { thread, stop, numbers })
    }

    /// The numbers of the last second, for whoever wants to show them.
    pub fn numbers(&self) -> Arc<Mutex<Numbers>> {
        self.numbers.clone()
    }

    /// Reads what is left once the loop has ended, and ends the trace with what became of the lease.
    pub fn finish(self, events: Vec<Event>) -> (Summary, Result<(), FileError>) {
        // It only fails for a thread that has panicked.
        let _ = self.stop.send(events);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

struct Reading {
    records: RecordReader,
    device: Arc<Device>,
    stopped: Receiver<Vec<Event>>,
    numbers: Arc<Mutex<Numbers>>,
    live: Live,
    summary: Summary,
    /// What became of the lease, once there are no more records to come.
    events: Option<Vec<Event>>,
}

impl Reading {
    /// Reads records until it is told to stop, and then those that are left.
    fn read(&mut self, mut trace: Option<&mut Trace<'_>>) -> io::Result<()> {
        loop {
            let over = self.events.is_some();
            let calibration = self.device.calibrate();
            while let Some(record) = self.records.pop() {
                let [began, ended] = record.frame.gpu_ticks;
                let stamped = record.frame.gpu_ticks != [0, 0];
                let gpu = calibration.filter(|_| stamped).map(|at| [at.instant(began), at.instant(ended)]);
                self.add(&record, gpu);
                if let Some(trace) = &mut trace {
                    trace.add(&record, gpu)?;
                }
            }
            *self.numbers.lock().unwrap_or_else(PoisonError::into_inner) = self.live.numbers();
            if over {
                return Ok(());
            }
            match self.stopped.recv_timeout(NAP.to_duration()) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(events) => self.events = Some(events),
                Err(RecvTimeoutError::Disconnected) => self.events = Some(Vec::new()),
            }
        }
    }

    fn add(&mut self, record: &Record, gpu: GpuTimes) {
        self.live.add(record);
        self.summary.add(record, gpu);
    }

    fn gpu_clock(&self) -> GpuClock {
        match self.device.calibrate() {
            Some(calibration) => GpuClock::Calibrated { deviation: calibration.deviation },
            None if self.device.counter().mask != 0 => GpuClock::Uncalibrated(self.device.counter()),
            None => GpuClock::None,
        }
    }
}
