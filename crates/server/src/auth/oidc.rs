//! Tokens of an OpenID Connect issuer, for OAUTHBEARER and XOAUTH2.
//!
//! Owns: the issuer's keys, fetched when they are first needed and again when a token names one that is not there; the
//! question to the issuer where the configuration wants that instead; and whose account a token is for.
//!
//! Invariants: the configuration says where keys come from, never a token; an issuer that does not answer is a temporary
//! failure, not a refusal; a token that is good but not for an account here is refused as a wrong one is.
//!
//! Limits: [`ANSWER`], [`KEEP`], [`AGAIN`].

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine as _;
use serde_json::Value;
use store::Error as StoreError;
use tokio::sync::Mutex;
use tokio::time::Instant;
use wire::sasl::Secret;

use super::jwt::{self, Claims, Expected, KeySet};
use super::{Auth, Identity, Network, Origin, Refusal, now};
use crate::config::{Introspection, Oidc};
use crate::http::{Http, Limits};

/// What an answer of the issuer may cost. Somebody waits for it to log in.
const ANSWER: Limits = Limits {
    body: 256 * 1024,
    time: Duration::from_secs(5),
};

/// How long keys are believed without asking again.
const KEEP: Duration = Duration::from_secs(3_600);

/// How long before they are fetched again for a token whose key is not among them, or after a fetch that failed: whoever
/// sends such tokens shall not make us ask each time, nor shall each login wait for an issuer that is silent.
const AGAIN: Duration = Duration::from_secs(60);

/// The issuer's keys, and the web to fetch them from.
#[derive(Default)]
pub(super) struct Tokens {
    http: Option<Http>,
    /// The keys; never locked for longer than a copy takes.
    known: RwLock<Option<Known>>,
    /// Held while fetching, so that many logins fetch once. Who has keys that do for his token does not wait for it.
    failed: Mutex<Option<Failed>>,
}

/// The last fetch, if it came to nothing.
struct Failed {
    /// From there.
    issuer: String,
    at: Instant,
    why: String,
}

#[derive(Clone)]
struct Known {
    /// From there.
    issuer: String,
    keys: Arc<KeySet>,
    fetched: Instant,
}

/// What asking the issuer came to.
enum Trouble {
    /// The token is not believed.
    Token(jwt::Error),
    /// The issuer says that it is not in force.
    Inactive,
    /// The issuer does not answer as it should.
    Issuer(String),
}

impl From<jwt::Error> for Trouble {
    fn from(error: jwt::Error) -> Trouble {
        Trouble::Token(error)
    }
}

impl Auth {
    /// Gives the checker of tokens its web.
    pub fn with_http(mut self, http: Http) -> Auth {
        self.tokens.http = Some(http);
        self
    }

    /// Whether an issuer is configured.
    pub(super) fn takes_tokens(&self) -> bool {
        self.oidc().is_some() && self.tokens.http.is_some()
    }

    fn oidc(&self) -> Option<Oidc> {
        let options = self.options.read();
        let options = options.unwrap_or_else(std::sync::PoisonError::into_inner);
        options.oidc.clone()
    }

    /// Checks a token; `user` is whom the client wants to be.
    pub(super) async fn token(
        &self,
        origin: Origin<'_>,
        user: Option<&str>,
        token: &Secret,
    ) -> Result<Identity, Refusal> {
        let Some(oidc) = self.oidc() else {
            return Err(Refusal::Wrong);
        };
        let network = Network::of(origin.peer);
        self.admit(origin, network, user.unwrap_or_default())
            .await?;
        let claims = match self.tokens.check(&oidc, token).await {
            Ok(claims) => claims,
            Err(Trouble::Issuer(why)) => {
                tracing::error!(issuer = oidc.issuer, why, "a token could not be checked");
                return Err(Refusal::Unavailable(StoreError::Busy("issuer of tokens")));
            }
            Err(Trouble::Token(error)) => {
                tracing::info!(peer = %origin.peer, service = %origin.service, %error, "token refused");
                return Err(self
                    .failed(origin, network, None, user.unwrap_or_default())
                    .await);
            }
            Err(Trouble::Inactive) => {
                tracing::info!(peer = %origin.peer, service = %origin.service, "token not in force");
                return Err(self
                    .failed(origin, network, None, user.unwrap_or_default())
                    .await);
            }
        };
        let named = named(&claims, &oidc.claim);
        let credentials = match &named {
            Some(address) => self.credentials(address)?,
            None => None,
        };
        match credentials.filter(|credentials| !credentials.disabled) {
            // RFC 7628 §3.1: the name in the message is whom the client wants to be; nobody acts for another here.
            Some(credentials)
                if user.is_none_or(|user| user.eq_ignore_ascii_case(&credentials.address)) =>
            {
                let identity = Identity {
                    account: credentials.account,
                    address: credentials.address,
                };
                Ok(self.succeeded(origin, network, identity))
            }
            other => {
                tracing::info!(peer = %origin.peer, claim = ?named, "a good token, and not for this account");
                let account = other.map(|credentials| credentials.account);
                Err(self
                    .failed(origin, network, account, user.unwrap_or_default())
                    .await)
            }
        }
    }

