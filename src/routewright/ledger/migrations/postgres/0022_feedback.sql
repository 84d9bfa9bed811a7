-- What feedback has to add to its score, and outcomes by time, as success is looked at over time.
ALTER TABLE outcomes ADD COLUMN comment TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE outcomes ADD COLUMN correction TEXT COLLATE "C" NOT NULL DEFAULT '';

CREATE INDEX outcomes_by_time ON outcomes (at_ns);
