//! The client's side of an exchange.

use super::{ChannelBinding, Error, Mechanism, Secret};

/// Who the client is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Whom it wants to act as, if not as `user`.
    pub authzid: Option<String>,
    /// The user name.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// An exchange on the client's side.
#[derive(Debug)]
pub struct Exchange {
    mechanism: Mechanism,
    credentials: Credentials,
    channel_binding: ChannelBinding,
    nonce: String,
}

impl Exchange {
    /// Starts an exchange. `nonce` is used once, see [`super::nonce`]; only SCRAM needs it.
    pub fn new(
        mechanism: Mechanism,
        credentials: Credentials,
        channel_binding: ChannelBinding,
        nonce: String,
    ) -> Exchange {
        Exchange {
            mechanism,
            credentials,
            channel_binding,
            nonce,
        }
    }

    /// The initial response, for mechanisms where the client speaks first; `None` for LOGIN.
    pub fn initial(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let _ = (
            self.mechanism,
            &self.credentials,
            self.channel_binding,
            &self.nonce,
        );
        Err(Error::Order)
    }

    /// The response to a challenge.
    pub fn step(&mut self, challenge: &[u8]) -> Result<Vec<u8>, Error> {
        let _ = challenge;
        Err(Error::Order)
    }

    /// To be asked when the server reports success: an error if SCRAM's server has not proven itself by then.
    pub fn finish(self) -> Result<(), Error> {
        Err(Error::Order)
    }
}
