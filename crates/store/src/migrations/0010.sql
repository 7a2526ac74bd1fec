-- Annotations of messages (RFC 5257). reader 0 is shared, else whose private one it is. Without a value it was removed: that is
-- remembered for a time, so that others can be told which one changed.
CREATE TABLE message_annotation (
    account_id BIGINT NOT NULL,
    mailbox_id BIGINT NOT NULL,
    uid BIGINT NOT NULL,
    reader BIGINT NOT NULL,
    name TEXT NOT NULL,
    value {blob},
    modseq BIGINT NOT NULL,
    PRIMARY KEY (account_id, mailbox_id, uid, reader, name)
) {clustered};

-- Octets of their values.
ALTER TABLE account_state ADD COLUMN annotations BIGINT NOT NULL DEFAULT 0;
