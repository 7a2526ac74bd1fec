//! The server's side of an exchange.
//!
//! | state | what it waits for |
//! |---|---|
//! | `Start` | the initial response |
//! | `LoginPassword` | LOGIN's second response |
//! | `ScramKeys` | the caller's keys |
//! | `ScramProof` | the client's final message |
//! | `ScramAccepted` | the empty response to the server's final message |
//! | `TokenRefused` | the dummy response to the error of a token |
//! | `Over` | nothing: all fails |
//!
//! Every step takes the state out and leaves `Over`, so that a nonce is used once and nothing can be repeated.

use super::scram::{self, Flag};
use super::{ChannelBinding, Error, Mechanism, ScramKeys, Secret, token};
use crate::base64;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

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
        /// The password, as the client wrote it; see [`super::prepare`].
        password: Secret,
    },
    /// The exchange succeeds if this token is good and says that the client is who it says; else go on with
    /// [`Exchange::refuse_token`].
    VerifyToken {
        /// Whom the client wants to be, when it says so.
        user: Option<String>,
        /// The token.
        token: Secret,
    },
    /// The exchange is over and the client is whom its certificate names, if there is one.
    VerifyCertificate {
        /// Whom the client wants to act as, when it says so.
        authzid: Option<String>,
    },
    /// Look up the keys of `user` and go on with [`Exchange::scram_keys`]. For an unknown user give keys of a
    /// salt that stays the same for the name: the exchange goes on and fails at its end.
    NeedScramKeys {
        /// Whom the client wants to act as, when it says so.
        authzid: Option<String>,
        /// Whose keys are needed, as the client wrote it.
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
    state: State,
}

#[derive(Debug)]
enum State {
    Start,
    LoginPassword {
        user: String,
    },
    ScramKeys(ClientFirst),
    ScramProof(Box<ServerFirst>),
    ScramAccepted {
        authzid: Option<String>,
        user: String,
    },
    /// Waits for the caller's verdict on the token.
    Token,
    TokenRefused,
    Over,
}

/// What the client's first message said.
#[derive(Debug)]
struct ClientFirst {
    authzid: Option<String>,
    user: String,
    nonce: String,
    /// `client-first-message-bare`, for the proofs.
    bare: String,
    /// What `c=` must hold later.
    bound: Vec<u8>,
}

