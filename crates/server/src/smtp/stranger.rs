//! What a stranger meets at MAIL and RCPT: rates, lists, greylisting, filters.

use std::time::Instant;

use smtp::reply::Reply;
use smtp::server::{Kind, Session};

use super::Handler;
use crate::auth::Network;
use crate::drive::Link;
use crate::filter::Scene;
use crate::judge;
use crate::strangers::{Stranger, TOO_FAST, What, greylist, lists};

impl Handler {
    /// Whether the peer is a stranger; then it gets a place for what is learnt of it.
    fn is_stranger(&mut self, link: &Link<Session>) -> bool {
        let config = self.shared.config();
        let ip = link.peer.ip;
        let stranger = self.kind == Kind::Reception
            && !link.peer.unix
            && !judge::is_known(&config.reception, ip)
            && !config.smtp.trusts(ip);
        if stranger {
            self.stranger.get_or_insert_default();
        } else {
            self.stranger = None;
        }
        stranger
    }

    /// MAIL is accepted by all else: may this peer send now, and do the filters agree?
    pub(super) async fn sender_admitted(&mut self, link: &Link<Session>) -> Result<(), Reply> {
        let admitted = self.admit_sender(link).await;
        if admitted.is_err() {
            self.transaction = None;
        }
        admitted
    }

    async fn admit_sender(&mut self, link: &Link<Session>) -> Result<(), Reply> {
        let config = self.shared.config();
        if self.is_stranger(link) {
            let network = Network::of(&link.peer);
            let most = config.strangers.messages_per_minute;
            let rates = &self.shared.rates;
            if !rates.admit(network, What::Messages, most, Instant::now()) {
                return Err(TOO_FAST);
            }
        }
        let Some(path) = self.transaction.as_ref().map(|open| open.from.to_string()) else {
            return Ok(());
        };
        let hello = self.hello.as_ref().map(|hello| hello.name.clone());
        let scene = Scene {
            kind: self.kind,
            peer: link.peer.clone(),
            hello: hello.unwrap_or_default(),
            tls: Scene::protection(link.tls.as_ref()),
            user: self.identity.as_ref().map(|who| who.address.clone()),
            host: config.hostname.clone(),
        };
        self.aside.mail(&self.shared, scene, &path).await
    }

    /// RCPT names somebody here: may this peer write to them now?
    pub(super) async fn recipient_admitted(
        &mut self,
        link: &Link<Session>,
        recipient: &str,
    ) -> Result<(), Reply> {
        let config = self.shared.config();
        let options = &config.strangers;
        let ip = link.peer.ip;
        if self.is_stranger(link) {
            let network = Network::of(&link.peer);
            let most = options.recipients_per_minute;
            let rates = &self.shared.rates;
            if !rates.admit(network, What::Recipients, most, Instant::now()) {
                return Err(TOO_FAST);
            }
            let praised = self.standing(link).await?;
            if options.greylist && !praised {
                let sender = self.transaction.as_ref().map(|open| open.from.to_string());
                let sender = sender.unwrap_or_default();
                greylist::admit(&self.shared, options, ip, &sender, recipient).await?;
            }
        }
        self.aside.recipient(recipient).await
    }

    /// What lists say, asked once per connection; whether one speaks for the peer.
    async fn standing(&mut self, link: &Link<Session>) -> Result<bool, Reply> {
        let config = self.shared.config();
        let options = &config.strangers;
        let ip = link.peer.ip;
        let Some(stranger) = &mut self.stranger else {
            return Ok(false);
        };
        let standing = match &mut stranger.standing {
            Some(standing) => standing,
            unasked => unasked.insert(lists::ask(&self.shared, &options.lists, ip).await),
        };
        if let Some(reply) = standing.refusal(options, ip) {
            return Err(reply);
        }
        self.aside.standing.clone_from(&standing.checks);
        Ok(standing.is_praised())
    }

    /// Waits before a refusal is written: whoever tries much gets little done.
    pub(super) async fn patience(&mut self) {
        let most = self.shared.config().strangers.tarpit;
        let wait = self
            .stranger
            .as_mut()
            .map(|stranger: &mut Stranger| stranger.patience(most));
        if let Some(wait) = wait.filter(|wait| !wait.is_zero()) {
            tokio::time::sleep(wait).await;
        }
    }
}
