//! An export as one tar (POSIX ustar), member by member, so that it can be sent while it is made.

use super::Member;

/// tar works in blocks of this many bytes.
const BLOCK: usize = 512;

/// A member with its header and the zeros up to the next block. `at_s` is its time, in seconds since 1970.
pub fn tar_member(member: &Member, at_s: u64) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(at_s);
    header.set_size(member.bytes.len() as u64);
    // The names of members are short and plain: they always fit.
    let name = member.name.as_bytes();
    let fitting = name.len().min(99);
    header.as_old_mut().name[..fitting].copy_from_slice(&name[..fitting]);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(&member.bytes);
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

/// What ends a tar: two blocks of zeros.
pub fn tar_end() -> [u8; 2 * BLOCK] {
    [0; 2 * BLOCK]
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_tar_reads_back() {
        let members = [("a", 0), ("b.json", 512), ("c", 1_300)].map(|(name, length)| Member {
            name: name.into(),
            bytes: vec![7; length],
        });
        let mut bytes: Vec<u8> = members
            .iter()
            .flat_map(|member| tar_member(member, 1_795_000_000))
            .collect();
        bytes.extend(tar_end());
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut read = Vec::new();
        for entry in archive.entries().expect("a tar") {
            let mut entry = entry.expect("a member");
            let name = entry.path().expect("a name").to_string_lossy().into_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).expect("bytes");
            read.push(Member { name, bytes });
        }
        assert_eq!(read, members);
    }
}
