-- What stages of Ray Data were answered, so that a block that is worked on again asks nothing again; kept for 30 days.
CREATE TABLE stage_answers (
    job       TEXT COLLATE "C" NOT NULL,
    custom_id TEXT COLLATE "C" NOT NULL,
    digest    BYTEA NOT NULL,    -- of what was asked
    at_ns     BIGINT NOT NULL,
    kept      BYTEA NOT NULL,    -- JSON: the answer, or why there is none
    PRIMARY KEY (job, custom_id)
);
