-- Unique-ids that messages had on the server they were imported from (POP3's UIDL): see pop3uid.rs. No row: our own.
CREATE TABLE pop3_uid (
    account_id BIGINT NOT NULL,
    mailbox_id BIGINT NOT NULL,
    uid BIGINT NOT NULL,
    unique_id TEXT NOT NULL,
    PRIMARY KEY (account_id, mailbox_id, uid)
) {clustered};
CREATE UNIQUE INDEX pop3_uid_once ON pop3_uid (account_id, mailbox_id, unique_id);
