-- What of a batch was sent to a provider's own batch API, in files: each is noted before it is sent.
CREATE TABLE batch_parts (
    job        INTEGER NOT NULL,
    number     INTEGER NOT NULL,
    deployment TEXT NOT NULL,
    batch_id   TEXT NOT NULL,  -- the provider's; empty until it is known
    state      TEXT NOT NULL,  -- intended, begun, over
    PRIMARY KEY (job, number)
) STRICT, WITHOUT ROWID;

-- An item is sent in this way once.
CREATE TABLE batch_sent (
    job        INTEGER NOT NULL,
    position   INTEGER NOT NULL,
    part       INTEGER NOT NULL,
    attempt_id TEXT NOT NULL,
    PRIMARY KEY (job, position)
) STRICT, WITHOUT ROWID;
