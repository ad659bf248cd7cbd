//! Running programs, as `/proc` tells of them.

use std::os::unix::fs::MetadataExt;

use nix::unistd::Uid;

use super::super::facts::Program;
use super::tree::Tree;

/// The program that has this number; nameless where that is hidden.
pub fn program(tree: &Tree, pid: u32) -> Program {
    let folder = format!("proc/{pid}");
    let name = tree.read(format!("{folder}/comm")).unwrap_or_else(|| "process".into());
    // A program calls itself what it likes, and this goes to terminals.
    let name = name.replace(char::is_control, "?");
    // The folder's owner is the effective user (proc_pid(5)).
    let uid = std::fs::metadata(tree.path(folder)).map_or(u32::MAX, |folder| folder.uid());
    Program { name, pid, uid: Uid::from_raw(uid) }
}

/// The numbers of all programs but this one.
pub fn others(tree: &Tree) -> impl Iterator<Item = u32> {
    let numbers = tree.names("proc").into_iter().filter_map(|name| name.parse().ok());
    numbers.filter(|&pid| pid != std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_write_to_the_terminal() {
        let folder = tempfile::tempdir().unwrap();
        for (pid, name) in [("7", "a b\n"), ("8", "\u{1b}[31mb\n")] {
            let process = folder.path().join("proc").join(pid);
            std::fs::create_dir_all(&process).unwrap();
            std::fs::write(process.join("comm"), name).unwrap();
        }
        let tree = Tree::at(folder.path());
        assert_eq!(others(&tree).collect::<Vec<_>>(), [7, 8]);
        assert_eq!(program(&tree, 7).to_string(), "a b 7");
        assert_eq!((program(&tree, 8).name, program(&tree, 8).uid), ("?[31mb".into(), Uid::effective()));
        assert_eq!(program(&tree, 9).to_string(), "process 9");
    }
}
