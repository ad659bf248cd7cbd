//! Who has a card open, and whether to set modes, on a lease, or to look.

use std::path::Path;

use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use super::super::facts::{Holder, Program, Role};
use super::programs;
use super::tree::Tree;
use crate::kms::Card;

/// What an open file of a card may do.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Powers {
    /// It answers the questions that only a master or lessee may ask.
    Sees {
        objects: Vec<u32>,
        lessees: usize,
    },
    Looks,
    Unknown,
}

/// The other programs that have the card at `path` open. `connectors` are all it has.
pub fn of(tree: &Tree, path: &Path, connectors: &[u32]) -> Vec<Holder> {
    let programs: Vec<(Program, Vec<Powers>)> = programs::others(tree)
        .filter_map(|pid| {
            let open = open_files(tree, pid, path);
            (!open.is_empty()).then(|| (programs::program(tree, pid), powers(tree, pid, &open)))
        })
        .collect();
    let all: Vec<&Powers> = programs.iter().flat_map(|(_, powers)| powers).collect();
    let leased = all.iter().any(|powers| matches!(powers, Powers::Sees { lessees: 1.., .. }));
    programs
        .iter()
        .map(|(program, powers)| {
            let roles = powers.iter().map(|powers| role(powers, connectors, leased));
            let role = roles.max_by_key(rank).unwrap_or(Role::Unknown);
            Holder { program: program.clone(), role }
        })
        .collect()
}

/// A master sees every object, and a lessee its own. Should a lessee have them all, the master is who has lessees.
fn role(powers: &Powers, connectors: &[u32], leased: bool) -> Role {
    match powers {
        Powers::Unknown => Role::Unknown,
        Powers::Looks => Role::Onlooker,
        Powers::Sees { lessees: 1.., .. } => Role::Master,
        Powers::Sees { objects, .. } if objects.is_empty() => Role::Onlooker,
        Powers::Sees { objects, .. } => {
            let sees_all = connectors.iter().all(|connector| objects.contains(connector));
            if sees_all && !leased { Role::Master } else { Role::Lessee(objects.clone()) }
        }
    }
}

fn rank(role: &Role) -> u8 {
    match role {
        Role::Unknown => 0,
        Role::Onlooker => 1,
        Role::Lessee(_) => 2,
        Role::Master => 3,
    }
}

/// The numbers of a process's fds that lead to `path`.
fn open_files(tree: &Tree, pid: u32, path: &Path) -> Vec<i32> {
    let folder = format!("proc/{pid}/fd");
    let numbers = tree.names(&folder).into_iter().filter_map(|name| name.parse::<i32>().ok());
    numbers.filter(|number| tree.link(format!("{folder}/{number}")).as_deref() == Some(path)).collect()
}

/// Asks the kernel through copies of the process's own fds, which takes the right to trace it (pidfd_getfd(2)). The
/// copies live as long as the questions take.
fn powers(tree: &Tree, pid: u32, numbers: &[i32]) -> Vec<Powers> {
    let process = Some(pid)
        .filter(|_| tree.is_real())
        .and_then(|pid| Pid::from_raw(pid.try_into().ok()?))
        .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    let ask = |number: &i32| {
        let fd = pidfd_getfd(process.as_ref()?, *number, PidfdGetfdFlags::empty()).ok()?;
        let card = Card::shared(fd, format!("fd {number} of process {pid}"));
        Some(match (card.leased_objects(), card.lessees()) {
            (Ok(objects), Ok(lessees)) => Powers::Sees { objects, lessees: lessees.len() },
            _ => Powers::Looks,
        })
    };
    numbers.iter().map(|number| ask(number).unwrap_or(Powers::Unknown)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sees(objects: &[u32], lessees: usize) -> Powers {
        Powers::Sees { objects: objects.to_vec(), lessees }
    }

    #[test]
    fn a_master_sees_everything_and_a_lessee_its_own() {
        assert_eq!(role(&sees(&[1, 2, 3, 4], 0), &[1, 2], false), Role::Master);
        assert_eq!(role(&sees(&[1, 2, 3, 4], 1), &[1, 2], true), Role::Master);
        assert_eq!(role(&sees(&[2, 4], 0), &[1, 2], true), Role::Lessee(vec![2, 4]));
        assert_eq!(role(&sees(&[1, 4], 0), &[1], true), Role::Lessee(vec![1, 4]));
        assert_eq!(role(&sees(&[], 0), &[1], true), Role::Onlooker);
        assert_eq!(role(&Powers::Looks, &[1], false), Role::Onlooker);
        assert_eq!(role(&Powers::Unknown, &[1], false), Role::Unknown);
    }
}
