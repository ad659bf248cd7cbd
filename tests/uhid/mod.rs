//! HID devices made of software (`include/uapi/linux/uhid.h`), whose reports come from a test.

#![allow(dead_code, reason = "each test binary uses another part")]

use std::fs::File;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

const DESTROY: u32 = 1;
const GET_REPORT: u32 = 9;
const GET_REPORT_REPLY: u32 = 10;
const CREATE2: u32 = 11;
const INPUT2: u32 = 12;
const SET_REPORT: u32 = 13;
const SET_REPORT_REPLY: u32 = 14;
const EVENT_BYTES: usize = 4380;
const IO_ERROR: u16 = 5;
const BUS_USB: u16 = 3;

/// A vendor's own page with an input report, number 3, and a feature report, number 4, of 63 bytes each. The kernel passes
/// feature reports of other numbers on as well.
const DESCRIPTOR: [u8; 29] = [
    0x06, 0x00, 0xff, 0x09, 0x01, 0xa1, 0x01, 0x15, 0x00, 0x26, 0xff, 0x00, 0x75, 0x08, 0x95, 0x3f, 0x85,
    0x03, 0x09, 0x01, 0x81, 0x02, 0x85, 0x04, 0x09, 0x01, 0xb1, 0x02, 0xc0,
];

/// What a program asks of a device.
#[derive(Clone, Copy, Debug)]
pub enum Question<'a> {
    /// For the feature report of that number.
    Get(u8),
    /// To take a feature report, its number first.
    Set(&'a [u8]),
}

/// What the device does then.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Gives this report, its number first; or takes what it was given.
    Report(Vec<u8>),
    /// Refuses.
    Error,
    /// Nothing; the kernel gives up after five seconds.
    Silence,
    /// Goes away for good.
    Unplug,
}

/// A device, plugged in until dropped.
pub struct Uhid {
    uhid: Arc<File>,
    answers: Option<JoinHandle<()>>,
    gone: Arc<AtomicBool>,
}

impl Uhid {
    /// Plugs in a device with these USB numbers.
    pub fn plug_in(
        vendor: u32,
        product: u32,
        respond: impl FnMut(Question<'_>) -> Answer + Send + 'static,
    ) -> Self {
        let uhid = Arc::new(File::options().read(true).write(true).open("/dev/uhid").unwrap());
        let mut name = b"made up".to_vec();
        name.resize(128 + 64 + 64, 0);
        let length = (DESCRIPTOR.len() as u16).to_ne_bytes();
        let numbers: Vec<u8> = [vendor, product, 0, 0].into_iter().flat_map(u32::to_ne_bytes).collect();
        send(&uhid, CREATE2, &[&name, &length, &BUS_USB.to_ne_bytes(), &numbers, &DESCRIPTOR]).unwrap();
        let gone = Arc::<AtomicBool>::default();
        let (device, ended) = (uhid.clone(), gone.clone());
        let answers = std::thread::spawn(move || answer(&device, respond, &ended));
        Self { uhid, answers: Some(answers), gone }
    }

    /// Plugs in a device that answers each question for a feature report with this one.
    pub fn that_says(vendor: u32, product: u32, report: Option<Vec<u8>>) -> Self {
        Self::plug_in(vendor, product, move |_| report.clone().map_or(Answer::Error, Answer::Report))
    }

    /// Sends a report, its number first.
    pub fn send(&self, report: &[u8]) {
        send(&self.uhid, INPUT2, &[&(report.len() as u16).to_ne_bytes(), report]).unwrap();
    }
}

impl Drop for Uhid {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::Relaxed);
        // The kernel tells the reader that the device stops, which ends it.
        let _ = send(&self.uhid, DESTROY, &[]);
        let _ = self.answers.take().map(JoinHandle::join);
    }
}

fn send(mut uhid: &File, kind: u32, parts: &[&[u8]]) -> std::io::Result<()> {
    let mut event = kind.to_ne_bytes().to_vec();
    event.extend(parts.concat());
    event.resize(EVENT_BYTES, 0);
    uhid.write_all(&event)
}

fn answer(mut uhid: &File, mut respond: impl FnMut(Question<'_>) -> Answer, gone: &AtomicBool) {
    let mut event = [0; EVENT_BYTES];
    while uhid.read(&mut event).is_ok() && !gone.load(Ordering::Relaxed) {
        let [kind, id] =
            [0, 4].map(|at| u32::from_ne_bytes([event[at], event[at + 1], event[at + 2], event[at + 3]]));
        let (question, reply) = match kind {
            GET_REPORT => (Question::Get(event[8]), GET_REPORT_REPLY),
            SET_REPORT => {
                let length = usize::from(u16::from_ne_bytes([event[10], event[11]]));
                (Question::Set(&event[12..12 + length]), SET_REPORT_REPLY)
            }
            _ => continue,
        };
        let is_get = kind == GET_REPORT;
        let (error, report) = match respond(question) {
            Answer::Report(report) => (0u16, report),
            Answer::Error => (IO_ERROR, Vec::new()),
            Answer::Silence => continue,
            Answer::Unplug => {
                let _ = send(uhid, DESTROY, &[]);
                return;
            }
        };
        let length = (report.len() as u16).to_ne_bytes();
        let contents: &[&[u8]] = if is_get { &[&length, &report] } else { &[] };
        // The kernel may have given up waiting.
        let _ = send(uhid, reply, &[&[&id.to_ne_bytes()[..], &error.to_ne_bytes()[..]], contents].concat());
    }
}
