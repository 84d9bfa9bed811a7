-- Batches: a job, its items (small rows: the words stay in the input file) and what became of each of them.
-- Times are UTC nanoseconds since 1970.
CREATE TABLE batch_jobs (
    number        INTEGER PRIMARY KEY,
    id            TEXT    NOT NULL UNIQUE,
    created_at_ns INTEGER NOT NULL,
    state         TEXT    NOT NULL,
    endpoint      TEXT    NOT NULL,
    source        TEXT    NOT NULL,
    output        TEXT    NOT NULL,
    errors        TEXT    NOT NULL,
    fingerprint   TEXT    NOT NULL,
    spec          TEXT    NOT NULL,  -- JSON, of whoever made it
    key           TEXT    NOT NULL,
    limit_nanousd INTEGER,
    deadline_ns   INTEGER,
    total         INTEGER NOT NULL,
    output_bytes  INTEGER NOT NULL,  -- of the files, what the results tell of
    error_bytes   INTEGER NOT NULL,
    begun_at_ns   INTEGER,
    ended_at_ns   INTEGER
) STRICT;

CREATE INDEX batch_jobs_by_output ON batch_jobs (output, number);

CREATE TABLE batch_items (
    job       INTEGER NOT NULL,
    position  INTEGER NOT NULL,
    custom_id TEXT    NOT NULL,
    digest    BLOB,              -- of what is asked, where equal questions are answered once
    twin_of   INTEGER,           -- the position of the first equal question, if that is another one
    PRIMARY KEY (job, position)
) STRICT, WITHOUT ROWID;

CREATE INDEX batch_items_by_custom_id ON batch_items (job, custom_id);
CREATE INDEX batch_items_by_digest ON batch_items (job, digest, position) WHERE digest IS NOT NULL;

-- Written once and never changed: to bring one again changes nothing.
CREATE TABLE batch_results (
    job              INTEGER NOT NULL,
    position         INTEGER NOT NULL,
    outcome          TEXT    NOT NULL,  -- `complete`, or an error's code
    request_id       TEXT    NOT NULL,
    model            TEXT    NOT NULL,
    tier             TEXT,
    cost_nanousd     INTEGER NOT NULL,
    is_estimated     INTEGER NOT NULL,
    baseline_nanousd INTEGER,
    line_offset      INTEGER NOT NULL,  -- of its line in the output file, or in the error file
    line_length      INTEGER NOT NULL,
    PRIMARY KEY (job, position)
) STRICT, WITHOUT ROWID;
