//! ID.

use super::{Parsed, Parser};
use crate::Command;

/// Pairs of one ID (RFC 2971 §3.3).
const PAIRS: usize = 30;
/// Octets of a field name (RFC 2971 §3.3).
const FIELD: usize = 30;
/// Octets of a value (RFC 2971 §3.3).
const VALUE: usize = 1024;

impl Parser<'_> {
    /// ```text
    /// id             = "ID" SP id-params-list
    /// id-params-list = "(" #(string SPACE nstring) ")" / nil
    /// ```
    pub(super) fn id(&mut self) -> Parsed<Command> {
        self.sp()?;
        if self.cursor.eat_ignore_case(b"NIL") {
            return Ok(Command::Id(Vec::new()));
        }
        self.open()?;
        let mut pairs = Vec::new();
        if self.cursor.eat(b')') {
            return Ok(Command::Id(pairs));
        }
        loop {
            let error = self.wrong("a field name of at most 30 octets, and at most 30 of them");
            let field = self.id_string(FIELD, "a field name")?;
            self.sp()?;
            let value = if self.cursor.eat_ignore_case(b"NIL") {
                None
            } else {
                Some(self.id_string(VALUE, "a value of at most 1024 octets, or NIL")?)
            };
            if pairs.len() == PAIRS {
                return Err(error);
            }
            pairs.push((field, value));
            if self.list_ends()? {
                return Ok(Command::Id(pairs));
            }
        }
    }

    fn id_string(&mut self, limit: usize, expected: &'static str) -> Parsed<String> {
        let error = self.wrong(expected);
        match self.string()? {
            Some(text) if text.len() <= limit => {
                String::from_utf8(text.into_owned()).map_err(|_| error)
            }
            _ => Err(error),
        }
    }
}
