-- What the dashboard asks: which conversation a request belongs to, how long answers took, and requests by their time.
ALTER TABLE requests
    ADD COLUMN session TEXT COLLATE "C" NOT NULL DEFAULT '';  -- hashed; empty where there is none

-- Not with all that is filtered by, as in SQLite: an entry of an index is bounded here, and names are long.
DROP INDEX requests_by_time;
CREATE INDEX requests_by_time ON requests (at_ns, request_id);
CREATE INDEX requests_by_session ON requests (session, at_ns, request_id) WHERE session <> '';

-- How many answers took how long, by day (UTC) and model: see ledger/latencies.py.
CREATE TABLE latencies_daily (
    day_ns  BIGINT           NOT NULL,
    measure TEXT COLLATE "C" NOT NULL,  -- total, overhead, first
    model   TEXT COLLATE "C" NOT NULL,
    bucket  BIGINT           NOT NULL,  -- eight for each doubling
    count   BIGINT           NOT NULL,
    PRIMARY KEY (day_ns, measure, model, bucket)
);
INSERT INTO latencies_daily
SELECT at_ns - at_ns % 86400000000000, 'total', model, floor(8 * ln(CAST(total_ms + 1 AS DOUBLE PRECISION)) / ln(CAST(2 AS DOUBLE PRECISION))), count(*)
FROM requests WHERE model IS NOT NULL GROUP BY 1, 3, 4;
INSERT INTO latencies_daily
SELECT at_ns - at_ns % 86400000000000, 'overhead', model, floor(8 * ln(CAST(overhead_us + 1 AS DOUBLE PRECISION)) / ln(CAST(2 AS DOUBLE PRECISION))), count(*)
FROM requests WHERE model IS NOT NULL AND overhead_us IS NOT NULL GROUP BY 1, 3, 4;
INSERT INTO latencies_daily
SELECT at_ns - at_ns % 86400000000000, 'first', model, floor(8 * ln(CAST(first_event_ms + 1 AS DOUBLE PRECISION)) / ln(CAST(2 AS DOUBLE PRECISION))), count(*)
FROM events WHERE kind = 'settled' AND first_event_ms IS NOT NULL GROUP BY 1, 3, 4;
