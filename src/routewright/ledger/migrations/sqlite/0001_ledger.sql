-- The ledger: what happened, in the order in which it arrived. Only ever appended; every other table can be rebuilt from it.
-- STRICT, so that no float can stand where money is meant. Costs are nano-USD, times are UTC nanoseconds since 1970.
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
    reasoning      INTEGER,
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
) STRICT;

CREATE INDEX requests_by_time ON requests (at_ns);

-- The holds that are not closed yet: what recovery and balances read at the start, without a look at all of history.
CREATE TABLE open_holds (
    attempt_id TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE TRIGGER a_reservation_opens_a_hold AFTER INSERT ON events WHEN new.kind = 'reserved'
BEGIN
    INSERT INTO open_holds
    SELECT new.attempt_id
    WHERE NOT EXISTS (SELECT 1 FROM events WHERE attempt_id = new.attempt_id AND kind <> 'reserved');
END;

CREATE TRIGGER any_other_event_closes_it AFTER INSERT ON events WHEN new.kind <> 'reserved'
BEGIN
    DELETE FROM open_holds WHERE attempt_id = new.attempt_id;
END;

-- Records that the version which met them could not read, kept for one that can.
CREATE TABLE unread (
    payload BLOB PRIMARY KEY,
    reason  TEXT NOT NULL
) STRICT, WITHOUT ROWID;
