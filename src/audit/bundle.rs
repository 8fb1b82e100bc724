//! Entry bundles of C2SP tlog-tiles ("Log entries"): each entry behind its length, two bytes, big-endian.

/// How many entries a bundle has at most.
pub const ENTRIES_MAX: usize = 256;

/// The bundle of up to 256 entries; none if there are more, or if one has more than 65,535 bytes.
pub fn bundle<'a>(entries: impl Iterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for (number, entry) in entries.enumerate() {
        if number == ENTRIES_MAX {
            return None;
        }
        bytes.extend_from_slice(&u16::try_from(entry.len()).ok()?.to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    Some(bytes)
}

/// The entries of a bundle; none if it ends within one, or if it has more than 256.
pub fn unbundle(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut entries = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let (entry, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        if entries.len() == ENTRIES_MAX {
            return None;
        }
        entries.push(entry);
        rest = after;
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_reads_back() {
        let longest = vec![7; 65_535];
        let entries: [&[u8]; 4] = [b"", b"a", b"bc", &longest];
        let bytes = bundle(entries.into_iter()).expect("a bundle");
        assert_eq!(&bytes[..9], b"\0\0\0\x01a\0\x02bc");
        assert_eq!(unbundle(&bytes), Some(entries.to_vec()));
        assert_eq!(unbundle(b""), Some(Vec::new()));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let too_long = vec![0; 65_536];
        assert_eq!(bundle([too_long.as_slice()].into_iter()), None);
        let one: &[u8] = b"";
        let full = bundle([one; 256].into_iter()).expect("256 fit");
        assert_eq!(bundle([one; 257].into_iter()), None);
        assert_eq!(unbundle(&full).map(|entries| entries.len()), Some(256));
        for broken in [&b"\0"[..], b"\0\x01", b"\0\x01a\0", &[full, vec![0, 0]].concat()] {
            assert_eq!(unbundle(broken), None);
        }
    }
}
