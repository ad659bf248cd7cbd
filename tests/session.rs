//! `leasehold serve` as an ordinary user at a terminal, with a card on loan from seatd: what becomes of leases when the
//! user switches to another terminal and back, and when the headset is unplugged.

#[path = "others/client.rs"]
mod client;
mod rig;

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use client::Client;
use leasehold::kms::{Card, CrtcId};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use rig::qemu::{inside_qemu, plug};
use rig::wait::wait_until;
use rig::{CARD, Program, VIVE, example, inside, leasehold};
use serde_json::Value;

const PROGRAMS: [&str; 3] = ["seatd", "setpriv", "busybox"];
const SOCKETS: &str = "/run/user/1000";

/// A machine with a seat, and an ordinary user's lessor on its first terminal.
struct Terminal {
    serve: Program,
    /// To look at the card with. Opened while another is its master, so that it is not.
    card: Card,
    seatd: Daemon,
}

struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Terminal {
    fn start(arguments: &[&str]) -> Self {
        prepare_user();
        let seatd = start_seatd();
        let serve = serve_as_user(arguments);
        let card = Card::open(Path::new(CARD)).unwrap();
        assert!(!card.is_master(), "the lessor is");
        Self { serve, card, seatd }
    }

    /// A lessee that has lit the headset, and the CRTC it did so on.
    fn lessee(&self, arguments: &[&str]) -> (Program, CrtcId) {
        let lessee = as_user(example("lessee").args(arguments));
        let crtc = CrtcId::new(lessee.line()["crtc"].as_u64().unwrap() as u32).unwrap();
        assert_eq!(self.serve.line()["reason"], "leased");
        assert_eq!(self.serve.line()["event"], "granted");
        // One that shows a few frames may be done with them.
        if arguments == ["--patient"] {
            self.card.vblank(crtc).expect("the headset is on");
        }
        (lessee, crtc)
    }

    fn is_dark(&self, crtc: CrtcId) -> bool {
        self.card.vblank(crtc).is_err_and(|error| error.errno() == Some(Errno::EINVAL))
    }
}

fn start_seatd() -> Daemon {
    let seatd = Command::new("seatd").args(["-g", "video"]).stderr(Stdio::null()).spawn().unwrap();
    // It sets the socket's rights after making it.
    wait_until("seatd listens to its group", || {
        std::fs::metadata("/run/seatd.sock").is_ok_and(|socket| socket.gid() != 0)
    });
    Daemon(seatd)
}

/// Gives user 1000 what udev and a login give on a whole machine.
fn prepare_user() {
    let may = |path: &str, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    chown(CARD, Some(0), Some(44)).unwrap();
    may(CARD, 0o660);
    std::fs::create_dir_all(SOCKETS).unwrap();
    chown(SOCKETS, Some(1000), Some(1000)).unwrap();
    may(SOCKETS, 0o700);
}

fn serve_as_user(arguments: &[&str]) -> Program {
    let serve = as_user(leasehold().args(["serve", "--json"]).args(arguments));
    assert_eq!(serve.line()["event"], "ready");
    assert_eq!(serve.line()["event"], "offered");
    serve
}

/// Starts a program as user 1000, who may open the card and speak with seatd.
fn as_user(program: &Command) -> Program {
    // Where the repository lies, the user may have no rights.
    let copy = Path::new("/run").join(Path::new(program.get_program()).file_name().unwrap());
    if !copy.exists() {
        std::fs::copy(program.get_program(), &copy).unwrap();
    }
    let user = ["--reuid", "1000", "--regid", "1000", "--groups", "44"];
    Program::start(
        Command::new("setpriv")
            .args(user)
            .arg(copy)
            .args(program.get_args())
            .env("XDG_RUNTIME_DIR", SOCKETS)
            .env_remove("LIBSEAT_BACKEND"),
    )
}

/// To be asked before the lessee is reaped: of a process that is gone nobody can tell how it ended.
fn ended_in_order(serve: &Program) {
    let ended = serve.line();
    assert_eq!(ended["event"], "ended", "{ended}");
    assert!(["released", "exited"].contains(&ended["reason"].as_str().unwrap()), "{ended}");
}

