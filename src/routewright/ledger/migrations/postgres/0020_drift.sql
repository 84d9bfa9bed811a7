-- What models are watched for: one row a stream, which can be told anew from the ledger's rows but for what retention took.
CREATE TABLE drift_streams (
    model    TEXT   COLLATE "C" NOT NULL,
    quantity TEXT   COLLATE "C" NOT NULL,
    family   TEXT   COLLATE "C" NOT NULL,  -- the kind of work of a cost, the source of a success; else empty
    stream   TEXT   COLLATE "C" NOT NULL,  -- JSON, as decision/drift.py has it
    is_alarm BIGINT NOT NULL,
    PRIMARY KEY (model, quantity, family)
);

-- How far the rows were taken in: one row, changed in the transaction that brings the streams.
CREATE TABLE drift_marks (
    answers        BIGINT NOT NULL,  -- a sequence of events; -1 before the first look, as the next
    opinions       BIGINT NOT NULL,  -- a sequence of outcomes
    taken_until_ns BIGINT NOT NULL   -- somebody is at it until then, by the database's time
);
INSERT INTO drift_marks VALUES (-1, -1, 0);
