//! The server's side of an exchange.

use super::{ChannelBinding, Error, Mechanism, ScramKeys, Secret};

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this challenge, then give the response to [`Exchange::step`].
    Challenge(Vec<u8>),
    /// The exchange is over and the client is who it says if this password is right.
    VerifyPassword {
        /// Whom the client wants to act as, when it says so.
        authzid: Option<String>,
        /// Whose password it is, as the client wrote it.
        user: String,
        /// The password.
        password: Secret,
    },
    /// Look up the keys of `user` and go on with [`Exchange::scram_keys`]. For an unknown user give keys of a
    /// salt that stays the same for the name: the exchange goes on and fails at its end.
    NeedScramKeys {
        /// Whom the client wants to act as, when it says so.
        authzid: Option<String>,
        /// Whose keys are needed.
        user: String,
    },
    /// The client has proven to be `user`.
    Done {
        /// Whom the client wants to act as, when it says so.
        authzid: Option<String>,
        /// Who it is.
        user: String,
    },
    /// The exchange is over without success.
    Failed(Error),
}

/// An exchange on the server's side.
#[derive(Debug)]
pub struct Exchange {
    mechanism: Mechanism,
    channel_binding: ChannelBinding,
    server_nonce: String,
}

impl Exchange {
    /// Starts an exchange. `server_nonce` is used once, see [`super::nonce`]; only SCRAM needs it.
    pub fn new(
        mechanism: Mechanism,
        channel_binding: ChannelBinding,
        server_nonce: String,
    ) -> Exchange {
        Exchange {
            mechanism,
            channel_binding,
            server_nonce,
        }
    }

    /// The first step: with the initial response if the client sent one with its command, else with none, which
    /// yields the first challenge.
    pub fn start(&mut self, initial: Option<&[u8]>) -> Step {
        let _ = initial;
        Step::Failed(Error::Order)
    }

    /// Takes a response to the last challenge, or the initial response.
    pub fn step(&mut self, response: &[u8]) -> Step {
        let _ = (
            response,
            self.mechanism,
            self.channel_binding,
            &self.server_nonce,
        );
        Step::Failed(Error::Order)
    }

    /// Goes on after [`Step::NeedScramKeys`].
    pub fn scram_keys(&mut self, keys: ScramKeys) -> Step {
        let _ = keys;
        Step::Failed(Error::Order)
    }
}
