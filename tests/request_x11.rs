//! Asking for a lease of X servers that do not answer, do not let one in, or know no leases. How one is had of a real
//! server stands in `ways.rs`.

#[allow(dead_code, reason = "only its chance is wanted here")]
mod babbler;

use std::fs::File;
use std::io::{IoSlice, Read, Write};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

use babbler::Dice;
use leasehold::error::{Class, Classified};
use leasehold::lease::RequestError;
use leasehold::lease::request::{Wanted, x11};
use leasehold::time::{Instant, Span};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use x11rb::protocol::randr::{
    self, GetCrtcInfoReply, GetOutputInfoReply, GetOutputPropertyReply, GetScreenResourcesReply,
    QueryVersionReply,
};
use x11rb::protocol::xproto::{Screen, Setup};
use x11rb::x11_utils::Serialize;

/// Whatever takes longer hangs.
const PATIENCE: Span = Span::from_ms(180_000);
/// For those who do not answer.
const SHORT: Span = Span::from_ms(4000);

/// Where an X server of this number listens, in Linux's own name space of sockets: a file is not needed.
fn listen(number: u32) -> (String, UnixListener) {
    // Tests run at the same time, and so may test binaries.
    let number = 20_000 + std::process::id() % 4_000 * 10 + number;
    let address = SocketAddr::from_abstract_name(format!("/tmp/.X11-unix/X{number}")).unwrap();
    (format!(":{number}"), UnixListener::bind_addr(&address).unwrap())
}

fn request(display: &str) -> RequestError {
    request_within(PATIENCE, display)
}

fn request_within(patience: Span, display: &str) -> RequestError {
    x11::request(Some(display), &Wanted::Headset, patience).unwrap_err()
}

/// Runs a server that treats its one client so, and asks it.
fn asked(number: u32, serve: impl FnOnce(UnixStream) + Send + 'static) -> RequestError {
    asked_within(PATIENCE, number, serve)
}

fn asked_within(
    patience: Span,
    number: u32,
    serve: impl FnOnce(UnixStream) + Send + 'static,
) -> RequestError {
    let (display, listener) = listen(number);
    let server = std::thread::spawn(move || serve(listener.accept().unwrap().0));
    let error = request_within(patience, &display);
    server.join().unwrap();
    error
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let (display, _listener) = listen(0);
    let started = Instant::now();
    let error = request_within(SHORT, &display);
    assert!(matches!(error, RequestError::TimedOut { .. }), "{error}");
    assert!(error.to_string().contains("did not let us in within 4.0 s"), "{error}");
    assert!(Instant::now() - started >= SHORT);

    let (display, listener) = listen(1);
    let server = std::thread::spawn(move || {
        let mut client = listener.accept().unwrap().0;
        let_in(&mut client).unwrap();
        client
    });
    let error = request_within(SHORT, &display);
    assert!(matches!(error, RequestError::TimedOut { .. }), "{error}");
    assert!(error.to_string().contains("its version of RandR"), "{error}");
    server.join().unwrap();
}

#[test]
fn a_server_that_hangs_up_or_refuses_says_which() {
    let error = asked(2, drop);
    assert!(matches!(error, RequestError::Connection { .. }), "{error}");
    let error = asked(3, |mut client| {
        read_setup_request(&mut client);
        // Refused, with a reason of eight letters: status, length, version 11.0, words that follow.
        client.write_all(&[0, 8, 11, 0, 0, 0, 2, 0]).unwrap();
        client.write_all(b"no key!\n").unwrap();
    });
    assert!(matches!(error, RequestError::NoServer { .. }), "{error}");
    assert!(error.to_string().contains("XAUTHORITY"), "{error}");
    assert_eq!(error.class(), Class::Config);
}

#[test]
fn a_server_without_leases_is_named_with_its_version() {
    for (number, randr, version) in [(4, None, "none"), (5, Some([1, 5]), "1.5")] {
        let error = asked(number, move |mut client| {
            let_in(&mut client).unwrap();
            answer(&mut client, randr, Outputs::Unasked);
        });
        let RequestError::NoRandrLeases { version: told, .. } = &error else { panic!("{error}") };
        assert_eq!(told, version);
        assert!(error.to_string().contains("RandR"), "{error}");
    }
}

