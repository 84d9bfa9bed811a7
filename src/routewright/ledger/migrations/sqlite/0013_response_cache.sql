-- Requests that the response cache answered, and what their answers cost when they were made.
ALTER TABLE requests ADD COLUMN cache TEXT NOT NULL DEFAULT '';  -- hit, stale or miss; empty where it is not used
ALTER TABLE requests ADD COLUMN cache_saved_nanousd INTEGER;     -- null but for a hit, and without a price
ALTER TABLE requests_rollup ADD COLUMN from_cache INTEGER NOT NULL DEFAULT 0;
ALTER TABLE requests_rollup ADD COLUMN cache_saved_nanousd INTEGER NOT NULL DEFAULT 0;
