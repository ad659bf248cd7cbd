//! Hands each frame's record from the loop to whoever reads along, without either ever waiting for the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::miss::Cause;
use super::record::Frame;

/// What became of a frame, and of the vblanks since the one before.
#[derive(Clone, Copy, Debug, Default)]
pub struct Record {
    /// The frame.
    pub frame: Frame,
    /// Vblanks at which nothing new came on since the frame before.
    pub missed: u64,
    /// Why, if any.
    pub cause: Option<Cause>,
}

/// The loop's end. Neither waits nor allocates.
#[derive(Debug)]
pub struct RecordWriter {
    producer: rtrb::Producer<Record>,
    lost: Arc<AtomicU64>,
}

/// The reader's end.
#[derive(Debug)]
pub struct RecordReader {
    consumer: rtrb::Consumer<Record>,
    lost: Arc<AtomicU64>,
}

/// Both ends of a ring with room for `capacity` records.
pub fn ring(capacity: usize) -> (RecordWriter, RecordReader) {
    let (mut producer, mut consumer) = rtrb::RingBuffer::new(capacity);
    // Filled once, so that no page is touched for the first time in the loop.
    while producer.push(Record::default()).is_ok() {}
    while consumer.pop().is_ok() {}
    let lost = Arc::new(AtomicU64::new(0));
    (RecordWriter { producer, lost: lost.clone() }, RecordReader { consumer, lost })
}

impl RecordWriter {
    /// Hands a record on. One that finds no room is lost, and counted.
    pub fn push(&mut self, record: Record) {
        if self.producer.push(record).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl RecordReader {
    /// The oldest record that has not been read, if any. Does not wait.
    pub fn pop(&mut self) -> Option<Record> {
        self.consumer.pop().ok()
    }

    /// How many records found no room, because they were not read in time.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: u64) -> Record {
        Record { frame: Frame { number, ..Frame::default() }, ..Record::default() }
    }

    #[test]
    fn records_come_out_in_order_from_another_thread() {
        let (mut writer, mut reader) = ring(8);
        let reading = std::thread::spawn(move || {
            let mut numbers = Vec::new();
            while numbers.len() < 1000 {
                match reader.pop() {
                    Some(record) => numbers.push(record.frame.number),
                    None => std::thread::yield_now(),
                }
            }
            numbers
        });
        for number in 0..1000 {
            while writer.producer.is_full() {
                std::thread::yield_now();
            }
            writer.push(record(number));
        }
        assert_eq!(reading.join().unwrap(), (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn what_finds_no_room_is_counted_and_the_oldest_stay() {
        let (mut writer, mut reader) = ring(3);
        (0..5).for_each(|number| writer.push(record(number)));
        assert_eq!(reader.lost(), 2);
        let read: Vec<_> = std::iter::from_fn(|| reader.pop()).map(|record| record.frame.number).collect();
        assert_eq!(read, [0, 1, 2]);
    }
}
