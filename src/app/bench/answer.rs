//! Reading answers by hand: as much of HTTP/1.1 as the server under test uses.

use super::load::LoadError;
use crate::domain::token::TOKEN_CHARS;

/// What stands before the token in the landing page's URL.
const TOKEN_PARAMETER: &[u8] = b"s2s=";

/// What matters of an answer's head.
#[derive(Debug, PartialEq, Eq)]
pub struct Head {
    /// Bytes up to the body.
    pub length: usize,
    /// The status code.
    pub status: u16,
    /// Bytes of the body.
    pub body_length: usize,
    /// Where the `Location` stands in the answer.
    pub location: std::ops::Range<usize>,
}

impl Head {
    /// Reads a head; none while it is not complete.
    pub fn read(answer: &[u8]) -> Result<Option<Head>, LoadError> {
        let mut head = Head {
            length: 0,
            status: 0,
            body_length: 0,
            location: 0..0,
        };
        loop {
            let rest = answer.get(head.length..).unwrap_or_default();
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                return Ok(None);
            };
            let line = rest.get(..end).unwrap_or_default().trim_ascii_end();
            let start = head.length;
            head.length += end + 1;
            if line.is_empty() {
                return Ok(Some(head));
            }
            if start == 0 {
                head.status = status(line).ok_or(LoadError::Unreadable)?;
            } else if let Some(value) = value_of(line, b"content-length:") {
                head.body_length = number(value).ok_or(LoadError::Unreadable)?;
            } else if let Some(value) = value_of(line, b"location:") {
                let from = start + line.len() - value.len();
                head.location = from..from + value.len();
            }
        }
    }
}

fn status(line: &[u8]) -> Option<u16> {
    number(line.strip_prefix(b"HTTP/1.1 ")?.get(..3)?).and_then(|status| u16::try_from(status).ok())
}

fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn value_of<'l>(line: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    let (start, value) = line.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then(|| value.trim_ascii_start())
}

/// Whether a text holds another.
pub fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// The token in a landing page's URL, if there is a whole one.
pub fn token(location: &[u8]) -> Option<&[u8]> {
    let at = location
        .windows(TOKEN_PARAMETER.len())
        .rposition(|window| window == TOKEN_PARAMETER)?;
    let from = location.get(at + TOKEN_PARAMETER.len()..)?;
    let token = from.split(|byte| matches!(byte, b'&' | b'#')).next()?;
    (token.len() == TOKEN_CHARS).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_only_when_it_is_complete() {
        let answer =
            b"HTTP/1.1 302 Found\r\nLocation: https://a.example/?s2s=x\r\ncontent-length: 3\r\n\r\nabc";
        for cut in 0..answer.len() - 3 {
            assert!(matches!(Head::read(&answer[..cut]), Ok(None)), "{cut}");
        }
        let head = Head::read(answer).expect("readable").expect("complete");
        assert_eq!(
            (head.status, head.body_length, head.length),
            (302, 3, answer.len() - 3)
        );
        assert_eq!(&answer[head.location], b"https://a.example/?s2s=x");
        assert!(matches!(
            Head::read(b"SSH-2.0\r\n\r\n"),
            Err(LoadError::Unreadable)
        ));
    }

    #[test]
    fn a_token_is_one_only_when_it_is_whole() {
        let whole = "t".repeat(TOKEN_CHARS);
        assert_eq!(
            token(format!("https://a.example/?a=1&s2s={whole}#x").as_bytes()),
            Some(whole.as_bytes())
        );
        assert_eq!(
            token(format!("https://a.example/?s2s={}", &whole[1..]).as_bytes()),
            None
        );
        assert_eq!(token(b"https://a.example/"), None);
    }
}
