//! A HID device made of software (`include/uapi/linux/uhid.h`), whose feature reports come from a test.

use std::fs::File;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

const DESTROY: u32 = 1;
const GET_REPORT: u32 = 9;
const GET_REPORT_REPLY: u32 = 10;
const CREATE2: u32 = 11;
const EVENT_BYTES: usize = 4376;
const IO_ERROR: u16 = 5;
const BUS_USB: u16 = 3;

/// A vendor's own page with one feature report, number 4, of 63 bytes.
const DESCRIPTOR: [u8; 23] = [
    0x06, 0x00, 0xff, 0x09, 0x01, 0xa1, 0x01, 0x85, 0x04, 0x09, 0x01, 0x15, 0x00, 0x26, 0xff, 0x00, 0x75,
    0x08, 0x95, 0x3f, 0xb1, 0x02, 0xc0,
];

/// A device, plugged in until dropped.
pub struct Uhid {
    uhid: Arc<File>,
    answers: Option<JoinHandle<()>>,
    gone: Arc<AtomicBool>,
}

impl Uhid {
    /// Plugs in a device with these USB numbers that answers each question for a feature report with `report`, or with
    /// an error where there is none.
    pub fn plug_in(vendor: u32, product: u32, report: Option<Vec<u8>>) -> Self {
        let uhid = Arc::new(File::options().read(true).write(true).open("/dev/uhid").unwrap());
        let mut create = CREATE2.to_ne_bytes().to_vec();
        let mut name = b"made up".to_vec();
        name.resize(128 + 64 + 64, 0);
        create.extend(name);
        create.extend((DESCRIPTOR.len() as u16).to_ne_bytes());
        create.extend(BUS_USB.to_ne_bytes());
        create.extend([vendor, product, 0, 0].into_iter().flat_map(u32::to_ne_bytes));
        create.extend(DESCRIPTOR);
        create.resize(EVENT_BYTES, 0);
        (&*uhid).write_all(&create).unwrap();
        let gone = Arc::<AtomicBool>::default();
        let (device, ended) = (uhid.clone(), gone.clone());
        let answers = std::thread::spawn(move || answer(&device, report.as_deref(), &ended));
        Self { uhid, answers: Some(answers), gone }
    }
}

impl Drop for Uhid {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::Relaxed);
        let mut destroy = DESTROY.to_ne_bytes().to_vec();
        destroy.resize(EVENT_BYTES, 0);
        // The kernel tells the reader that the device stops, which ends it.
        let _ = (&*self.uhid).write_all(&destroy);
        let _ = self.answers.take().map(JoinHandle::join);
    }
}

fn answer(mut uhid: &File, report: Option<&[u8]>, gone: &AtomicBool) {
    let mut event = [0; EVENT_BYTES];
    while uhid.read(&mut event).is_ok() && !gone.load(Ordering::Relaxed) {
        if event[..4] != GET_REPORT.to_ne_bytes() {
            continue;
        }
        let bytes = report.unwrap_or_default();
        let error = if report.is_some() { 0 } else { IO_ERROR };
        let mut reply = GET_REPORT_REPLY.to_ne_bytes().to_vec();
        reply.extend(&event[4..8]);
        reply.extend(error.to_ne_bytes());
        reply.extend((bytes.len() as u16).to_ne_bytes());
        reply.extend(bytes);
        reply.resize(EVENT_BYTES, 0);
        uhid.write_all(&reply).unwrap();
    }
}
