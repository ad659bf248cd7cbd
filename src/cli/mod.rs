//! The command line: one verb a file. Data goes to stdout, logs and errors to stderr.

mod demo;
mod doctor;
mod failure;
mod headset;
mod mura;
mod output;
mod render;
mod report;
mod serve;
mod signals;
mod simulate;
mod validation;
mod vblank;

use clap::{CommandFactory, Parser, Subcommand};

pub use failure::Failure;

use crate::time::{Instant, Span};

/// Puts frames on a VR headset under Linux, exactly and on time, and always gives the display back.
///
/// Exit codes: 0 done, 1 failed, 2 usage, 3 no headset, 4 lease denied, 5 lease lost.
#[derive(Debug, Parser)]
#[command(version, about, long_about, max_term_width = 100)]
struct CommandLine {
    #[command(subcommand)]
    verb: Verb,
    /// Log more to stderr; twice for everything. RUST_LOG wins.
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Demo(demo::Arguments),
    Serve(serve::Arguments),
    Doctor(doctor::Arguments),
    Headset(headset::Arguments),
    Render(render::Arguments),
    Report(report::Arguments),
    Simulate(simulate::Arguments),
    Vblank(vblank::Arguments),
}

/// The command line's definition, for whatever is made of it: man pages and shells' completions.
pub fn command() -> clap::Command {
    CommandLine::command()
}

/// Runs the program with this process's arguments, and ends it.
pub fn run() -> ! {
    let code = run_verb();
    // Rust's own buffer; nobody is left to hear of a failure.
    let _ = std::io::Write::flush(&mut std::io::stdout());
    crate::thread::leave(code)
}

fn run_verb() -> u8 {
    let process_start = Instant::now();
    let arguments = CommandLine::parse();
    start_logging(arguments.verbose);
    let result = match arguments.verb {
        Verb::Demo(arguments) => demo::run(arguments, process_start),
        Verb::Doctor(arguments) => doctor::run(&arguments),
        Verb::Headset(arguments) => headset::run(&arguments),
        Verb::Render(arguments) => render::run(&arguments),
        Verb::Report(arguments) => report::run(&arguments),
        Verb::Serve(arguments) => serve::run(&arguments),
        Verb::Simulate(arguments) => simulate::run(&arguments),
        Verb::Vblank(arguments) => vblank::run(&arguments),
    };
    match result {
        Ok(()) => 0,
        Err(failure) => {
            tracing::error!("{failure}");
            failure.exit_code()
        }
    }
}

/// Reads a number of seconds off the command line.
fn seconds(text: &str) -> Result<Span, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds < 1e9 => Ok(Span::from_secs_f64(seconds)),
        _ => Err(format!("'{text}' is not a number of seconds above 0")),
    }
}

fn start_logging(verbose: u8) {
    use std::io::IsTerminal;
    let default = ["leasehold=info,warn", "leasehold=debug,info", "trace"][usize::from(verbose.min(2))];
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| default.into());
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .with_target(false)
        .without_time()
        .init();
}
