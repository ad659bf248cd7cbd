//! `leasehold serve`: owns a card and leases its headsets out.

use super::Failure;

/// Own a card as DRM master and lease its headsets out over Wayland
#[derive(Debug, clap::Args)]
pub struct Arguments {}

/// Serves until a signal ends it.
pub fn run(_arguments: &Arguments) -> Result<(), Failure> {
    Err(Failure::config("serve is not there yet"))
}
