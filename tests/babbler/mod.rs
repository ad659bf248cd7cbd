//! A client that speaks Wayland badly: half of what it says would do, the rest is wrong in its ids, opcodes, sizes or
//! fds, cut short, or noise. All of it follows from a seed.

use std::fs::File;
use std::io::{IoSlice, Read};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

/// Chance that can be repeated (xorshift64*, Vigna 2016).
pub struct Dice {
    state: u64,
}

impl Dice {
    /// The same throws for the same seed.
    pub fn new(seed: u64) -> Self {
        Self { state: seed | 1 }
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u32) -> u32 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let drawn = self.state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32;
        ((drawn * u64::from(end)) >> 32) as u32
    }

    /// Whether something of that probability happens.
    pub fn percent(&mut self, chance: u32) -> bool {
        self.below(100) < chance
    }

    fn one_of(&mut self, known: &[u32]) -> u32 {
        if known.is_empty() { 1 + self.below(6) } else { known[self.below(known.len() as u32) as usize] }
    }
}

/// Where the server's own objects begin (Wayland protocol, Creating Objects).
const SERVER_IDS: u32 = 0xff00_0000;
const DISPLAY: u32 = 1;

/// One such client, with the objects that it believes to have.
pub struct Babbler {
    stream: UnixStream,
    listens: bool,
    /// It has stopped in the middle of a word, and stays.
    mute: bool,
    next: u32,
    registries: Vec<u32>,
    devices: Vec<u32>,
    drafts: Vec<u32>,
    leases: Vec<u32>,
}

