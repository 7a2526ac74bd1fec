-- What IMAP keeps beyond mailboxes: rights, what readers have seen, quotas, annotations, keys of URLs.

-- Rights on a mailbox given to others (RFC 4314). grantee 0 is anyone of the owner's domain; negative rows take away.
CREATE TABLE acl (
    account_id BIGINT NOT NULL,
    mailbox_id BIGINT NOT NULL,
    grantee BIGINT NOT NULL,
    negative BIGINT NOT NULL,
    rights BIGINT NOT NULL,
    PRIMARY KEY (account_id, mailbox_id, grantee, negative)
) {clustered};
CREATE INDEX acl_grantee ON acl (grantee, account_id, mailbox_id);

-- \Seen of those who read a mailbox of another account. No row: not seen.
CREATE TABLE seen (
    account_id BIGINT NOT NULL,
    mailbox_id BIGINT NOT NULL,
    uid BIGINT NOT NULL,
    reader BIGINT NOT NULL,
    seen BIGINT NOT NULL,
    modseq BIGINT NOT NULL,
    PRIMARY KEY (account_id, mailbox_id, uid, reader)
) {clustered};

-- Limits of an account beside that of octets: messages, mailboxes, octets of annotations.
CREATE TABLE quota_limit (
    account_id BIGINT NOT NULL,
    resource TEXT NOT NULL,
    value BIGINT NOT NULL,
    PRIMARY KEY (account_id, resource)
) {clustered};

-- METADATA (RFC 5464). mailbox 0 is the server as one account sees it; reader 0 is shared, else who keeps it private.
CREATE TABLE annotation (
    account_id BIGINT NOT NULL,
    mailbox_id BIGINT NOT NULL,
    reader BIGINT NOT NULL,
    name TEXT NOT NULL,
    value {blob} NOT NULL,
    PRIMARY KEY (account_id, mailbox_id, reader, name)
) {clustered};

-- Keys that sign URLs of a mailbox (RFC 4467), each of one user.
CREATE TABLE url_key (
    account_id BIGINT NOT NULL,
    mailbox_id BIGINT NOT NULL,
    reader BIGINT NOT NULL,
    value {blob} NOT NULL,
    PRIMARY KEY (account_id, mailbox_id, reader)
) {clustered};

-- When UIDs vanished, and up to which modseq that has been forgotten, so that history can be kept for a time.
ALTER TABLE expunged ADD COLUMN expunged_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE mailbox ADD COLUMN forgotten BIGINT NOT NULL DEFAULT 0;
-- The thread of content (RFC 8474 §5.2), and the keys it made known. Content from before has none.
ALTER TABLE message ADD COLUMN thread BIGINT;
ALTER TABLE message ADD COLUMN thread_keys {blob};

-- Which thread the Message-IDs that messages name are known in. refs counts contents.
CREATE TABLE thread_key (
    account_id BIGINT NOT NULL,
    thread_key BIGINT NOT NULL,
    thread BIGINT NOT NULL,
    refs BIGINT NOT NULL,
    PRIMARY KEY (account_id, thread_key)
) {clustered};
