-- Sums of attempts and of requests by hour, day, week and four weeks, and by all that reports ask for: see rollups.py. Kept by the
-- transactions that bring the rows; made of those that are here already when the ledger is next opened for writing.
CREATE TABLE attempts_rollup (
    grain            INTEGER NOT NULL,  -- nanoseconds: an hour, a day, a week, or four
    facet            TEXT    NOT NULL,  -- which of the dimensions below are told apart; the others are empty
    starts_ns        INTEGER NOT NULL,  -- of the period
    tag              TEXT    NOT NULL,  -- of the facets 'tag', 'tag and model', …
    model            TEXT    NOT NULL,
    tier             TEXT    NOT NULL,  -- empty if unknown; so are key and team
    key              TEXT    NOT NULL,
    team             TEXT    NOT NULL,
    cause            TEXT    NOT NULL,
    attempts         INTEGER NOT NULL,
    estimated        INTEGER NOT NULL,
    unpriced         INTEGER NOT NULL,
    cost_nanousd     INTEGER NOT NULL,
    input            INTEGER NOT NULL,
    cache_read       INTEGER NOT NULL,
    cache_write      INTEGER NOT NULL,
    cache_write_1h   INTEGER NOT NULL,
    output           INTEGER NOT NULL,
    reasoning        INTEGER NOT NULL,
    audio_input      INTEGER NOT NULL,
    audio_cache_read INTEGER NOT NULL,
    audio_output     INTEGER NOT NULL,
    PRIMARY KEY (grain, facet, starts_ns, tag, model, tier, key, team, cause)
) STRICT, WITHOUT ROWID;

CREATE TABLE requests_rollup (
    grain                 INTEGER NOT NULL,  -- nanoseconds: an hour, a day, a week, or four
    facet                 TEXT    NOT NULL,  -- which of the dimensions below are told apart; the others are empty
    starts_ns             INTEGER NOT NULL,  -- of the period
    tag                   TEXT    NOT NULL,  -- of the facets 'tag', 'tag and model', …
    model                 TEXT    NOT NULL,  -- empty for requests that nobody answered
    tier                  TEXT    NOT NULL,  -- empty if unknown; so are key and team
    key                   TEXT    NOT NULL,
    team                  TEXT    NOT NULL,
    requests              INTEGER NOT NULL,
    complete              INTEGER NOT NULL,
    unsure                INTEGER NOT NULL,  -- with a part that nobody reported
    compared              INTEGER NOT NULL,  -- with a baseline that has a price
    baseline_cost_nanousd INTEGER NOT NULL,
    compared_cost_nanousd INTEGER NOT NULL,
    failed_cost_nanousd   INTEGER NOT NULL,
    least_saved_nanousd   INTEGER NOT NULL,  -- what nobody reported may have cost all of our bound, or nothing
    most_saved_nanousd    INTEGER NOT NULL,
    PRIMARY KEY (grain, facet, starts_ns, tag, model, tier, key, team)
) STRICT, WITHOUT ROWID;

-- The tags that are counted by their name; those met when there was no more room are counted together.
CREATE TABLE known_tags (
    tag TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- Whether the sums are of all rows: one row.
CREATE TABLE rollups_made (
    is_made INTEGER NOT NULL
) STRICT;
INSERT INTO rollups_made VALUES (0);

-- Attempts did not say until now what they were for.
UPDATE events SET tier = coalesce(r.tier, ''), tags = r.tags
FROM requests AS r WHERE r.request_id = events.request_id AND events.tier = '' AND events.tags = '[]';
