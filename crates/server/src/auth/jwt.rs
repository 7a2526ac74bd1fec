//! Signed tokens: JSON Web Tokens (RFC 7519) with their signatures (RFC 7515) and keys (RFC 7517). Pure: no clock, no network.
//!
//! Invariants (attack A45): the algorithm is one of three and must fit the kind of the key that is used, so that no token
//! chooses `none`, or takes a public key for a shared secret; `kid` is compared with the names of keys and nothing else;
//! a token without `exp` is not believed.
//!
//! Limits: [`TOKEN_LIMIT`], [`KEYS_LIMIT`].

use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use serde_json::{Map, Value};

/// Octets of a token. With the names and roles that issuers put in, some are 4,000.
pub const TOKEN_LIMIT: usize = 16 * 1024;

/// Keys of an issuer that are looked at. Issuers have two or three.
const KEYS_LIMIT: usize = 100;

/// By how much clocks may differ, in seconds.
const SKEW: i64 = 60;

/// What is known of a token that is good.
pub type Claims = Map<String, Value>;

/// What a token must say.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// In `iss`.
    pub issuer: &'a str,
    /// In `aud`, or among its values.
    pub audience: &'a str,
    /// Seconds since 1970.
    pub now: i64,
}

/// Why a token is not believed. For the log: the client is told only that it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a token of this form.
    #[error("not a signed JSON Web Token")]
    Malformed,
    /// An algorithm that is not on the list.
    #[error("an algorithm that is not allowed")]
    Algorithm,
    /// Its header says that something must be understood which is not (RFC 7515 §4.1.11).
    #[error("an extension that is not known")]
    Critical,
    /// The issuer has no key of that name and kind.
    #[error("no key of the issuer fits")]
    NoKey,
    /// The signature is wrong.
    #[error("the signature is wrong")]
    Signature,
    /// Another issuer.
    #[error("it is from another issuer")]
    Issuer,
    /// For somebody else.
    #[error("it is for another audience")]
    Audience,
    /// Expired, not valid yet, or without an end.
    #[error("it is not valid now")]
    Time,
}

/// What may sign: asymmetric, and nothing that is weak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Rs256,
    Es256,
    EdDsa,
}

impl Algorithm {
    fn named(name: &str) -> Option<Algorithm> {
        match name {
            "RS256" => Some(Algorithm::Rs256),
            "ES256" => Some(Algorithm::Es256),
            // RFC 8037 §3.1; RFC 9864 names the curve.
            "EdDSA" | "Ed25519" => Some(Algorithm::EdDsa),
            _ => None,
        }
    }
}

/// The public keys of an issuer.
#[derive(Debug, Clone, Default)]
pub struct KeySet(Vec<Key>);

#[derive(Debug, Clone)]
struct Key {
    name: Option<String>,
    public: Public,
}

#[derive(Debug, Clone)]
enum Public {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl Public {
    fn algorithm(&self) -> Algorithm {
        match self {
            Public::Rsa { .. } => Algorithm::Rs256,
            Public::P256(_) => Algorithm::Es256,
            Public::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    fn verify(&self, message: &[u8], signed: &[u8]) -> bool {
        match self {
            Public::Rsa { n, e } => RsaPublicKeyComponents { n, e }
                .verify(&signature::RSA_PKCS1_2048_8192_SHA256, message, signed)
                .is_ok(),
            Public::P256(point) => {
                UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point)
                    .verify(message, signed)
                    .is_ok()
            }
            Public::Ed25519(point) => UnparsedPublicKey::new(&signature::ED25519, point)
                .verify(message, signed)
                .is_ok(),
        }
    }
}

impl KeySet {
    /// Reads a key set (RFC 7517 §5). Keys that cannot be used for signatures of ours are left out.
    pub fn parse(text: &[u8]) -> Option<KeySet> {
        let set: Value = serde_json::from_slice(text).ok()?;
        let keys = set.get("keys")?.as_array()?;
        Some(KeySet(
            keys.iter().take(KEYS_LIMIT).filter_map(key).collect(),
        ))
    }

    /// Whether there is a key of the name and kind that a token asks for; a token that does not parse needs none.
    pub fn has_key_for(&self, token: &str) -> bool {
        match Parts::of(token) {
            Ok(parts) => self.fitting(&parts).next().is_some(),
            Err(_) => true,
        }
    }

