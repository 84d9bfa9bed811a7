-- Sums of attempts and of requests by hour, day, week and four weeks, and by all that reports ask for: see rollups.py. Kept by the
-- transactions that bring the rows; made of those that are here already when the ledger is next opened for writing.
CREATE TABLE attempts_rollup (
    grain            BIGINT  NOT NULL,  -- nanoseconds: an hour, a day, a week, or four
    facet            TEXT    COLLATE "C" NOT NULL,  -- which of the dimensions below are told apart; the others are empty
    starts_ns        BIGINT  NOT NULL,  -- of the period
    tag              TEXT    COLLATE "C" NOT NULL,  -- of the facets 'tag', 'tag and model', …
    model            TEXT    COLLATE "C" NOT NULL,
    tier             TEXT    COLLATE "C" NOT NULL,  -- empty if unknown; so are key and team
    key              TEXT    COLLATE "C" NOT NULL,
    team             TEXT    COLLATE "C" NOT NULL,
    cause            TEXT    COLLATE "C" NOT NULL,
    attempts         BIGINT  NOT NULL,
    estimated        BIGINT  NOT NULL,
    unpriced         BIGINT  NOT NULL,
    cost_nanousd     BIGINT  NOT NULL,
    input            BIGINT  NOT NULL,
    cache_read       BIGINT  NOT NULL,
    cache_write      BIGINT  NOT NULL,
    cache_write_1h   BIGINT  NOT NULL,
    output           BIGINT  NOT NULL,
    reasoning        BIGINT  NOT NULL,
    audio_input      BIGINT  NOT NULL,
    audio_cache_read BIGINT  NOT NULL,
    audio_output     BIGINT  NOT NULL,
    PRIMARY KEY (grain, facet, starts_ns, tag, model, tier, key, team, cause)
) WITH (fillfactor = 70);

CREATE TABLE requests_rollup (
    grain                 BIGINT  NOT NULL,  -- nanoseconds: an hour, a day, a week, or four
    facet                 TEXT    COLLATE "C" NOT NULL,  -- which of the dimensions below are told apart; the others are empty
    starts_ns             BIGINT  NOT NULL,  -- of the period
    tag                   TEXT    COLLATE "C" NOT NULL,  -- of the facets 'tag', 'tag and model', …
    model                 TEXT    COLLATE "C" NOT NULL,  -- empty for requests that nobody answered
    tier                  TEXT    COLLATE "C" NOT NULL,  -- empty if unknown; so are key and team
    key                   TEXT    COLLATE "C" NOT NULL,
    team                  TEXT    COLLATE "C" NOT NULL,
    requests              BIGINT  NOT NULL,
    complete              BIGINT  NOT NULL,
    unsure                BIGINT  NOT NULL,  -- with a part that nobody reported
    compared              BIGINT  NOT NULL,  -- with a baseline that has a price
    baseline_cost_nanousd BIGINT  NOT NULL,
    compared_cost_nanousd BIGINT  NOT NULL,
    failed_cost_nanousd   BIGINT  NOT NULL,
    least_saved_nanousd   BIGINT  NOT NULL,  -- what nobody reported may have cost all of our bound, or nothing
    most_saved_nanousd    BIGINT  NOT NULL,
    PRIMARY KEY (grain, facet, starts_ns, tag, model, tier, key, team)
) WITH (fillfactor = 70);

-- The tags that are counted by their name; those met when there was no more room are counted together.
CREATE TABLE known_tags (
    tag TEXT COLLATE "C" PRIMARY KEY
);

-- Whether the sums are of all rows: one row.
CREATE TABLE rollups_made (
    is_made SMALLINT NOT NULL
);
INSERT INTO rollups_made VALUES (0);

-- Attempts did not say until now what they were for.
UPDATE events SET tier = coalesce(r.tier, ''), tags = r.tags
FROM requests AS r WHERE r.request_id = events.request_id AND events.tier = '' AND events.tags = '[]';
