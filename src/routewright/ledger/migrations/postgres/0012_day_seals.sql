-- A chain of hashes over the days that are over, so that a row which is changed, removed or slipped in later is noticed.
CREATE TABLE day_seals (
    number        BIGINT PRIMARY KEY,  -- the place in the chain
    day           TEXT   COLLATE "C" NOT NULL,     -- UTC, as 2026-11-01
    supplement    BIGINT NOT NULL,     -- 0 for the day itself, then one for each group of rows that came after it was closed
    closed_at_ns  BIGINT NOT NULL,     -- what comes later goes into a supplement
    rows          BIGINT,              -- null, as all below, until all rows are hashed
    content_hash  TEXT COLLATE "C",
    previous_hash TEXT COLLATE "C",
    chain_hash    TEXT COLLATE "C",
    sealed_at_ns  BIGINT,
    pruned_at_ns  BIGINT,              -- when the rows were deleted: their hash cannot be computed again
    UNIQUE (day, supplement)
);

-- Rows that came after their day was closed; without a supplement until one is made of them.
CREATE TABLE late_rows (
    row_id     TEXT   COLLATE "C" NOT NULL,  -- an attempt's or a request's
    row_kind   TEXT   COLLATE "C" NOT NULL,  -- as in events, or `request`
    at_ns      BIGINT NOT NULL,
    day        TEXT   COLLATE "C" NOT NULL,
    supplement BIGINT,
    PRIMARY KEY (row_id, row_kind)
);

CREATE INDEX late_rows_by_day ON late_rows (day, supplement, at_ns);

-- With closed_attempts_by_time: every event of a day without a look at any other.
CREATE INDEX holds_by_time ON events (at_ns) WHERE kind = 'reserved';

-- How far a copy into this database has come; see `routewright ledger migrate`.
CREATE TABLE copied_tables (
    name    TEXT   COLLATE "C" PRIMARY KEY,
    source  TEXT   COLLATE "C" NOT NULL,
    after   TEXT,               -- the last key that was copied, as a JSON list; null before the first
    rows    BIGINT NOT NULL,
    is_done BIGINT NOT NULL
);
