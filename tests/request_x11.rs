//! Asking for a lease of X servers that do not answer, do not let one in, or know no leases. How one is had of a real
//! server stands in `ways.rs`.

use std::io::{Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

use leasehold::error::{Class, Classified};
use leasehold::lease::RequestError;
use leasehold::lease::request::{Wanted, x11};
use leasehold::time::{Instant, Span};
use x11rb::protocol::xproto::{Screen, Setup};
use x11rb::x11_utils::Serialize;

const PATIENCE: Span = Span::from_ms(1000);

/// Where an X server of this number listens, in Linux's own name space of sockets: a file is not needed.
fn listen(number: u32) -> (String, UnixListener) {
    // Tests run at the same time, and so may test binaries.
    let number = 20_000 + std::process::id() % 4_000 * 10 + number;
    let address = SocketAddr::from_abstract_name(format!("/tmp/.X11-unix/X{number}")).unwrap();
    (format!(":{number}"), UnixListener::bind_addr(&address).unwrap())
}

fn request(display: &str) -> RequestError {
    x11::request(Some(display), &Wanted::Headset, PATIENCE).unwrap_err()
}

/// Runs a server that treats its one client so, and asks it.
fn asked(number: u32, serve: impl FnOnce(UnixStream) + Send + 'static) -> RequestError {
    let (display, listener) = listen(number);
    let server = std::thread::spawn(move || serve(listener.accept().unwrap().0));
    let error = request(&display);
    server.join().unwrap();
    error
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let (display, _listener) = listen(0);
    let started = Instant::now();
    let error = request(&display);
    assert!(matches!(error, RequestError::TimedOut { .. }), "{error}");
    assert!(error.to_string().contains("did not let us in within 1.0 s"), "{error}");
    assert!(Instant::now() - started >= PATIENCE);

    let (display, listener) = listen(1);
    let server = std::thread::spawn(move || {
        let mut client = listener.accept().unwrap().0;
        let_in(&mut client);
        client
    });
    let error = request(&display);
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
            let_in(&mut client);
            answer(&mut client, randr);
        });
        let RequestError::NoRandrLeases { version: told, .. } = &error else { panic!("{error}") };
        assert_eq!(told, version);
        assert!(error.to_string().contains("RandR"), "{error}");
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
fn let_in(client: &mut UnixStream) {
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
    client.write_all(&setup.serialize()).unwrap();
}

/// Answers the questions for extensions and for RandR's version, until the client leaves.
fn answer(client: &mut UnixStream, randr: Option<[u32; 2]>) {
    const QUERY_EXTENSION: u8 = 98;
    const RANDR: u8 = 140;
    let mut head = [0; 4];
    let mut sequence = 0_u16;
    while client.read_exact(&mut head).is_ok() {
        sequence += 1;
        let words = u16::from_ne_bytes([head[2], head[3]]);
        client.read_exact(&mut vec![0; usize::from(words - 1) * 4]).unwrap();
        let mut reply = [0; 32];
        reply[0] = 1;
        reply[2..4].copy_from_slice(&sequence.to_ne_bytes());
        match (head[0], randr) {
            (QUERY_EXTENSION, Some(_)) => reply[8..10].copy_from_slice(&[1, RANDR]),
            (RANDR, Some([major, minor])) => {
                reply[8..12].copy_from_slice(&major.to_ne_bytes());
                reply[12..16].copy_from_slice(&minor.to_ne_bytes());
            }
            _ => {}
        }
        if client.write_all(&reply).is_err() {
            return;
        }
    }
}
