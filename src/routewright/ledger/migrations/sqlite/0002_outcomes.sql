-- How well answers turned out, in the order in which it was told. Only ever appended: of one request, model and source, the
-- last one is the opinion in force. A request's own row may come later, or never.
CREATE TABLE outcomes (
    sequence   INTEGER PRIMARY KEY,
    outcome_id TEXT    NOT NULL UNIQUE,  -- an outcome delivered twice counts once
    request_id TEXT    NOT NULL,
    at_ns      INTEGER NOT NULL,
    model      TEXT    NOT NULL,  -- empty for the model that answered the request
    source     TEXT    NOT NULL,
    score      REAL    NOT NULL CHECK (score BETWEEN 0 AND 1)
) STRICT;

CREATE INDEX outcomes_by_request ON outcomes (request_id);
