//! The log: one event, one line, on standard error.
//!
//! Invariant (attack A54): whatever a peer sent, a line of the log stays one line, holds no control character and is
//! no longer than [`LINE_LIMIT`]. Secrets are kept out by their types, which print nothing.

use std::io::{self, Write};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// The longest line: several values of the longest kind a peer can send, an address of 320 octets.
const LINE_LIMIT: usize = 4096;

/// Starts the log with a filter that the configuration has checked.
pub fn start(filter: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(Lines)
        .finish();
    // A second start in one process (in tests) keeps the first log.
    let _ = tracing::subscriber::set_global_default(log);
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        let text = panic.payload_as_str().unwrap_or("(no text)");
        tracing::error!(%place, %text, "panic: one session or task ended, the others go on");
    }));
}

struct Lines;

impl<'w> MakeWriter<'w> for Lines {
    type Writer = Line;
    fn make_writer(&'w self) -> Line {
        Line(Vec::with_capacity(256))
    }
}

/// Collects what is written for one event, writes it at its end.
struct Line(Vec<u8>);

impl Write for Line {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(octets);
        Ok(octets.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // A log that cannot be written must not end the server.
        let _ = io::stderr().lock().write_all(clean(&self.0).as_bytes());
    }
}

/// The text with controls escaped, cut, and one line end.
fn clean(event: &[u8]) -> String {
    let text = String::from_utf8_lossy(event);
    let mut line = String::with_capacity(text.len() + 1);
    for letter in text.trim_end_matches('\n').chars() {
        if line.len() >= LINE_LIMIT {
            line.push('…');
            break;
        }
        // Unicode's line separators, its directional overrides, and what terminals act on.
        let unsafe_letter = letter.is_control()
            || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if unsafe_letter {
            line.extend(letter.escape_unicode());
        } else {
            line.push(letter);
        }
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_event_is_one_harmless_line() {
        assert_eq!(clean(b"plain text\n"), "plain text\n");
        assert_eq!(
            clean("HELO a\r\nINFO forged \u{1b}[2J".as_bytes()),
            "HELO a\\u{d}\\u{a}INFO forged \\u{1b}[2J\n"
        );
        assert_eq!(
            clean("\u{202e}gpj\u{2028}".as_bytes()),
            "\\u{202e}gpj\\u{2028}\n"
        );
        assert!(clean(&[0xff, b'a']).starts_with('\u{fffd}'));
        let long = clean(&vec![b'x'; 1 << 20]);
        assert!(long.len() < LINE_LIMIT + 16 && long.ends_with("…\n"));
    }
}
