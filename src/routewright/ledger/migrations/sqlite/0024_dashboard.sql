-- What the dashboard asks: which conversation a request belongs to, how long answers took, and requests by their time with all that
-- they are filtered by, so that the rows themselves, which are long, are read for one page only.
ALTER TABLE requests ADD COLUMN session TEXT NOT NULL DEFAULT '';  -- hashed; empty where there is none

DROP INDEX requests_by_time;
CREATE INDEX requests_by_time ON requests (
    at_ns, request_id, model, tier, key, team, outcome, cost_nanousd, total_ms, session, overhead_us, baseline_cost_nanousd
);
CREATE INDEX requests_by_session ON requests (session, at_ns, request_id) WHERE session <> '';

-- How many answers took how long, by day (UTC) and model: see ledger/latencies.py.
CREATE TABLE latencies_daily (
    day_ns  INTEGER NOT NULL,
    measure TEXT    NOT NULL,  -- total, overhead, first
    model   TEXT    NOT NULL,
    bucket  INTEGER NOT NULL,  -- eight for each doubling
    count   INTEGER NOT NULL,
    PRIMARY KEY (day_ns, measure, model, bucket)
) STRICT, WITHOUT ROWID;
INSERT INTO latencies_daily
SELECT at_ns - at_ns % 86400000000000, 'total', model, CAST(floor(8 * ln(total_ms + 1) / ln(2)) AS INTEGER), count(*)
FROM requests WHERE model IS NOT NULL GROUP BY 1, 3, 4;
INSERT INTO latencies_daily
SELECT at_ns - at_ns % 86400000000000, 'overhead', model, CAST(floor(8 * ln(overhead_us + 1) / ln(2)) AS INTEGER), count(*)
FROM requests WHERE model IS NOT NULL AND overhead_us IS NOT NULL GROUP BY 1, 3, 4;
INSERT INTO latencies_daily
SELECT at_ns - at_ns % 86400000000000, 'first', model, CAST(floor(8 * ln(first_event_ms + 1) / ln(2)) AS INTEGER), count(*)
FROM events WHERE kind = 'settled' AND first_event_ms IS NOT NULL GROUP BY 1, 3, 4;
