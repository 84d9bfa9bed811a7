-- What of a batch was sent to a provider's own batch API, in files: each is noted before it is sent.
CREATE TABLE batch_parts (
    job        BIGINT NOT NULL,
    number     BIGINT NOT NULL,
    deployment TEXT COLLATE "C" NOT NULL,
    batch_id   TEXT COLLATE "C" NOT NULL,  -- the provider's; empty until it is known
    state      TEXT COLLATE "C" NOT NULL,  -- intended, begun, over
    PRIMARY KEY (job, number)
);

-- An item is sent in this way once.
CREATE TABLE batch_sent (
    job        BIGINT NOT NULL,
    position   BIGINT NOT NULL,
    part       BIGINT NOT NULL,
    attempt_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (job, position)
);
