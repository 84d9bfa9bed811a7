-- What became of a batch's items, as JSON, once their rows are gone.
ALTER TABLE batch_jobs ADD COLUMN summary TEXT COLLATE "C";
