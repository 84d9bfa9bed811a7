-- A chain of hashes over the days that are over, so that a row which is changed, removed or slipped in later is noticed.
CREATE TABLE day_seals (
    number        INTEGER PRIMARY KEY,  -- the place in the chain
    day           TEXT    NOT NULL,     -- UTC, as 2026-11-01
    supplement    INTEGER NOT NULL,     -- 0 for the day itself, then one for each group of rows that came after it was closed
    closed_at_ns  INTEGER NOT NULL,     -- what comes later goes into a supplement
    rows          INTEGER,              -- null, as all below, until all rows are hashed
    content_hash  TEXT,
    previous_hash TEXT,
    chain_hash    TEXT,
    sealed_at_ns  INTEGER,
    pruned_at_ns  INTEGER,              -- when the rows were deleted: their hash cannot be computed again
    UNIQUE (day, supplement)
) STRICT;

-- Rows that came after their day was closed; without a supplement until one is made of them.
CREATE TABLE late_rows (
    row_id     TEXT    NOT NULL,  -- an attempt's or a request's
    row_kind   TEXT    NOT NULL,  -- as in events, or `request`
    at_ns      INTEGER NOT NULL,
    day        TEXT    NOT NULL,
    supplement INTEGER,
    PRIMARY KEY (row_id, row_kind)
) STRICT, WITHOUT ROWID;

CREATE INDEX late_rows_by_day ON late_rows (day, supplement, at_ns);

-- With closed_attempts_by_time: every event of a day without a look at any other.
CREATE INDEX holds_by_time ON events (at_ns) WHERE kind = 'reserved';

-- How far a copy into this database has come; see `routewright ledger migrate`.
CREATE TABLE copied_tables (
    name    TEXT    PRIMARY KEY,
    source  TEXT    NOT NULL,
    after   TEXT,               -- the last key that was copied, as a JSON list; null before the first
    rows    INTEGER NOT NULL,
    is_done INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
