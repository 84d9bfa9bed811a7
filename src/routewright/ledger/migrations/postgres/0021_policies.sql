-- Versions of named policies: what each changes, and why it was written. Never deleted, as routes name them.
CREATE TABLE policy_versions (
    name     TEXT COLLATE "C" NOT NULL,
    number   BIGINT NOT NULL,  -- from 1
    at_ns    BIGINT NOT NULL,
    overlay  TEXT NOT NULL,  -- JSON, in the words of [policies.NAME]
    evidence TEXT NOT NULL,  -- JSON: what it was found by
    author   TEXT NOT NULL,
    PRIMARY KEY (name, number)
);

-- What was put in force, in order: of each name the last row counts. An empty name is the switch of all of them.
CREATE TABLE policy_changes (
    sequence BIGINT PRIMARY KEY,
    at_ns    BIGINT NOT NULL,
    kind     TEXT NOT NULL,  -- apply, rollback, off, on
    name     TEXT COLLATE "C" NOT NULL,
    number   BIGINT NOT NULL,  -- the version in force from now on; 0 for what the settings say
    share    DOUBLE PRECISION,  -- percent of the requests; NULL for those that name it, and for the base
    author   TEXT NOT NULL,
    reason   TEXT NOT NULL
);

CREATE INDEX policy_changes_by_name ON policy_changes (name, sequence);

-- One row: the last change there is, by which gateways notice one.
CREATE TABLE policy_state (
    only_row BIGINT PRIMARY KEY CHECK (only_row = 1),
    sequence BIGINT NOT NULL
);

INSERT INTO policy_state (only_row, sequence) VALUES (1, 0);