fn switch_to_terminal(number: u32) {
    let outcome = Command::new("busybox").args(["chvt", &number.to_string()]).status().unwrap();
    assert!(outcome.success());
}

#[test]
fn leases_sleep_while_another_session_is_in_front() {
    inside_qemu("leases_sleep_while_another_session_is_in_front", VIVE, &PROGRAMS, || {
        let terminal = Terminal::start(&["--watchdog", "5000"]);
        let serve = &terminal.serve;
        let (mut lessee, _) = terminal.lessee(&["--patient"]);

        switch_to_terminal(2);
        let paused = serve.line();
        assert_eq!((&paused["event"], &paused["reason"]), (&"paused".into(), &"suspended".into()));
        assert_eq!(lessee.line()["event"], "asleep");
        std::thread::sleep(Duration::from_secs(7)); // longer than the watchdog would wait
        assert_eq!(serve.rest(), Vec::<Value>::new(), "nothing ended");
        switch_to_terminal(1);
        assert_eq!(serve.line()["event"], "resumed");
        assert_eq!(lessee.line()["event"], "awake");
        lessee.signal(Signal::SIGTERM);
        assert!(lessee.line()["flips"].as_u64().unwrap() > 0);
        ended_in_order(serve);
        assert!(lessee.wait().success());
        assert_eq!(serve.line()["event"], "offered", "free only now");

        a_lessee_that_dies_meanwhile_is_cleaned_up_after(&terminal);

        let Terminal { mut serve, card, .. } = terminal;
        serve.signal(Signal::SIGTERM);
        assert!(serve.wait().success());
        card.become_master().expect("nobody else is");
    });
}

fn a_lessee_that_dies_meanwhile_is_cleaned_up_after(terminal: &Terminal) {
    let serve = &terminal.serve;
    let (mut lessee, crtc) = terminal.lessee(&["--patient"]);
    switch_to_terminal(2);
    assert_eq!(serve.line()["event"], "paused");
    lessee.signal(Signal::SIGKILL);
    lessee.wait();
    let ended = serve.line();
    assert_eq!((&ended["event"], &ended["reason"]), (&"ended".into(), &"crashed".into()), "{ended}");
    assert!(ended.get("blanked_us").is_none(), "the panel is not ours to darken: {ended}");
    switch_to_terminal(1);
    assert_eq!(serve.line()["event"], "resumed");
    assert_eq!(serve.line()["event"], "offered");
    assert!(terminal.is_dark(crtc));
    let (mut again, _) = terminal.lessee(&["--frames", "10"]);
    assert_eq!(again.line()["flips"], 10);
    assert!(again.wait().success());
}

#[test]
fn whoever_borrows_the_card_itself_sleeps_too() {
    inside_qemu("whoever_borrows_the_card_itself_sleeps_too", VIVE, &PROGRAMS, || {
        prepare_user();
        let seatd = start_seatd();
        let mut lessee = as_user(example("lessee").args(["--from", "seat", "--patient"]));
        assert_eq!(lessee.line()["from"], "seat");
        let card = Card::open(Path::new(CARD)).unwrap();
        assert!(!card.is_master(), "the lessee is");
        for _ in 0..2 {
            switch_to_terminal(2);
            assert_eq!(lessee.line()["event"], "asleep");
            switch_to_terminal(1);
            assert_eq!(lessee.line()["event"], "awake");
        }
        lessee.signal(Signal::SIGTERM);
        assert!(lessee.line()["flips"].as_u64().unwrap() > 0);
        assert!(lessee.wait().success());
        drop(seatd);
        card.become_master().expect("nobody else is");
    });
}

