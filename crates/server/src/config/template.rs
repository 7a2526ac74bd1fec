//! The commented `waxwing.toml` that `waxwing setup` writes.

use std::path::Path;

/// The file's text for a server named `hostname` with its data in `data`.
pub fn template(hostname: &str, data: &Path) -> String {
    let data = toml::Value::String(data.display().to_string());
    format!(
        r#"# Waxwing. Domains, accounts, aliases and passwords live in the data folder and are managed with the
# command `waxwing`; this file holds only what must be known before that folder is open.
# After a change of certificates or limits: kill -HUP. After any other change: restart.

# The name this server has in the DNS, and greets with.
hostname = "{hostname}"

# Everything the server keeps. Relative paths in this file start at the folder of this file.
data = {data}

# What is logged: error, warn, info, debug or trace.
log = "info"

# The language of answers for clients that ask for the server's own: "en", "de" or "fr". Others begin in English and may choose.
#language = "en"

[listen]
# For each service a list of addresses; an empty list turns it off.
smtp = ["0.0.0.0:25", "[::]:25"]             # mail from other servers
submission = ["0.0.0.0:587", "[::]:587"]     # mail from your users, STARTTLS
submissions = ["0.0.0.0:465", "[::]:465"]    # mail from your users, TLS
imap = ["0.0.0.0:143", "[::]:143"]           # reading, STARTTLS
imaps = ["0.0.0.0:993", "[::]:993"]          # reading, TLS
pop3 = ["0.0.0.0:110", "[::]:110"]           # fetching, STLS
pop3s = ["0.0.0.0:995", "[::]:995"]          # fetching, TLS
# LMTP takes mail from programs on this machine that you trust; it may be a socket: "unix:/run/waxwing/lmtp".
lmtp = []

[tls]
# PEM files, for example those of an ACME client. Without them a self-signed certificate is made in the data folder.
#certificate = "/etc/letsencrypt/live/{hostname}/fullchain.pem"
#key = "/etc/letsencrypt/live/{hostname}/privkey.pem"

# Certificates that sign those of your users' devices; with them clients can log in without a password (EXTERNAL).
#client_ca = "/etc/waxwing/clients.pem"

[auth]
# Passwords travel under TLS only; true exempts programs on this machine.
cleartext_on_loopback = false
# Failed logins per minute from one network, over all services; 0 is unlimited.
failures_per_minute = 10

# Tokens of an OpenID Connect issuer (OAUTHBEARER, XOAUTH2) beside passwords.
#[auth.oidc]
#issuer = "https://id.example.org"
#audience = "{hostname}"

[smtp]
# Mail servers and filters of yours, which may use XCLIENT, XFORWARD and ETRN: addresses or networks.
trusted = []
# How long strangers wait for the greeting. Who talks before it is turned away.
greeting_delay_ms = 500
# Mail whose sender's domain cannot take an answer is refused.
check_sender_domain = true

[submission]
# For how many days users may hold messages back (send later); 0 turns it off.
hold_days = 60
# The highest priority users may ask for, 0 to 9.
priority = 3

[proxy]
# Proxies before this server that speak the PROXY protocol: addresses or networks.
from = []

[limits]
# The largest message, and the memory for messages in flight of all connections together.
message_mib = 50
memory_mib = 256
# Connections in all, and from one network (an IPv4 address or an IPv6 /64).
connections = 16000
connections_per_network = 50
# Recipients of one message.
recipients = 1000
# What an account may send to other servers in 24 hours: messages, and recipients it has never written to; 0 is unlimited.
# `waxwing account sending` sets others for single accounts.
messages_per_day = 1000
strangers_per_day = 200

[queue]
# How long mail to other servers is tried, and after which time its senders are told of a delay.
#give_up = "5d"
#warn_after = "4h"
# The pause after the first failure; each further one is twice as long, up to the longest.
#retry = "5m"
#retry_most = "3h"
# Attempts at the same time, in all and for one destination; attempts a minute for one destination, 0 is unlimited.
#concurrency = 200
#per_destination = 20
#rate_per_minute = 0

[imap]
# Accounts that may set quotas over IMAP.
#administrators = ["admin@{hostname}"]
# Messages in several mailboxes are shown as one with labels, to clients made for Gmail: docs/clients.md.
#gmail_extensions = false
# How often a client is told that a long command goes on; "off" for never.
#progress_every = "10s"
# On how many messages one command works; the newest are dealt with, and the client is told where that stopped. Not below
# 1000. Or only how many messages COPY and APPEND add at once (save_limit).
#message_limit = 50000
#save_limit = 50000

[pop3]
# What becomes of messages that a POP3 client deletes: "remove", or "trash" for the mailbox Trash, where IMAP clients see them.
# `waxwing account pop3` says otherwise for single accounts.
deleted = "remove"
# How long an account has to wait between two POP3 logins; without it there is no wait.
#login_delay = "1m"
# How long messages stay that a POP3 client has taken: "never" removes none, "30d" those taken 30 days ago, "0d" with QUIT.
#expire = "never"

[quirks]
# Kindnesses towards clients that break the rules, by name: docs/quirks.md.
#smtp_bare_address = true

[reception]
# What is done with mail from other servers: docs/judging.md. "obey" refuses what the policy of the author's domain
# asks to refuse, and puts into Junk what it calls suspicious; "record" only writes down what was found.
dmarc = "obey"
# "strict" refuses messages whose From field programs could read differently; "accept" takes them.
from = "strict"
# What an SPF result of fail does where the author's domain says nothing: "record", "junk" or "reject".
spf_fail = "record"
# Networks whose mail is not judged (own relays), and domains whose ARC seals are believed (mailing lists).
trusted = []
trusted_arc = []
# Days for which `waxwing explain` can tell why a message went where it went.
record_days = 90
refused_record_days = 14

[dns]
# Resolvers to ask; without them those of /etc/resolv.conf.
#servers = ["127.0.0.1"]
# Who checks DNSSEC, on which DANE rests: "validate" this server; "trust" a resolver on this machine that does, or
# one of those listed above; "off" nobody.
dnssec = "validate"

[strangers]
# What servers nobody knows may ask for, from one network in a minute; 0 is unlimited.
#messages_per_minute = 120
#recipients_per_minute = 600
# The longest wait before a refusal, for peers that are refused again and again.
#tarpit_seconds = 5
# Whether a first message is asked to come back after a minute; programs that only spray do not.
#greylist = false
#greylist_seconds = 60
# Points from which on a message goes to Junk, or is refused.
#junk_at = 5
#refuse_at = 8

# Lists in the DNS that speak against addresses, or with points below zero for them. Mind their terms of use.
#[[list]]
#zone = "list.example.org"
#points = 5
#answers = ["127.0.0.2"]        # without it, every answer counts

# Programs that look at messages; while one cannot be asked, mail waits (on_failure = "accept" lets it pass).
#[[milter]]
#address = "127.0.0.1:8891"     # or "unix:/run/filter.sock"
#[rspamd]
#url = "http://127.0.0.1:11333"

# Mail for other domains goes to their servers. A route sends it elsewhere: all of it through a provider, say, or one
# domain's to a machine inside.
#[[route]]
#domain = "*"                   # or "example.org", or ".example.org" for all below it
#host = "smtp.provider.example"
#port = 587
#tls = "required"               # "implicit" on port 465; "policy" as for any server; "none" on this machine only
#user = "me@example.org"
#password_file = "provider.password"
"#
    )
}