    fn fitting<'k>(&'k self, parts: &'k Parts<'_>) -> impl Iterator<Item = &'k Key> {
        self.0.iter().filter(|key| {
            key.public.algorithm() == parts.algorithm
                && (parts.key.is_none() || parts.key == key.name)
        })
    }
}

fn key(value: &Value) -> Option<Key> {
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    // RFC 7517 §4.2: a key for encryption signs nothing.
    if text("use").is_some_and(|purpose| purpose != "sig") {
        return None;
    }
    let octets = |name: &str| text(name).and_then(decode);
    let public = match (text("kty")?, text("crv")) {
        ("RSA", _) => Public::Rsa {
            n: octets("n")?,
            e: octets("e")?,
        },
        // RFC 7518 §6.2.1: coordinates of full length; in front the octet that says "uncompressed".
        ("EC", Some("P-256")) => {
            let (x, y) = (octets("x")?, octets("y")?);
            if x.len() != 32 || y.len() != 32 {
                return None;
            }
            Public::P256([&[4], x.as_slice(), y.as_slice()].concat())
        }
        ("OKP", Some("Ed25519")) => Public::Ed25519(octets("x")?),
        _ => return None,
    };
    // RFC 7517 §4.4: a key that is meant for one algorithm serves no other.
    let meant = text("alg").map(Algorithm::named);
    if meant.is_some_and(|meant| meant != Some(public.algorithm())) {
        return None;
    }
    Some(Key {
        name: text("kid").map(str::to_owned),
        public,
    })
}

/// A token taken apart.
struct Parts<'t> {
    algorithm: Algorithm,
    key: Option<String>,
    signed: &'t [u8],
    payload: &'t str,
    signature: Vec<u8>,
}

impl Parts<'_> {
    /// `BASE64URL(header) "." BASE64URL(payload) "." BASE64URL(signature)` (RFC 7515 §7.1).
    fn of(token: &str) -> Result<Parts<'_>, Error> {
        if token.len() > TOKEN_LIMIT {
            return Err(Error::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Error::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Error::Malformed)?;
        let header: Claims = object(header)?;
        let algorithm = header
            .get("alg")
            .and_then(Value::as_str)
            .and_then(Algorithm::named)
            .ok_or(Error::Algorithm)?;
        if header.contains_key("crit") {
            return Err(Error::Critical);
        }
        let key = match header.get("kid") {
            None => None,
            Some(Value::String(name)) => Some(name.clone()),
            Some(_) => return Err(Error::Malformed),
        };
        Ok(Parts {
            algorithm,
            key,
            signed: signed.as_bytes(),
            payload,
            signature: decode(signature).ok_or(Error::Malformed)?,
        })
    }
}

/// Checks a token and answers what it says.
pub fn verify(token: &str, keys: &KeySet, expected: Expected<'_>) -> Result<Claims, Error> {
    let parts = Parts::of(token)?;
    let mut any = false;
    let mut good = false;
    for key in keys.fitting(&parts) {
        any = true;
        good = good || key.public.verify(parts.signed, &parts.signature);
    }
    if !any {
        return Err(Error::NoKey);
    }
    if !good {
        return Err(Error::Signature);
    }
    let claims = object(parts.payload)?;
    if claims.get("iss").and_then(Value::as_str) != Some(expected.issuer) {
        return Err(Error::Issuer);
    }
    check(&claims, expected)?;
    Ok(claims)
}

/// Audience and time, which the answer of an introspection has too.
pub fn check(claims: &Claims, expected: Expected<'_>) -> Result<(), Error> {
    // RFC 7519 §4.1.3: one, or several.
    let meant = match claims.get("aud") {
        Some(Value::String(one)) => one == expected.audience,
        Some(Value::Array(all)) => all
            .iter()
            .any(|one| one.as_str() == Some(expected.audience)),
        _ => false,
    };
    if !meant {
        return Err(Error::Audience);
    }
    let number = |name: &str| -> Result<Option<i64>, Error> {
        match claims.get(name) {
            None => Ok(None),
            // RFC 7519 §2: NumericDate may have a fraction.
            Some(value) => match (value.as_i64(), value.as_f64()) {
                (Some(number), _) => Ok(Some(number)),
                (None, Some(number)) if number.is_finite() => Ok(Some(number as i64)),
                _ => Err(Error::Time),
            },
        }
    };
    let until = number("exp")?.ok_or(Error::Time)?;
    let from = number("nbf")?.unwrap_or(i64::MIN);
    let now = expected.now;
    if now >= until.saturating_add(SKEW) || now.saturating_add(SKEW) < from {
        return Err(Error::Time);
    }
    Ok(())
}

