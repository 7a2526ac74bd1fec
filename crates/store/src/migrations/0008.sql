-- Mail from other servers: what of it is here already, and what is fetched regularly.

-- A mailbox elsewhere. source names server and user; name is as the server spells it, empty for a POP3 maildrop.
-- modseq, uid_next and messages are those of the last complete look; 0 when there was none.
CREATE TABLE remote_mailbox (
    account_id BIGINT NOT NULL,
    remote_id BIGINT NOT NULL,
    source TEXT NOT NULL,
    name TEXT NOT NULL,
    uid_validity BIGINT NOT NULL,
    mailbox_id BIGINT NOT NULL,
    modseq BIGINT NOT NULL,
    uid_next BIGINT NOT NULL,
    messages BIGINT NOT NULL,
    PRIMARY KEY (account_id, remote_id),
    UNIQUE (account_id, source, name)
) {clustered};

-- A message that was brought from there. key is its UID in ten digits or its UIDL, behind `~` and the old UIDVALIDITY where
-- that has changed since. mailbox_id and uid say where it was placed; uid is 0 where it was here from another mailbox of the
-- same source. flags and keywords are those it had there when we last looked.
CREATE TABLE remote_message (
    account_id BIGINT NOT NULL,
    remote_id BIGINT NOT NULL,
    key TEXT NOT NULL,
    mailbox_id BIGINT NOT NULL,
    uid BIGINT NOT NULL,
    size BIGINT NOT NULL,
    digest {blob} NOT NULL,
    flags BIGINT NOT NULL,
    keywords TEXT NOT NULL,
    PRIMARY KEY (account_id, remote_id, key)
) {clustered};
CREATE INDEX remote_message_digest ON remote_message (account_id, digest);

-- What the server fetches by itself. secret_file holds the password (token = 0) or an access token (token = 1).
-- due is when it is next; failures counts those in a row, and trouble says why the last one failed.
CREATE TABLE fetch (
    account_id BIGINT NOT NULL,
    fetch_id BIGINT NOT NULL,
    url TEXT NOT NULL,
    secret_file TEXT NOT NULL,
    token BIGINT NOT NULL,
    ca_file TEXT,
    unencrypted BIGINT NOT NULL,
    folder TEXT NOT NULL,
    every BIGINT NOT NULL,
    remove BIGINT NOT NULL,
    due BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    trouble TEXT,
    last_success BIGINT,
    fetched BIGINT NOT NULL,
    PRIMARY KEY (account_id, fetch_id),
    UNIQUE (account_id, url)
) {clustered};
CREATE INDEX fetch_due ON fetch (due);
