//! SASL exchanges of all protocols: the mechanism's steps from `wire`, the accounts from here.

use sha2::{Digest, Sha256};
use wire::sasl::server::{self, Step};
use wire::sasl::{ChannelBinding, Error, Mechanism, ScramKeys, nonce};

use super::{Auth, Identity, Network, Origin, Refusal, password, random};
use crate::stream::TlsInfo;

/// What to send the client next.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// This challenge; then comes a response.
    Challenge(Vec<u8>),
    /// The client is in.
    Done(Identity),
    /// It is not; the delay for wrong passwords is over.
    Failed(Refusal),
}

/// One exchange. Kept by the session's handler from AUTH to its end; dropped when the client cancels.
#[derive(Debug)]
pub struct Exchange {
    inner: server::Exchange,
    /// Addresses that the certificate of the client names.
    certified: Vec<String>,
}

impl Exchange {
    /// Starts an exchange on a connection with this TLS. The mechanism must be one of those announced.
    pub fn new(mechanism: Mechanism, tls: Option<&TlsInfo>) -> Exchange {
        let exporter = tls.and_then(|tls| tls.exporter);
        let binding = ChannelBinding {
            tls_exporter: exporter,
            plus_advertised: exporter.is_some(),
        };
        Exchange {
            inner: server::Exchange::new(mechanism, binding, nonce(random())),
            certified: tls.map(|tls| tls.client.clone()).unwrap_or_default(),
        }
    }

    /// The first step, with the initial response where the client sent one.
    pub async fn start(
        &mut self,
        auth: &Auth,
        origin: Origin<'_>,
        initial: Option<&[u8]>,
    ) -> Outcome {
        let step = self.inner.start(initial);
        self.go_on(auth, origin, step).await
    }

    /// The client's response to the last challenge.
    pub async fn step(&mut self, auth: &Auth, origin: Origin<'_>, response: &[u8]) -> Outcome {
        let step = self.inner.step(response);
        self.go_on(auth, origin, step).await
    }

    async fn go_on(&mut self, auth: &Auth, origin: Origin<'_>, step: Step) -> Outcome {
        match step {
            Step::Challenge(challenge) => Outcome::Challenge(challenge),
            Step::VerifyPassword {
                authzid,
                user,
                password,
            } => {
                let checked = auth.login(origin, &user, &password).await;
                match checked.and_then(|identity| allowed(authzid, identity)) {
                    Ok(identity) => Outcome::Done(identity),
                    Err(refusal) => Outcome::Failed(refusal),
                }
            }
            Step::NeedScramKeys { user, .. } => match auth.scram_keys(origin, &user).await {
                // Keys lead to a challenge or a failure, never back here.
                Ok(keys) => match self.inner.scram_keys(keys) {
                    Step::Challenge(challenge) => Outcome::Challenge(challenge),
                    _ => auth.sasl_failed(origin, Error::Order).await,
                },
                Err(refusal) => Outcome::Failed(refusal),
            },
            Step::Done { authzid, user } => match auth.scram_done(origin, &user) {
                Ok(identity) => match allowed(authzid, identity) {
                    Ok(identity) => Outcome::Done(identity),
                    Err(refusal) => Outcome::Failed(refusal),
                },
                Err(refusal) => Outcome::Failed(refusal),
            },
            Step::VerifyToken { user, token } => {
                match auth.token(origin, user.as_deref(), &token).await {
                    Ok(identity) => Outcome::Done(identity),
                    // The client is told why, and the exchange ends with its answer (RFC 7628 §3.2.3).
                    Err(Refusal::Wrong) => match self.inner.refuse_token(&auth.token_refusal()) {
                        Step::Challenge(challenge) => Outcome::Challenge(challenge),
                        _ => Outcome::Failed(Refusal::Wrong),
                    },
                    Err(refusal) => Outcome::Failed(refusal),
                }
            }
            Step::VerifyCertificate { authzid } => {
                match auth.certified(origin, &self.certified, authzid.as_deref()) {
                    Ok(Some(identity)) => Outcome::Done(identity),
                    Ok(None) => {
                        let network = Network::of(origin.peer);
                        Outcome::Failed(auth.failed(origin, network, None, "").await)
                    }
                    Err(refusal) => Outcome::Failed(refusal),
                }
            }
            // Counted and delayed when the token was looked at.
            Step::Failed(Error::WrongToken) => Outcome::Failed(Refusal::Wrong),
            Step::Failed(error) => auth.sasl_failed(origin, error).await,
        }
    }
}

/// Nobody acts for another here: an authorisation identity (RFC 4422 §2) must be the user's own address.
fn allowed(authzid: Option<String>, identity: Identity) -> Result<Identity, Refusal> {
    match authzid {
        Some(other) if !other.is_empty() && !other.eq_ignore_ascii_case(&identity.address) => {
            Err(Refusal::Wrong)
        }
        _ => Ok(identity),
    }
}

impl Auth {
    async fn scram_keys(&self, origin: Origin<'_>, user: &str) -> Result<ScramKeys, Refusal> {
        self.admit(origin, Network::of(origin.peer), user).await?;
        let credentials = self.credentials(user)?;
        let keys = credentials
            .filter(|c| !c.disabled)
            .and_then(|c| c.secret?.scram)
            .and_then(convert);
        Ok(keys.unwrap_or_else(|| self.invented_keys(user)))
    }

    /// For unknown users: the salt must stay the same, as a real one would (RFC 5802 §9 on probing names).
    fn invented_keys(&self, user: &str) -> ScramKeys {
        let mut hash = Sha256::new();
        hash.update(self.salt_secret);
        hash.update(user.to_lowercase().as_bytes());
        let salt: [u8; 32] = hash.finalize().into();
        ScramKeys {
            salt: salt.iter().take(16).copied().collect(),
            iterations: password::SCRAM_ITERATIONS,
            stored_key: random(),
            server_key: random(),
        }
    }

    fn scram_done(&self, origin: Origin<'_>, user: &str) -> Result<Identity, Refusal> {
        let credentials = self
            .credentials(user)?
            .filter(|c| !c.disabled)
            .ok_or(Refusal::Wrong)?;
        let identity = Identity {
            account: credentials.account,
            address: credentials.address,
        };
        Ok(self.succeeded(origin, Network::of(origin.peer), identity))
    }

    async fn sasl_failed(&self, origin: Origin<'_>, error: Error) -> Outcome {
        tracing::info!(peer = %origin.peer, service = %origin.service, %error, "SASL exchange failed");
        match error {
            Error::Malformed(_) | Error::Order | Error::Extension => {
                Outcome::Failed(Refusal::Malformed)
            }
            _ => Outcome::Failed(
                self.failed(origin, Network::of(origin.peer), None, "")
                    .await,
            ),
        }
    }
}

fn convert(keys: store::ScramKeys) -> Option<ScramKeys> {
    Some(ScramKeys {
        salt: keys.salt,
        iterations: keys.iterations,
        stored_key: keys.stored_key.try_into().ok()?,
        server_key: keys.server_key.try_into().ok()?,
    })
}
