-- Requests that the response cache answered, and what their answers cost when they were made.
ALTER TABLE requests
    ADD COLUMN cache               TEXT COLLATE "C" NOT NULL DEFAULT '',  -- hit, stale or miss; empty where it is not used
    ADD COLUMN cache_saved_nanousd BIGINT;                                -- null but for a hit, and without a price
ALTER TABLE requests_rollup
    ADD COLUMN from_cache          BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN cache_saved_nanousd BIGINT NOT NULL DEFAULT 0;
