//! An X server without a screen, and what a user does at it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{
    AtomEnum, ClientMessageEvent, ConnectionExt as _, EventMask, ImageFormat, InputFocus, KEY_PRESS_EVENT,
    KEY_RELEASE_EVENT,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;

use crate::rig::picture::Picture;
use crate::rig::say;
use crate::rig::wait::wait_for;

/// A server, and a connection of the test's own.
pub struct Desktop {
    server: Child,
    name: String,
    x: RustConnection,
    root: u32,
}

/// Starts one; `None`, said aloud, where there is no Xvfb.
pub fn desktop(test: &str) -> Option<Desktop> {
    let mut command = Command::new("Xvfb");
    command.args(["-displayfd", "1", "-screen", "0", "1280x800x24", "-nolisten", "tcp", "-noreset"]);
    let Ok(mut server) = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn() else {
        say(&format!("SKIPPED: {test} because Xvfb is not installed"));
        return None;
    };
    let mut number = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut number).unwrap();
    let name = format!(":{}", number.trim());
    let (x, screen) = RustConnection::connect(Some(&name)).unwrap();
    let root = x.setup().roots[screen].root;
    Some(Desktop { server, name, x, root })
}

impl Desktop {
    /// What `DISPLAY` is to be.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sends the server a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.server.id() as i32), signal).unwrap();
    }

    /// The only program's window, once it is there.
    pub fn window(&self) -> Window<'_> {
        let id = wait_for("a window opens", || {
            let windows = self.x.query_tree(self.root).unwrap().reply().unwrap().children;
            windows.into_iter().find(|&id| self.has_title(id))
        });
        Window { desktop: self, id }
    }

    fn has_title(&self, window: u32) -> bool {
        let title = self.x.get_property(false, window, AtomEnum::WM_NAME, AtomEnum::ANY, 0, 100).unwrap();
        title.reply().is_ok_and(|title| title.value == b"leasehold")
    }

    /// Presses a key, or lets go of it, by its code in `linux/input-event-codes.h`.
    pub fn key(&self, code: u8, pressed: bool) {
        let kind = if pressed { KEY_PRESS_EVENT } else { KEY_RELEASE_EVENT };
        // X numbers keys from eight.
        self.x.xtest_fake_input(kind, code + 8, 0, self.root, 0, 0, 0).unwrap().check().unwrap();
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// A program's window.
pub struct Window<'a> {
    desktop: &'a Desktop,
    id: u32,
}

impl Window<'_> {
    /// Has it get the keys.
    pub fn focus(&self) {
        let focused = self.desktop.x.set_input_focus(InputFocus::PARENT, self.id, x11rb::CURRENT_TIME);
        focused.unwrap().check().unwrap();
    }

    /// Closes it as a window manager does.
    pub fn close(&self) {
        let x = &self.desktop.x;
        let atom = |name: &[u8]| x.intern_atom(false, name).unwrap().reply().unwrap().atom;
        let message = ClientMessageEvent::new(
            32,
            self.id,
            atom(b"WM_PROTOCOLS"),
            [atom(b"WM_DELETE_WINDOW"), 0, 0, 0, 0],
        );
        x.send_event(false, self.id, EventMask::NO_EVENT, message).unwrap().check().unwrap();
    }

    /// Whether it is no more.
    pub fn is_gone(&self) -> bool {
        self.desktop.x.get_geometry(self.id).unwrap().reply().is_err()
    }

    /// What is in it.
    pub fn picture(&self) -> Picture {
        let x = &self.desktop.x;
        let size = x.get_geometry(self.id).unwrap().reply().unwrap();
        let (width, height) = (size.width, size.height);
        let image = x.get_image(ImageFormat::Z_PIXMAP, self.id, 0, 0, width, height, !0).unwrap().reply();
        // A window that is not mapped yet has none.
        let data = image.map_or(Vec::new(), |image| image.data);
        let colours = data.chunks_exact(4).map(|pixel| [pixel[2], pixel[1], pixel[0]]).collect();
        Picture { width: width.into(), height: height.into(), colours }
    }
}
