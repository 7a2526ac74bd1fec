//! The messages of OAUTHBEARER (RFC 7628 §3.1) and of XOAUTH2, its older and simpler sister.

use super::{Error, Secret, scram};

/// What a client says with its token.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bearer {
    /// Whom it wants to be, when it says so.
    pub user: Option<String>,
    pub token: Secret,
}

/// What separates key and value pairs.
const SEPARATOR: char = '\u{1}';

/// ```text
/// client-resp = gs2-header kvsep *kvpair kvsep
/// kvpair      = key "=" value kvsep
/// ```
/// The header is RFC 5801's without a channel binding: `n,` or `y,`, then `a=` and a name, or nothing, and a comma.
pub(super) fn bearer(response: &[u8]) -> Result<Bearer, Error> {
    let message = scram::text(response)?;
    let (header, pairs) = message
        .split_once(SEPARATOR)
        .ok_or(Error::Malformed("separator"))?;
    let mut header = header.splitn(3, ',');
    if !matches!(header.next(), Some("n" | "y")) {
        return Err(Error::ChannelBinding("OAUTHBEARER has none"));
    }
    let user = match header.next() {
        Some("") => None,
        Some(name) => {
            let name = name.strip_prefix("a=").ok_or(Error::Malformed("name"))?;
            Some(scram::unescape(name)?)
        }
        None => return Err(Error::Malformed("header")),
    };
    if header.next() != Some("") {
        return Err(Error::Malformed("header"));
    }
    Ok(Bearer {
        user,
        token: token(pairs, "auth")?,
    })
}

/// `"user=" name ^A "auth=Bearer " token ^A ^A`
pub(super) fn xoauth2(response: &[u8]) -> Result<Bearer, Error> {
    let message = scram::text(response)?;
    let (user, pairs) = message
        .split_once(SEPARATOR)
        .ok_or(Error::Malformed("separator"))?;
    let user = user
        .strip_prefix("user=")
        .filter(|user| !user.is_empty())
        .ok_or(Error::Malformed("name"))?;
    Ok(Bearer {
        user: Some(user.to_owned()),
        token: token(pairs, "auth")?,
    })
}

/// The bearer token among key and value pairs; other keys are ignored (RFC 7628 §3.1), one given twice is not understood.
fn token(pairs: &str, wanted: &str) -> Result<Secret, Error> {
    let pairs = pairs
        .strip_suffix(SEPARATOR)
        .filter(|pairs| pairs.is_empty() || pairs.ends_with(SEPARATOR))
        .ok_or(Error::Malformed("end"))?;
    let mut found = None;
    for pair in pairs.split_terminator(SEPARATOR) {
        let (key, value) = pair.split_once('=').ok_or(Error::Malformed("pair"))?;
        if key.is_empty() || !key.bytes().all(|octet| octet.is_ascii_alphabetic()) {
            return Err(Error::Malformed("key"));
        }
        if key == wanted && found.replace(value).is_some() {
            return Err(Error::Malformed("two tokens"));
        }
    }
    let value = found.ok_or(Error::Malformed("no token"))?;
    let (scheme, token) = value.split_once(' ').ok_or(Error::Malformed("scheme"))?;
    let token = token.trim_start_matches(' ');
    if !scheme.eq_ignore_ascii_case("Bearer") || !is_token(token) {
        return Err(Error::Malformed("token"));
    }
    Ok(token.into())
}

/// `b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="` (RFC 6750 §2.1)
fn is_token(token: &str) -> bool {
    let body = token.trim_end_matches('=');
    !body.is_empty()
        && body
            .bytes()
            .all(|octet| octet.is_ascii_alphanumeric() || b"-._~+/".contains(&octet))
}

/// The client's message of OAUTHBEARER.
pub(super) fn say_bearer(user: &str, token: &str) -> String {
    let user = scram::escape(user);
    format!("n,a={user},{SEPARATOR}auth=Bearer {token}{SEPARATOR}{SEPARATOR}")
}

/// The client's message of XOAUTH2.
pub(super) fn say_xoauth2(user: &str, token: &str) -> String {
    format!("user={user}{SEPARATOR}auth=Bearer {token}{SEPARATOR}{SEPARATOR}")
}

/// Whether a client can say it.
pub(super) fn is_sayable(user: &str, token: &str) -> bool {
    !user.is_empty() && !user.chars().any(char::is_control) && is_token(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(message: &str) -> Result<(Option<String>, String), Error> {
        bearer(message.as_bytes()).map(|bearer| (bearer.user, bearer.token.expose().to_owned()))
    }

    /// RFC 7628 §4.1
    #[test]
    fn bearer_messages() {
        let example = "n,a=user@example.com,\u{1}host=server.example.com\u{1}port=143\u{1}\
            auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\u{1}\u{1}";
        let token = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==".to_owned();
        assert_eq!(read(example), Ok((Some("user@example.com".into()), token)));
        assert_eq!(
            read("y,,\u{1}auth=bearer  a.b-c\u{1}\u{1}"),
            Ok((None, "a.b-c".into()))
        );
        assert_eq!(
            read("n,a=a=2Cb=3Dc,\u{1}auth=Bearer x\u{1}\u{1}").map(|read| read.0),
            Ok(Some("a,b=c".into()))
        );
        for bad in [
            "",
            "\u{1}",
            "n,,",
            "n,,\u{1}\u{1}",
            "n,,\u{1}auth=Bearer x\u{1}",
            "n,,\u{1}auth=Bearer x",
            "n,\u{1}auth=Bearer x\u{1}\u{1}",
            "p=tls-unique,,\u{1}auth=Bearer x\u{1}\u{1}",
            "n,b=x,\u{1}auth=Bearer x\u{1}\u{1}",
            "n,,\u{1}auth=Basic x\u{1}\u{1}",
            "n,,\u{1}auth=Bearer\u{1}\u{1}",
            "n,,\u{1}auth=Bearer a b\u{1}\u{1}",
            "n,,\u{1}auth=Bearer ==\u{1}\u{1}",
            "n,,\u{1}auth=Bearer x\u{1}auth=Bearer y\u{1}\u{1}",
            "n,,\u{1}a1=x\u{1}auth=Bearer x\u{1}\u{1}",
            "n,,\u{1}host\u{1}auth=Bearer x\u{1}\u{1}",
        ] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn xoauth2_messages() {
        let said = say_xoauth2("someuser@example.com", "ya29.vF9");
        let read = xoauth2(said.as_bytes()).unwrap();
        assert_eq!(read.user.as_deref(), Some("someuser@example.com"));
        assert_eq!(read.token.expose(), "ya29.vF9");
        for bad in [
            "auth=Bearer x\u{1}\u{1}",
            "user=\u{1}auth=Bearer x\u{1}\u{1}",
            "user=a\u{1}\u{1}",
            "user=a\u{1}auth=Bearer x",
        ] {
            assert!(xoauth2(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
