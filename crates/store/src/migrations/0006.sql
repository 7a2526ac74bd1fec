-- What reception remembers of strangers, and the state of imports.

-- MTA-STS policies of other domains, kept for as long as they say.
CREATE TABLE sts_policy (
    domain TEXT NOT NULL PRIMARY KEY,
    id TEXT NOT NULL,
    text TEXT NOT NULL,
    fetched BIGINT NOT NULL,
    expires BIGINT NOT NULL
) {clustered};

-- How TLS went with the servers of other domains, counted per UTC day for the reports they ask for.
CREATE TABLE tls_result (
    day BIGINT NOT NULL,
    domain TEXT NOT NULL,
    policy TEXT NOT NULL,
    lines TEXT NOT NULL,
    hosts TEXT NOT NULL,
    failure TEXT NOT NULL,
    mx TEXT NOT NULL,
    address TEXT NOT NULL,
    source TEXT NOT NULL,
    reason TEXT NOT NULL,
    sessions BIGINT NOT NULL,
    PRIMARY KEY (day, domain, policy, lines, failure, mx, address, source, reason)
) {clustered};

-- == greylisting =====================================================================================================
-- key_hash stands for a network, or for network, sender and recipient. passes: how often it came back; 0 is a first try.
CREATE TABLE greylist (
    key_hash {blob} NOT NULL PRIMARY KEY,
    first BIGINT NOT NULL,
    last BIGINT NOT NULL,
    passes BIGINT NOT NULL
) {clustered};
