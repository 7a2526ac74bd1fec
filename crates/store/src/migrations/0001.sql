-- The first schema. account_id leads the key of everything that belongs to an account.
-- {blob}, {clustered} and {key(...)} are filled in by the engine.

CREATE TABLE setting (
    name TEXT NOT NULL PRIMARY KEY,
    value {blob} NOT NULL
) {clustered};

-- Last identifier given out, by kind. Identifiers are never reused.
CREATE TABLE counter (
    name TEXT NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
) {clustered};
INSERT INTO counter (name, value) VALUES ('domain', 0), ('account', 0), ('alias', 0);

CREATE TABLE domain (
    domain_id BIGINT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created BIGINT NOT NULL
) {clustered};

CREATE TABLE account (
    account_id BIGINT NOT NULL PRIMARY KEY,
    domain_id BIGINT NOT NULL,
    address TEXT NOT NULL UNIQUE,
    argon2 TEXT,
    scram_salt {blob},
    scram_iterations BIGINT,
    scram_stored_key {blob},
    scram_server_key {blob},
    quota BIGINT,
    disabled BIGINT NOT NULL,
    created BIGINT NOT NULL
) {clustered};

-- What changes with every message, apart from what does not: a small row written often.
CREATE TABLE account_state (
    account_id BIGINT NOT NULL PRIMARY KEY,
    modseq BIGINT NOT NULL,
    usage BIGINT NOT NULL,
    messages BIGINT NOT NULL,
    last_uid_validity BIGINT NOT NULL,
    last_mailbox BIGINT NOT NULL,
    last_message BIGINT NOT NULL,
    last_app_password BIGINT NOT NULL
) {clustered};

CREATE TABLE app_password (
    account_id BIGINT NOT NULL,
    app_password_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    sha256 {blob} NOT NULL,
    created BIGINT NOT NULL,
    last_used BIGINT,
    PRIMARY KEY (account_id, app_password_id),
    UNIQUE (account_id, name)
) {clustered};

CREATE TABLE alias (
    alias_id BIGINT NOT NULL PRIMARY KEY,
    domain_id BIGINT NOT NULL,
    address TEXT NOT NULL UNIQUE,
    created BIGINT NOT NULL
) {clustered};

CREATE TABLE alias_target (
    alias_id BIGINT NOT NULL,
    position BIGINT NOT NULL,
    target TEXT NOT NULL,
    PRIMARY KEY (alias_id, position)
) {clustered};

CREATE TABLE mailbox (
    account_id BIGINT NOT NULL,
    mailbox_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    uid_validity BIGINT NOT NULL,
    uid_next BIGINT NOT NULL,
    highest_modseq BIGINT NOT NULL,
    messages BIGINT NOT NULL,
    unseen BIGINT NOT NULL,
    deleted BIGINT NOT NULL,
    size BIGINT NOT NULL,
    special_use TEXT,
    PRIMARY KEY (account_id, mailbox_id),
    UNIQUE (account_id, name)
) {clustered};

CREATE TABLE keyword (
    account_id BIGINT NOT NULL,
    mailbox_id BIGINT NOT NULL,
    bit BIGINT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (account_id, mailbox_id, bit)
) {clustered};

CREATE TABLE subscription (
    account_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (account_id, name)
) {clustered};

-- Octets in a pack. refs counts messages.
CREATE TABLE body (
    body_id {rowkey} NOT NULL,
    pack BIGINT NOT NULL,
    position BIGINT NOT NULL,
    length BIGINT NOT NULL,
    size BIGINT NOT NULL,
    refs BIGINT NOT NULL{rowkey_end(body_id)}
);

-- Immutable content. refs counts entries. message_id carries the account in its upper bits, so that one integer is the key
-- where rows are kept by a single integer, and rows of one account lie together.
CREATE TABLE message (
    account_id BIGINT NOT NULL,
    message_id {rowkey} NOT NULL,
    body_id BIGINT NOT NULL,
    refs BIGINT NOT NULL,
    parsed {blob} NOT NULL,
    envelope {blob} NOT NULL,
    structure {blob} NOT NULL{rowkey_end(account_id, message_id)}
);

-- A message in a mailbox. size and received repeat the message's, so that lists and searches need not read it.
-- No index on modseq: changing flags in bulk would pay for it, and views answer what it would.
CREATE TABLE entry (
    account_id BIGINT NOT NULL,
    mailbox_id BIGINT NOT NULL,
    uid BIGINT NOT NULL,
    flags BIGINT NOT NULL,
    keywords BIGINT NOT NULL,
    modseq BIGINT NOT NULL,
    message_id BIGINT NOT NULL,
    size BIGINT NOT NULL,
    received BIGINT NOT NULL,
    saved BIGINT NOT NULL,
    PRIMARY KEY (account_id, mailbox_id, uid)
) {clustered};

-- Runs of UIDs that vanished.
CREATE TABLE expunged (
    account_id BIGINT NOT NULL,
    mailbox_id BIGINT NOT NULL,
    modseq BIGINT NOT NULL,
    first_uid BIGINT NOT NULL,
    last_uid BIGINT NOT NULL,
    PRIMARY KEY (account_id, mailbox_id, modseq, first_uid)
) {clustered};
