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
    requests_per_minute BIGINT,
    tokens_per_minute   BIGINT,
    concurrency         BIGINT,
    created_at_ns       BIGINT NOT NULL,
    not_before_ns       BIGINT,
    expires_at_ns       BIGINT,
    revoked_at_ns       BIGINT,
    hmac                TEXT    NOT NULL,
    previous_hmac       TEXT,
    previous_until_ns   BIGINT,
    version             BIGINT NOT NULL  -- of the last change, so that a follower reads only what it does not know
);

CREATE INDEX virtual_keys_by_version ON virtual_keys (version);

-- One row: how many changes there were, and by which installation's secret the HMACs are made.
CREATE TABLE access_state (
    only_row    BIGINT  PRIMARY KEY CHECK (only_row = 1),
    version     BIGINT NOT NULL,
    fingerprint TEXT
);

INSERT INTO access_state (only_row, version, fingerprint) VALUES (1, 0, NULL);
