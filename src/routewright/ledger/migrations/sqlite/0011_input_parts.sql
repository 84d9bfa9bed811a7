-- What the input of a request consists of, in tokens, and what it cost: system prompt, history, definitions of tools, user's turn.
ALTER TABLE requests ADD COLUMN input_system INTEGER NOT NULL DEFAULT 0;
ALTER TABLE requests ADD COLUMN input_history INTEGER NOT NULL DEFAULT 0;
ALTER TABLE requests ADD COLUMN input_tools INTEGER NOT NULL DEFAULT 0;
ALTER TABLE requests ADD COLUMN input_user INTEGER NOT NULL DEFAULT 0;
ALTER TABLE requests ADD COLUMN input_is_estimated INTEGER NOT NULL DEFAULT 0;
ALTER TABLE requests ADD COLUMN input_cost_nanousd INTEGER;               -- null without an answer or a price
ALTER TABLE requests ADD COLUMN system_cost_nanousd INTEGER;              -- null alike
ALTER TABLE requests ADD COLUMN system_hash TEXT NOT NULL DEFAULT '';
ALTER TABLE requests ADD COLUMN system_opening TEXT NOT NULL DEFAULT '';
ALTER TABLE requests ADD COLUMN system_chars INTEGER NOT NULL DEFAULT 0;
ALTER TABLE requests ADD COLUMN system_preview TEXT NOT NULL DEFAULT '';  -- empty unless content may be kept

-- Rolled up from answered requests: see ledger/prompt_audit.py.
CREATE TABLE system_prompts (
    hash          TEXT    PRIMARY KEY,
    opening       TEXT    NOT NULL,  -- the hash of how it begins: versions of one prompt share it
    preview       TEXT    NOT NULL,  -- empty unless content may be kept
    characters    INTEGER NOT NULL,
    first_seen_ns INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE prompts_monthly (
    month        TEXT    NOT NULL,  -- UTC, `2026-11`
    hash         TEXT    NOT NULL,  -- `other` for those beyond the bound
    requests     INTEGER NOT NULL,
    tokens       INTEGER NOT NULL,  -- of the system prompt
    cost_nanousd INTEGER NOT NULL,  -- what these tokens cost
    unpriced     INTEGER NOT NULL,  -- requests whose cost is not known, and not in it
    PRIMARY KEY (month, hash)
) STRICT, WITHOUT ROWID;

-- More sums in the roll-ups, which are made anew with them when the ledger is next opened for writing.
ALTER TABLE attempts_rollup ADD COLUMN answer_input INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempts_rollup ADD COLUMN answer_cache_read INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempts_rollup ADD COLUMN answer_cache_write INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempts_rollup ADD COLUMN answer_cache_write_1h INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempts_rollup ADD COLUMN answer_output INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempts_rollup ADD COLUMN answer_reasoning INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempts_rollup ADD COLUMN answer_audio_input INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempts_rollup ADD COLUMN answer_audio_cache_read INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempts_rollup ADD COLUMN answer_audio_output INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempts_rollup ADD COLUMN simulated INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempts_rollup ADD COLUMN errand_cost_nanousd INTEGER NOT NULL DEFAULT 0;
ALTER TABLE requests_rollup ADD COLUMN answered INTEGER NOT NULL DEFAULT 0;
ALTER TABLE requests_rollup ADD COLUMN answered_cost_nanousd INTEGER NOT NULL DEFAULT 0;
ALTER TABLE requests_rollup ADD COLUMN input_system INTEGER NOT NULL DEFAULT 0;
ALTER TABLE requests_rollup ADD COLUMN input_history INTEGER NOT NULL DEFAULT 0;
ALTER TABLE requests_rollup ADD COLUMN input_tools INTEGER NOT NULL DEFAULT 0;
ALTER TABLE requests_rollup ADD COLUMN input_user INTEGER NOT NULL DEFAULT 0;
ALTER TABLE requests_rollup ADD COLUMN input_estimated INTEGER NOT NULL DEFAULT 0;
ALTER TABLE requests_rollup ADD COLUMN input_cost_nanousd INTEGER NOT NULL DEFAULT 0;
ALTER TABLE requests_rollup ADD COLUMN system_cost_nanousd INTEGER NOT NULL DEFAULT 0;
UPDATE rollups_made SET is_made = 0;

-- Which models requests were compared with, by day (UTC): see ledger/baselines.py.
CREATE TABLE baselines_daily (
    day_ns INTEGER NOT NULL,
    model  TEXT    NOT NULL,
    PRIMARY KEY (day_ns, model)
) STRICT, WITHOUT ROWID;
INSERT INTO baselines_daily
SELECT DISTINCT at_ns - at_ns % 86400000000000, baseline_model FROM requests
WHERE baseline_cost_nanousd IS NOT NULL AND baseline_model IS NOT NULL;
