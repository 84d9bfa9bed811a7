-- What every price version that an entry may name stands for. Only ever added to: an entry holds the version, never the prices.
CREATE TABLE price_versions (
    version       TEXT    PRIMARY KEY,
    model         TEXT    NOT NULL,  -- by whose name it was first met
    schedule      TEXT    NOT NULL,  -- JSON: all prices of the model, in every service tier
    source        TEXT    NOT NULL,
    first_used_ns INTEGER NOT NULL   -- when a catalog with it was first adopted, UTC
) STRICT, WITHOUT ROWID;

-- What history would have cost at other prices: views beside it, which may be dropped.
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
