-- Who pays for an attempt, against which budgets, and the rest of what providers count and charge by.
ALTER TABLE events
    ADD COLUMN held_nanousd     BIGINT,  -- settled, released; null without a price
    ADD COLUMN service_tier     TEXT COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN key              TEXT COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN team             TEXT COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN tags             TEXT NOT NULL DEFAULT '[]',  -- a JSON list
    ADD COLUMN tier             TEXT COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN charges          TEXT NOT NULL DEFAULT '[]',  -- a JSON list of [budget, start of its period in UTC nanoseconds]
    ADD COLUMN audio_input      BIGINT,  -- settled, as those below; tokens
    ADD COLUMN audio_cache_read BIGINT,
    ADD COLUMN audio_output     BIGINT;
ALTER TABLE requests
    ADD COLUMN key  TEXT COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN team TEXT COLLATE "C" NOT NULL DEFAULT '';
