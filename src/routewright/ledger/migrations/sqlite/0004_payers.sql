-- Who pays for an attempt, against which budgets, and the rest of what providers count and charge by.
ALTER TABLE events ADD COLUMN held_nanousd INTEGER;               -- settled, released; null without a price
ALTER TABLE events ADD COLUMN service_tier TEXT NOT NULL DEFAULT '';
ALTER TABLE events ADD COLUMN key TEXT NOT NULL DEFAULT '';
ALTER TABLE events ADD COLUMN team TEXT NOT NULL DEFAULT '';
ALTER TABLE events ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';    -- a JSON list
ALTER TABLE events ADD COLUMN tier TEXT NOT NULL DEFAULT '';
ALTER TABLE events ADD COLUMN charges TEXT NOT NULL DEFAULT '[]'; -- a JSON list of [budget, start of its period in UTC nanoseconds]
ALTER TABLE events ADD COLUMN audio_input INTEGER;                -- settled, as those below; tokens
ALTER TABLE events ADD COLUMN audio_cache_read INTEGER;
ALTER TABLE events ADD COLUMN audio_output INTEGER;
ALTER TABLE requests ADD COLUMN key TEXT NOT NULL DEFAULT '';
ALTER TABLE requests ADD COLUMN team TEXT NOT NULL DEFAULT '';
