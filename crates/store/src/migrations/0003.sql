-- Keys for signing, decision records, and reports to and from others.

-- == signing ==========================================================================================================

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

-- == decision records (judge) =========================================================================================

-- == reports ==========================================================================================================