impl Babbler {
    /// Connects, and makes up its mind whether ever to listen.
    pub fn connect(socket: &Path, dice: &mut Dice) -> std::io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            listens: dice.percent(60),
            mute: false,
            next: 2,
            registries: Vec::new(),
            devices: Vec::new(),
            drafts: Vec::new(),
            leases: Vec::new(),
        })
    }

    /// A client that sends so many fds, asks for nothing with them, and stays.
    pub fn hoard(socket: &Path, fds: usize) -> Self {
        let mut hoard = Self::connect(socket, &mut Dice::new(1)).expect("serve accepts");
        for _ in 0..fds / 28 {
            let sync = hoard.sync();
            assert!(hoard.send(&sync, 28), "serve has closed the connection");
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        hoard
    }

    /// Says one thing. `false` once nobody hears it any more.
    pub fn babble(&mut self, dice: &mut Dice) -> bool {
        if self.mute {
            return true;
        }
        let mut bytes = match dice.below(100) {
            0..40 => self.sensible(dice),
            40..70 => self.whole_lease(dice),
            70..80 => (0..dice.below(300)).flat_map(|_| self.sync()).collect(),
            80..96 => self.nonsense(dice),
            _ => (0..dice.below(6000)).map(|_| dice.below(256) as u8).collect(),
        };
        if dice.percent(4) {
            // To the word: what follows a message cut elsewhere can shift into a bind to no interface (see nonsense).
            bytes.truncate(4 * dice.below(bytes.len() as u32 / 4 + 1) as usize);
        } else if dice.percent(2) {
            bytes.truncate(dice.below(bytes.len() as u32 + 1) as usize);
            self.mute = true;
        }
        let fds = if dice.percent(8) { 1 + dice.below(40) } else { 0 };
        self.send(&bytes, fds as usize) && (!self.listens || self.listen())
    }

    fn send(&self, bytes: &[u8], fds: usize) -> bool {
        let nothing = File::open("/dev/null").expect("it is always there");
        let fds = vec![nothing.as_raw_fd(); fds];
        let rights = [ControlMessage::ScmRights(&fds)];
        let rights = if fds.is_empty() { &[][..] } else { &rights[..] };
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        match sendmsg::<()>(self.stream.as_raw_fd(), &[IoSlice::new(bytes)], rights, flags, None) {
            Ok(length) => length == bytes.len(),
            // The kernel takes no fds for one who refuses them, nor what came with them.
            Err(Errno::EPERM) if !fds.is_empty() => self.send(bytes, 0),
            Err(errno) => errno == Errno::EAGAIN,
        }
    }

    /// Reads what there is. The fds that come with it are closed by the kernel, as nobody asks for them (unix(7)).
    fn listen(&mut self) -> bool {
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
            }
        }
    }

    fn new_id(&mut self) -> u32 {
        self.next += 1;
        self.next - 1
    }

    fn sync(&mut self) -> Vec<u8> {
        message(DISPLAY, 0, &[self.new_id()])
    }

    fn get_registry(&mut self) -> Vec<u8> {
        let id = self.new_id();
        self.registries.push(id);
        message(DISPLAY, 1, &[id])
    }

    fn bind(&mut self, registry: u32) -> Vec<u8> {
        const INTERFACE: &[u8; 24] = b"wp_drm_lease_device_v1\0\0";
        let id = self.new_id();
        self.devices.push(id);
        let name = INTERFACE.chunks(4).map(|word| u32::from_ne_bytes([word[0], word[1], word[2], word[3]]));
        let arguments: Vec<u32> = [1, 23].into_iter().chain(name).chain([1, id]).collect();
        message(registry, 0, &arguments)
    }

    fn create_request(&mut self, device: u32) -> Vec<u8> {
        let id = self.new_id();
        self.drafts.push(id);
        message(device, 0, &[id])
    }

    fn submit(&mut self, draft: u32) -> Vec<u8> {
        self.drafts.retain(|&known| known != draft);
        let id = self.new_id();
        self.leases.push(id);
        message(draft, 1, &[id])
    }

    /// What a good client might say next, if its objects are what it thinks they are.
    fn sensible(&mut self, dice: &mut Dice) -> Vec<u8> {
        let connector = SERVER_IDS + dice.below(3);
        match dice.below(10) {
            0 => self.sync(),
            1 => self.get_registry(),
            2 => self.bind(dice.one_of(&self.registries)),
            3 => self.create_request(dice.one_of(&self.devices)),
            4 => message(dice.one_of(&self.drafts), 0, &[connector]),
            5 => self.submit(dice.one_of(&self.drafts)),
            6 | 7 => message(self.leases.pop().unwrap_or(connector), 0, &[]),
            8 => message(connector, 0, &[]),
            _ => message(self.devices.pop().unwrap_or(connector), 1, &[]),
        }
    }

    /// All that it takes to a lease, in one breath.
    fn whole_lease(&mut self, dice: &mut Dice) -> Vec<u8> {
        let mut bytes = self.get_registry();
        bytes.extend(self.bind(self.next - 1));
        let device = self.next - 1;
        bytes.extend(self.create_request(device));
        let draft = self.next - 1;
        bytes.extend(message(draft, 0, &[SERVER_IDS + dice.below(2)]));
        bytes.extend(self.submit(draft));
        bytes
    }

    /// An object and an opcode that may exist, with arguments of any kind and a length that may be theirs.
    fn nonsense(&mut self, dice: &mut Dice) -> Vec<u8> {
        let object = match dice.below(4) {
            0 => DISPLAY,
            1 => SERVER_IDS + dice.below(4),
            2 => dice.below(u32::MAX),
            _ => 1 + dice.below(self.next + 2),
        };
        let opcode = if dice.percent(80) { dice.below(3) } else { dice.below(1 << 16) };
        let mut arguments: Vec<u32> = (0..dice.below(9))
            .map(|_| match dice.below(4) {
                0 => dice.below(u32::MAX),
                1 => SERVER_IDS + dice.below(4),
                _ => dice.below(self.next + 3),
            })
            .collect();
        if let Some(length @ 0) = arguments.get_mut(1)
            && opcode == 0
        {
            // Were the object a registry, this would be a bind to no interface, which has a test of its own.
            *length = 1;
        }
        let mut bytes = message(object, opcode, &arguments);
        if dice.percent(30) {
            let length = dice.below(1 << 16) as u16;
            bytes[6..8].copy_from_slice(&length.to_ne_bytes());
        }
        bytes
    }
}

/// A message as it goes over the wire (Wayland protocol, Wire Format).
fn message(object: u32, opcode: u32, arguments: &[u32]) -> Vec<u8> {
    let length = 8 + 4 * arguments.len() as u32;
    let words = [object, length << 16 | opcode & 0xffff];
    words.iter().chain(arguments).flat_map(|word| word.to_ne_bytes()).collect()
}