#[test]
fn a_server_that_gives_no_lease_for_one_is_found_out() {
    for (number, outputs) in [(6, Outputs::FdThatIsNoLease), (7, Outputs::Silence)] {
        let patience = if outputs == Outputs::Silence { SHORT } else { PATIENCE };
        let error = asked_within(patience, number, move |mut client| {
            let_in(&mut client).unwrap();
            answer(&mut client, Some([1, 6]), outputs);
        });
        match outputs {
            Outputs::FdThatIsNoLease => {
                assert!(matches!(error, RequestError::NotALease { .. }), "{error}");
                assert!(error.to_string().contains("DP-1?"), "{error:?}");
                assert_eq!(error.class(), Class::LeaseDenied);
            }
            _ => assert!(matches!(error, RequestError::TimedOut { .. }), "{error}"),
        }
    }
}

#[test]
fn a_server_that_babbles_is_refused_in_time() {
    let (display, listener) = listen(8);
    for seed in 1..=200 {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut client = listener.accept().unwrap().0;
                // It may have given up already.
                if let_in(&mut client).is_ok() {
                    answer(&mut client, Some([1, 6]), Outputs::Babble(seed));
                }
            });
            let started = Instant::now();
            let asked = x11::request(Some(&display), &Wanted::Headset, Span::from_ms(50));
            assert!(asked.is_err(), "seed {seed}");
            assert!(Instant::now() - started < PATIENCE, "seed {seed}: {asked:?}");
        });
    }
}

#[test]
fn a_server_on_another_machine_is_not_even_asked() {
    for display in ["elsewhere:0", "localhost:10.0"] {
        let error = request(display);
        assert!(matches!(error, RequestError::RemoteDisplay { .. }), "{error}");
    }
    assert!(matches!(request(":65000"), RequestError::NoServer { .. }));
    for malformed in ["x", ":", ":x", ":99999999"] {
        assert!(matches!(request(malformed), RequestError::NoServer { .. }), "{malformed}");
    }
    assert!(matches!(request(""), RequestError::NoDisplay));
}

/// Twelve bytes, and two padded strings whose lengths stand in them.
fn read_setup_request(client: &mut UnixStream) {
    let mut head = [0; 12];
    client.read_exact(&mut head).unwrap();
    let padded = |at: usize| usize::from(u16::from_ne_bytes([head[at], head[at + 1]])).next_multiple_of(4);
    client.read_exact(&mut vec![0; padded(6) + padded(8)]).unwrap();
}

/// Lets a client in to a server with one screen.
fn let_in(client: &mut UnixStream) -> std::io::Result<()> {
    read_setup_request(client);
    let screen = Screen { root: 1, ..Screen::default() };
    let mut setup = Setup {
        status: 1,
        protocol_major_version: 11,
        resource_id_base: 0x20_0000,
        resource_id_mask: 0x1f_ffff,
        maximum_request_length: u16::MAX,
        roots: vec![screen],
        ..Setup::default()
    };
    setup.length = ((setup.serialize().len() - 8) / 4) as u16;
    client.write_all(&setup.serialize())
}

/// What a server answers of its outputs and leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outputs {
    /// It does not get that far.
    Unasked,
    /// One headset; whoever asks for a lease gets an fd that is none.
    FdThatIsNoLease,
    /// The same, and no answer.
    Silence,
    /// Bytes from a seed.
    Babble(u64),
}