    /// What a client is told whose token is refused (RFC 7628 §3.2.2).
    pub(super) fn token_refusal(&self) -> String {
        let issuer = self.oidc().map(|oidc| oidc.issuer).unwrap_or_default();
        let configuration = discovery(&issuer);
        serde_json::json!({
            "status": "invalid_token",
            "schemes": "bearer",
            "openid-configuration": configuration,
        })
        .to_string()
    }
}

/// The address in the claim. An address that the issuer has not verified could be anybody's.
fn named(claims: &Claims, claim: &str) -> Option<String> {
    let unverified = claims
        .get("email_verified")
        .is_some_and(|verified| verified == &Value::Bool(false) || verified == "false");
    if claim == "email" && unverified {
        return None;
    }
    let address = claims.get(claim)?.as_str()?;
    (address.len() <= super::USER_LIMIT).then(|| address.to_owned())
}

fn discovery(issuer: &str) -> String {
    // OpenID Connect Discovery 1.0 §4
    format!(
        "{}/.well-known/openid-configuration",
        issuer.trim_end_matches('/')
    )
}

impl Tokens {
    async fn check(&self, oidc: &Oidc, token: &Secret) -> Result<Claims, Trouble> {
        let http = self
            .http
            .as_ref()
            .ok_or_else(|| Trouble::Issuer("there is no web".to_owned()))?;
        let expected = Expected {
            issuer: &oidc.issuer,
            audience: &oidc.audience,
            now: now(),
        };
        if let Some(introspection) = &oidc.introspection {
            return introspect(http, introspection, token, expected).await;
        }
        let keys = self.keys(http, oidc, token).await?;
        Ok(jwt::verify(token, &keys, expected)?)
    }

    /// The issuer's keys, with the one the token asks for if there is such a key.
    async fn keys(&self, http: &Http, oidc: &Oidc, token: &str) -> Result<Arc<KeySet>, Trouble> {
        let known = self.known(&oidc.issuer);
        let fits = known
            .as_ref()
            .is_some_and(|known| known.keys.has_key_for(token));
        if let Some(known) = &known
            && known.is_fresh(fits)
        {
            return Ok(Arc::clone(&known.keys));
        }
        let mut failed = match known.filter(|known| fits && known.is_usable()) {
            Some(known) => match self.failed.try_lock() {
                Ok(failed) => failed,
                // Somebody fetches already.
                Err(_) => return Ok(known.keys),
            },
            None => self.failed.lock().await,
        };
        // What somebody else found out meanwhile is as good.
        let known = self.known(&oidc.issuer);
        if let Some(known) = &known
            && known.is_fresh(known.keys.has_key_for(token))
        {
            return Ok(Arc::clone(&known.keys));
        }
        let silent = failed
            .as_ref()
            .filter(|failed| failed.issuer == oidc.issuer && failed.at.elapsed() < AGAIN);
        let why = match silent {
            Some(failed) => failed.why.clone(),
            None => match fetch(http, oidc).await {
                Ok(keys) => {
                    *failed = None;
                    return Ok(self.learn(&oidc.issuer, keys));
                }
                Err(why) => {
                    tracing::warn!(issuer = oidc.issuer, why, "its keys are not renewed");
                    *failed = Some(Failed {
                        issuer: oidc.issuer.clone(),
                        at: Instant::now(),
                        why: why.clone(),
                    });
                    why
                }
            },
        };
        match known.filter(Known::is_usable) {
            Some(known) => Ok(known.keys),
            None => Err(Trouble::Issuer(why)),
        }
    }

    fn known(&self, issuer: &str) -> Option<Known> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known
            .as_ref()
            .filter(|known| known.issuer == issuer)
            .cloned()
    }

    fn learn(&self, issuer: &str, keys: KeySet) -> Arc<KeySet> {
        let keys = Arc::new(keys);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        *known = Some(Known {
            issuer: issuer.to_owned(),
            keys: Arc::clone(&keys),
            fetched: Instant::now(),
        });
        keys
    }
}

impl Known {
    /// Whether there is nothing to ask; `fits` says that the token's key is among them.
    fn is_fresh(&self, fits: bool) -> bool {
        let age = self.fetched.elapsed();
        age < AGAIN || (fits && age < KEEP)
    }

