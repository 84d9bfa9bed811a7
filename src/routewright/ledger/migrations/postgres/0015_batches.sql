-- Batches: a job, its items (small rows: the words stay in the input file) and what became of each of them.
-- Times are UTC nanoseconds since 1970.
CREATE TABLE batch_jobs (
    number        BIGINT PRIMARY KEY,
    id            TEXT COLLATE "C" NOT NULL UNIQUE,
    created_at_ns BIGINT NOT NULL,
    state         TEXT COLLATE "C" NOT NULL,
    endpoint      TEXT COLLATE "C" NOT NULL,
    source        TEXT COLLATE "C" NOT NULL,
    output        TEXT COLLATE "C" NOT NULL,
    errors        TEXT COLLATE "C" NOT NULL,
    fingerprint   TEXT COLLATE "C" NOT NULL,
    spec          TEXT COLLATE "C" NOT NULL,  -- JSON, of whoever made it
    key           TEXT COLLATE "C" NOT NULL,
    limit_nanousd BIGINT,
    deadline_ns   BIGINT,
    total         BIGINT NOT NULL,
    output_bytes  BIGINT NOT NULL,  -- of the files, what the results tell of
    error_bytes   BIGINT NOT NULL,
    begun_at_ns   BIGINT,
    ended_at_ns   BIGINT
);

CREATE INDEX batch_jobs_by_output ON batch_jobs (output, number);

CREATE TABLE batch_items (
    job       BIGINT NOT NULL,
    position  BIGINT NOT NULL,
    custom_id TEXT COLLATE "C" NOT NULL,
    digest    BYTEA,              -- of what is asked, where equal questions are answered once
    twin_of   BIGINT,           -- the position of the first equal question, if that is another one
    PRIMARY KEY (job, position)
);

CREATE INDEX batch_items_by_custom_id ON batch_items (job, custom_id);
CREATE INDEX batch_items_by_digest ON batch_items (job, digest, position) WHERE digest IS NOT NULL;

-- Written once and never changed: to bring one again changes nothing.
CREATE TABLE batch_results (
    job              BIGINT NOT NULL,
    position         BIGINT NOT NULL,
    outcome          TEXT COLLATE "C" NOT NULL,  -- `complete`, or an error's code
    request_id       TEXT COLLATE "C" NOT NULL,
    model            TEXT COLLATE "C" NOT NULL,
    tier             TEXT COLLATE "C",
    cost_nanousd     BIGINT NOT NULL,
    is_estimated     BIGINT NOT NULL,
    baseline_nanousd BIGINT,
    line_offset      BIGINT NOT NULL,  -- of its line in the output file, or in the error file
    line_length      BIGINT NOT NULL,
    PRIMARY KEY (job, position)
);
