//! Kindnesses towards clients that break the grammar, each with a switch.
//!
//! Only what such clients are known to send, and only where it can mean one thing.

/// What is taken, or told, although the grammar has no place for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quirks {
    /// Spaces behind the colon: `MAIL FROM: <a@b>`.
    pub space_after_colon: bool,
    /// Addresses without angle brackets: `MAIL FROM:a@b`.
    pub bare_address: bool,
    /// Underscores in the name behind HELO and EHLO.
    pub helo_underscore: bool,
    /// HELO without a name.
    pub empty_helo: bool,
    /// `AUTH=` is announced beside `AUTH`.
    pub auth_equals: bool,
}

impl Quirks {
    /// The grammar as it is written.
    pub const STRICT: Quirks = Quirks {
        space_after_colon: false,
        bare_address: false,
        helo_underscore: false,
        empty_helo: false,
        auth_equals: false,
    };
}

impl Default for Quirks {
    /// What servers and programs of today send.
    fn default() -> Quirks {
        Quirks {
            space_after_colon: true,
            helo_underscore: true,
            ..Quirks::STRICT
        }
    }
}