/// What the server's first message added.
#[derive(Debug)]
struct ServerFirst {
    client: ClientFirst,
    /// Client's and server's nonce together.
    nonce: String,
    message: String,
    keys: ScramKeys,
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
            state: State::Start,
        }
    }

    /// The first step: with the initial response if the client sent one with its command, else with none, which
    /// yields the first challenge.
    pub fn start(&mut self, initial: Option<&[u8]>) -> Step {
        match initial {
            Some(response) => self.step(response),
            None if self.mechanism == Mechanism::Login => Step::Challenge(b"Username:".to_vec()),
            // RFC 4422 §3: where the client speaks first, an empty challenge asks it to.
            None => Step::Challenge(Vec::new()),
        }
    }

    /// Takes a response to the last challenge, or the initial response.
    pub fn step(&mut self, response: &[u8]) -> Step {
        let step = match (
            std::mem::replace(&mut self.state, State::Over),
            self.mechanism,
        ) {
            (State::Start, Mechanism::Plain) => plain(response),
            (State::Start, Mechanism::Login) => self.login_user(response),
            (State::Start, Mechanism::OAuthBearer) => self.token(token::bearer(response)),
            (State::Start, Mechanism::XOAuth2) => self.token(token::xoauth2(response)),
            (State::Start, Mechanism::External) => external(response),
            // RFC 7628 §3.2.3: whatever it is, it ends the exchange.
            (State::TokenRefused, _) => Err(Error::WrongToken),
            (State::Start, Mechanism::ScramSha256 | Mechanism::ScramSha256Plus) => {
                self.client_first(response)
            }
            (State::LoginPassword { user }, _) => login_password(user, response),
            (State::ScramProof(first), _) => self.client_final(*first, response),
            (State::ScramAccepted { authzid, user }, _) if response.is_empty() => {
                Ok(Step::Done { authzid, user })
            }
            (State::ScramAccepted { .. }, _) => {
                Err(Error::Malformed("response to the server's proof"))
            }
            (State::ScramKeys(_) | State::Token | State::Over, _) => Err(Error::Order),
        };
        step.unwrap_or_else(Step::Failed)
    }

    /// Goes on after [`Step::NeedScramKeys`].
    pub fn scram_keys(&mut self, keys: ScramKeys) -> Step {
        let State::ScramKeys(client) = std::mem::replace(&mut self.state, State::Over) else {
            return Step::Failed(Error::Order);
        };
        let nonce = format!("{}{}", client.nonce, self.server_nonce);
        let message = format!(
            "r={nonce},s={},i={}",
            base64::encode(&keys.salt),
            keys.iterations
        );
        let challenge = message.clone().into_bytes();
        self.state = State::ScramProof(Box::new(ServerFirst {
            client,
            nonce,
            message,
            keys,
        }));
        Step::Challenge(challenge)
    }

    fn token(&mut self, bearer: Result<token::Bearer, Error>) -> Result<Step, Error> {
        let token::Bearer { user, token } = bearer?;
        self.state = State::Token;
        Ok(Step::VerifyToken { user, token })
    }

    /// The token of [`Step::VerifyToken`] is not good: the client is told why in JSON (RFC 7628 §3.2.2), and the exchange
    /// fails with its response.
    pub fn refuse_token(&mut self, why: &str) -> Step {
        if !matches!(
            std::mem::replace(&mut self.state, State::TokenRefused),
            State::Token
        ) {
            self.state = State::Over;
            return Step::Failed(Error::Order);
        }
        Step::Challenge(why.as_bytes().to_vec())
    }

    fn login_user(&mut self, response: &[u8]) -> Result<Step, Error> {
        let user = login_text(response)?;
        self.state = State::LoginPassword { user };
        Ok(Step::Challenge(b"Password:".to_vec()))
    }

    /// ```text
    /// client-first-message = gs2-header client-first-message-bare
    /// gs2-header           = gs2-cbind-flag "," [ authzid ] ","
    /// client-first-message-bare = [reserved-mext ","] username "," nonce ["," extensions]
    /// ```
    fn client_first(&mut self, response: &[u8]) -> Result<Step, Error> {
        if !scram::is_nonce(&self.server_nonce) {
            return Err(Error::Nonce);
        }
        let message = scram::text(response)?;
        let mut parts = message.splitn(3, ',');
        let flag = parts.next().unwrap_or_default();
        let authzid = parts.next().ok_or(Error::Malformed("header"))?;
        let bare = parts.next().ok_or(Error::Malformed("header"))?;
        let flag = self.accept_flag(Flag::parse(flag)?)?;
        let authzid = match authzid {
            "" => None,
            text => Some(scram::unescape(
                text.strip_prefix("a=").ok_or(Error::Malformed("authzid"))?,
            )?),
        };
        // RFC 5802 §5.1: a mandatory extension that is not understood fails the exchange.
        if bare.starts_with("m=") {
            return Err(Error::Extension);
        }
        let (user, rest) = scram::attribute(bare, "n", "user name")?;
        let (nonce, _) = scram::attribute(rest.ok_or(Error::Malformed("nonce"))?, "r", "nonce")?;
        if !scram::is_nonce(nonce) {
            return Err(Error::Malformed("nonce"));
        }
        let user = scram::unescape(user)?;
        let header = message.strip_suffix(bare).unwrap_or_default();
        self.state = State::ScramKeys(ClientFirst {
            authzid: authzid.clone(),
            user: user.clone(),
            nonce: nonce.to_owned(),
            bare: bare.to_owned(),
            bound: flag.bound(header, &self.channel_binding),
        });
        Ok(Step::NeedScramKeys { authzid, user })
    }

    /// RFC 5802 §6: the mechanism and the flag must agree, and `y` where PLUS was offered means that somebody
    /// took the offer out on its way.
    fn accept_flag(&self, flag: Flag) -> Result<Flag, Error> {
        let plus = self.mechanism == Mechanism::ScramSha256Plus;
        match flag {
            Flag::Exporter if !plus => Err(Error::ChannelBinding("flag p without PLUS")),
            Flag::Exporter if self.channel_binding.tls_exporter.is_none() => {
                Err(Error::ChannelBinding("no exporter on this connection"))
            }
            Flag::Unable | Flag::NotOffered if plus => {
                Err(Error::ChannelBinding("PLUS without flag p"))
            }
            Flag::NotOffered if self.channel_binding.plus_advertised => {
                Err(Error::ChannelBinding("downgrade: PLUS was offered"))
            }
            flag => Ok(flag),
        }
    }

    /// ```text
    /// client-final-message-without-proof = channel-binding "," nonce ["," extensions]
    /// client-final-message = client-final-message-without-proof "," proof
    /// ```
    fn client_final(&mut self, first: ServerFirst, response: &[u8]) -> Result<Step, Error> {
        let message = scram::text(response)?;
        let (without_proof, proof) = message
            .rsplit_once(",p=")
            .ok_or(Error::Malformed("proof"))?;
        let (bound, rest) = scram::attribute(without_proof, "c", "channel binding")?;
        let (nonce, _) = scram::attribute(rest.ok_or(Error::Malformed("nonce"))?, "r", "nonce")?;
        let bound =
            base64::decode(bound.as_bytes()).map_err(|_| Error::Malformed("channel binding"))?;
        let proof = base64::decode(proof.as_bytes()).map_err(|_| Error::Malformed("proof"))?;
        let proof: [u8; 32] = proof.try_into().map_err(|_| Error::Malformed("proof"))?;
        if nonce != first.nonce {
            return Err(Error::Nonce);
        }
        if !bool::from(bound.ct_eq(&first.client.bound)) {
            return Err(Error::ChannelBinding("data differ"));
        }
        let auth_message = scram::auth_message(&first.client.bare, &first.message, without_proof);
        let signature = scram::hmac(&first.keys.stored_key, auth_message.as_bytes());
        let client_key = scram::xor(&proof, &signature);
        if !bool::from(Sha256::digest(client_key).ct_eq(&first.keys.stored_key)) {
            return Err(Error::WrongPassword);
        }
        let server_signature = scram::hmac(&first.keys.server_key, auth_message.as_bytes());
        let ClientFirst { authzid, user, .. } = first.client;
        self.state = State::ScramAccepted { authzid, user };
        Ok(Step::Challenge(
            format!("v={}", base64::encode(&server_signature)).into_bytes(),
        ))
    }
}

