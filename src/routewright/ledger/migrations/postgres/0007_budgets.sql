-- How budgets stand, one row for each budget and period. A period that is over keeps its row: nothing is ever set back to zero.
-- Can be rebuilt from events, but for `overruns`, `is_frozen` and what processes were granted.
CREATE TABLE budget_windows (
    budget         TEXT    NOT NULL,
    starts_ns      BIGINT  NOT NULL,
    ends_ns        BIGINT,                      -- null for ever, and until anybody has claimed
    limit_nanousd  BIGINT  NOT NULL DEFAULT 0,
    posted_nanousd BIGINT  NOT NULL DEFAULT 0,  -- spent, by everybody
    leased_nanousd BIGINT  NOT NULL DEFAULT 0,  -- granted to processes and not spent
    excess_nanousd BIGINT  NOT NULL DEFAULT 0,  -- what overruns, and limits lowered below what was promised, made unavoidable
    overruns       BIGINT  NOT NULL DEFAULT 0,  -- attempts that cost more than was held for them
    is_hard        BIGINT  NOT NULL DEFAULT 0,
    is_frozen      BIGINT  NOT NULL DEFAULT 0,
    is_counted     BIGINT  NOT NULL DEFAULT 0,  -- what was spent before there was the budget is in `posted_nanousd`
    PRIMARY KEY (budget, starts_ns),
    CHECK (leased_nanousd >= 0 AND excess_nanousd >= 0),
    CHECK (is_hard = 0 OR posted_nanousd + leased_nanousd <= limit_nanousd + excess_nanousd)
);

CREATE INDEX budget_windows_by_end ON budget_windows (ends_ns);

-- What each process has of a hard budget.
CREATE TABLE grants (
    budget          TEXT    NOT NULL,
    starts_ns       BIGINT  NOT NULL,
    boot            TEXT    NOT NULL,
    granted_nanousd BIGINT  NOT NULL DEFAULT 0,  -- all that it ever was, what it has spent since included
    settled_nanousd BIGINT  NOT NULL DEFAULT 0,  -- how much of that it has spent, as far as it has arrived
    wanted_nanousd  BIGINT  NOT NULL DEFAULT 0,  -- what it asked for beyond and could not be granted
    expires_ns      BIGINT  NOT NULL DEFAULT 0,  -- by the database's time; what has expired still counts against the limit
    PRIMARY KEY (budget, starts_ns, boot)
);

CREATE INDEX grants_by_boot ON grants (boot);
