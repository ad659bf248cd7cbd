//! The window itself, by winit. What is in it is drawn by the CPU: a present through the GPU would need the loop's queue,
//! and would hold it for as long as the desktop's server likes.

use std::num::NonZeroU32;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use softbuffer::{Context, Surface};
use winit::application::ApplicationHandler;
use winit::dpi::{PhysicalPosition, PhysicalSize};
use winit::event::{ElementState, MouseButton, StartCause, WindowEvent};
use winit::event_loop::{ActiveEventLoop, ControlFlow, EventLoop, EventLoopProxy};
use winit::platform::scancode::PhysicalKeyExtScancode;
use winit::platform::x11::EventLoopBuilderExtX11;
use winit::window::{Window, WindowId};

use super::{Event, Source, WindowError, scale};

/// How often is looked for a new picture.
const LOOKED_EVERY: Duration = Duration::from_millis(16);

/// How long the desktop may take to open a window.
const TO_OPEN: Duration = Duration::from_secs(5);

/// How long the desktop may take to close it; then it is left to the end of the process.
const TO_CLOSE: Duration = Duration::from_secs(1);

const FIRST_SIZE: PhysicalSize<u32> = PhysicalSize::new(960, 540);

/// The user's wish that it be over.
struct Over;

/// The thread with the window.
pub struct Desktop {
    orders: EventLoopProxy<Over>,
    ended: Receiver<()>,
}

impl Desktop {
    /// Opens the window, and waits until it is.
    pub fn open(
        title: &str,
        source: Box<dyn Source>,
        listener: Box<dyn FnMut(Event) + Send>,
    ) -> Result<Self, WindowError> {
        let (told, ready) = channel();
        let (end, ended) = channel();
        let title = title.to_string();
        let work = move || {
            // Dropped last, whatever becomes of the thread.
            let _end: Sender<()> = end;
            let outcome = event_loop().and_then(|events| {
                let orders = events.create_proxy();
                let mut app = App::new(title, source, listener, Opening { told: told.clone(), orders });
                events.run_app(&mut app).map_err(|error| said(&error))
            });
            if let Err(why) = outcome {
                // Of use only if nothing was told yet.
                let _ = told.send(Err(why));
            }
        };
        std::thread::Builder::new().name("window".to_string()).spawn(work).map_err(WindowError::Thread)?;
        let orders = match ready.recv_timeout(TO_OPEN) {
            Ok(opened) => opened.map_err(WindowError::Refused)?,
            Err(RecvTimeoutError::Timeout) => {
                return Err(WindowError::Refused("the desktop does not answer".to_string()));
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(WindowError::Refused("a library that windows need is missing".to_string()));
            }
        };
        Ok(Self { orders, ended })
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        // It may have been closed before.
        let _ = self.orders.send_event(Over);
        if self.ended.recv_timeout(TO_CLOSE) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("the desktop does not answer: its window stays until this program ends");
        }
    }
}

impl std::fmt::Debug for Desktop {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Desktop").finish_non_exhaustive()
    }
}

fn event_loop() -> Result<EventLoop<Over>, String> {
    let mut builder = EventLoop::with_user_event();
    // The main thread is nothing special on Linux, and is not ours to take.
    builder.with_any_thread(true).build().map_err(|error| said(&error))
}

/// What winit has to say, without the place in its source that comes first.
fn said(error: &dyn std::error::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(".rs:")
        .and_then(|(_, rest)| rest.split_once(": "))
        .map_or(text.clone(), |(_, why)| why.to_string())
}

/// Who waits for the window, and what they are to get.
struct Opening {
    told: Sender<Result<EventLoopProxy<Over>, String>>,
    orders: EventLoopProxy<Over>,
}

struct App {
    title: String,
    source: Box<dyn Source>,
    listener: Box<dyn FnMut(Event) + Send>,
    opening: Option<Opening>,
    shown: Option<Shown>,
    pixels: Vec<u32>,
    picture_px: [u32; 2],
    dragging: bool,
    /// Where it was last.
    pointer: PhysicalPosition<f64>,
}