/// ```text
/// message   = [authzid] UTF8NUL authcid UTF8NUL passwd
/// ```
fn plain(response: &[u8]) -> Result<Step, Error> {
    let mut parts = scram::text(response)?.split('\0');
    let (Some(authzid), Some(user), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Error::Malformed("three parts wanted"));
    };
    // RFC 4616 §2: authcid and passwd have at least one character.
    if user.is_empty() || password.is_empty() {
        return Err(Error::Malformed("empty name or password"));
    }
    let authzid = (!authzid.is_empty()).then(|| authzid.to_owned());
    Ok(Step::VerifyPassword {
        authzid,
        user: user.to_owned(),
        password: password.into(),
    })
}

/// `initial-response = *( UTF8-char-no-nul )` (RFC 4422 Appendix A.1)
fn external(response: &[u8]) -> Result<Step, Error> {
    let authzid = scram::text(response)?;
    if authzid.contains('\0') {
        return Err(Error::Malformed("NUL"));
    }
    let authzid = (!authzid.is_empty()).then(|| authzid.to_owned());
    Ok(Step::VerifyCertificate { authzid })
}

fn login_password(user: String, response: &[u8]) -> Result<Step, Error> {
    let password = Secret::new(login_text(response)?);
    Ok(Step::VerifyPassword {
        authzid: None,
        user,
        password,
    })
}

fn login_text(response: &[u8]) -> Result<String, Error> {
    let text = scram::text(response)?;
    if text.is_empty() || text.contains('\0') {
        return Err(Error::Malformed("empty name or password"));
    }
    Ok(text.to_owned())
}