    /// Keys live for weeks: those of an hour ago are better than nobody coming in.
    fn is_usable(&self) -> bool {
        self.fetched.elapsed() < KEEP.saturating_mul(24)
    }
}

async fn fetch(http: &Http, oidc: &Oidc) -> Result<KeySet, String> {
    let url = match &oidc.jwks {
        Some(url) => url.clone(),
        None => {
            let document = get(http, &discovery(&oidc.issuer)).await?;
            let document: Value = serde_json::from_slice(&document)
                .map_err(|error| format!("its configuration is not JSON: {error}"))?;
            // OpenID Connect Discovery 1.0 §4.3: the document must be the issuer's own.
            if document.get("issuer").and_then(Value::as_str) != Some(&oidc.issuer) {
                return Err("its configuration names another issuer".to_owned());
            }
            let url = document.get("jwks_uri").and_then(Value::as_str);
            let url = url.ok_or("its configuration has no jwks_uri")?;
            if !url.starts_with("https://") && !oidc.issuer.starts_with("http://") {
                return Err(format!("its keys are at {url:?}, which is not https:"));
            }
            url.to_owned()
        }
    };
    let keys = get(http, &url).await?;
    KeySet::parse(&keys).ok_or_else(|| format!("{url} holds no key set"))
}

async fn get(http: &Http, url: &str) -> Result<Vec<u8>, String> {
    match http.get(url, ANSWER).await {
        Ok(response) if response.status == 200 => Ok(response.body),
        Ok(response) => Err(format!("{url} answered {}", response.status)),
        Err(error) => Err(format!("{url}: {error}")),
    }
}

/// RFC 7662 §2
async fn introspect(
    http: &Http,
    introspection: &Introspection,
    token: &Secret,
    expected: Expected<'_>,
) -> Result<Claims, Trouble> {
    let Introspection {
        url,
        client,
        secret,
    } = introspection;
    // RFC 6749 §2.3.1: name and password are form-encoded before they are joined.
    let login = format!("{}:{}", form(client), form(secret));
    let login = base64::engine::general_purpose::STANDARD.encode(login);
    let body = format!("token={}&token_type_hint=access_token", form(token));
    let fields = [
        ("authorization", format!("Basic {login}")),
        (
            "content-type",
            "application/x-www-form-urlencoded".to_owned(),
        ),
        ("accept", "application/json".to_owned()),
    ];
    let fields: Vec<(&str, &str)> = fields
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let response = http
        .post(url, &fields, body.into_bytes(), ANSWER)
        .await
        .map_err(|error| Trouble::Issuer(format!("{url}: {error}")))?;
    if response.status != 200 {
        return Err(Trouble::Issuer(format!(
            "{url} answered {}",
            response.status
        )));
    }
    let claims: Claims = serde_json::from_slice(&response.body)
        .map_err(|error| Trouble::Issuer(format!("{url} answered what is not JSON: {error}")))?;
    if claims.get("active") != Some(&Value::Bool(true)) {
        return Err(Trouble::Inactive);
    }
    // RFC 7662 §2.2: these are optional, and hold where they are given.
    let mut full = claims.clone();
    full.entry("aud")
        .or_insert_with(|| expected.audience.into());
    full.entry("exp").or_insert_with(|| i64::MAX.into());
    jwt::check(&full, expected)?;
    match claims.get("iss").map(Value::as_str) {
        None => Ok(claims),
        Some(issuer) if issuer == Some(expected.issuer) => Ok(claims),
        Some(_) => Err(jwt::Error::Issuer.into()),
    }
}

/// `application/x-www-form-urlencoded`
fn form(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => {
                out.push(char::from(octet));
            }
            b' ' => out.push('+'),
            _ => out.push_str(&format!("%{octet:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn addresses_of_claims() {
        let table = [
            (json!({"email": "a@b.example"}), Some("a@b.example")),
            (
                json!({"email": "a@b.example", "email_verified": true}),
                Some("a@b.example"),
            ),
            (
                json!({"email": "a@b.example", "email_verified": false}),
                None,
            ),
            (
                json!({"email": "a@b.example", "email_verified": "false"}),
                None,
            ),
            (json!({"email": ["a@b.example"]}), None),
            (json!({"sub": "a@b.example"}), None),
            (json!({"email": "x".repeat(400)}), None),
        ];
        for (claims, expected) in table {
            let claims = claims.as_object().unwrap();
            assert_eq!(named(claims, "email").as_deref(), expected, "{claims:?}");
        }
    }

    #[test]
    fn forms() {
        assert_eq!(form("a b&c=d+é"), "a+b%26c%3Dd%2B%C3%A9");
        let url = "https://id.example/.well-known/openid-configuration";
        assert_eq!(discovery("https://id.example/"), url);
    }
}
