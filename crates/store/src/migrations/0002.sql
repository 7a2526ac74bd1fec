-- The queue of outgoing mail, its attempts and the limits of accounts.

INSERT INTO counter (name, value) VALUES ('queue', 0);

-- One row per accepted message that somebody elsewhere waits for; holds one reference of its body. Gone with its last
-- recipient. attention is when time itself asks for something: a warning, a deadline, giving up.
CREATE TABLE queue_message (
    queue_id BIGINT NOT NULL PRIMARY KEY,
    body_id BIGINT NOT NULL,
    reverse_path TEXT NOT NULL,
    report_to TEXT,
    envid TEXT,
    ret BIGINT,
    body_kind BIGINT NOT NULL,
    smtputf8 BIGINT NOT NULL,
    require_tls BIGINT NOT NULL,
    tls_optional BIGINT NOT NULL,
    priority BIGINT NOT NULL,
    deliver_by BIGINT,
    deliver_by_mode BIGINT NOT NULL,
    deliver_by_trace BIGINT NOT NULL,
    release_at BIGINT NOT NULL,
    submitter BIGINT,
    auth TEXT,
    trace_id TEXT NOT NULL,
    received BIGINT NOT NULL,
    warn_at BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    attention BIGINT NOT NULL
) {clustered};
CREATE INDEX queue_message_attention ON queue_message (attention);
CREATE INDEX queue_message_reverse_path ON queue_message (reverse_path);

-- One row per recipient. state: 0 waiting, 1 leased, 2 held. due: when it may be tried; while leased the end of the lease;
-- while held never. lane is the negative priority and sender the submitter, both repeated for the index.
-- wanted: what somebody asked for during the lease: 0 nothing, 1 hold, 2 remove. placed: 1 once it was delivered here, in
-- the same transaction, and only the note of it is missing.
CREATE TABLE queue_recipient (
    queue_id BIGINT NOT NULL,
    number BIGINT NOT NULL,
    address TEXT NOT NULL,
    original TEXT,
    notify BIGINT NOT NULL,
    rrvs BIGINT,
    domain TEXT NOT NULL,
    lane BIGINT NOT NULL,
    sender BIGINT NOT NULL,
    state BIGINT NOT NULL,
    wanted BIGINT NOT NULL,
    due BIGINT NOT NULL,
    owner TEXT,
    attempts BIGINT NOT NULL,
    warned BIGINT NOT NULL,
    last_at BIGINT,
    last_status TEXT,
    last_why TEXT,
    last_peer TEXT,
    placed BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (queue_id, number)
) {clustered};
-- What the scheduler asks: who of this destination is next, by priority, turn by turn between senders.
CREATE INDEX queue_recipient_due ON queue_recipient (domain, lane, sender, due);
CREATE INDEX queue_recipient_owner ON queue_recipient (owner) WHERE owner IS NOT NULL;

-- What was tried; outlives the message for a while. outcome: 0 delivered, 1 relayed, 2 deferred, 3 failed, 4 expired,
-- 5 removed.
CREATE TABLE queue_attempt (
    queue_id BIGINT NOT NULL,
    number BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    trace_id TEXT NOT NULL,
    recipient TEXT NOT NULL,
    at BIGINT NOT NULL,
    peer TEXT,
    address TEXT,
    tls TEXT,
    policy TEXT NOT NULL,
    reply TEXT,
    outcome BIGINT NOT NULL,
    status TEXT NOT NULL,
    why TEXT NOT NULL,
    PRIMARY KEY (queue_id, number, attempt)
) {clustered};
CREATE INDEX queue_attempt_trace ON queue_attempt (trace_id);
CREATE INDEX queue_attempt_at ON queue_attempt (at);

-- What an account sent elsewhere, by hour since 1970; rows older than a day go with the next message.
CREATE TABLE account_sent (
    account_id BIGINT NOT NULL,
    hour BIGINT NOT NULL,
    messages BIGINT NOT NULL,
    strangers BIGINT NOT NULL,
    PRIMARY KEY (account_id, hour)
) {clustered};

-- To whom an account has written before.
CREATE TABLE account_known (
    account_id BIGINT NOT NULL,
    address TEXT NOT NULL,
    since BIGINT NOT NULL,
    PRIMARY KEY (account_id, address)
) {clustered};

-- Limits of an account that differ from the installation's; NULL is the installation's, 0 none.
CREATE TABLE account_allowance (
    account_id BIGINT NOT NULL PRIMARY KEY,
    messages BIGINT,
    strangers BIGINT
) {clustered};