/// Answers the questions for extensions and for RandR's version, and then as it is told, until the client leaves.
fn answer(client: &mut UnixStream, version: Option<[u32; 2]>, outputs: Outputs) {
    const QUERY_EXTENSION: u8 = 98;
    const INTERN_ATOM: u8 = 16;
    const RANDR: u8 = 140;
    const NON_DESKTOP: u32 = 300;
    let mut head = [0; 4];
    let mut sequence = 0_u16;
    let mut dice = Dice::new(if let Outputs::Babble(seed) = outputs { seed } else { 1 });
    while client.read_exact(&mut head).is_ok() {
        sequence = sequence.wrapping_add(1);
        let words = u16::from_ne_bytes([head[2], head[3]]);
        let mut body = vec![0; usize::from(words - 1) * 4];
        client.read_exact(&mut body).unwrap();
        let mut plain = [0; 32];
        plain[0] = 1;
        plain[2..4].copy_from_slice(&sequence.to_ne_bytes());
        let mut fd = None;
        let reply = match (head[0], head[1]) {
            (QUERY_EXTENSION, _) => {
                let known = version.is_some();
                plain[8..10].copy_from_slice(&if known { [1, RANDR] } else { [0, 0] });
                plain.to_vec()
            }
            (RANDR, randr::QUERY_VERSION_REQUEST) => {
                let [major_version, minor_version] = version.expect("it has the extension");
                QueryVersionReply { sequence, length: 0, major_version, minor_version }.serialize().to_vec()
            }
            _ if matches!(outputs, Outputs::Babble(_)) => babbled(&mut dice, sequence),
            (INTERN_ATOM, _) => {
                plain[8..12].copy_from_slice(&if body.ends_with(b"non-desktop\0") {
                    NON_DESKTOP.to_ne_bytes()
                } else {
                    [0; 4]
                });
                plain.to_vec()
            }
            (RANDR, randr::GET_SCREEN_RESOURCES_REQUEST | randr::GET_SCREEN_RESOURCES_CURRENT_REQUEST) => {
                let (crtcs, outputs) = (vec![20], vec![30]);
                whole(GetScreenResourcesReply { sequence, crtcs, outputs, ..Default::default() }.serialize())
            }
            (RANDR, randr::GET_OUTPUT_INFO_REQUEST) => whole(
                GetOutputInfoReply {
                    sequence,
                    crtcs: vec![20],
                    modes: vec![40],
                    name: b"DP-1\x1b".to_vec(),
                    ..Default::default()
                }
                .serialize(),
            ),
            (RANDR, randr::GET_OUTPUT_PROPERTY_REQUEST) => whole(
                GetOutputPropertyReply {
                    format: 32,
                    sequence,
                    num_items: 1,
                    data: 1_u32.to_ne_bytes().to_vec(),
                    ..Default::default()
                }
                .serialize(),
            ),
            (RANDR, randr::GET_CRTC_INFO_REQUEST) => {
                whole(GetCrtcInfoReply { sequence, ..Default::default() }.serialize())
            }
            (RANDR, randr::CREATE_LEASE_REQUEST) if outputs == Outputs::Silence => continue,
            (RANDR, randr::CREATE_LEASE_REQUEST) => {
                plain[1] = 1;
                fd = Some(File::open("/dev/null").unwrap());
                plain.to_vec()
            }
            // What asks for no answer: the choice of events, the end of a lease.
            _ => continue,
        };
        let fds: Vec<i32> = fd.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&fds)];
        let rights = if fds.is_empty() { &[][..] } else { &rights[..] };
        let sent =
            sendmsg::<()>(client.as_raw_fd(), &[IoSlice::new(&reply)], rights, MsgFlags::MSG_NOSIGNAL, None);
        if sent.is_err() {
            return;
        }
    }
}

/// A reply with its length set right.
fn whole(mut reply: Vec<u8>) -> Vec<u8> {
    reply.resize(reply.len().next_multiple_of(4).max(32), 0);
    let words = (reply.len() as u32 - 32) / 4;
    reply[4..8].copy_from_slice(&words.to_ne_bytes());
    reply
}

/// A reply, or an error or event, of numbers that may mean anything.
fn babbled(dice: &mut Dice, sequence: u16) -> Vec<u8> {
    let words = dice.below(12);
    let mut reply: Vec<u8> = (0..32 + words * 4).map(|_| (dice.below(256) * dice.below(2)) as u8).collect();
    reply[0] = if dice.percent(85) { 1 } else { dice.below(256) as u8 };
    reply[2..4].copy_from_slice(&sequence.to_ne_bytes());
    // x11rb makes room for what was announced before it comes.
    let told = if dice.percent(90) { words } else { dice.below(1 << 20) };
    reply[4..8].copy_from_slice(&told.to_ne_bytes());
    reply
}
