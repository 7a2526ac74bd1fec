-- Keys for signing, decision records, and reports to and from others.

-- == signing ===================================================================================================
-- A DKIM key of a domain. state: 0 pending, 1 active, 2 retired, 3 removed (its private key is gone; the row says which
-- record may leave the DNS). since is when it came into that state; checked when its record was last looked for, and seen
-- whether it was there.
CREATE TABLE dkim_key (
    domain_id BIGINT NOT NULL,
    selector TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    private {blob} NOT NULL,
    public {blob} NOT NULL,
    state BIGINT NOT NULL,
    created BIGINT NOT NULL,
    since BIGINT NOT NULL,
    checked BIGINT,
    seen BIGINT NOT NULL,
    PRIMARY KEY (domain_id, selector)
) {clustered};

-- Reverse-paths that do not fit into a rewritten local part of 64 octets, by the token that stands for them.
CREATE TABLE srs_address (
    token TEXT NOT NULL PRIMARY KEY,
    address TEXT NOT NULL,
    expires BIGINT NOT NULL
) {clustered};

-- == decision records (judge) =========================================================================================
-- What was decided about a message and why, under the id in its Received field. decision_id is made from that id, which begins
-- with the time: rows are added at the end and dropped from the front, and need no index for either. message_key is a hash of
-- the Message-ID: an index of numbers instead of one of long texts that strangers choose. short: it goes before its neighbours.
CREATE TABLE decision (
    decision_id {rowkey} NOT NULL,
    trace_id TEXT NOT NULL,
    message_key BIGINT NOT NULL,
    at BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    short BIGINT NOT NULL,
    record {blob} NOT NULL{rowkey_end(decision_id)}
);
CREATE INDEX decision_message ON decision (message_key);
CREATE INDEX decision_short ON decision (expires) WHERE short = 1;

-- What DMARC aggregate reports tell: messages of a day (since 1970, UTC) under the policy of a domain, counted by all that
-- a report distinguishes. policy and facts are texts of the server's.
CREATE TABLE dmarc_feedback (
    day BIGINT NOT NULL,
    domain TEXT NOT NULL,
    policy TEXT NOT NULL,
    facts TEXT NOT NULL,
    count BIGINT NOT NULL,
    PRIMARY KEY (day, domain, policy, facts)
) {clustered};

-- == reports ==========================================================================================================
INSERT INTO counter (name, value) VALUES ('report', 0);

-- A report of others about a domain of ours. kind: 'dmarc' or 'tls'.
CREATE TABLE report (
    report_id BIGINT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    domain TEXT NOT NULL,
    organization TEXT NOT NULL,
    external_id TEXT NOT NULL,
    begins BIGINT NOT NULL,
    ends BIGINT NOT NULL,
    received BIGINT NOT NULL,
    UNIQUE (kind, domain, organization, external_id)
) {clustered};
CREATE INDEX report_received ON report (received);

-- What it says of one source. good: whether it is no failure. detail is a text of the server's.
CREATE TABLE report_row (
    report_id BIGINT NOT NULL,
    number BIGINT NOT NULL,
    source TEXT NOT NULL,
    good BIGINT NOT NULL,
    count BIGINT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (report_id, number)
) {clustered};
