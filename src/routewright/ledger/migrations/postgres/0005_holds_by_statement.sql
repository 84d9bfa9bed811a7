-- Nothing to do: what SQLite did by triggers until this step was always done by statements here.
SELECT 1;
