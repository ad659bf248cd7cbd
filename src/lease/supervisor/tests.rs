use std::ffi::OsString;
use std::fs::File;
use std::io::{IoSliceMut, Read, Write};
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::{Command, Stdio};

use nix::cmsg_space;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::socket::{ControlMessageOwned, recvmsg};

use super::*;

/// A socket that hears what systemd would, and a supervisor that speaks to it.
fn systemd(watchdog_usec: &str) -> (UnixDatagram, Supervisor) {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let name = format!("leasehold-test-{}-{number}", std::process::id());
    let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let supervisor = told(&format!("@{name}"), watchdog_usec);
    (socket, supervisor.unwrap())
}

fn told(notify_socket: &str, watchdog_usec: &str) -> Result<Supervisor, SupervisorError> {
    let lookup = |name| match name {
        "NOTIFY_SOCKET" => Some(OsString::from(notify_socket)),
        "WATCHDOG_USEC" => Some(OsString::from(watchdog_usec)),
        _ => None,
    };
    Supervisor::told_by(Environment::read(lookup, 1)?)
}

/// The next message, with the fd it carried.
fn hear(socket: &UnixDatagram) -> (String, Option<OwnedFd>) {
    let (mut bytes, mut space) = ([0; 512], cmsg_space!([i32; 4]));
    let mut text = [IoSliceMut::new(&mut bytes)];
    let message =
        recvmsg::<UnixAddr>(socket.as_raw_fd(), &mut text, Some(&mut space), MsgFlags::empty()).unwrap();
    let fd = message.cmsgs().unwrap().find_map(|control| match control {
        // It arrives as one handed over at the start does: open, not close-on-exec, and nobody's.
        ControlMessageOwned::ScmRights(fds) => Some(kms::take_inherited(fds[0]).unwrap()),
        _ => None,
    });
    let length = message.bytes;
    (String::from_utf8(bytes[..length].to_vec()).unwrap(), fd)
}

#[test]
fn what_is_told_is_heard() {
    let (socket, mut supervisor) = systemd("3000000");
    assert_eq!(supervisor.watchdog_period(), Some(Span::from_ms(3000)));
    assert!(supervisor.stored().is_empty());
    supervisor.ready().unwrap();
    supervisor.alive().unwrap();
    supervisor.forget("card 0").unwrap();
    supervisor.stopping().unwrap();
    let heard: Vec<String> = (0..4).map(|_| hear(&socket).0).collect();
    assert_eq!(heard, ["READY=1", "WATCHDOG=1", "FDSTOREREMOVE=1\nFDNAME=card 0", "STOPPING=1"]);
}

#[test]
fn a_socket_with_a_path_is_heard_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    told(path.to_str().unwrap(), "").unwrap().ready().unwrap();
    assert_eq!(hear(&socket).0, "READY=1");
}

#[test]
fn nobody_to_tell_is_no_error_and_a_deaf_one_is() {
    let nobody = Supervisor::default();
    nobody.ready().unwrap();
    nobody.store("card", File::open("/dev/null").unwrap().as_fd()).unwrap();
    assert_eq!(told("", "3000000").unwrap().watchdog_period(), None);

    let gone = told("/nowhere/notify", "").unwrap().ready().unwrap_err();
    assert_eq!(gone.class(), Class::Config);
    assert_eq!(gone.to_string(), "could not tell the supervisor 'READY=1': No such file or directory");

    let (_socket, unheard) = systemd("");
    let busy = (0..10_000).find_map(|_| unheard.alive().err()).expect("its queue has an end");
    assert_eq!(busy.class(), Class::Retry);
}

#[test]
fn names_that_would_garble_the_message_are_refused() {
    let file = File::open("/dev/null").unwrap();
    let (_socket, supervisor) = systemd("");
    for name in ["", "a:b", "a\nREADY=1", "käse", &"x".repeat(256)] {
        assert!(matches!(supervisor.store(name, file.as_fd()), Err(SupervisorError::Name(_))), "{name}");
        assert!(matches!(supervisor.forget(name), Err(SupervisorError::Name(_))), "{name}");
    }
    supervisor.store(&"x".repeat(255), file.as_fd()).unwrap();
}

/// This test runs itself again as the process that comes after, with the fd as its number 3.
#[test]
fn a_stored_fd_comes_back_in_the_next_process() {
    const NEXT: &str = "LEASEHOLD_NEXT_PROCESS";
    if std::env::var_os(NEXT).is_some() {
        return the_next_process();
    }
    let (socket, supervisor) = systemd("");
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"-kept").unwrap();
    std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(1)).unwrap();
    supervisor.store("card", file.as_fd()).unwrap();
    let (message, kept) = hear(&socket);
    assert_eq!(message, "FDSTORE=1\nFDNAME=card\nFDPOLL=0");

    // exec keeps the shell's process id, which the next process has to find in LISTEN_PID.
    let script = r#"LISTEN_PID=$$ exec "$0" --exact "$1" --nocapture 3<&0"#;
    let test = "lease::supervisor::tests::a_stored_fd_comes_back_in_the_next_process";
    let next = Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .arg(test)
        .envs([(NEXT, "1"), ("LISTEN_FDS", "1"), ("LISTEN_FDNAMES", "card")])
        .stdin(Stdio::from(kept.unwrap()))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&next.stdout);
    assert!(next.status.success() && text.contains("1 passed"), "{text}");
    let mut rest = String::new();
    file.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "", "it is one open file, whose place the next process has moved");
}

fn the_next_process() {
    let mut supervisor = Supervisor::from_environment().unwrap();
    assert!(Supervisor::from_environment().unwrap().stored().is_empty(), "each fd has one owner");
    let [(name, fd)]: [(String, OwnedFd); 1] = supervisor.stored().try_into().unwrap();
    assert_eq!(name, "card");
    assert_eq!(fcntl(&fd, FcntlArg::F_GETFD).unwrap(), FdFlag::FD_CLOEXEC.bits());
    let mut text = String::new();
    File::from(fd).read_to_string(&mut text).unwrap();
    assert_eq!(text, "kept");
    assert!(supervisor.stored().is_empty());
}
