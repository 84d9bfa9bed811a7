-- 24: all steps in one, for a new ledger; made of them by `python3 dev.py docs`.
CREATE TABLE events (
    sequence       INTEGER PRIMARY KEY,
    attempt_id     TEXT    NOT NULL,
    kind           TEXT    NOT NULL CHECK (kind IN ('reserved', 'settled', 'released')),
    request_id     TEXT    NOT NULL,
    at_ns          INTEGER NOT NULL,
    model          TEXT    NOT NULL,
    deployment     TEXT    NOT NULL,
    cause          TEXT    NOT NULL,
    boot           TEXT,     -- reserved
    amount_nanousd INTEGER,  -- reserved; null without a price
    price_version  TEXT,     -- reserved, settled
    outcome        TEXT,     -- settled, released
    total_ms       INTEGER,  -- settled, released
    served_model   TEXT,     -- settled, as all below
    cost_nanousd   INTEGER,  -- null without a price
    is_estimated   INTEGER,
    first_event_ms INTEGER,
    input          INTEGER,  -- tokens, in disjoint classes
    cache_read     INTEGER,
    cache_write    INTEGER,
    cache_write_1h INTEGER,
    output         INTEGER,
    reasoning      INTEGER, held_nanousd INTEGER, service_tier TEXT NOT NULL DEFAULT '', key TEXT NOT NULL DEFAULT '', team TEXT NOT NULL DEFAULT '', tags TEXT NOT NULL DEFAULT '[]', tier TEXT NOT NULL DEFAULT '', charges TEXT NOT NULL DEFAULT '[]', audio_input INTEGER, audio_cache_read INTEGER, audio_output INTEGER,
    UNIQUE (attempt_id, kind)  -- an event delivered twice counts once
) STRICT;
CREATE INDEX events_by_request ON events (request_id);
CREATE INDEX closed_attempts_by_time ON events (at_ns) WHERE kind <> 'reserved';
CREATE TABLE requests (
    request_id            TEXT    PRIMARY KEY,
    at_ns                 INTEGER NOT NULL,
    dialect               TEXT    NOT NULL,
    requested_model       TEXT    NOT NULL,
    model                 TEXT,
    tier                  TEXT,
    confidence            REAL,
    reason                TEXT    NOT NULL,
    outcome               TEXT    NOT NULL,
    cost_nanousd          INTEGER NOT NULL,
    is_estimated          INTEGER NOT NULL,
    baseline_model        TEXT,
    baseline_cost_nanousd INTEGER,
    attempts              INTEGER NOT NULL,
    stream                INTEGER NOT NULL,
    total_ms              INTEGER NOT NULL,
    overhead_us           INTEGER,
    route                 TEXT    NOT NULL,  -- JSON
    tags                  TEXT    NOT NULL,  -- a JSON list
    user                  TEXT
, key TEXT NOT NULL DEFAULT '', team TEXT NOT NULL DEFAULT '', input_system INTEGER NOT NULL DEFAULT 0, input_history INTEGER NOT NULL DEFAULT 0, input_tools INTEGER NOT NULL DEFAULT 0, input_user INTEGER NOT NULL DEFAULT 0, input_is_estimated INTEGER NOT NULL DEFAULT 0, input_cost_nanousd INTEGER, system_cost_nanousd INTEGER, system_hash TEXT NOT NULL DEFAULT '', system_opening TEXT NOT NULL DEFAULT '', system_chars INTEGER NOT NULL DEFAULT 0, system_preview TEXT NOT NULL DEFAULT '', cache TEXT NOT NULL DEFAULT '', cache_saved_nanousd INTEGER, session TEXT NOT NULL DEFAULT '') STRICT;
CREATE TABLE open_holds (
    attempt_id TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
CREATE TABLE unread (
    payload BLOB PRIMARY KEY,
    reason  TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE outcomes (
    sequence   INTEGER PRIMARY KEY,
    outcome_id TEXT    NOT NULL UNIQUE,  -- an outcome delivered twice counts once
    request_id TEXT    NOT NULL,
    at_ns      INTEGER NOT NULL,
    model      TEXT    NOT NULL,  -- empty for the model that answered the request
    source     TEXT    NOT NULL,
    score      REAL    NOT NULL CHECK (score BETWEEN 0 AND 1)
, "check" TEXT NOT NULL DEFAULT '', comment TEXT NOT NULL DEFAULT '', correction TEXT NOT NULL DEFAULT '') STRICT;
CREATE INDEX outcomes_by_request ON outcomes (request_id);
CREATE TABLE embeddings (
    sequence   INTEGER PRIMARY KEY,
    request_id TEXT    NOT NULL,
    at_ns      INTEGER NOT NULL,
    embedder   TEXT    NOT NULL,  -- vectors of different embedders cannot be compared
    vector     BLOB    NOT NULL,  -- little-endian float16
    UNIQUE (request_id, embedder)  -- a vector delivered twice counts once
) STRICT;
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
    audio_output     INTEGER NOT NULL, answer_input INTEGER NOT NULL DEFAULT 0, answer_cache_read INTEGER NOT NULL DEFAULT 0, answer_cache_write INTEGER NOT NULL DEFAULT 0, answer_cache_write_1h INTEGER NOT NULL DEFAULT 0, answer_output INTEGER NOT NULL DEFAULT 0, answer_reasoning INTEGER NOT NULL DEFAULT 0, answer_audio_input INTEGER NOT NULL DEFAULT 0, answer_audio_cache_read INTEGER NOT NULL DEFAULT 0, answer_audio_output INTEGER NOT NULL DEFAULT 0, simulated INTEGER NOT NULL DEFAULT 0, errand_cost_nanousd INTEGER NOT NULL DEFAULT 0,
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
    most_saved_nanousd    INTEGER NOT NULL, answered INTEGER NOT NULL DEFAULT 0, answered_cost_nanousd INTEGER NOT NULL DEFAULT 0, input_system INTEGER NOT NULL DEFAULT 0, input_history INTEGER NOT NULL DEFAULT 0, input_tools INTEGER NOT NULL DEFAULT 0, input_user INTEGER NOT NULL DEFAULT 0, input_estimated INTEGER NOT NULL DEFAULT 0, input_cost_nanousd INTEGER NOT NULL DEFAULT 0, system_cost_nanousd INTEGER NOT NULL DEFAULT 0, from_cache INTEGER NOT NULL DEFAULT 0, cache_saved_nanousd INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (grain, facet, starts_ns, tag, model, tier, key, team)
) STRICT, WITHOUT ROWID;
CREATE TABLE known_tags (
    tag TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
CREATE TABLE rollups_made (
    is_made INTEGER NOT NULL
) STRICT;
CREATE TABLE budget_windows (
    budget         TEXT    NOT NULL,
    starts_ns      INTEGER NOT NULL,
    ends_ns        INTEGER,                     -- null for ever, and until anybody has claimed
    limit_nanousd  INTEGER NOT NULL DEFAULT 0,
    posted_nanousd INTEGER NOT NULL DEFAULT 0,  -- spent, by everybody
    leased_nanousd INTEGER NOT NULL DEFAULT 0,  -- granted to processes and not spent
    excess_nanousd INTEGER NOT NULL DEFAULT 0,  -- what overruns, and limits lowered below what was promised, made unavoidable
    overruns       INTEGER NOT NULL DEFAULT 0,  -- attempts that cost more than was held for them
    is_hard        INTEGER NOT NULL DEFAULT 0,
    is_frozen      INTEGER NOT NULL DEFAULT 0,
    is_counted     INTEGER NOT NULL DEFAULT 0,  -- what was spent before there was the budget is in `posted_nanousd`
    PRIMARY KEY (budget, starts_ns),
    CHECK (leased_nanousd >= 0 AND excess_nanousd >= 0),
    CHECK (is_hard = 0 OR posted_nanousd + leased_nanousd <= limit_nanousd + excess_nanousd)
) STRICT, WITHOUT ROWID;
CREATE INDEX budget_windows_by_end ON budget_windows (ends_ns);
CREATE TABLE grants (
    budget          TEXT    NOT NULL,
    starts_ns       INTEGER NOT NULL,
    boot            TEXT    NOT NULL,
    granted_nanousd INTEGER NOT NULL DEFAULT 0,  -- all that it ever was, what it has spent since included
    settled_nanousd INTEGER NOT NULL DEFAULT 0,  -- how much of that it has spent, as far as it has arrived
    wanted_nanousd  INTEGER NOT NULL DEFAULT 0,  -- what it asked for beyond and could not be granted
    expires_ns      INTEGER NOT NULL DEFAULT 0,  -- by the database's time; what has expired still counts against the limit
    PRIMARY KEY (budget, starts_ns, boot)
) STRICT, WITHOUT ROWID;
CREATE INDEX grants_by_boot ON grants (boot);
CREATE TABLE alerts (
    budget          TEXT    NOT NULL,
    starts_ns       INTEGER NOT NULL,  -- of the budget's period
    percent         INTEGER NOT NULL,  -- of the limit; 0 for overruns
    overruns        INTEGER NOT NULL,  -- how many there were by then; 0 for a percentage
    way             TEXT    NOT NULL,
    alert           TEXT    NOT NULL,  -- JSON: what is to be told
    taken_until_ns  INTEGER NOT NULL,  -- somebody is at it until then, by the database's time
    delivered_at_ns INTEGER,
    PRIMARY KEY (budget, starts_ns, percent, overruns, way)
) STRICT, WITHOUT ROWID;
CREATE INDEX undelivered_alerts ON alerts (taken_until_ns) WHERE delivered_at_ns IS NULL;
CREATE TABLE virtual_keys (
    id                  TEXT    PRIMARY KEY,
    name                TEXT    NOT NULL,
    team                TEXT    NOT NULL,
    tags                TEXT    NOT NULL,
    roles               TEXT    NOT NULL,
    models              TEXT    NOT NULL,
    tiers               TEXT    NOT NULL,
    budgets             TEXT    NOT NULL,
    requests_per_minute INTEGER,
    tokens_per_minute   INTEGER,
    concurrency         INTEGER,
    created_at_ns       INTEGER NOT NULL,
    not_before_ns       INTEGER,
    expires_at_ns       INTEGER,
    revoked_at_ns       INTEGER,
    hmac                TEXT    NOT NULL,
    previous_hmac       TEXT,
    previous_until_ns   INTEGER,
    version             INTEGER NOT NULL  -- of the last change, so that a follower reads only what it does not know
, when_left TEXT) STRICT;
CREATE INDEX virtual_keys_by_version ON virtual_keys (version);
CREATE TABLE access_state (
    only_row    INTEGER PRIMARY KEY CHECK (only_row = 1),
    version     INTEGER NOT NULL,
    fingerprint TEXT
) STRICT;
CREATE TABLE price_versions (
    version       TEXT    PRIMARY KEY,
    model         TEXT    NOT NULL,  -- by whose name it was first met
    schedule      TEXT    NOT NULL,  -- JSON: all prices of the model, in every service tier
    source        TEXT    NOT NULL,
    first_used_ns INTEGER NOT NULL   -- when a catalog with it was first adopted, UTC
) STRICT, WITHOUT ROWID;
CREATE TABLE rerated_views (
    name     TEXT    PRIMARY KEY,
    at_ns    INTEGER NOT NULL,
    prices   TEXT    NOT NULL,  -- which prices, in words
    since_ns INTEGER NOT NULL,
    until_ns INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE rerated (
    view          TEXT    NOT NULL,
    attempt_id    TEXT    NOT NULL,
    cost_nanousd  INTEGER NOT NULL,
    price_version TEXT    NOT NULL,
    PRIMARY KEY (view, attempt_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE system_prompts (
    hash          TEXT    PRIMARY KEY,
    opening       TEXT    NOT NULL,  -- the hash of how it begins: versions of one prompt share it
    preview       TEXT    NOT NULL,  -- empty unless content may be kept
    characters    INTEGER NOT NULL,
    first_seen_ns INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE prompts_monthly (
    month        TEXT    NOT NULL,  -- UTC, `2026-11`
    hash         TEXT    NOT NULL,  -- `other` for those beyond the bound
    requests     INTEGER NOT NULL,
    tokens       INTEGER NOT NULL,  -- of the system prompt
    cost_nanousd INTEGER NOT NULL,  -- what these tokens cost
    unpriced     INTEGER NOT NULL,  -- requests whose cost is not known, and not in it
    PRIMARY KEY (month, hash)
) STRICT, WITHOUT ROWID;
CREATE TABLE baselines_daily (
    day_ns INTEGER NOT NULL,
    model  TEXT    NOT NULL,
    PRIMARY KEY (day_ns, model)
) STRICT, WITHOUT ROWID;
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
CREATE TABLE late_rows (
    row_id     TEXT    NOT NULL,  -- an attempt's or a request's
    row_kind   TEXT    NOT NULL,  -- as in events, or `request`
    at_ns      INTEGER NOT NULL,
    day        TEXT    NOT NULL,
    supplement INTEGER,
    PRIMARY KEY (row_id, row_kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX late_rows_by_day ON late_rows (day, supplement, at_ns);
CREATE INDEX holds_by_time ON events (at_ns) WHERE kind = 'reserved';
CREATE TABLE copied_tables (
    name    TEXT    PRIMARY KEY,
    source  TEXT    NOT NULL,
    after   TEXT,               -- the last key that was copied, as a JSON list; null before the first
    rows    INTEGER NOT NULL,
    is_done INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
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
, summary TEXT) STRICT;
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
CREATE TABLE batch_parts (
    job        INTEGER NOT NULL,
    number     INTEGER NOT NULL,
    deployment TEXT NOT NULL,
    batch_id   TEXT NOT NULL,  -- the provider's; empty until it is known
    state      TEXT NOT NULL,  -- intended, begun, over
    PRIMARY KEY (job, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE batch_sent (
    job        INTEGER NOT NULL,
    position   INTEGER NOT NULL,
    part       INTEGER NOT NULL,
    attempt_id TEXT NOT NULL,
    PRIMARY KEY (job, position)
) STRICT, WITHOUT ROWID;
CREATE TABLE stage_answers (
    job       TEXT NOT NULL,
    custom_id TEXT NOT NULL,
    digest    BLOB NOT NULL,     -- of what was asked
    at_ns     INTEGER NOT NULL,
    kept      BLOB NOT NULL,     -- JSON: the answer, or why there is none
    PRIMARY KEY (job, custom_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE drift_streams (
    model    TEXT    NOT NULL,
    quantity TEXT    NOT NULL,
    family   TEXT    NOT NULL,  -- the kind of work of a cost, the source of a success; else empty
    stream   TEXT    NOT NULL,  -- JSON, as decision/drift.py has it
    is_alarm INTEGER NOT NULL,
    PRIMARY KEY (model, quantity, family)
) STRICT, WITHOUT ROWID;
CREATE TABLE drift_marks (
    answers        INTEGER NOT NULL,  -- a sequence of events; -1 before the first look, as the next
    opinions       INTEGER NOT NULL,  -- a sequence of outcomes
    taken_until_ns INTEGER NOT NULL   -- somebody is at it until then, by the database's time
) STRICT;
CREATE TABLE policy_versions (
    name     TEXT NOT NULL,
    number   INTEGER NOT NULL,  -- from 1
    at_ns    INTEGER NOT NULL,
    overlay  TEXT NOT NULL,  -- JSON, in the words of [policies.NAME]
    evidence TEXT NOT NULL,  -- JSON: what it was found by
    author   TEXT NOT NULL,
    PRIMARY KEY (name, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE policy_changes (
    sequence INTEGER PRIMARY KEY,
    at_ns    INTEGER NOT NULL,
    kind     TEXT NOT NULL,  -- apply, rollback, off, on
    name     TEXT NOT NULL,
    number   INTEGER NOT NULL,  -- the version in force from now on; 0 for what the settings say
    share    REAL,  -- percent of the requests; NULL for those that name it, and for the base
    author   TEXT NOT NULL,
    reason   TEXT NOT NULL
) STRICT;
CREATE INDEX policy_changes_by_name ON policy_changes (name, sequence);
CREATE TABLE policy_state (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    sequence INTEGER NOT NULL
) STRICT;
CREATE INDEX outcomes_by_time ON outcomes (at_ns);
CREATE TABLE comparisons (
    sequence            INTEGER PRIMARY KEY,
    comparison_id       TEXT NOT NULL UNIQUE,  -- one delivered twice counts once
    request_id          TEXT NOT NULL,
    at_ns               INTEGER NOT NULL,
    model               TEXT NOT NULL,
    shadow              TEXT NOT NULL,
    result              TEXT NOT NULL,
    decided_by          TEXT NOT NULL,
    judge               TEXT NOT NULL,
    is_same             INTEGER NOT NULL,
    cost_nanousd        INTEGER,
    shadow_cost_nanousd INTEGER,
    judge_cost_nanousd  INTEGER,
    total_ms            INTEGER NOT NULL,
    shadow_ms           INTEGER NOT NULL,
    answer              TEXT NOT NULL,  -- empty unless content is kept, as the next
    shadow_answer       TEXT NOT NULL
) STRICT;
CREATE INDEX comparisons_by_request ON comparisons (request_id);
CREATE INDEX comparisons_by_time ON comparisons (at_ns);
CREATE INDEX requests_by_time ON requests (
    at_ns, request_id, model, tier, key, team, outcome, cost_nanousd, total_ms, session, overhead_us, baseline_cost_nanousd
);
CREATE INDEX requests_by_session ON requests (session, at_ns, request_id) WHERE session <> '';
CREATE TABLE latencies_daily (
    day_ns  INTEGER NOT NULL,
    measure TEXT    NOT NULL,  -- total, overhead, first
    model   TEXT    NOT NULL,
    bucket  INTEGER NOT NULL,  -- eight for each doubling
    count   INTEGER NOT NULL,
    PRIMARY KEY (day_ns, measure, model, bucket)
) STRICT, WITHOUT ROWID;
INSERT INTO rollups_made VALUES (0);
INSERT INTO access_state VALUES (1, 0, NULL);
INSERT INTO drift_marks VALUES (-1, -1, 0);
INSERT INTO policy_state VALUES (1, 0);