#[test]
fn leases_end_as_another_session_comes_if_told_to() {
    inside_qemu("leases_end_as_another_session_comes_if_told_to", VIVE, &PROGRAMS, || {
        let mut terminal = Terminal::start(&["--on-pause", "revoke"]);
        let serve = &terminal.serve;
        let mut late = Client::connect_to(&format!("{SOCKETS}/leasehold-0"));
        let (mut lessee, crtc) = terminal.lessee(&["--patient"]);
        switch_to_terminal(2);
        let ended = serve.line();
        assert_eq!((&ended["event"], &ended["reason"]), (&"ended".into(), &"revoked".into()), "{ended}");
        let paused = serve.line();
        assert_eq!((&paused["event"], &paused["reason"]), (&"paused".into(), &"revoked".into()));
        assert!(late.is_refused());
        assert_eq!(serve.line()["reason"], "paused");

        switch_to_terminal(1);
        assert_eq!(serve.line()["event"], "resumed");
        assert_eq!(serve.line()["event"], "offered");
        assert_eq!(lessee.wait().code(), Some(5), "the lease was lost");
        assert!(terminal.is_dark(crtc));

        switch_to_terminal(2);
        assert_eq!(serve.line()["event"], "withdrawn");
        assert_eq!(serve.line()["event"], "paused");
        serve.signal(Signal::SIGTERM);
        assert!(terminal.serve.wait().success(), "it ends in order without its card");
    });
}

#[test]
fn plugging_is_noticed_without_root() {
    const TEST: &str = "plugging_is_noticed_without_root";
    inside_qemu(TEST, VIVE, &PROGRAMS, || {
        let terminal = Terminal::start(&[]);
        let serve = &terminal.serve;
        plug(TEST, false);
        assert_eq!(serve.line()["reason"], "unplugged");
        plug(TEST, true);
        assert_eq!(serve.line()["event"], "offered");

        let (mut lessee, _) = terminal.lessee(&["--patient"]);
        plug(TEST, false);
        let ended = serve.line();
        assert_eq!((&ended["event"], &ended["reason"]), (&"ended".into(), &"unplugged".into()), "{ended}");
        assert_eq!(lessee.wait().code(), Some(5), "the lease was lost");
        plug(TEST, true);
        assert_eq!(serve.line()["event"], "offered");

        let (_lessee, _) = terminal.lessee(&["--patient"]);
        switch_to_terminal(2);
        assert_eq!(serve.line()["event"], "paused");
        plug(TEST, false);
        let ended = serve.line();
        assert_eq!((&ended["event"], &ended["reason"]), (&"ended".into(), &"unplugged".into()), "{ended}");
        switch_to_terminal(1);
        assert_eq!(serve.line()["event"], "resumed");
        std::thread::sleep(Duration::from_secs(1));
        assert_eq!(serve.rest(), Vec::<Value>::new(), "there is nothing to offer");
        plug(TEST, true);
        assert_eq!(serve.line()["event"], "offered");
    });
}

#[test]
fn a_lessor_whose_seat_goes_away_ends_in_order() {
    inside_qemu("a_lessor_whose_seat_goes_away_ends_in_order", VIVE, &PROGRAMS, || {
        let Terminal { mut serve, card, seatd } = Terminal::start(&[]);
        drop(seatd);
        assert_eq!(serve.line()["reason"], "shutdown");
        assert_eq!(serve.wait().code(), Some(1));
        assert!(!Path::new(SOCKETS).join("leasehold-0").exists());
        card.become_master().expect("nobody else is");
    });
}

#[test]
fn without_a_seat_the_card_is_opened_itself() {
    inside("without_a_seat_the_card_is_opened_itself", VIVE, || {
        prepare_user();
        let serve = serve_as_user(&[]);
        let mut lessee = as_user(example("lessee").args(["--frames", "10"]));
        assert_eq!(serve.line()["reason"], "leased");
        assert_eq!(serve.line()["uid"], 1000);
        ended_in_order(&serve);
        assert!(lessee.wait().success());
        let status = "/sys/kernel/config/vkms/rig/connectors/conn2/status";
        assert_eq!(serve.line()["event"], "offered");
        std::fs::write(status, "2").unwrap();
        assert_eq!(serve.line()["reason"], "unplugged");
        std::fs::write(status, "1").unwrap();
        assert_eq!(serve.line()["event"], "offered");
    });
}
