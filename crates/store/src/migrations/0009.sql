-- Octets of what stands in for content whose headers have raw UTF-8 (RFC 6857), for clients that know nothing of it: see
-- surrogate.rs. None: nothing has to.
ALTER TABLE message ADD COLUMN surrogate BIGINT;

-- What single accounts have otherwise than the configuration says.
CREATE TABLE account_option (
    account_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (account_id, name)
) {clustered};
