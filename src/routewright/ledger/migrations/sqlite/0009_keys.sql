-- Virtual keys: all but their secrets, of which only an HMAC is kept. Never deleted, so that the ledger's ids have names.
-- Lists are JSON; times are UTC nanoseconds since 1970.
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
) STRICT;

CREATE INDEX virtual_keys_by_version ON virtual_keys (version);

-- One row: how many changes there were, and by which installation's secret the HMACs are made.
CREATE TABLE access_state (
    only_row    INTEGER PRIMARY KEY CHECK (only_row = 1),
    version     INTEGER NOT NULL,
    fingerprint TEXT
) STRICT;

INSERT INTO access_state (only_row, version, fingerprint) VALUES (1, 0, NULL);
