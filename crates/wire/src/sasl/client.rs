//! The client's side of an exchange.
//!
//! The caller asks for [`Exchange::initial`] where the protocol lets a client send it with the command, answers
//! each challenge with [`Exchange::step`], and asks [`Exchange::finish`] when the server reports success: with
//! SCRAM a server that cannot prove itself has not succeeded.

use super::scram::{self, Flag};
use super::token;
use super::{ChannelBinding, Error, Mechanism, Secret};
use crate::base64;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The longest salt accepted from a server, in octets: many times what any uses.
const MAX_SALT: usize = 1024;

/// Who the client is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Whom it wants to act as, if not as `user`.
    pub authzid: Option<String>,
    /// The user name.
    pub user: String,
    /// The password, or the token of OAUTHBEARER and XOAUTH2; EXTERNAL has none.
    pub password: Secret,
}

/// An exchange on the client's side.
#[derive(Debug)]
pub struct Exchange {
    mechanism: Mechanism,
    credentials: Credentials,
    channel_binding: ChannelBinding,
    nonce: String,
    state: State,
}

#[derive(Debug)]
enum State {
    Start,
    LoginPassword,
    /// A token was sent: what the server says now is why it refuses it.
    Token,
    ScramServerFirst {
        flag: Flag,
        header: String,
        bare: String,
    },
    ScramServerFinal {
        signature: [u8; 32],
    },
    Complete,
    Failed,
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
            state: State::Start,
        }
    }

    /// The initial response, for mechanisms where the client speaks first; `None` for LOGIN.
    ///
    /// # Errors
    /// When the credentials cannot be spelled in the mechanism, or PLUS is asked for without TLS's exporter.
    pub fn initial(&mut self) -> Result<Option<Vec<u8>>, Error> {
        match std::mem::replace(&mut self.state, State::Failed) {
            State::Start => {}
            _ => return Err(Error::Order),
        }
        match self.mechanism {
            Mechanism::Login => {
                self.state = State::Start;
                Ok(None)
            }
            Mechanism::Plain => self.plain().map(Some),
            Mechanism::ScramSha256 | Mechanism::ScramSha256Plus => self.client_first().map(Some),
            Mechanism::OAuthBearer | Mechanism::XOAuth2 => self.token().map(Some),
            Mechanism::External => {
                self.state = State::Complete;
                let authzid = self.credentials.authzid.clone().unwrap_or_default();
                Ok(Some(authzid.into_bytes()))
            }
        }
    }

    /// The response to a challenge.
    ///
    /// # Errors
    /// The exchange is then over: the caller sends `*` and gives up.
    pub fn step(&mut self, challenge: &[u8]) -> Result<Vec<u8>, Error> {
        match std::mem::replace(&mut self.state, State::Failed) {
            State::Start if self.mechanism == Mechanism::Login => {
                let user = sendable(&self.credentials.user)?.as_bytes().to_vec();
                self.state = State::LoginPassword;
                Ok(user)
            }
            State::Start if challenge.is_empty() => {
                self.state = State::Start;
                Ok(self.initial()?.unwrap_or_default())
            }
            State::Start => Err(Error::Malformed("challenge before the first response")),
            // RFC 7628 §3.2.3: the server fails the exchange after one more octet; XOAUTH2 wants none.
            State::Token if self.mechanism == Mechanism::OAuthBearer => Ok(b"\x01".to_vec()),
            State::Token => Ok(Vec::new()),
            State::LoginPassword => {
                let password = sendable(&self.credentials.password)?.as_bytes().to_vec();
                self.state = State::Complete;
                Ok(password)
            }
            State::ScramServerFirst { flag, header, bare } => {
                self.server_first(flag, &header, &bare, challenge)
            }
            State::ScramServerFinal { signature } => self.server_final(&signature, challenge),
            State::Complete | State::Failed => Err(Error::Order),
        }
    }

    /// To be asked when the server reports success.
    ///
    /// # Errors
    /// When the exchange is not complete; with SCRAM that means that the server has not proven itself.
    pub fn finish(self) -> Result<(), Error> {
        match (self.state, self.mechanism) {
            (State::Complete | State::Token, _) => Ok(()),
            (_, Mechanism::ScramSha256 | Mechanism::ScramSha256Plus) => Err(Error::ServerProof),
            _ => Err(Error::Order),
        }
    }

    fn token(&mut self) -> Result<Vec<u8>, Error> {
        let Credentials { user, password, .. } = &self.credentials;
        if !token::is_sayable(user, password) {
            return Err(Error::Forbidden);
        }
        self.state = State::Token;
        Ok(match self.mechanism {
            Mechanism::OAuthBearer => token::say_bearer(user, password),
            _ => token::say_xoauth2(user, password),
        }
        .into_bytes())
    }

    fn plain(&mut self) -> Result<Vec<u8>, Error> {
        let Credentials {
            authzid,
            user,
            password,
        } = &self.credentials;
        let mut message = match authzid {
            Some(authzid) => sendable(authzid)?.as_bytes().to_vec(),
            None => Vec::new(),
        };
        for part in [user, password.expose()] {
            message.push(0);
            message.extend_from_slice(sendable(part)?.as_bytes());
        }
        self.state = State::Complete;
        Ok(message)
    }

    fn client_first(&mut self) -> Result<Vec<u8>, Error> {
        if !scram::is_nonce(&self.nonce) {
            return Err(Error::Nonce);
        }
        let ChannelBinding {
            tls_exporter,
            plus_advertised,
        } = self.channel_binding;
        let flag = match (self.mechanism, tls_exporter) {
            (Mechanism::ScramSha256Plus, Some(_)) => Flag::Exporter,
            (Mechanism::ScramSha256Plus, None) => {
                return Err(Error::ChannelBinding("no exporter on this connection"));
            }
            // RFC 5802 §6: says honestly that it could have, so that a server which did offer sees the attack.
            (_, Some(_)) if !plus_advertised => Flag::NotOffered,
            _ => Flag::Unable,
        };
        let user = super::prepare(&self.credentials.user).ok_or(Error::Forbidden)?;
        let authzid = match &self.credentials.authzid {
            Some(authzid) => format!("a={}", scram::escape(sendable(authzid)?)),
            None => String::new(),
        };
        let header = format!("{},{authzid},", flag.as_str());
        let bare = format!("n={},r={}", scram::escape(&user), self.nonce);
        let message = format!("{header}{bare}").into_bytes();
        self.state = State::ScramServerFirst { flag, header, bare };
        Ok(message)
    }

    /// ```text
    /// server-first-message = [reserved-mext ","] nonce "," salt "," iteration-count ["," extensions]
    /// ```
    fn server_first(
        &mut self,
        flag: Flag,
        header: &str,
        bare: &str,
        challenge: &[u8],
    ) -> Result<Vec<u8>, Error> {
        const MISSING: Error = Error::Malformed("server's first message");
        let message = scram::text(challenge)?;
        if message.starts_with("m=") {
            return Err(Error::Extension);
        }
        let (nonce, rest) = scram::attribute(message, "r", "nonce")?;
        let (salt, rest) = scram::attribute(rest.ok_or(MISSING)?, "s", "salt")?;
        let (rounds, _) = scram::attribute(rest.ok_or(MISSING)?, "i", "iteration count")?;
        // RFC 5802 §5.1: the server's nonce begins with the client's and adds to it.
        match nonce.strip_prefix(self.nonce.as_str()) {
            Some(added) if scram::is_nonce(added) => {}
            _ => return Err(Error::Nonce),
        }
        let salt = base64::decode(salt.as_bytes()).map_err(|_| Error::Malformed("salt"))?;
        let rounds: u32 = rounds
            .parse()
            .map_err(|_| Error::Malformed("iteration count"))?;
        let bounds = scram::MIN_ITERATIONS..=scram::MAX_ITERATIONS;
        if salt.is_empty() || salt.len() > MAX_SALT || !bounds.contains(&rounds) {
            return Err(Error::Parameters);
        }
        let bound = flag.bound(header, &self.channel_binding);
        let without_proof = format!("c={},r={nonce}", base64::encode(&bound));
        let auth_message = scram::auth_message(bare, message, &without_proof);
        let salted = scram::salted_password(&self.credentials.password, &salt, rounds)?;
        let client_key = Zeroizing::new(scram::hmac(&*salted, b"Client Key"));
        let stored_key = Sha256::digest(client_key.as_slice());
        let proof = scram::xor(
            &client_key,
            &scram::hmac(&stored_key, auth_message.as_bytes()),
        );
        let server_key = Zeroizing::new(scram::hmac(&*salted, b"Server Key"));
        let signature = scram::hmac(&*server_key, auth_message.as_bytes());
        self.state = State::ScramServerFinal { signature };
        Ok(format!("{without_proof},p={}", base64::encode(&proof)).into_bytes())
    }

    /// ```text
    /// server-final-message = (server-error / verifier) ["," extensions]
    /// ```
    fn server_final(&mut self, signature: &[u8; 32], challenge: &[u8]) -> Result<Vec<u8>, Error> {
        let message = scram::text(challenge)?;
        if message.starts_with("e=") {
            return Err(Error::Refused);
        }
        let (verifier, _) = scram::attribute(message, "v", "server's final message")?;
        let verifier =
            base64::decode(verifier.as_bytes()).map_err(|_| Error::Malformed("verifier"))?;
        if !bool::from(verifier.as_slice().ct_eq(signature)) {
            return Err(Error::ServerProof);
        }
        self.state = State::Complete;
        Ok(Vec::new())
    }
}

/// A name or password that can be sent at all: not empty, no NUL (RFC 4616 §2).
fn sendable(text: &str) -> Result<&str, Error> {
    if text.is_empty() || text.contains('\0') {
        Err(Error::Forbidden)
    } else {
        Ok(text)
    }
}
