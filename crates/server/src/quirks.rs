//! Quirks: what is done for clients that break the rules, each with a name and a switch in the table `[quirks]`.
//!
//! `docs/quirks.md` tells of each which client it is for and what it does. What cannot be taken for anything else, and what
//! programs of today send, is on; the rest is off. Nothing here makes two readers understand one message differently.

/// All switches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quirks {
    /// What the IMAP parser takes.
    pub imap: ::imap::server::Quirks,
    /// LSUB marks names that are no mailboxes.
    pub lsub_noselect: bool,
    /// New mail is told with NOOP, CHECK and IDLE only.
    pub delay_new_mail: bool,
    /// What the SMTP parser takes.
    pub smtp: ::smtp::server::Quirks,
    /// POP3 sends no NUL.
    pub no_nuls: bool,
    /// POP3 ends each header with an empty line.
    pub header_end: bool,
}

impl Default for Quirks {
    fn default() -> Quirks {
        Quirks {
            imap: ::imap::server::Quirks::default(),
            lsub_noselect: true,
            delay_new_mail: false,
            smtp: ::smtp::server::Quirks::default(),
            no_nuls: false,
            header_end: false,
        }
    }
}

/// A switch.
type Switch = fn(&mut Quirks) -> &mut bool;

impl Quirks {
    /// Their names, and the switch of each.
    pub const ALL: [(&str, Switch); 14] = [
        ("imap_append_day", |q| &mut q.imap.append_day),
        ("imap_append_space", |q| &mut q.imap.append_space),
        ("imap_command_in_idle", |q| &mut q.imap.command_in_idle),
        ("imap_delay_new_mail", |q| &mut q.delay_new_mail),
        ("imap_lsub_noselect", |q| &mut q.lsub_noselect),
        ("imap_trailing_separator", |q| {
            &mut q.imap.trailing_separator
        }),
        ("imap_trailing_space", |q| &mut q.imap.trailing_space),
        ("pop3_header_end", |q| &mut q.header_end),
        ("pop3_no_nuls", |q| &mut q.no_nuls),
        ("smtp_auth_equals", |q| &mut q.smtp.auth_equals),
        ("smtp_bare_address", |q| &mut q.smtp.bare_address),
        ("smtp_empty_helo", |q| &mut q.smtp.empty_helo),
        ("smtp_helo_underscore", |q| &mut q.smtp.helo_underscore),
        ("smtp_space_after_colon", |q| &mut q.smtp.space_after_colon),
    ];

    /// What POP3 sends of a message.
    pub fn pop3_message(&self, mut message: Vec<u8>) -> Vec<u8> {
        if self.no_nuls {
            // As long as it was, so that sizes stay right.
            for octet in &mut message {
                if *octet == 0 {
                    *octet = 0x80;
                }
            }
        }
        if self.header_end && !has_header_end(&message) {
            if !message.is_empty() && !message.ends_with(b"\n") {
                message.extend_from_slice(b"\r\n");
            }
            message.extend_from_slice(b"\r\n");
        }
        message
    }
}

/// Whether there is an empty line.
fn has_header_end(message: &[u8]) -> bool {
    message
        .split_inclusive(|octet| *octet == b'\n')
        .any(|line| matches!(line, b"\r\n" | b"\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn root() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
    }

    #[test]
    fn each_is_documented_and_shown_on_and_off() {
        let page = std::fs::read_to_string(root().join("docs/quirks.md")).unwrap();
        let mut dialogs = String::new();
        for protocol in ["imap", "pop3", "smtp", "submission"] {
            for entry in std::fs::read_dir(root().join("tests/dialogs").join(protocol)).unwrap() {
                dialogs.push_str(&std::fs::read_to_string(entry.unwrap().path()).unwrap());
            }
        }
        assert!(Quirks::ALL.is_sorted_by_key(|(name, _)| *name));
        for (name, switch) in Quirks::ALL {
            let on = *switch(&mut Quirks::default());
            let default = if on { "on" } else { "off" };
            let row = page
                .lines()
                .find(|line| line.starts_with(&format!("| `{name}` | {default} |")));
            assert!(
                row.is_some(),
                "docs/quirks.md has no row of {name}, {default}"
            );
            assert!(
                dialogs.contains(&format!("@server quirks.{name}={}", !on)),
                "{name}"
            );
        }
        let rows = page.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!(rows, Quirks::ALL.len());
    }

    #[test]
    fn what_pop3_sends() {
        let plain = Quirks::default();
        let kind = Quirks {
            no_nuls: true,
            header_end: true,
            ..plain
        };
        for (message, sent) in [
            (&b"A: b\r\n\r\n\0x\r\n"[..], &b"A: b\r\n\r\n\x80x\r\n"[..]),
            (b"A: b\r\n", b"A: b\r\n\r\n"),
            (b"A: b", b"A: b\r\n\r\n"),
            (b"", b"\r\n"),
            (b"A: b\n\nc", b"A: b\n\nc"),
        ] {
            assert_eq!(kind.pop3_message(message.to_vec()), sent);
            assert_eq!(plain.pop3_message(message.to_vec()), message);
        }
    }
}
