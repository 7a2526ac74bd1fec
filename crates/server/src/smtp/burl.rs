//! `BURL` (RFC 4468): a piece of the message comes out of the mailboxes of this very server.
//!
//! URLs with a token are read with the rights of who signed them, plain ones with those of who submits; what is behind
//! them is `crate::imap::urlauth`'s. Nothing is fetched from anywhere else, so no other server can be made to talk to us,
//! and nothing sets `\\Seen`.
//!
//! Limits: how large a piece is is known before an octet is read, and counts against the size of a message and the memory
//! of messages in flight. How often one may do this is how often one may submit.

use smtp::reply::{self, Reply};

use super::{Handler, refusal};
use crate::imap::catenate;
use crate::imap::urlauth::{self, Submitted};

impl Handler {
    /// The octets that a URL names.
    pub(super) async fn url(&mut self, url: String) -> Result<Vec<u8>, Reply> {
        let Some(user) = self.identity.as_ref().map(|identity| identity.account) else {
            return Err(reply::AUTHENTICATION_REQUIRED);
        };
        let config = self.shared.config();
        let now = self.shared.timestamp();
        let incoming = self
            .transaction
            .as_mut()
            .and_then(|transaction| transaction.incoming.as_mut());
        let Some(incoming) = incoming else {
            return Err(reply::BAD_SEQUENCE);
        };
        let host = config.hostname.clone();
        let found = self
            .shared
            .db
            .read(move |snapshot| urlauth::submitted(snapshot, user, &url, &host, now))
            .await;
        let found = match found.map_err(|error| refusal::reply(&error))? {
            Submitted::Octets(found) => found,
            Submitted::Elsewhere => return Err(reply::URL_NOT_TRUSTED),
            Submitted::Forbidden => return Err(reply::URL_NOT_AUTHORIZED),
            Submitted::Nothing => return Err(reply::URL_NOT_RESOLVED),
        };
        let size = incoming.size().saturating_add(found.octets() as u64);
        if size > config.limits.message_size {
            return Err(reply::URL_TOO_BIG);
        }
        if !incoming.has_room(size).await {
            return Err(reply::BUSY);
        }
        let octets = self
            .shared
            .db
            .blocking(move |store| catenate::read(store, found))
            .await;
        octets
            .map_err(|error| refusal::reply(&error))?
            .ok_or(reply::URL_NOT_RESOLVED)
    }
}

/// A URL without what makes it worth something, for the log.
pub(super) fn without_token(url: &str) -> &str {
    let auth = url.to_ascii_lowercase().find(";urlauth=");
    let token = auth.and_then(|auth| Some(auth.saturating_add(url.get(auth..)?.rfind(':')?)));
    url.get(..token.unwrap_or(url.len())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_stay_out_of_the_log() {
        let rump = "imap://a@mx/INBOX/;uid=1;urlauth=submit+a:internal";
        let url = format!("{rump}:91354a473744909de610943775f92038");
        assert_eq!(without_token(&url), rump);
        for plain in [
            "imap://a@mx/INBOX/;uid=1/;section=HEADER.FIELDS%20(SUBJECT%20TO%20CC)",
            "imap://a@mx/INBOX/;uid=1;URLAUTH=anonymous",
            "a:b",
        ] {
            assert_eq!(without_token(plain), plain);
        }
    }
}
