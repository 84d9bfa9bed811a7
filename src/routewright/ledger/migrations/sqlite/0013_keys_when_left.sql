-- What becomes of an answer whose client has left; null for what the settings say.
ALTER TABLE virtual_keys ADD COLUMN when_left TEXT;
