//! Another process draws: an engine makes its eye images in dma-bufs and passes them over a socket to a host, which shows
//! them on a headset. Either may hang or die, and the headset goes on.
//!
//! `dma_buf host SOCKET SECONDS`, and then `dma_buf engine SOCKET CARD`. This engine draws with the CPU in memory of the
//! card at that path; any other passes what its GPU draws in.

use std::error::Error;
use std::io::{self, IoSlice, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use leasehold::Headset;
use leasehold::kms::Card;
use leasehold::kms::buffer::DumbBuffer;
use leasehold::session::{
    DmaBuf, Ending, Eyes, Options, Plane, SLOTS, Session, SessionError, SharedFormat, SharedImage, Span,
};
use nix::sys::eventfd::EventFd;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// What the engine says of its images; their fds come along, left and right of each pair. All are laid out alike.
#[derive(Deserialize, Serialize)]
struct Images {
    width_px: u32,
    height_px: u32,
    fourcc: u32,
    modifier: u64,
    offset_bytes: u64,
    pitch_bytes: u64,
}

/// A frame that the host wants drawn. The engine answers at once with a fd that is readable when it has drawn it.
#[derive(Deserialize, Serialize)]
struct Wanted {
    pair: usize,
    /// Where the head will look, as a quaternion; this engine's wall is everywhere.
    orientation: [f64; 4],
    photon_ns: i64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["host", path, seconds] => host(path, seconds.parse()?),
        ["engine", path, card] => engine(path, Path::new(card)),
        _ => Err("write: dma_buf host SOCKET SECONDS, or: dma_buf engine SOCKET CARD".into()),
    }
}

fn host(path: &str, seconds: f64) -> Result<(), Box<dyn Error>> {
    let door = UnixListener::bind(path)?;
    report("listening", &path)?;
    let (engine, _) = door.accept()?;
    // It may have much to load.
    engine.set_read_timeout(Some(Duration::from_secs(30)))?;
    let (images, fds) = receive::<Images>(&engine)?.ok_or("the engine went without a word")?;
    // One that says nothing for so long has hung; one that only draws for long has not.
    engine.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut options = Options::default();
    options.limit.time = Some(Span::from_secs_f64(seconds));
    let mut session = Headset::open(options)?.session(Eyes::shared(pairs(&images, fds)?))?;
    let asked = serve(&mut session, &engine);
    report("engine_gone", &asked)?;
    // The headset is lit for as long as it was meant to be, with something calm.
    session.leave();
    while session.wait().is_some() {}
    let ending = session.end()?;
    report("ended", &brightest(&ending)?)?;
    Ok(ending.result()?)
}

/// Has the engine draw each frame until it is gone, or the headset; how many it was asked for.
fn serve(session: &mut Session, engine: &UnixStream) -> usize {
    let mut asked = 0;
    while let Some(frame) = session.wait() {
        let (pose, photon_ns) = (frame.pose(), frame.photon().as_ns());
        let wanted = Wanted { pair: frame.pair(), orientation: pose.orientation, photon_ns };
        if send(engine, &wanted, &[]).is_err() {
            break;
        }
        let Ok(Some(((), mut fds))) = receive::<()>(engine) else { break };
        let Some(drawn) = fds.pop() else { break };
        frame.submit_when(drawn, pose);
        asked += 1;
        if asked == 1 && report("drawing", &wanted.pair).is_err() {
            break;
        }
    }
    asked
}

fn pairs(images: &Images, fds: Vec<OwnedFd>) -> Result<[[SharedImage; 2]; SLOTS], Box<dyn Error>> {
    let format = SharedFormat::from_fourcc(images.fourcc).ok_or("the engine's format is none of ours")?;
    let plane = Plane { offset_bytes: images.offset_bytes, pitch_bytes: images.pitch_bytes };
    let mut images = fds.into_iter().map(|fd| SharedImage {
        width_px: images.width_px,
        height_px: images.height_px,
        format,
        buffer: DmaBuf { fd, modifier: images.modifier, planes: vec![plane] },
    });
    let mut pair = || Some([images.next()?, images.next()?]);
    let all = [pair(), pair(), pair()];
    let [Some(first), Some(second), Some(third)] = all else { return Err("six images are wanted".into()) };
    Ok([first, second, third])
}

