//! AUTHENTICATE.

use super::{Parsed, Parser};
use crate::Command;

impl Parser<'_> {
    /// ```text
    /// authenticate = "AUTHENTICATE" SP auth-type [SP initial-resp] *(CRLF base64)
    /// initial-resp = (base64 / "=")
    /// ```
    pub(super) fn authenticate(&mut self) -> Parsed<Command> {
        self.sp()?;
        let mechanism = self.word("a SASL mechanism")?;
        let mut initial = None;
        if self.cursor.eat(b' ') {
            let error = self.wrong("an initial response in base64");
            let text = self.cursor.take_rest();
            // RFC 4959 §3: an empty one is "="; nothing at all behind the space is not the same.
            if text.is_empty() {
                return Err(error);
            }
            initial = Some(wire::base64::decode_initial(text).map_err(|_| error)?);
        }
        Ok(Command::Authenticate { mechanism, initial })
    }
}