/// The window and what is drawn on it.
struct Shown {
    window: Rc<Window>,
    surface: Surface<Rc<Window>, Rc<Window>>,
}

impl App {
    fn new(
        title: String,
        source: Box<dyn Source>,
        listener: Box<dyn FnMut(Event) + Send>,
        opening: Opening,
    ) -> Self {
        Self {
            title,
            source,
            listener,
            opening: Some(opening),
            shown: None,
            pixels: Vec::new(),
            picture_px: [0, 0],
            dragging: false,
            pointer: PhysicalPosition::default(),
        }
    }

    fn open(&self, event_loop: &ActiveEventLoop) -> Result<Shown, String> {
        let attributes = Window::default_attributes().with_title(&*self.title).with_inner_size(FIRST_SIZE);
        let window = event_loop.create_window(attributes).map_err(|error| said(&error))?;
        let window = Rc::new(window);
        let surface = Context::new(window.clone()).and_then(|context| Surface::new(&context, window.clone()));
        Ok(Shown { window, surface: surface.map_err(|error| said(&error))? })
    }

    /// Draws what there is, and waits for the desktop's server as long as that takes.
    fn draw(&mut self) -> Result<(), softbuffer::SoftBufferError> {
        let Some(Shown { window, surface }) = &mut self.shown else { return Ok(()) };
        let PhysicalSize { width, height } = window.inner_size();
        let (Some(columns), Some(rows)) = (NonZeroU32::new(width), NonZeroU32::new(height)) else {
            return Ok(());
        };
        surface.resize(columns, rows)?;
        let mut buffer = surface.buffer_mut()?;
        scale::fit(&self.pixels, self.picture_px, &mut buffer, [width, height]);
        buffer.present()
    }
}

impl ApplicationHandler<Over> for App {
    fn resumed(&mut self, event_loop: &ActiveEventLoop) {
        let Some(opening) = self.opening.take() else { return };
        let opened = self.open(event_loop).map(|shown| self.shown = Some(shown));
        if opened.is_err() {
            event_loop.exit();
        }
        // Whoever asked may have given up.
        let _ = opening.told.send(opened.map(|()| opening.orders));
    }

    fn new_events(&mut self, event_loop: &ActiveEventLoop, _cause: StartCause) {
        event_loop.set_control_flow(ControlFlow::WaitUntil(Instant::now() + LOOKED_EVERY));
        if let Some(picture_px) = self.source.next(&mut self.pixels)
            && let Some(shown) = &self.shown
        {
            self.picture_px = picture_px;
            shown.window.request_redraw();
        }
    }

    fn user_event(&mut self, event_loop: &ActiveEventLoop, Over: Over) {
        event_loop.exit();
    }

    fn exiting(&mut self, _event_loop: &ActiveEventLoop) {
        // While winit still speaks with the desktop: on X its connection outlives the event loop, and the window would too.
        self.shown = None;
    }

    fn window_event(&mut self, event_loop: &ActiveEventLoop, _window: WindowId, event: WindowEvent) {
        match event {
            WindowEvent::CloseRequested => {
                (self.listener)(Event::Closed);
                event_loop.exit();
            }
            WindowEvent::RedrawRequested => {
                if let Err(error) = self.draw() {
                    tracing::warn!("the window cannot be drawn on any more: {error}");
                    event_loop.exit();
                }
            }
            WindowEvent::KeyboardInput { event, .. } if !event.repeat => {
                if let Some(code) = event.physical_key.to_scancode() {
                    (self.listener)(Event::Key { code, pressed: event.state == ElementState::Pressed });
                }
            }
            WindowEvent::Focused(false) => (self.listener)(Event::Away),
            WindowEvent::MouseInput { button: MouseButton::Left, state, .. } => {
                self.dragging = state == ElementState::Pressed;
            }
            WindowEvent::CursorMoved { position, .. } => {
                let before = std::mem::replace(&mut self.pointer, position);
                if self.dragging {
                    let (right, down) = (position.x - before.x, position.y - before.y);
                    (self.listener)(Event::Dragged { right, down });
                }
            }
            _ => {}
        }
    }
}
