-- What every price version that an entry may name stands for. Only ever added to: an entry holds the version, never the prices.
CREATE TABLE price_versions (
    version       TEXT   COLLATE "C" PRIMARY KEY,
    model         TEXT   COLLATE "C" NOT NULL,  -- by whose name it was first met
    schedule      TEXT   NOT NULL,              -- JSON: all prices of the model, in every service tier
    source        TEXT   NOT NULL,
    first_used_ns BIGINT NOT NULL               -- when a catalog with it was first adopted, UTC
);

-- What history would have cost at other prices: views beside it, which may be dropped.
CREATE TABLE rerated_views (
    name     TEXT   COLLATE "C" PRIMARY KEY,
    at_ns    BIGINT NOT NULL,
    prices   TEXT   NOT NULL,  -- which prices, in words
    since_ns BIGINT NOT NULL,
    until_ns BIGINT NOT NULL
);

CREATE TABLE rerated (
    view          TEXT   COLLATE "C" NOT NULL,
    attempt_id    TEXT   COLLATE "C" NOT NULL,
    cost_nanousd  BIGINT NOT NULL,
    price_version TEXT   NOT NULL,
    PRIMARY KEY (view, attempt_id)
);
