//! Replies of a server: lines put together, and the enhanced status code taken from the text.

use super::{Error, Limits};
use crate::reply::{Enhanced, Reply};
use wire::input::{Input, Line};

/// The lines of a reply so far.
#[derive(Debug, Default)]
pub(super) struct Lines {
    code: u16,
    text: String,
    count: usize,
}

impl Lines {
    /// The next whole reply.
    pub(super) fn next(
        &mut self,
        input: &mut Input,
        limits: &Limits,
    ) -> Result<Option<Reply>, Error> {
        loop {
            let line = match input.line(limits.reply_line) {
                Line::Incomplete => return Ok(None),
                Line::Complete {
                    text,
                    bare_lf: false,
                } => text,
                Line::Complete { .. } | Line::TooLong => return Err(Error::Malformed),
            };
            let (code, last, text) = reply_line(line).ok_or(Error::Malformed)?;
            // RFC 5321 §4.2.1: every line of a reply has the same code.
            if self.count > 0 && code != self.code || self.count >= limits.reply_lines {
                return Err(Error::Malformed);
            }
            if self.count > 0 {
                self.text.push('\n');
            }
            self.text.push_str(&String::from_utf8_lossy(text));
            (self.code, self.count) = (code, self.count.saturating_add(1));
            if last {
                let whole = std::mem::take(self);
                return Ok(Some(reply(whole.code, whole.text)));
            }
        }
    }
}

/// `Reply-line = *( Reply-code "-" [ textstring ] CRLF ) Reply-code [ SP textstring ] CRLF` (RFC 5321 §4.2).
fn reply_line(line: &[u8]) -> Option<(u16, bool, &[u8])> {
    let (code, rest) = line.split_at_checked(3)?;
    if !code.iter().all(u8::is_ascii_digit) || !matches!(code.first(), Some(b'2'..=b'5')) {
        return None;
    }
    let code = std::str::from_utf8(code).ok()?.parse().ok()?;
    match rest.split_first() {
        None => Some((code, true, rest)),
        Some((b' ', text)) => Some((code, true, text)),
        Some((b'-', text)) => Some((code, false, text)),
        Some(_) => None,
    }
}

/// Takes the enhanced status code (RFC 2034 §4) from each line, when it fits the reply's class.
fn reply(code: u16, text: String) -> Reply {
    let found = enhanced(&text).filter(|(enhanced, _)| u16::from(enhanced.0) == code / 100);
    let Some((enhanced, _)) = found else {
        return Reply {
            code,
            enhanced: None,
            text: text.into(),
        };
    };
    let lines: Vec<&str> = text
        .split('\n')
        .map(|line| match self::enhanced(line) {
            Some((same, rest)) if same == enhanced => rest,
            _ => line,
        })
        .collect();
    Reply {
        code,
        enhanced: Some(enhanced),
        text: lines.join("\n").into(),
    }
}

/// `status-code = class "." subject "." detail` (RFC 3463 §2), and what follows it.
fn enhanced(line: &str) -> Option<(Enhanced, &str)> {
    let (word, rest) = line.split_once([' ', '\n']).unwrap_or((line, ""));
    let mut parts = word.split('.');
    let mut number = |digits: usize| {
        parts
            .next()
            .filter(|part| (1..=digits).contains(&part.len()))
    };
    let class = number(1)?.parse().ok()?;
    let subject = number(3)?.parse().ok()?;
    let detail = number(3)?.parse().ok()?;
    if parts.next().is_some() || !matches!(class, 2 | 4 | 5) {
        return None;
    }
    Some((Enhanced(class, subject, detail), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Reply>, Error> {
        let mut input = Input::new();
        input.receive(text.as_bytes());
        Lines::default().next(&mut input, &Limits::default())
    }

    #[test]
    fn replies() {
        let plain = read("250 OK\r\n").unwrap().unwrap();
        assert_eq!(
            (plain.code, plain.enhanced, plain.text.as_ref()),
            (250, None, "OK")
        );
        let enhanced = read("550 5.1.1 nobody\r\n").unwrap().unwrap();
        assert_eq!(
            (enhanced.enhanced, enhanced.text.as_ref()),
            (Some(Enhanced(5, 1, 1)), "nobody")
        );
        let long = read("250-2.1.5 a\r\n250-2.1.5 b\r\n250 c\r\n")
            .unwrap()
            .unwrap();
        assert_eq!(long.text, "a\nb\nc");
        assert_eq!(read("250\r\n").unwrap().unwrap().text, "");
        // A code of another class is text.
        assert_eq!(read("250 5.1.1 x\r\n").unwrap().unwrap().enhanced, None);
        assert_eq!(read("220 1.2.3.4 x\r\n").unwrap().unwrap().enhanced, None);
        assert_eq!(read("250-a\r\n250"), Ok(None));
    }

    #[test]
    fn no_replies() {
        for text in [
            "OK\r\n",
            "25 x\r\n",
            "250_x\r\n",
            "250-a\r\n251 b\r\n",
            "250 a\n",
            "099 x\r\n",
            "\r\n",
            "HTTP/1.1 200 OK\r\n",
        ] {
            assert_eq!(read(text), Err(Error::Malformed), "{text:?}");
        }
        assert_eq!(
            read(&format!("250 {}", "x".repeat(5_000))),
            Err(Error::Malformed)
        );
        assert_eq!(read(&"250-x\r\n".repeat(129)), Err(Error::Malformed));
    }
}