fn object(part: &str) -> Result<Claims, Error> {
    let octets = decode(part).ok_or(Error::Malformed)?;
    serde_json::from_slice(&octets).map_err(|_| Error::Malformed)
}

/// base64url without padding (RFC 7515 §2).
fn decode(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(text)
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use ring::rand::SystemRandom;
    use ring::signature::{EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
    use serde_json::json;

    const NOW: i64 = 1_800_000_000;

    fn encode(octets: impl AsRef<[u8]>) -> String {
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(octets)
    }

    struct Issuer {
        ed: Ed25519KeyPair,
        ec: EcdsaKeyPair,
    }

    impl Issuer {
        fn new() -> Issuer {
            let random = SystemRandom::new();
            let ed = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
            let fixed = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
            let ec = EcdsaKeyPair::generate_pkcs8(fixed, &random).unwrap();
            Issuer {
                ed: Ed25519KeyPair::from_pkcs8(ed.as_ref()).unwrap(),
                ec: EcdsaKeyPair::from_pkcs8(fixed, ec.as_ref(), &random).unwrap(),
            }
        }

        fn keys(&self) -> Value {
            let point = self.ec.public_key().as_ref();
            json!({"keys": [
                {"kty": "OKP", "crv": "Ed25519", "kid": "one", "x": encode(self.ed.public_key())},
                {"kty": "EC", "crv": "P-256", "kid": "two", "use": "sig", "alg": "ES256",
                 "x": encode(&point[1..33]), "y": encode(&point[33..])},
                {"kty": "EC", "crv": "P-256", "kid": "three", "use": "enc",
                 "x": encode(&point[1..33]), "y": encode(&point[33..])},
                {"kty": "oct", "kid": "four", "k": encode("secret")},
            ]})
        }

        fn set(&self) -> KeySet {
            KeySet::parse(self.keys().to_string().as_bytes()).unwrap()
        }

        fn token(&self, header: Value, claims: &Value) -> String {
            let signed = format!(
                "{}.{}",
                encode(header.to_string()),
                encode(claims.to_string())
            );
            let signature = match header.get("alg").and_then(Value::as_str) {
                Some("EdDSA") => self.ed.sign(signed.as_bytes()).as_ref().to_vec(),
                Some("ES256") => {
                    let random = SystemRandom::new();
                    let signature = self.ec.sign(&random, signed.as_bytes()).unwrap();
                    signature.as_ref().to_vec()
                }
                // A45: the public key as the secret of an HMAC.
                Some("HS256") => {
                    let key = ring::hmac::Key::new(
                        ring::hmac::HMAC_SHA256,
                        self.ed.public_key().as_ref(),
                    );
                    ring::hmac::sign(&key, signed.as_bytes()).as_ref().to_vec()
                }
                _ => Vec::new(),
            };
            format!("{signed}.{}", encode(signature))
        }
    }

    fn expected() -> Expected<'static> {
        Expected {
            issuer: "https://id.example",
            audience: "mail",
            now: NOW,
        }
    }

    fn claims() -> Value {
        json!({"iss": "https://id.example", "aud": "mail", "exp": NOW + 300, "email": "alice@example.test"})
    }

    fn with(change: Value) -> Value {
        let mut claims = claims();
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    }

    #[test]
    fn good_tokens() {
        let issuer = Issuer::new();
        let keys = issuer.set();
        for header in [
            json!({"alg": "EdDSA", "kid": "one"}),
            json!({"alg": "EdDSA"}),
            json!({"alg": "ES256", "kid": "two", "typ": "at+jwt"}),
        ] {
            let token = issuer.token(header, &claims());
            let read = verify(&token, &keys, expected()).unwrap();
            assert_eq!(read["email"], "alice@example.test");
        }
        for change in [
            json!({"aud": ["x", "mail"]}),
            json!({"exp": NOW - 59}),
            json!({"exp": NOW as f64 + 0.5}),
            json!({"nbf": NOW + 60}),
        ] {
            let token = issuer.token(json!({"alg": "EdDSA"}), &with(change));
            assert!(verify(&token, &keys, expected()).is_ok());
        }
    }

    /// RS256, with a key and a token that openssl made.
    #[test]
    fn rsa_tokens() {
        let keys = KeySet::parse(include_bytes!("testdata/rsa.jwks.json")).unwrap();
        let token = include_str!("testdata/rsa.jwt").trim();
        assert!(verify(token, &keys, expected()).is_ok());
        let (signed, _) = token.rsplit_once('.').unwrap();
        let forged = format!("{signed}.{}", encode([1; 256]));
        assert_eq!(verify(&forged, &keys, expected()), Err(Error::Signature));
    }

    /// A45: tokens that choose how they are checked, and what they are checked with.
    #[test]
    fn a45_algorithms_and_keys() {
        let issuer = Issuer::new();
        let keys = issuer.set();
        let table = [
            (json!({"alg": "none"}), Error::Algorithm),
            (json!({"alg": "None", "kid": "one"}), Error::Algorithm),
            (json!({"alg": "HS256", "kid": "one"}), Error::Algorithm),
            (json!({"alg": "HS256", "kid": "four"}), Error::Algorithm),
            (json!({"alg": "RS256", "kid": "one"}), Error::NoKey),
            (json!({"alg": "ES256", "kid": "one"}), Error::NoKey),
            (json!({"alg": "EdDSA", "kid": "two"}), Error::NoKey),
            (json!({"alg": "ES256", "kid": "three"}), Error::NoKey),
            (
                json!({"alg": "EdDSA", "kid": "../../../etc/passwd"}),
                Error::NoKey,
            ),
            (
                json!({"alg": "EdDSA", "kid": "one' OR 1=1--"}),
                Error::NoKey,
            ),
            (json!({"alg": "EdDSA", "kid": 1}), Error::Malformed),
            (json!({"alg": "EdDSA", "crit": ["exp"]}), Error::Critical),
            (json!({"alg": ["EdDSA"]}), Error::Algorithm),
            (json!({}), Error::Algorithm),
            // A key of the token's own is not looked at.
            (
                json!({"alg": "ES256", "kid": "mine", "jku": "https://evil.example/", "jwk": {"kty": "oct"}}),
                Error::NoKey,
            ),
        ];
        for (header, error) in table {
            let token = issuer.token(header.clone(), &claims());
            assert_eq!(verify(&token, &keys, expected()), Err(error), "{header}");
        }
        let other = Issuer::new().token(json!({"alg": "EdDSA", "kid": "one"}), &claims());
        assert_eq!(verify(&other, &keys, expected()), Err(Error::Signature));
    }

    #[test]
    fn a45_claims() {
        let issuer = Issuer::new();
        let keys = issuer.set();
        let table = [
            (json!({"iss": "https://id.example/"}), Error::Issuer),
            (json!({"iss": null}), Error::Issuer),
            (json!({"aud": "mail2"}), Error::Audience),
            (json!({"aud": []}), Error::Audience),
            (json!({"aud": null}), Error::Audience),
            (json!({"exp": NOW - 60}), Error::Time),
            (json!({"exp": null}), Error::Time),
            (json!({"exp": "never"}), Error::Time),
            (json!({"nbf": NOW + 61}), Error::Time),
        ];
        for (change, error) in table {
            let token = issuer.token(json!({"alg": "EdDSA"}), &with(change.clone()));
            assert_eq!(verify(&token, &keys, expected()), Err(error), "{change}");
        }
        let mut none = claims();
        none.as_object_mut().unwrap().remove("exp");
        let token = issuer.token(json!({"alg": "EdDSA"}), &none);
        assert_eq!(verify(&token, &keys, expected()), Err(Error::Time));
    }

    #[test]
    fn a45_malformed() {
        let issuer = Issuer::new();
        let keys = issuer.set();
        let good = issuer.token(json!({"alg": "EdDSA"}), &claims());
        for token in [
            String::new(),
            ".".into(),
            "..".into(),
            "a.b".into(),
            good.replace('.', ""),
            format!("{good}="),
            format!("{good}.x"),
            format!(".{good}"),
            "x".repeat(TOKEN_LIMIT + 1),
        ] {
            assert!(verify(&token, &keys, expected()).is_err(), "{token}");
        }
        for place in 0..good.len() {
            let mut changed = good.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(
                verify(&changed, &keys, expected()).is_err(),
                "octet {place}"
            );
        }
    }
}
