-- What was told of budgets, and to whom: once for each crossing and way, as the row can be made only once.
CREATE TABLE alerts (
    budget          TEXT    NOT NULL,
    starts_ns       INTEGER NOT NULL,  -- of the budget's period
    percent         INTEGER NOT NULL,  -- of the limit; 0 for overruns
    overruns        INTEGER NOT NULL,  -- how many there were by then; 0 for a percentage
    way             TEXT    NOT NULL,
    alert           TEXT    NOT NULL,  -- JSON: what is to be told
    taken_until_ns  INTEGER NOT NULL,  -- somebody is at it until then, by the database's time
    delivered_at_ns INTEGER,
    PRIMARY KEY (budget, starts_ns, percent, overruns, way)
) STRICT, WITHOUT ROWID;

CREATE INDEX undelivered_alerts ON alerts (taken_until_ns) WHERE delivered_at_ns IS NULL;
