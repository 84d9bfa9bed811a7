-- What the input of a request consists of, in tokens, and what it cost: system prompt, history, definitions of tools, user's turn.
ALTER TABLE requests
    ADD COLUMN input_system        BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN input_history       BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN input_tools         BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN input_user          BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN input_is_estimated  SMALLINT NOT NULL DEFAULT 0,
    ADD COLUMN input_cost_nanousd  BIGINT,  -- null without an answer or a price
    ADD COLUMN system_cost_nanousd BIGINT,  -- null alike
    ADD COLUMN system_hash         TEXT COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN system_opening      TEXT COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN system_chars        BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN system_preview      TEXT NOT NULL DEFAULT '';  -- empty unless content may be kept

-- Rolled up from answered requests: see ledger/prompt_audit.py.
CREATE TABLE system_prompts (
    hash          TEXT   COLLATE "C" PRIMARY KEY,
    opening       TEXT   COLLATE "C" NOT NULL,  -- the hash of how it begins: versions of one prompt share it
    preview       TEXT   NOT NULL,              -- empty unless content may be kept
    characters    BIGINT NOT NULL,
    first_seen_ns BIGINT NOT NULL
);

CREATE TABLE prompts_monthly (
    month        TEXT   COLLATE "C" NOT NULL,  -- UTC, `2026-11`
    hash         TEXT   COLLATE "C" NOT NULL,  -- `other` for those beyond the bound
    requests     BIGINT NOT NULL,
    tokens       BIGINT NOT NULL,              -- of the system prompt
    cost_nanousd BIGINT NOT NULL,              -- what these tokens cost
    unpriced     BIGINT NOT NULL,              -- requests whose cost is not known, and not in it
    PRIMARY KEY (month, hash)
);

-- More sums in the roll-ups, which are made anew with them when the ledger is next opened for writing.
ALTER TABLE attempts_rollup
    ADD COLUMN answer_input BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN answer_cache_read BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN answer_cache_write BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN answer_cache_write_1h BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN answer_output BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN answer_reasoning BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN answer_audio_input BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN answer_audio_cache_read BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN answer_audio_output BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN simulated BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN errand_cost_nanousd BIGINT NOT NULL DEFAULT 0;
ALTER TABLE requests_rollup
    ADD COLUMN answered BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN answered_cost_nanousd BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN input_system BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN input_history BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN input_tools BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN input_user BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN input_estimated BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN input_cost_nanousd BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN system_cost_nanousd BIGINT NOT NULL DEFAULT 0;
UPDATE rollups_made SET is_made = 0;

-- Which models requests were compared with, by day (UTC): see ledger/baselines.py.
CREATE TABLE baselines_daily (
    day_ns BIGINT NOT NULL,
    model  TEXT   COLLATE "C" NOT NULL,
    PRIMARY KEY (day_ns, model)
);
INSERT INTO baselines_daily
SELECT DISTINCT at_ns - at_ns % 86400000000000, baseline_model FROM requests
WHERE baseline_cost_nanousd IS NOT NULL AND baseline_model IS NOT NULL;
