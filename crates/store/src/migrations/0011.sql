-- When POP3 clients first took messages, for owners who have those removed after a time (RFC 2449 §6.7): see retrieved.rs.
CREATE TABLE pop3_retrieved (
    account_id BIGINT NOT NULL,
    mailbox_id BIGINT NOT NULL,
    uid BIGINT NOT NULL,
    retrieved BIGINT NOT NULL,
    PRIMARY KEY (account_id, mailbox_id, uid)
) {clustered};
