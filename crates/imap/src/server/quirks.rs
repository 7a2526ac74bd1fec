//! Kindnesses towards clients that break the grammar, each with a switch.
//!
//! Only what such clients are known to send, and only where it can mean one thing.

/// What is taken although the grammar has no place for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quirks {
    /// A date of APPEND with a day of one digit and no space before it: `"3-Feb-2025 18:28:47 +0000"`.
    pub append_day: bool,
    /// A second space before the next message of APPEND (RFC 3502).
    pub append_space: bool,
    /// Spaces at the end of a command.
    pub trailing_space: bool,
    /// A separator at the end of a mailbox name: `Work/`.
    pub trailing_separator: bool,
    /// A command in place of DONE: IDLE ends, and the command is answered.
    pub command_in_idle: bool,
}

impl Quirks {
    /// The grammar as it is written.
    pub const STRICT: Quirks = Quirks {
        append_day: false,
        append_space: false,
        trailing_space: false,
        trailing_separator: false,
        command_in_idle: false,
    };
}

impl Default for Quirks {
    /// What programs of today send.
    fn default() -> Quirks {
        Quirks {
            append_day: true,
            append_space: true,
            trailing_space: true,
            trailing_separator: true,
            command_in_idle: true,
        }
    }
}
