//! LOGIN.

use super::{Parsed, Parser, Stop};
use crate::{Code, Command, Reply, Secret};

impl Parser<'_> {
    /// Refused before its arguments where it would show the password to the network: a literal that is not asked for
    /// is not sent.
    ///
    /// ```text
    /// login = "LOGIN" SP userid SP password
    /// ```
    pub(super) fn login(&mut self) -> Parsed<Command> {
        if !self.context.login {
            // RFC 9051 §6.2.3
            return Err(Stop::Refused(
                Reply::no("LOGIN needs TLS").with(Code::PrivacyRequired),
            ));
        }
        self.sp()?;
        let user = self.astring_text("a user name")?;
        self.sp()?;
        let password = Secret::new(self.astring_text("a password")?);
        Ok(Command::Login { user, password })
    }
}
