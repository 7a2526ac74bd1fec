-- The index that SEARCH, SORT and THREAD read: see search.rs. It can be made anew from the messages at any time; deleting it
-- costs time and nothing else. A segment is about the messages with identifiers from first_message to last_message; each blob ends
-- with its CRC-32.
CREATE TABLE search_segment (
    account_id BIGINT NOT NULL,
    last_message {rowkey} NOT NULL,
    first_message BIGINT NOT NULL,
    ids {blob} NOT NULL,
    senders {blob} NOT NULL,
    subjects {blob} NOT NULL,
    dates {blob} NOT NULL,
    bases {blob} NOT NULL,
    recipients {blob} NOT NULL,
    copies {blob} NOT NULL,
    blind {blob} NOT NULL,
    sort_from {blob} NOT NULL,
    sort_to {blob} NOT NULL,
    sort_cc {blob} NOT NULL,
    display_from {blob} NOT NULL,
    display_to {blob} NOT NULL,
    threads {blob} NOT NULL{rowkey_end(account_id, last_message)}
);

CREATE TABLE search_signature (
    account_id BIGINT NOT NULL,
    last_message {rowkey} NOT NULL,
    signatures {blob} NOT NULL{rowkey_end(account_id, last_message)}
);

-- Messages that are gone and may still be in a segment.
CREATE TABLE search_dead (
    account_id BIGINT NOT NULL,
    message_id BIGINT NOT NULL,
    PRIMARY KEY (account_id, message_id)
) {clustered};
