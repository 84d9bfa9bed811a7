-- What other models made of requests, beside the answers that were given.
CREATE TABLE comparisons (
    sequence            INTEGER PRIMARY KEY,
    comparison_id       TEXT NOT NULL UNIQUE,  -- one delivered twice counts once
    request_id          TEXT NOT NULL,
    at_ns               INTEGER NOT NULL,
    model               TEXT NOT NULL,
    shadow              TEXT NOT NULL,
    result              TEXT NOT NULL,
    decided_by          TEXT NOT NULL,
    judge               TEXT NOT NULL,
    is_same             INTEGER NOT NULL,
    cost_nanousd        INTEGER,
    shadow_cost_nanousd INTEGER,
    judge_cost_nanousd  INTEGER,
    total_ms            INTEGER NOT NULL,
    shadow_ms           INTEGER NOT NULL,
    answer              TEXT NOT NULL,  -- empty unless content is kept, as the next
    shadow_answer       TEXT NOT NULL
) STRICT;

CREATE INDEX comparisons_by_request ON comparisons (request_id);
CREATE INDEX comparisons_by_time ON comparisons (at_ns);
