//! A device node's rights, with its access control list.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{Gid, Group, Uid};

use super::super::facts::Node;

/// Who may open the node; `None` where it is not there.
pub fn look(path: &Path) -> Option<Node> {
    let metadata = std::fs::metadata(path).ok()?;
    let group = Gid::from_raw(metadata.gid());
    let mut list = [0; 4096];
    let length = rustix::fs::getxattr(path, "system.posix_acl_access", &mut list).unwrap_or(0);
    Some(Node {
        owner: Uid::from_raw(metadata.uid()),
        group,
        group_name: Group::from_gid(group).ok().flatten().map(|group| group.name),
        mode: metadata.mode() & 0o777,
        users: users(list.get(..length).unwrap_or_default()),
    })
}

/// The users that a list lets read and write: `struct posix_acl_xattr_entry` of `linux/posix_acl_xattr.h`, all numbers
/// little-endian.
fn users(list: &[u8]) -> Vec<Uid> {
    const VERSION: [u8; 4] = [2, 0, 0, 0];
    const USER: u16 = 0x02;
    const MASK: u16 = 0x10;
    const READ_WRITE: u16 = 0o6;
    let Some(entries) = list.strip_prefix(&VERSION) else { return Vec::new() };
    let (entries, _) = entries.as_chunks::<8>();
    let entries = entries.iter().map(|&[tag, tag_high, rights, rights_high, id @ ..]| {
        (
            u16::from_le_bytes([tag, tag_high]),
            u16::from_le_bytes([rights, rights_high]),
            u32::from_le_bytes(id),
        )
    });
    // No named user gets more than the mask allows (acl(5)).
    let mask = entries.clone().find(|entry| entry.0 == MASK).map_or(READ_WRITE, |entry| entry.1);
    let named = entries.filter(|entry| entry.0 == USER && entry.1 & mask & READ_WRITE == READ_WRITE);
    named.map(|entry| Uid::from_raw(entry.2)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `user::rw- user:UID:rw- group::r-- mask::MASK other::---` as setfacl(1) would write it.
    fn list(uid: u32, mask: u8) -> Vec<u8> {
        let entry = |tag: u8, rights: u8, id: u32| [&[tag, 0, rights, 0][..], &id.to_le_bytes()].concat();
        let none = u32::MAX;
        let entries = [
            entry(0x01, 6, none),
            entry(0x02, 6, uid),
            entry(0x04, 4, none),
            entry(0x10, mask, none),
            entry(0x20, 0, none),
        ];
        [&[2, 0, 0, 0][..], &entries.concat()].concat()
    }

    #[test]
    fn a_list_lets_named_users_in_as_far_as_its_mask_goes() {
        assert_eq!(users(&list(1000, 6)), [Uid::from_raw(1000)]);
        assert_eq!(users(&list(1000, 4)), []);
        assert_eq!(users(&[]), []);
    }

    #[test]
    fn rights_are_read_off_a_node() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let node = look(file.path()).unwrap();
        assert_eq!((node.owner, node.mode, node.users), (Uid::effective(), 0o600, vec![]));
        assert_eq!(look(Path::new("/nonexistent")), None);
    }

    proptest! {
        #[test]
        fn no_list_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            users(&bytes);
            users(&[&[2, 0, 0, 0], &bytes[..]].concat());
        }
    }
}
