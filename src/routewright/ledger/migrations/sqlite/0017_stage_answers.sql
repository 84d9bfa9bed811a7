-- What stages of Ray Data were answered, so that a block that is worked on again asks nothing again; kept for 30 days.
CREATE TABLE stage_answers (
    job       TEXT NOT NULL,
    custom_id TEXT NOT NULL,
    digest    BLOB NOT NULL,     -- of what was asked
    at_ns     INTEGER NOT NULL,
    kept      BLOB NOT NULL,     -- JSON: the answer, or why there is none
    PRIMARY KEY (job, custom_id)
) STRICT, WITHOUT ROWID;
