//! Running programs, as `/proc` tells of them.

use std::os::unix::fs::MetadataExt;

use nix::unistd::Uid;

use super::super::facts::Program;
use super::tree::Tree;

/// The program that has this number; nameless where that is hidden.
pub fn program(tree: &Tree, pid: u32) -> Program {
    let folder = format!("proc/{pid}");
    let name = tree.read(format!("{folder}/comm")).unwrap_or_else(|| "process".into());
    // The folder's owner is the effective user (proc_pid(5)).
    let uid = std::fs::metadata(tree.path(folder)).map_or(u32::MAX, |folder| folder.uid());
    Program { name, pid, uid: Uid::from_raw(uid) }
}

/// The numbers of all programs but this one.
pub fn others(tree: &Tree) -> impl Iterator<Item = u32> {
    let numbers = tree.names("proc").into_iter().filter_map(|name| name.parse().ok());
    numbers.filter(|&pid| pid != std::process::id())
}