/// The engine's images are this wide and high.
const SIZE_PX: [u32; 2] = [256, 256];
/// DRM_FORMAT_XRGB8888 of `drm_fourcc.h`.
const XRGB8888: u32 = u32::from_le_bytes(*b"XR24");

fn engine(path: &str, card: &Path) -> Result<(), Box<dyn Error>> {
    let host = UnixStream::connect(path)?;
    let card = Arc::new(Card::open(card)?);
    let [width_px, height_px] = SIZE_PX;
    let mut buffers =
        (0..SLOTS * 2).map(|_| DumbBuffer::new(&card, width_px, height_px)).collect::<Result<Vec<_>, _>>()?;
    let pitch_bytes = buffers[0].memory().pitch_bytes().into();
    let fds = buffers.iter().map(|buffer| buffer.memory().dma_buf()).collect::<Result<Vec<_>, _>>()?;
    let images = Images { width_px, height_px, fourcc: XRGB8888, modifier: 0, offset_bytes: 0, pitch_bytes };
    send(&host, &images, &fds.iter().map(AsFd::as_fd).collect::<Vec<_>>())?;
    while let Some((wanted, _)) = receive::<Wanted>(&host)? {
        let drawn = EventFd::new()?;
        send(&host, &(), &[drawn.as_fd()])?;
        for buffer in &mut buffers[wanted.pair * 2..][..2] {
            draw(buffer, wanted.photon_ns);
        }
        drawn.write(1)?;
    }
    Ok(())
}

/// A bright wall with a darker bar that goes down it once a second.
fn draw(buffer: &mut DumbBuffer, photon_ns: i64) {
    let [width, height] = SIZE_PX.map(|pixels| pixels as usize);
    let bar = (photon_ns.rem_euclid(1_000_000_000) as usize * height) / 1_000_000_000;
    let gray = |row: usize| if row.abs_diff(bar) < 8 { 120 } else { 220 };
    let pixels: Vec<u8> = (0..height).flat_map(|row| std::iter::repeat_n(gray(row), width * 4)).collect();
    let pitch = buffer.memory().pitch_bytes() as usize;
    buffer.mapping_mut().copy_rows(pitch, &pixels, width * 4, width * 4);
}

/// Writes a message, and the fds that go with it.
fn send(socket: &UnixStream, message: &impl Serialize, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let bytes = serde_json::to_vec(message)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FDS))];
    let mut rights = SendAncillaryBuffer::new(&mut space);
    rights.push(SendAncillaryMessage::ScmRights(fds));
    sendmsg(socket, &[IoSlice::new(&bytes)], &mut rights, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// The next message and its fds; `None` where the other has hung up. Each waits for the other's answer, so no two
/// messages are ever under way.
fn receive<T: DeserializeOwned>(socket: &UnixStream) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let mut bytes = [0; 1024];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FDS))];
    let mut rights = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut rights, RecvFlags::CMSG_CLOEXEC)?;
    let fds = rights.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => fds.collect(),
        _ => Vec::new(),
    });
    let fds = fds.collect();
    match &bytes[..received.bytes] {
        [] => Ok(None),
        message => Ok(Some((serde_json::from_slice(message)?, fds))),
    }
}

const MOST_FDS: usize = SLOTS * 2;

fn report(event: &str, value: &impl Serialize) -> io::Result<()> {
    writeln!(io::stdout(), "{}", serde_json::json!({ "event": event, "value": value }))
}

/// The brightest code that the panel was left with.
fn brightest(ending: &Ending) -> Result<Option<u16>, SessionError> {
    Ok(ending.picture().map_err(SessionError::from)?.and_then(|picture| picture.codes.iter().max().copied()))
}
